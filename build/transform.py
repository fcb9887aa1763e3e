"""The changes to a module's source on its way into the binary; modules.toml says which modules, and why.

Every library module loses all that only a reader or a type checker needs: docstrings, assertions, annotations, overloads,
TYPE_CHECKING blocks, __all__. A module under [trimmed] also loses definitions (`drop`, or all but `keep`), has some replaced, and
loses the imports that nothing uses any more. The imports under [late] move into the functions that use them. A module under
[stub] is a file of build/stubs. `quiet` packages lose their log calls, because nothing reads that log in the binary.
"""

import ast
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = tomllib.loads((HERE / "modules.toml").read_text())
LOGGERS = {"LOGGER", "log", "_LOGGER", "logger"}
LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
ANNOTATED = {"NamedTuple", "TypedDict", "Protocol"}  # classes of these are made from their annotations

Body = list[ast.stmt]


def left_out(module: str) -> bool:
    """Tell whether the module, or a package above it, is left out."""
    parts = module.split(".")
    return any(".".join(parts[:size]) in MODULES["left_out"] for size in range(1, len(parts) + 1))


def named(node: ast.expr, names: set[str]) -> bool:
    """Tell whether the expression is one of the names, or an attribute of that name."""
    return (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)


def is_log_call(node: ast.stmt) -> bool:
    """Tell whether the statement is LOGGER.debug(...) or the like."""
    call = node.value if isinstance(node, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in LOG_CALLS
        and named(call.func.value, LOGGERS)
    )


def lists_exports(node: ast.stmt) -> bool:
    """Tell whether the statement makes __all__, or adds to it. Without it `from X import *` takes all names without an underscore."""
    if isinstance(node, ast.Assign | ast.AugAssign):
        return named(node.targets[0] if isinstance(node, ast.Assign) else node.target, {"__all__"})
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and named(called.value, {"__all__"})


def is_docstring(node: ast.stmt) -> bool:
    """Tell whether the statement is a docstring, or any other string that stands alone, or sets the docstring of something."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr == "__doc__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class Bare(ast.NodeTransformer):
    """Removes what no running program needs."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.keep_annotations = False

    def body(self, statements: Body, module: bool = False) -> Body:
        """Return the statements that stay; a body that would be empty gets a `pass`."""
        kept: Body = []
        for statement in statements:
            if isinstance(statement, ast.Assert) or (self.quiet and is_log_call(statement)):
                continue
            if is_docstring(statement) or lists_exports(statement):
                continue
            found = self.visit(statement)
            kept += found if isinstance(found, list) else [found] if found else []
        return kept if kept or module else [ast.Pass()]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and statements:
                setattr(node, field, self.body(statements, isinstance(node, ast.Module) or field != "body"))
        for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            handler.body = self.body(handler.body)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if any(named(decorator, {"overload"}) for decorator in node.decorator_list):
            return None
        node.returns = None
        arguments = node.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
            if argument:
                argument.annotation = None
        outer, self.keep_annotations = self.keep_annotations, False
        node.body = self.body(node.body)
        self.keep_annotations = outer
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.keep_annotations
        self.keep_annotations = bool(node.decorator_list) or any(named(base, ANNOTATED) for base in node.bases)
        node.body = self.body(node.body)
        self.keep_annotations = outer
        return node

    def visit_If(self, node: ast.If) -> ast.AST | Body:
        if named(node.test, {"TYPE_CHECKING"}):
            return self.body(node.orelse, True)
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self.keep_annotations:
            return node
        return ast.Assign([node.target], node.value) if node.value else None


def defined(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines, if it is one that can be dropped by name."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.If | ast.Try):  # one definition or the other, with what it imports
        branches = [defined(inner) for inner in (*node.body, *node.orelse) if not isinstance(inner, ast.Import | ast.ImportFrom)]
        return sorted({name for names in branches for name in names}) if all(branches) else []
    return []


def cut(body: Body, drop: set[str], keep: set[str] | None) -> Body:
    """Return the body without the definitions named; `Class.method` names one inside a class; imports by their alias.

    With `keep`, only those definitions stay, and of the rest only assignments and imports.
    """
    kept: Body = []
    for node in body:
        names = defined(node)
        if names and set(names) <= drop:
            continue
        touched = node if isinstance(node, ast.Expr | ast.Delete) else None
        if isinstance(node, ast.Assign) and not names:
            touched = node.targets[0]
        if touched and {part.id for part in ast.walk(touched) if isinstance(part, ast.Name)} & drop:
            continue  # a call on what is dropped, or its deletion, or an attribute set on it
        if keep is not None and not isinstance(node, ast.Assign | ast.Import | ast.ImportFrom) and not set(names) & keep:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) not in drop]
            if not node.names:
                continue
        if isinstance(node, ast.ClassDef):
            inner = {name.removeprefix(node.name + ".") for name in drop if name.startswith(node.name + ".")}
            node.body = cut(node.body, inner, None) or [ast.Pass()]
        kept.append(node)
    return kept


def droppable(body: Body) -> set[str]:
    """Return every name that `cut` can drop."""
    names = {name for node in body for name in defined(node)}
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for name in droppable(node.body)}
    return names


def used(tree: ast.Module) -> set[str]:
    """Return every name that is read in the module, or is a string in it."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def without_unused_imports(tree: ast.Module, before: set[str]) -> None:
    """Remove the top-level imports whose names were read `before`, and are not read now."""
    unused = before - used(tree)
    for node in list(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom) and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            node.names = [a for a in node.names if (a.asname or a.name).split(".")[0] not in unused]
            if not node.names:
                tree.body.remove(node)


def trim(tree: ast.Module, rule: dict[str, object]) -> None:
    """Apply one [trimmed] rule. A name in it that the module does not have raises BuildError, because the library has changed."""
    drop = set(rule.get("drop", []))  # type: ignore[call-overload]
    keep = set(rule["keep"]) if "keep" in rule else None  # type: ignore[call-overload]
    replace = ast.parse(str(rule.get("replace", "")))
    for node in ast.walk(replace):
        if isinstance(node, ast.stmt | ast.excepthandler):
            node.lineno = 0  # no line of this source
    there = {name for node in tree.body for name in defined(node)}
    anywhere = {name for node in ast.walk(tree) if isinstance(node, ast.stmt) for name in defined(node)}
    fresh = {name for node in replace.body for name in defined(node)}
    missing = {name for name in (keep or set()) | fresh if name not in there and name not in anywhere} | drop - droppable(tree.body)
    if missing:
        raise ValueError(f"modules.toml names what is not there: {', '.join(sorted(missing))}")
    before = used(tree)
    after: Body = []
    for node in cut(tree.body, drop - fresh, None if keep is None else keep | fresh):
        names = defined(node)
        after += [new for new in replace.body if set(defined(new)) & set(names)] if set(names) & fresh else [node]
    tree.body = after + [new for new in replace.body if not set(defined(new)) & there]
    without_unused_imports(tree, before)


def postpone(tree: ast.Module, late: list[str]) -> None:
    """Move each import statement in late from the top of the module to where the name it binds is read."""
    for statement in late:
        moved = ast.parse(statement).body[0]
        (name,) = droppable([moved])
        there = [node for node in tree.body if ast.dump(node) == ast.dump(moved)]
        tree.body = [node for node in tree.body if node not in there]
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        functions = [node for one in (tree, *classes) for node in one.body if isinstance(node, ast.FunctionDef)]
        if len(there) != 1 or reads(tree, name) != sum(reads(function, name) for function in functions):
            raise ValueError(f"modules.toml has {statement} late, where it does not stand, or what it binds is read outside of functions")
        for function in functions:
            if reads(function, name):
                import_in(function.body, moved, name)


def import_in(body: Body, moved: ast.stmt, name: str) -> None:
    """Put the import before the first statement that reads the name; inside an `if`, into the only branch that reads it."""
    reading = [node for node in body if reads(node, name)]
    first = reading[0]
    if len(reading) == 1 and isinstance(first, ast.If) and not reads(first.test, name):
        for branch in (first.body, first.orelse):
            if any(reads(node, name) for node in branch):
                import_in(branch, moved, name)
    else:
        body.insert(body.index(first), moved)


def reads(tree: ast.AST, name: str) -> int:
    """Return how many times the name is read."""
    return sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def transformed(module: str, source: str) -> ast.Module:
    """Return the source as it goes into the binary; its statements keep their lines. Our own package loses only its annotations."""
    if module in MODULES["stub"]:
        source = (HERE / "stubs" / f"{module}.py").read_text()
    tree = ast.parse(source)
    quiet = module.split(".")[0] in MODULES["quiet"]["packages"]
    tree.body = Bare(quiet).body(tree.body, True)
    if module in MODULES["trimmed"]:
        trim(tree, MODULES["trimmed"][module])
    postpone(tree, MODULES["late"].get(module, []))
    return ast.fix_missing_locations(tree)


def transform(module: str, source: str) -> str:
    """Return the same as a text."""
    return ast.unparse(transformed(module, source))
