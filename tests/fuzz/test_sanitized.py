"""The whole set of signature tests once more, with bridge.sns._rsa built under AddressSanitizer and UBSan."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = (
    "-shared",
    "-fPIC",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
# ASan itself watches the memory here, so tests that count it from outside would be wrong.
LEFT_OUT = "not memory_does_not_grow"


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A copy of the package with the sanitized extension, and the environment to run it in."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing: apt-get install gcc libssl-dev python3-dev")
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("gcc has no libasan")
    folder = tmp_path_factory.mktemp("sanitized")
    shutil.copytree(ROOT / "bridge", folder / "bridge", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for part in ("unit", "fuzz", "data/vectors"):
        shutil.copytree(ROOT / "tests" / part, folder / "tests" / part, ignore=shutil.ignore_patterns("__pycache__", "corpus"))
    (folder / "tests" / "__init__.py").touch()
    target = folder / "bridge" / "sns" / f"_rsa{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    built = subprocess.run(
        ["gcc", *FLAGS, "-I", include, str(ROOT / "bridge" / "sns" / "_rsa.c"), "-o", str(target), "-lcrypto"],
        capture_output=True,
        text=True,
    )
    if built.returncode and ("Python.h" in built.stderr or "openssl/" in built.stderr):
        pytest.skip("headers are missing: apt-get install libssl-dev python3-dev")
    assert built.returncode == 0, built.stderr
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime,
        "PYTHONMALLOC": "malloc",  # so that ASan sees each of Python's blocks
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps what it has until it ends
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return folder, environment


def run(sanitized, *arguments, **changes):
    folder, environment = sanitized
    environment = {**environment, **changes}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def test_the_build_is_a_sanitized_one(sanitized):
    """Without ASan's runtime it does not load, so the extension of the next test is really instrumented."""
    program = "import bridge.sns._rsa as m; print(m.__file__)"
    assert str(sanitized[0]) in run(sanitized, "-c", program).stdout
    without = run(sanitized, "-c", program, LD_PRELOAD="")
    assert without.returncode != 0 and "ASan runtime does not come first" in without.stderr


def test_nothing_is_read_or_written_out_of_bounds(sanitized):
    files = [f"tests/unit/sns/test_{name}.py" for name in ("signature", "x509", "der")]
    options = ("-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, *files)
    done = run(sanitized, "-m", "pytest", *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("limited", [(), ("-DPy_LIMITED_API=0x030B0000",)], ids=["as in the binary", "as in a wheel"])
def test_it_compiles_without_a_warning(limited):
    """Newer compilers take what is a warning here for an error, and then `pip install` leaves the module out."""
    quiet = ("-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-cast-function-type")
    words = ["gcc", "-Wall", "-Wextra", "-Werror", *quiet, *limited, "-I", sysconfig.get_path("include"), "-fsyntax-only"]
    built = subprocess.run([*words, str(ROOT / "bridge" / "sns" / "_rsa.c")], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
