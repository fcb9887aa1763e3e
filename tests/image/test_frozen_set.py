"""The sources of the frozen modules: no module asks another for a name that it no longer has."""

import ast
import builtins
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build"))

import closure  # noqa: E402
import cpython  # noqa: E402
import freeze  # noqa: E402
import transform  # noqa: E402
from library import BUILTINS, FROZEN, VERIFIER_NAME  # noqa: E402

# Imported where it is used, in a branch that the bridge does not take on Linux or with these settings; or inside a try.
OPTIONAL = re.compile(r"^_?(winreg|winapi|nt|msvcrt|overlapped|_scproxy|org|java|vms_lib|_overlapped|_winapi|android|_ios_support)\b")

INTERPRETERS_OWN = {
    *("_frozen_importlib", "_frozen_importlib_external", "sys", "builtins", "__main__", "collections.abc", "os.path"),
    *(VERIFIER_NAME, "bridge._revision"),
}

# By expression, not by ast: the library's sources may be newer than the Python that runs the tests.
DEFINED = re.compile(r"^(?:(?:async def|def|class) |(?=\w+(?:: | = |\[)))(\w+)", re.M)


@pytest.fixture(scope="module")
def reached() -> dict[str, tuple[Path, str]]:
    return closure.closure()


@pytest.fixture(scope="module")
def sources(reached: dict[str, tuple[Path, str]]) -> dict[str, str]:
    return {module: source for module, (_, source) in reached.items()}


def names(source: str) -> set[str] | None:
    """Every name that a module has once it is imported; None when `import *` or __getattr__ makes that unknowable."""
    tree, found = ast.parse(source), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return None if "__getattr__" in found else found


def asked(source: str) -> list[tuple[str, str]]:
    """(module, name) of each absolute `from module import name` and of each `alias.name` where alias is an imported module."""
    tree, aliases, found = ast.parse(source), dict[str, str](), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {(alias.asname or alias.name): alias.name for alias in node.names if alias.asname or "." not in alias.name}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found += [(node.module, alias.name) for alias in node.names if alias.name != "*"]
    local = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        reads = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load)
        if reads and node.value.id in aliases and node.value.id not in local:
            found.append((aliases[node.value.id], node.attr))
    return found


@pytest.fixture(scope="module")
def gone(reached: dict[str, tuple[Path, str]], sources: dict[str, str]) -> dict[str, set[str]]:
    """Per module the top-level names that were taken out of it."""
    changed = [module for module in (*transform.MODULES["trimmed"], *transform.MODULES["stub"]) if module in sources]
    has = {module: names(sources[module]) for module in changed}
    return {module: set(DEFINED.findall(reached[module][0].read_text())) - left for module, left in has.items() if left is not None}


def test_no_module_asks_for_what_was_taken_out_of_another(gone: dict[str, set[str]], sources: dict[str, str]) -> None:
    missing = {
        f"{module}: {other}.{name}"
        for module, source in sources.items()
        for other, name in asked(source)
        if name in gone.get(other, ()) and f"{other}.{name}" not in sources
    }
    left = sorted(missing - set(transform.MODULES["never_asked"]))
    assert not left, "\n".join(left)


def test_no_module_reads_what_was_taken_out_of_itself(gone: dict[str, set[str]], sources: dict[str, str]) -> None:
    """A global that is gone; or a method that is gone, asked of whatever object, when no class that is left has one of that name."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    left = {name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.stmt) for name in transform.defined(node)}
    left |= {name for kind in (set, io.IOBase) for name in dir(kind)}
    methods = {name.rpartition(".")[2] for rule in transform.MODULES["trimmed"].values() for name in rule.get("drop", []) if "." in name}
    missing = set()
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in methods - left:
                missing.add(f"{module}: .{node.attr}")
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store) and node.id in gone.get(module, ()):
                missing.add(f"{module}: {node.id}")
    unexplained = sorted(missing - set(transform.MODULES["never_asked"]))
    assert not unexplained, "\n".join(unexplained)


def unbound(source: str) -> list[str]:
    """Every name that a source reads and that nothing in it binds, as far as its text tells."""
    tree = ast.parse(source)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return sorted(read - bound)


MISSING = """
import builtins, importlib, json, sys
asked = json.load(sys.stdin)
sys.path.insert(0, sys.argv[1])
for name in [name for name in sys.modules if name in asked and name not in sys.builtin_module_names]:
    del sys.modules[name]  # those of the interpreter's own start
found = []
for name, names in asked.items():
    module = importlib.import_module(name)
    assert module.__spec__.origin.startswith(sys.argv[1]), module.__spec__
    found += [f"{name}: {each}" for each in names if not hasattr(module, each) and not hasattr(builtins, each)]
print(json.dumps(found))
"""


def test_no_module_reads_a_global_that_it_does_not_have(sources: dict[str, str], tmp_path: Path) -> None:
    """Imported for real: names may come by `import *`, or as http.client's do, out of another module's enumeration."""
    python = cpython.interpreter() / "bin/python3.13"
    asked = {module: unbound(source) for module, source in sources.items() if module.split(".")[0] not in ("bridge", "importlib")}
    assert "CONTINUE" in asked["http.client"]
    words = [python, "-I", "-S", "-X", "frozen_modules=off", "-c", MISSING, closure.write(tmp_path)]
    done = subprocess.run(words, input=json.dumps({name: names for name, names in asked.items() if names}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) <= set(transform.MODULES["never_asked"]), done.stdout


GIVEN = {"_frozen_importlib": {"_imp", "sys"}, "_frozen_importlib_external": set(), "getpath": {"config"}}  # by CPython's C code


@pytest.mark.parametrize(("module", "path"), [(module, path) for module, _, path in FROZEN])
def test_what_cpython_starts_with_reads_no_name_that_it_lost(module: str, path: str) -> None:
    known = (cpython.interpreter() / "lib/python3.13" / path.removeprefix("Lib/")).read_text() if path.startswith("Lib/") else ""
    assert set(unbound(transform.transform(module, known))) - set(dir(builtins)) <= GIVEN[module] | {"__name__"}


def test_the_binary_has_the_modules_that_its_imports_reach_and_no_others(reached: dict[str, tuple[Path, str]]) -> None:
    """Nuitka also takes what the interpreter imports at its own start: once that was 120 KB of bytecode that nothing could reach."""
    loader = (freeze.objects() / "out/bridge_main.build/__loader.c").read_text()
    frozen = set(re.findall(r'^    "([\w.]+)", NULL', loader, re.MULTILINE))
    assert len(frozen) > 150
    made, by_the_interpreter = {"bridge._revision"}, {"importlib._bootstrap", "importlib._bootstrap_external", "encodings.mbcs"}
    assert frozen - made == reached.keys() - by_the_interpreter


def test_every_import_is_frozen_built_in_or_left_out_with_a_reason(sources: dict[str, str]) -> None:
    unknown = set()
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            wanted = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                wanted = [node.module]
            for name in wanted:
                if name in sources or name in BUILTINS or closure.left_out(name) or OPTIONAL.match(name):
                    continue
                if name in INTERPRETERS_OWN:
                    continue
                unknown.add(f"{module}: {name}")
    left = sorted(unknown - set(transform.MODULES["never_asked"]))
    assert not left, "\n".join(left)


def test_modules_of_inner_packages_are_frozen_and_those_left_out_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cli.py", "inner/__init__.py", "inner/deep/leaf.py", "simulate/__init__.py", "simulate/key.py", "rsa.c"):
        path = tmp_path / "tree/bridge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(freeze, "ROOT", tmp_path / "tree")
    monkeypatch.setattr(freeze, "revision", lambda: "0123456789ab")
    monkeypatch.setattr(freeze, "LIBRARIES", ())
    freeze.stage(tmp_path)
    staged = {str(path.relative_to(tmp_path / "app")) for path in (tmp_path / "app").rglob("*.py")}
    own = {"bridge/cli.py", "bridge/inner/__init__.py", "bridge/inner/deep/leaf.py", "bridge/_revision.py"}
    assert staged == {*own, "bridge_main.py"}


def test_every_rule_names_a_module_and_a_reason() -> None:
    for module, reason in {**transform.MODULES["left_out"], **transform.MODULES["stub"]}.items():
        assert module and len(reason) > 5
    for rule in transform.MODULES["trimmed"].values():
        assert len(rule["reason"]) > 5


def test_a_stub_stands_for_each_name_in_the_list_and_no_other() -> None:
    files = {path.name.removesuffix(".py") for path in (ROOT / "build/stubs").glob("*.py")}
    assert files == set(transform.MODULES["stub"])


def test_no_frozen_source_needs_the_compiler(sources: dict[str, str]) -> None:
    """eval, exec and compile raise in the binary."""
    found = set()
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile"):
                found.add(f"{module}: {node.func.id}")
    assert found <= set(transform.MODULES["never_asked"]), sorted(found)
    assert hasattr(builtins, "exec")


COMPARE = """
import ast, json, re, sys, _sre
sys.path.insert(0, sys.argv[1])
from patterns import METHODS, precompiled
found, left, methods = [], [], {f"re.{method}" for method in ("compile", "template", "subn", *METHODS)}
for name, source in json.load(sys.stdin).items():
    for node in ast.walk(ast.parse(precompiled(name, source))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_sre.compile" and not name.startswith("re."):
            made = eval(ast.unparse(node))
            found.append([name, made.pattern == ast.literal_eval(node.args[0]), made == re.compile(made.pattern, made.flags)])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in methods:
            left.append(f"{name}: {ast.unparse(node.func)}")
print(json.dumps([found, left]))
"""


@pytest.fixture(scope="module")
def patterns(sources: dict[str, str]) -> tuple[list[tuple[str, bool, bool]], list[str]]:
    """Of each pattern that the build compiled: its module, and whether text and code are those of re; and the calls that it left alone."""
    python = cpython.interpreter() / "bin/python3.13"
    done = subprocess.run([python, "-I", "-c", COMPARE, ROOT / "build"], input=json.dumps(sources), capture_output=True, text=True)
    found, left = json.loads(done.stdout)
    return found, left


def test_the_compiler_of_patterns_that_is_not_there_is_never_asked(patterns: tuple[list[tuple[str, bool, bool]], list[str]]) -> None:
    _, left = patterns
    assert left, "the look finds none of those that are listed"
    assert set(left) <= set(transform.MODULES["never_asked"]), sorted(left)


def test_a_pattern_that_the_build_compiled_is_the_one_that_re_would_have_made(
    patterns: tuple[list[tuple[str, bool, bool]], list[str]],
) -> None:
    found, _ = patterns
    assert len(found) > 60
    assert all(text and same for _, text, same in found), [name for name, text, same in found if not (text and same)]
    assert {"bridge.http.framing", "bridge.sns.message", "json.decoder", "urllib3.util.url"} <= {name for name, *_ in found}


class WithoutFunctions(ast.NodeTransformer):
    """What a module runs when it is imported."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return ast.Pass()

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]


def test_a_bridge_without_tls_starts_without_ssl(reached: dict[str, tuple[Path, str]]) -> None:
    started, waiting = set[str](), ["bridge.cli", "bridge.commands.serve"]
    while waiting:
        module = waiting.pop()
        if module in started or module not in reached:
            continue
        started.add(module)
        path, source = reached[module]
        at_import = ast.unparse(WithoutFunctions().visit(ast.parse(source)))
        waiting += [*closure.imports(module, path.name == "__init__.py", at_import), module.rpartition(".")[0]]
    assert {"bridge.pipeline", "pika.spec", "http.server", "re"} <= started
    late = {"ssl", "enum", "requests", "urllib3", "http.client", "urllib.request", "email", "tomllib"}
    assert late <= reached.keys()
    assert not {module for module in started if any(module == name or module.startswith(name + ".") for name in late)}


def test_a_rule_that_drops_what_is_not_there_is_an_error() -> None:
    tree = ast.parse("class A:\n    def there(self):\n        pass\n")
    with pytest.raises(ValueError, match=r"A\.gone"):
        transform.trim(tree, {"drop": ["A.there", "A.gone"]})
