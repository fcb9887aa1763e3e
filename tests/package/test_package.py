"""Wheel and sdist for a user without the repository: built, checked, installed in fresh environments, run."""

import email
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest
from cryptography.hazmat.primitives import serialization

from bridge.version import VERSION
from tests.tools.bridge import ROOT
from tests.tools.checkout import copy_checkout

TOOLS = ROOT / ".venv-package/bin"
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run(*command, **environment):
    """Standard output of a command that ends well, without a setting or compiler of the tests' own environment."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run([*map(str, command)], env=clean | QUIET | environment, cwd="/", capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return copy_checkout(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """(sdist, the wheel that was built from the sdist)"""
    out = tmp_path_factory.mktemp("dist")
    run(TOOLS / "python", "-m", "build", "--outdir", out, source)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def installed(folder, *what, **environment):
    """A fresh environment with this in it: the folder of its commands."""
    venv.create(folder, with_pip=True)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", *what, **environment)
    return folder / "bin"


@pytest.fixture(scope="module")
def distributions(source):
    """What `make distributions` makes for PyPI: (sdist, wheel)."""
    (source / ".venv-package").symlink_to(ROOT / ".venv-package")
    run("make", "-C", source, "--old-file=.venv-package/.ready", "distributions")
    sdist, wheel = sorted((source / "dist/package").iterdir(), key=lambda path: path.suffix)
    return sdist, wheel


@pytest.fixture(scope="module")
def commands(built, tmp_path_factory):
    return installed(tmp_path_factory.mktemp("wheel"), built[1])


def test_twine_has_nothing_to_say(built):
    assert run(TOOLS / "twine", "--no-color", "check", "--strict", *built).count("PASSED") == 2


def test_the_sdist_has_all_that_a_build_needs_and_the_licence(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in [*ROOT.glob("bridge/**/*.py"), *ROOT.glob("bridge/**/*.c")]:
        if path.name != "_revision.py":
            assert str(path.relative_to(ROOT)) in names
    assert {"pyproject.toml", "README.md", "LICENSE", "bridge/py.typed", "docs/bridge.1", "docs/completion/bridge"} <= names


def test_the_wheel_has_the_package_and_nothing_of_the_tests(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
        (text,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    top = {name.split("/")[0] for name in names}
    assert top == {"bridge", *(f"sns_to_rabbitmq_bridge-{VERSION}.{kind}" for kind in ("data", "dist-info"))}
    assert {"bridge/py.typed", "bridge/cli.py", "bridge/simulate/command.py"} <= set(names)
    assert any(name.startswith("bridge/sns/_rsa.") and name.endswith(".so") for name in names), "gcc and libcrypto's headers are here"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    metadata = email.message_from_string(text)
    assert (metadata["Name"], metadata["Version"], metadata["License-Expression"]) == ("sns-to-rabbitmq-bridge", VERSION, "MIT")
    assert metadata["Description-Content-Type"] == "text/markdown" and metadata["Provides-Extra"] == "simulate"
    known = run(TOOLS / "python", "-c", "import trove_classifiers; print(*trove_classifiers.classifiers, sep='\\n')").splitlines()
    assert set(metadata.get_all("Classifier")) <= set(known) and "Typing :: Typed" in metadata.get_all("Classifier")


def test_the_wheel_gives_a_working_bridge(commands):
    version = run(commands / "bridge", "--version")
    assert version.startswith(f"bridge {VERSION} (") and "verifier libcrypto" in version
    vectors = ROOT / "tests/data/vectors"
    verified = run(commands / "bridge", "verify", "--at", "message", "--certificates", vectors, vectors / "java2-notification-v2.json")
    assert ": genuine Notification v2 " in verified
    assert "healthyRetryPolicy" in run(commands / "bridge", "policy")


def test_the_manual_page_and_the_completion_are_where_they_are_looked_for(commands):
    share = commands.parent / "share"
    assert (share / "man/man1/bridge.1").read_bytes() == (ROOT / "docs/bridge.1").read_bytes()
    assert (share / "bash-completion/completions/bridge").read_bytes() == (ROOT / "docs/completion/bridge").read_bytes()


def test_without_the_extra_simulate_says_what_is_missing(commands):
    done = subprocess.run([commands / "bridge", "simulate"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "pip install '.[simulate]'" in done.stderr


def test_with_the_extra_it_simulates(built, tmp_path):
    bridge = installed(tmp_path / "extra", f"{built[1]}[simulate]") / "bridge"
    assert "export BRIDGE_CERTIFICATES=" in run(bridge, "simulate", "--folder", tmp_path / "trial")
    assert serialization.load_pem_private_key((tmp_path / "trial/key.pem").read_bytes(), None).key_size >= 2048


def test_the_sdist_without_a_compiler_gives_a_working_bridge_too(built, tmp_path):
    bridge = installed(tmp_path / "bare", built[0], CC="/nowhere/cc") / "bridge"
    assert "verifier python)" in run(bridge, "--version")
    vectors = ROOT / "tests/data/vectors"
    verified = run(bridge, "verify", "--at", "message", "--certificates", vectors, vectors / "java2-notification-v1.json")
    assert ": genuine Notification v1 " in verified


# ---- what goes to PyPI


def test_the_wheel_for_pypi_is_for_every_linux_and_every_later_python(distributions):
    sdist, wheel = distributions
    assert sdist.name == f"sns_to_rabbitmq_bridge-{VERSION}.tar.gz"
    assert re.fullmatch(rf"sns_to_rabbitmq_bridge-{VERSION}-cp311-abi3-manylinux[a-z0-9_.]+\.whl", wheel.name), "PyPI refuses linux_x86_64"


def test_the_wheel_for_pypi_verifies_by_the_systems_libcrypto_without_a_copy(distributions, tmp_path):
    with zipfile.ZipFile(distributions[1]) as archive:
        assert not [name for name in archive.namelist() if "libcrypto" in name]
    bridge = installed(tmp_path / "wheel", distributions[1], CC="/nowhere/cc") / "bridge"
    assert "verifier libcrypto 3" in run(bridge, "--version")


def test_the_wheel_for_pypi_verifies_by_python_where_the_system_has_no_libcrypto(distributions, tmp_path):
    python = installed(tmp_path / "wheel", distributions[1]) / "python"
    (module,) = (tmp_path / "wheel").glob("lib/python*/site-packages/bridge/sns/_rsa.abi3.so")
    module.write_bytes(module.read_bytes().replace(b"libcrypto.so.3\0", b"libcrypto.so.9\0"))
    assert "verifier python)" in run(python, "-m", "bridge", "--version")


def test_a_checker_of_types_finds_the_packages_own(commands, tmp_path):
    (tmp_path / "user.py").write_text("from bridge.settings import SETTINGS\nreveal_type(SETTINGS[0].variable)\n")
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--python-executable", commands / "python")
    said = run(*mypy, tmp_path / "user.py")
    assert 'Revealed type is "str"' in said or 'Revealed type is "builtins.str"' in said


# ---- the manual page


def test_groff_and_mandoc_find_nothing_to_warn_of():
    page = ROOT / "docs/bridge.1"
    done = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", page], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout and "publishes Amazon SNS notifications" in done.stdout
    assert run("mandoc", "-T", "lint", "-W", "warning", page) == ""


def test_zsh_completes_by_the_same_script(tmp_path):
    (tmp_path / "session").write_text(
        f"autoload -U compinit; compinit -u -d {tmp_path}/dump; source {ROOT}/docs/completion/bridge; print -r -- $_comps[bridge]\n"
    )
    assert "_bridge" in run("zsh", "-f", tmp_path / "session")
