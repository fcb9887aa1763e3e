"""The build's changes to CPython and OpenSSL fit their newest sources, and the result compiles.

A failure here says which change needs a new look before the version comes to the suite that the image is built of.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build"))

import cpython  # noqa: E402
import fetch  # noqa: E402
import library  # noqa: E402
import openssl  # noqa: E402
import recipe  # noqa: E402
import update  # noqa: E402

SUITE = "sid"
# What openssl.py and library.py do to the tree of sources alone; and what cpython.py does to _ssl.
TREE = {
    module: {
        name: one
        for name, one in vars(module).items()
        if inspect.isfunction(one) and one.__module__ == module.__name__ and list(inspect.signature(one).parameters) == ["tree"]
    }
    for module in (openssl, library)
}
EDITS: dict[str, dict[str, Callable[[Path], None]]] = {
    "cpython": {
        "without_dh": lambda tree: cpython.without_dh(tree / "Modules/_ssl.c"),
        "learn_error_codes": lambda tree: cpython.learn_error_codes(tree / "Modules"),
        **TREE[library],
    },
    "openssl": TREE[openssl],
}
BUILD = """
import json, sys
import recipe
recipe.SOURCES["source"][sys.argv[1]].update(json.loads(sys.argv[2]))
import library, openssl
print({"cpython": library.build, "openssl": openssl.build}[sys.argv[1]]())
"""


@pytest.fixture(scope="module", params=EDITS)
def newest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> update.Pin:
    """The newest source of Debian's that can be fetched; the pinned one where there is no newer. The output says which."""
    recipe.run(["apt-get", "update"], tmp_path_factory.mktemp("apt") / "log", APT_CONFIG=str(fetch.apt(SUITE)))
    (pin,) = update.chosen([request.param])
    passed_over: list[update.PassedOver] = []
    found = update.newest(pin, passed_over, SUITE)
    print("\n".join([f"\n{pin.name}: {found.version} is tried ({pin.version} is pinned)", *update.named(passed_over)]))
    return found


@pytest.mark.long
def test_every_edit_fits(newest: update.Pin, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(update.unpacked(newest), tree, symlinks=True)
    no_longer = {}
    for name, edit in EDITS[newest.name].items():
        try:
            edit(tree)
        except (recipe.BuildError, OSError) as error:
            no_longer[name] = str(error)
    assert not no_longer, f"{newest.name} {newest.version}: " + "\n".join(f"{name}: {said}" for name, said in no_longer.items())


@pytest.mark.long
def test_it_compiles(newest: update.Pin) -> None:
    words = [sys.executable, "-c", BUILD, newest.name, json.dumps({"version": newest.version, "dsc": newest.sha256})]
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT / "build")}, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, f"{newest.name} {newest.version}: {done.stderr[-3000:]}"


def test_no_edit_is_forgotten() -> None:
    """Every function that changes sources is tried above. cut_frozen needs the interpreter, so only the compilation tries it."""
    assert {"select_assembly", "keep_reasons", "without_curve448", "without_dtls"} <= set(EDITS["openssl"])
    functions = [one for module in (cpython, library) for one in vars(module).values() if inspect.isfunction(one)]
    made = {one.__name__ for one in functions if "edit(" in inspect.getsource(one)}
    assert made - {*EDITS["cpython"], "edit"} == {"cut_frozen"}
