"""A step's key covers all that the step reads, also the imports of the scripts that it runs."""

import ast

import freeze
import library

from tests.build.conftest import ROOT

BUILD = ROOT / "build"


def imported(*names: str) -> set[str]:
    """Return the scripts of the build that these import, and they themselves, at any depth."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        found.add(name)
        for node in ast.walk(ast.parse((BUILD / name).read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            left += [f"{module}.py" for module in modules if (BUILD / f"{module}.py").exists() and f"{module}.py" not in found]
    return found


def test_what_nuitka_runs_is_in_the_key_of_the_frozen_program():
    assert imported("plugin.py", "compiler.py") <= {*freeze.SCRIPTS, *library.BYTECODE}


def test_what_freezes_cpythons_own_modules_is_in_the_key_of_the_library():
    assert imported("bytecode.py") <= set(library.BYTECODE)


def test_all_of_it_exists():
    assert [name for name in (*freeze.SCRIPTS, *library.BYTECODE) if not (BUILD / name).exists()] == []
