"""A skip that is not listed fails the run, wherever it comes from; a listed one does not."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tools import skips

CONFTEST = """
from tests.tools.skips import Skips
def pytest_configure(config):
    config.pluginmanager.register(Skips(("only root ",)), "skips")
"""
IN_A_TEST = "import pytest\ndef test_it():\n    pytest.skip({reason!r})\n"
IN_A_FIXTURE = "import pytest\n@pytest.fixture\ndef it():\n    pytest.skip({reason!r})\ndef test_it(it): pass\n"
AS_A_MARK = "import pytest\n@pytest.mark.skipif(True, reason={reason!r})\ndef test_it(): pass\n"
A_WHOLE_FILE = "import pytest\npytest.skip({reason!r}, allow_module_level=True)\n"
FORMS = {"test": IN_A_TEST, "fixture": IN_A_FIXTURE, "mark": AS_A_MARK, "file": A_WHOLE_FILE}
MISSING = "sslscan is missing: apt-get install sslscan"


WORKERS = {"one process": [], "workers": ["-p", "xdist", "-n", "2"]}


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(text + "\ndef test_another(): pass\n")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={folder}", *options, str(folder)]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=skips.LIST.parents[1], env=alone)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_reason_that_is_not_listed_fails_the_run_and_is_named(folder, form, workers):
    done = run(folder, FORMS[form].format(reason=MISSING), *WORKERS[workers])
    assert done.returncode == 1, done.stdout
    assert f"1 x {MISSING}" in done.stdout


@pytest.mark.parametrize("form", ["test", "fixture", "mark"])
def test_a_listed_reason_does_not(folder, form):
    done = run(folder, FORMS[form].format(reason="only root has a user to change"))
    assert done.returncode == 0, done.stdout


def test_what_is_expected_to_fail_is_no_skip(folder):
    done = run(folder, "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n")
    assert done.returncode == 0, done.stdout


def test_a_failure_stays_one(folder):
    assert run(folder, "def test_it(): assert False\n").returncode == 1


def test_every_listed_reason_is_one_that_a_test_gives_and_says_why():
    texts = "".join(path.read_text() for path in skips.LIST.parent.rglob("*.py") if path != Path(__file__))
    for entry in tomllib.loads(skips.LIST.read_text())["allowed"]:
        assert entry["reason"] in texts and len(entry["why"]) > 20, entry["reason"]
        assert "is missing" not in entry["reason"] and "apt-get" not in entry["reason"]


def test_this_run_watches_its_own_skips(request):
    assert isinstance(request.config.pluginmanager.get_plugin("skips"), skips.Skips)
