"""Regular expressions are compiled when the binary is built, not at every start: `re.compile("…")` becomes the call of _sre, the
matcher in C, that it ends in. The compiler is not in the binary, so a pattern that is known only at run time is an error there.

Run by the built CPython only: the matcher's code is that of its version. patterns.py FOLDER does it to the sources in a folder.
"""

import _sre
import ast
import re
import struct
import sys
from pathlib import Path
from re import _compiler
from types import SimpleNamespace

METHODS = {"match": 2, "fullmatch": 2, "search": 2, "findall": 2, "finditer": 2, "split": 3, "sub": 4}  # and their arguments without flags


def evaluated(node: ast.expr, known: dict[str, object]) -> object:
    """Return the value of an expression of literals, known names and re's flags; None when it holds anything else."""
    try:
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}, "re": re}, known)
    except Exception:
        return None


def constants(tree: ast.Module) -> dict[str, object]:
    """Return the names that the module gives a value of literals, once."""
    known: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, evaluated(node.value, known)
            if name in known or not isinstance(value, str | bytes | int | tuple | list | dict):
                known.pop(name, None)
            else:
                known[name] = value
    return known


def matcher(pattern: str | bytes, flags: int) -> ast.expr:
    """Return the expression that makes the compiled pattern: the call that re's compiler would make of _sre."""
    handed: list[object] = []
    _compiler._sre = SimpleNamespace(**vars(_sre) | {"compile": lambda *words: handed.extend(words)})
    try:
        _compiler.compile(pattern, flags)
    finally:
        _compiler._sre = _sre
    _, flags, code, *rest = handed
    packed = struct.pack(f"<{len(code)}I", *code)
    words = ", ".join(map(repr, (pattern, int(flags)))), ", ".join(map(repr, rest))
    return ast.parse(f"_sre.compile({words[0]}, list(memoryview({packed!r}).cast('I')), {words[1]})", mode="eval").body


class Compile(ast.NodeTransformer):
    """Replaces the calls; `used` tells whether it has replaced one."""

    def __init__(self, known: dict[str, object]) -> None:
        self.known, self.used = known, False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self.known = self.known, {}  # a name may be another in there
        self.generic_visit(node)
        self.known = outer
        return node

    visit_Lambda = visit_ClassDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        if not (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re" and node.args):
            return node
        pattern = evaluated(node.args[0], self.known)
        given = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "flags")]
        if not isinstance(pattern, str | bytes) or len(given) != len(node.args) - 1 + len(node.keywords):
            return node
        if called.attr == "compile":
            flags = evaluated(given[0], self.known) if given else 0
            if not isinstance(flags, int):
                return node
            self.used = True
            return matcher(pattern, flags)
        if node.keywords or len(node.args) > METHODS.get(called.attr, 0):
            return node
        self.used = True
        return ast.Call(ast.Attribute(matcher(pattern, 0), called.attr, ast.Load()), node.args[1:], [])


def precompile(module: str, tree: ast.Module) -> ast.Module:
    """Compile the patterns of a module that are known now; return the changed tree."""
    if module.split(".")[0] == "re":
        return tree
    change = Compile(constants(tree))
    tree = change.visit(tree)
    if change.used:
        after = next((at for at, node in enumerate(tree.body) if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")), 0)
        tree.body.insert(after, ast.Import([ast.alias("_sre")]))
    return ast.fix_missing_locations(tree)


def precompiled(module: str, source: str) -> str:
    """Return a module's source with its patterns compiled."""
    return ast.unparse(precompile(module, ast.parse(source)))


if __name__ == "__main__":
    top = Path(sys.argv[1])
    for path in top.rglob("*.py"):
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        path.write_text(precompiled(".".join(place.relative_to(top).parts), path.read_text()))
