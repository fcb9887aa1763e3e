"""The unit tests of urllib3 and requests, run by the interpreter that was built, on exactly the modules that are frozen."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARIES = tomllib.loads((HERE / "libraries.toml").read_text())
sys.path.insert(0, str(ROOT / "build"))

import closure  # noqa: E402
import cpython  # noqa: E402


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closure.write(tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    options = ["--quiet", "--no-deps", "--require-hashes", "-d", folder, "-r", HERE / "libraries.txt"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_passes_its_own_tests(name: str, frozen: Path, sources: Path) -> None:
    rule = LIBRARIES[name]
    (tree,) = [path for path in sources.glob(f"{name}-*") if path.is_dir()]
    options = [word for test in rule["deselected"] for word in ("--deselect", test)]
    site = Path(pytest.__file__).resolve().parents[1]
    command = [cpython.interpreter() / "bin/python3.13", "-I", HERE / "compartment.py", frozen, site, "-q", "--tb=short", "-W", "ignore"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", ".", *options, *rule["tests"]],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= rule["at_least"], done.stdout[-300:]
