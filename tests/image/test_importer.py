"""CPython's importer as the binary has it: one lock, and no modules from files."""

import builtins
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.test_frozen_set import unbound

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build"))

import cpython  # noqa: E402
import transform  # noqa: E402
from library import FROZEN  # noqa: E402

GIVEN = {"_frozen_importlib": {"_imp", "sys"}, "_frozen_importlib_external": set(), "getpath": {"config"}}  # by CPython's C code

# The importer on its own, in an interpreter that has another: `load` imports by it, `Loader` runs a function as a module.
START = """
import _imp, os, sys, threading, types
importer = types.ModuleType("_frozen_importlib")
exec(sys.stdin.read(), importer.__dict__)
sys.meta_path.clear()
importer._install(sys, _imp)
load, modules, WAIT = importer._gcd_import, {}, 60
class Loader:
    find_spec = lambda name, path, target: importer.ModuleSpec(name, Loader, is_package=name == "package") if name in modules else None
    create_module = lambda spec: None
    exec_module = lambda module: modules[module.__name__](module)
sys.meta_path.append(Loader)
def both(*steps):
    threads = [threading.Thread(target=step, daemon=True) for step in steps]
    [thread.start() for thread in threads]
    [thread.join(WAIT) for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
"""

WHOLE = """
begun, go, seen = threading.Event(), threading.Event(), []
def slow(module):
    begun.set()
    assert go.wait(WAIT)
    module.whole = True
modules["slow"] = slow
def first():
    seen.append(load("slow").whole)
def second():
    assert begun.wait(WAIT)
    threading.Timer(0.1, go.set).start()
    seen.append(load("slow").whole)
both(first, second)
assert seen == [True, True], seen
"""

CIRCLE = """
modules["one"] = lambda module: setattr(module, "other", load("two"))
modules["two"] = lambda module: setattr(module, "other", load("one"))
both(lambda: load("one"), lambda: load("two"))
assert load("one").other is load("two") and load("two").other is load("one")
"""

MISSING = """
modules["package"] = modules["plain"] = lambda module: None
for name in ("nowhere", "package.nowhere", "plain.nowhere"):
    try:
        load(name)
    except ModuleNotFoundError as error:
        assert error.name == name, error.name
    else:
        sys.exit(f"{name} was found")
def fails(module):
    raise RuntimeError("while it was imported")
modules["fails"] = fails
for _ in range(2):
    try:
        load("fails")
    except RuntimeError:
        assert "fails" not in sys.modules
    else:
        sys.exit("it was imported")
modules["late"] = lambda module: None
both(lambda: load("late"))  # the lock was given back
"""

FORK = """
begun = threading.Event()
def slow(module):
    begun.set()
    threading.Event().wait(0.2)
modules["slow"] = slow
modules["fresh"] = lambda module: None
thread = threading.Thread(target=load, args=("slow",))
thread.start()
assert begun.wait(WAIT)
child = os.fork()
if not child:
    load("fresh"), load("slow")
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def source(module: str) -> str:
    path = {name: path for name, _, path in FROZEN}[module]
    known = cpython.interpreter() / "lib/python3.13" / path.removeprefix("Lib/")
    return transform.transform(module, "" if module in transform.MODULES["stub"] else known.read_text())


@pytest.mark.parametrize("module", GIVEN)
def test_what_cpython_starts_with_reads_no_name_that_it_lost(module: str) -> None:
    assert set(unbound(source(module))) - set(dir(builtins)) <= GIVEN[module] | {"__name__"}


@pytest.mark.parametrize("promise", [WHOLE, CIRCLE, MISSING, FORK], ids=["whole for two threads", "a circle", "missing", "a fork"])
def test_imports_by_one_lock(promise: str) -> None:
    words = [cpython.interpreter() / "bin/python3.13", "-I", "-S", "-W", "ignore", "-c", START + promise]
    done = subprocess.run(words, input=source("_frozen_importlib"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
