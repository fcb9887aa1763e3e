"""The parts that all steps of the build share: the pinned sources, the keyed cache, the clean environment, the line with the time.

A step's result lies in CACHE/<name>-<key>. The key is a digest over all that the step reads: its own parameters, its
scripts, the keys of the steps before it. A result gets its name only when it is whole, so a step never reads a stale or
unfinished one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME: str = PROJECT["name"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAME
SOURCES = tomllib.loads((HERE / "sources.toml").read_text())
ARCH = os.environ.get("ARCH") or "amd64"
DIST = Path(os.environ.get("DIST") or ROOT / "dist") / ("" if ARCH == "amd64" else ARCH)
JOBS = str(os.cpu_count() or 1)
EPOCH = 1700000000  # the only time that files and tools get
CREATED = "2023-11-14T22:13:20Z"  # the same time, as documents have it

# No unwind tables, no position independence; a section for each function, so that --gc-sections can leave out those that are never called.
SECTIONS = [
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-pic",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-stack-protector",
    "-fno-sanitize=all",
    "-Wno-date-time",
]
SMALL = ["-Os", "-Xclang", "-Oz"]  # zig cc reads -Oz as -Os; this makes it -Oz


said: set[str] = set()


class BuildError(Exception):
    """The build can't go on; the text tells what to do."""


def target() -> dict[str, str]:
    """Return the [target.ARCH] table of sources.toml."""
    if ARCH not in SOURCES["target"]:
        raise BuildError(f"ARCH={ARCH} is not known: sources.toml has {', '.join(SOURCES['target'])}")
    found: dict[str, str] = SOURCES["target"][ARCH]
    return found


def environment(**more: str) -> dict[str, str]:
    """Return an environment that is independent of the caller's: locale, time zone, clock, flags."""
    keep = {name: os.environ[name] for name in ("HOME", "http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    fixed = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ZERO_AR_DATE": "1",
    }
    return keep | fixed | more


def run(command: list[str | Path], log: Path, cwd: Path | None = None, **more: str) -> None:
    """Run a command in the clean environment, its output appended to `log`; raise with the log's end when it fails."""
    words = [str(word) for word in command]
    with log.open("ab") as out:
        out.write(("+ " + " ".join(words) + "\n").encode())
        out.flush()
        code = subprocess.run(words, cwd=cwd, env=environment(**more), stdout=out, stderr=out).returncode
    if code:
        tail = "\n".join(line[:400] for line in log.read_text(errors="replace").splitlines()[-25:])
        raise BuildError(f"{words[0]} ended with {code}; the log is {log}\n{tail}")


def needs(*commands: str) -> None:
    """Raise BuildError with one line that names every missing tool and its Debian package."""
    packages = {
        "dpkg-source": "dpkg-dev",
        "make": "make",
        "perl": "perl",
        "xz": "xz-utils",
        "patch": "patch",
        "gcc": "gcc",
        "podman": "podman",
        "runc": "runc",
        "buildah": "buildah",
        "readelf": "binutils",
    }
    missing = [command for command in commands if not shutil.which(command)]
    if missing:
        names = " ".join(sorted({packages.get(command, command) for command in missing}))
        raise BuildError(f"{', '.join(missing)} is missing: apt-get install {names}")


def digest(*parts: object) -> str:
    """Return a key over the parts: a Path counts by its name and content (a folder: by all its files), all else by its text."""
    whole = hashlib.sha256()
    for part in parts:
        for item in files(part) if isinstance(part, Path) else [part]:
            content = item.name.encode() + b"\0" + item.read_bytes() if isinstance(item, Path) else str(item).encode()
            whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()[:16]


def files(path: Path) -> Iterable[Path]:
    """Return the file itself, or the files of a folder in a fixed order, without Python's caches."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def say(name: str, word: str) -> None:
    """Print a step's line, once in a run."""
    if name not in said:
        said.add(name)
        print(f"{name:<26} {word}", file=sys.stderr, flush=True)


def cached(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of the step's result, made now if no earlier build with the same key did.

    `make` gets the empty folder to fill. Builds that run at the same time wait for each other here.
    """
    done = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.is_dir():
            say(name, "cached")
            return done
        work = CACHE / f".{name}-{key}.work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        began = time.monotonic()
        make(work)
        work.rename(done)
        say(name, f"{time.monotonic() - began:.1f} s")
    return done


def main(step: Callable[[], object]) -> None:
    """Run one step as a command: its result's path on stdout, a failure as one message and exit 1."""
    os.umask(0o022)
    try:
        print(step())
    except BuildError as error:
        sys.exit(f"{error}")
