"""`make binary`: dist/bridge (packed), dist/bridge.unpacked, and dist/offsets.json, which where.py reads."""

import os
import resource
import shutil
from pathlib import Path

import freeze
import pack
import sums
from recipe import DIST, BuildError, main, say

TOO_FEW_FILES = 1024


def check_limit(most: int) -> None:
    """Raise BuildError when a process may open too few files, because the compiler opens all files of its C library at once."""
    if 0 <= most <= TOO_FEW_FILES:  # -1 is no limit
        advice = "ulimit -n 4096; with buildah: --ulimit nofile=4096:4096"
        raise BuildError(f"a process may open {most} files here, and the compiler needs 4096: {advice}")


def place() -> Path:
    """Copy the two programs, and the offsets that where.py reads, to dist; return the packed one's path."""
    check_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    packed = pack.build()
    DIST.mkdir(parents=True, exist_ok=True)
    for folder, name in ((packed, "bridge"), (packed, "bridge.unpacked"), (freeze.objects(), "offsets.json")):
        new = DIST / f".{name}.{os.getpid()}"
        shutil.copy(folder / name, new)
        new.replace(DIST / name)  # in one step, because a running program can't be written over, and two builds may run together
        say(f"dist/{name}", f"{(DIST / name).stat().st_size} bytes")
    sums.write()
    return DIST / "bridge"


if __name__ == "__main__":
    main(place)
