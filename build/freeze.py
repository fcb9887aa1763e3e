"""Step 8: Nuitka turns the package into C, the libraries into bytecode; zig compiles that; one link makes the program."""

import os
import shutil
import subprocess
from pathlib import Path

import cpython
import fetch
import library
import toolchain
from offsets import gathered
from recipe import ARCH, EPOCH, HERE, JOBS, ROOT, SECTIONS, cached, digest, environment, main, run
from transform import MODULES, left_out

# Packages that become C; the rest is bytecode. With "bridge" here the unpacked program grew by more than half a megabyte.
COMPILED = ""
LIBRARIES = ("pika", "requests", "urllib3", "certifi", "idna")

FLAGS = "no_site,no_docstrings,no_asserts,no_warnings,isolated"
SCRIPTS = ("freeze.py", "plugin.py", "patterns.py", "offsets.py", "compiler.py", "shim")  # these are read here, and library.BYTECODE
OPTIONS = f"""
--static-libpython=yes --clang --lto=no --jobs={JOBS} --assume-yes-for-downloads --update-check=never --disable-ccache
--disable-plugin=multiprocessing --deployment --python-flag={FLAGS} --output-filename=bridge --disable-bytecode-cache
""".split()

# What the interpreter and Nuitka's own C import.
START = "encodings.utf_8", "encodings.aliases", "inspect", "importlib.machinery"
ENTRY = "import sys\nfrom bridge.cli import main\nsys.exit(main())\n"


def revision() -> str:
    """Return the commit that is built, with a + when the package has changes that are not committed."""
    if (fetch.KEPT / "REVISION").exists():
        return (fetch.KEPT / "REVISION").read_text().strip()
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    if not found:
        return os.environ.get("BRIDGE_REVISION", "unknown")
    changed = subprocess.run([*git, "status", "--porcelain", "--", "bridge"], capture_output=True, text=True).stdout.strip()
    return found + ("+" if changed else "")


def sources() -> list[Path]:
    """Return the package's own modules, those of the packages inside it too, but for what modules.toml leaves out."""
    found = sorted((ROOT / "bridge").rglob("*.py"))
    return [path for path in found if not left_out(".".join(path.relative_to(ROOT).with_suffix("").parts))]


def stage(work: Path) -> None:
    """Copy what is frozen: the package's own sources with the revision, the libraries, and the entry."""
    for path in sources():
        staged = work / "app" / path.relative_to(ROOT)
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staged)
    (work / "app/bridge/_revision.py").write_text(f'REVISION = "{revision()}"\n')
    (work / "app/bridge_main.py").write_text(ENTRY)
    for name in LIBRARIES:
        shutil.copytree(fetch.unpacked(name) / name, work / f"site/{name}")
    for path in (work / "site").rglob("*"):
        os.utime(path, (EPOCH, EPOCH))


def nuitka(work: Path, mode: str, program: Path | None = None) -> None:
    """Run Nuitka over the staged sources. Its compiler is compiler.py, which only lists the link's objects, or gives it `program`."""
    python = cpython.interpreter()
    home = work / "python"  # a Python of this build's own: with the library where Nuitka looks for it
    shutil.copytree(python, home, symlinks=True)
    (home / "lib/libpython3.13.a").touch()
    shutil.rmtree(home / "lib/python3.13/ctypes")
    shutil.copytree(HERE / "shim", home / "lib/python3.13", dirs_exist_ok=True)
    (work / "bin").mkdir()
    (work / "bin/patchelf").write_text('#!/bin/sh\n[ "$1" = --version ] && echo patchelf 0.18.0; true\n')  # demanded, not used
    (work / "bin/patchelf").chmod(0o755)
    wrapper = work / "clang"
    for name in ("clang", "clang++"):
        wrapper = work / name
        wrapper.write_text(f'#!/bin/sh\nexec {home}/bin/python3.13 -I {HERE}/compiler.py "$@"\n')
        wrapper.chmod(0o755)
    more = {
        "PATH": f"{work}/bin:" + environment()["PATH"],
        "CC": str(work / "clang"),
        "CXX": str(work / "clang++"),
        "CFLAGS": " ".join(SECTIONS),
        "LDFLAGS": "-static",
        "PYTHONPATH": f"{work}/site:{work}/app:{fetch.unpacked('nuitka')}",
        "BRIDGE_COMPILED": COMPILED,
        "NUITKA_CACHE_DIR": str(work / "cache"),
        "ZIG_LOCAL_CACHE_DIR": str(work / "zig"),
        "HOME": str(work),
        "BRIDGE_CC": f"{toolchain.tools()}/cc",
        "BRIDGE_LINK": str(work / "objects"),
        "BRIDGE_INCLUDE": str(library.headers()),
        "BRIDGE_HOST_INCLUDE": str(home / "include/python3.13"),
        "BRIDGE_MAP": str(work),
        "BRIDGE_PROGRAM": str(program or ""),
        "BRIDGE_OFFSETS": str(work / "offsets"),
    }
    for name in ("objects", "offsets"):
        (work / name).mkdir(exist_ok=True)
    run(
        [
            home / "bin/python3.13",
            "-m",
            "nuitka",
            f"--mode={mode}",
            *OPTIONS,
            f"--user-plugin={HERE}/plugin.py",
            *(f"--include-module={name}" for name in START),
            *(f"--nofollow-import-to={name}" for name in MODULES["left_out"]),
            f"--output-dir={work}/out",
            f"--report={work}/report.xml",
            work / "app/bridge_main.py",
        ],
        work / "log",
        cwd=work,
        **more,
    )


def key(mode: str) -> str:
    """Return the key of a frozen program: all that is read above."""
    scripts = [HERE / name for name in (*SCRIPTS, *library.BYTECODE)]
    own = [part for path in sources() for part in (str(path.relative_to(ROOT)), path)]
    libraries = [fetch.unpacked(name).name for name in LIBRARIES]
    made = [library.headers().name, cpython.interpreter().name, fetch.unpacked("nuitka").name, *libraries]
    return digest(mode, ARCH, COMPILED, revision(), *scripts, *own, *made)


def objects(mode: str = "standalone") -> Path:
    """Return the folder with objects/, which Nuitka's C became, offsets.json for where.py, and Nuitka's report."""

    def make(work: Path) -> None:
        stage(work)
        nuitka(work, mode)
        (work / "offsets.json").write_text(gathered(work / "offsets", revision()))
        for name in ("python", "zig", "cache", "site", "offsets"):
            shutil.rmtree(work / name, ignore_errors=True)

    return cached(f"frozen-{ARCH}-{mode}", key(mode), make)


if __name__ == "__main__":
    main(objects)
