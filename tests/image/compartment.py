"""Run by the interpreter that was built: pytest on a library's own tests, in which the library meets the frozen modules only.

compartment.py FROZEN SITE PYTEST-ARGUMENT...

FROZEN is build/closure.py's folder. pytest itself needs the whole standard library, so there are two sets of modules: while
code of the libraries or of their tests imports, sys.modules holds the frozen set; else pytest's. A module that is left
out of the binary cannot be imported from inside a library.
"""

import builtins
import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

FROZEN, SITE = Path(sys.argv[1]), sys.argv[2]
LIBRARIES = ("urllib3", "requests", "pika", "idna", "certifi")
TESTS = ("test", "tests")
# The interpreter's own: held by it before anything else is imported, and the same in both sets.
SHARED = {
    *("sys", "builtins", "codecs", "io", "abc", "os", "posixpath", "stat", "genericpath", "types", "enum", "collections", "re"),
    "encodings",
}

# What the tests themselves use as tools, not the library.
TOOLS = (
    *("logging", "typing", "platform", "gzip", "email", "tempfile", "pathlib", "shutil", "zipfile"),
    *("unittest", "unittest.mock", "datetime", "warnings"),
)

inside: dict[str, ModuleType] = {}
tools: dict[str, ModuleType] = {}
depth = 0


def source(name: str) -> tuple[Path, bool] | None:
    """The frozen file of a module, and whether it is a package."""
    package, module = FROZEN / name.replace(".", "/") / "__init__.py", FROZEN / (name.replace(".", "/") + ".py")
    return (package, True) if package.exists() else (module, False) if module.exists() else None


def swapped_name(name: str) -> bool:
    """Whether the module is one of the set that is changed: frozen, of the standard library, not shared."""
    top = name.partition(".")[0]
    return top not in SHARED and top not in LIBRARIES and source(name) is not None


@contextlib.contextmanager
def frozen_set() -> Iterator[None]:
    """sys.modules with the frozen set in it, until the block ends."""
    global depth
    if depth:
        yield
        return
    outside = {name: sys.modules.pop(name) for name in list(sys.modules) if swapped_name(name)}
    sys.modules.update(inside)
    depth = 1
    try:
        yield
    finally:
        depth = 0
        inside.update({name: sys.modules.pop(name) for name in list(sys.modules) if swapped_name(name)})
        sys.modules.update(outside)


def import_inside(name, globals=None, locals=None, fromlist=(), level=0):  # type: ignore[no-untyped-def]
    """__import__ for the code of the compartment; a test gets its tools from outside."""
    if not level and name in tools and str((globals or {}).get("__name__", "")).partition(".")[0] in TESTS:
        return tools[name]
    with frozen_set():
        return builtins.__import__(name, globals, locals, fromlist, level)


BUILTINS = vars(builtins) | {"__import__": import_inside}


class Loader(importlib.abc.SourceLoader):
    """Runs a module with the compartment's own __import__."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str) -> bytes:
        return self.path.read_bytes()

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = BUILTINS
        with frozen_set():
            super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the libraries, their tests, and, inside, the frozen set."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        top = name.partition(".")[0]
        if top in TESTS:
            places = [Path(entry) / Path(*name.split(".")) for entry in ("", *sys.path)]
            files = [(place / "__init__.py", True) for place in places] + [(place.with_suffix(".py"), False) for place in places]
            found = next(((file, package) for file, package in files if file.exists()), None)
        elif top in LIBRARIES or (depth and swapped_name(name)):
            found = source(name)
        else:
            found = None
        if found is None:
            return None
        file, package = found
        return importlib.util.spec_from_file_location(
            name, file, loader=Loader(file), submodule_search_locations=[str(file.parent)] if package else None
        )


def main() -> int:
    """Run pytest; return its status."""
    sys.path[:0] = [SITE, "."]
    import pytest

    tools.update({name: importlib.import_module(name) for name in TOOLS})
    sys.meta_path.insert(0, Finder())
    # urllib3's tests take the path of a CA file from a server that wants compiled packages; the path is all they take here.
    server = ModuleType("dummyserver.socketserver")
    server.__dict__.update(DEFAULT_CA=str(Path("dummyserver/certs/cacert.pem").resolve()))
    sys.modules["dummyserver.socketserver"] = server
    return int(pytest.main(["-p", "no:cacheprovider", "-p", "no:logging", "--noconftest", "--assert=plain", *sys.argv[3:]]))


if __name__ == "__main__":
    sys.exit(main())
