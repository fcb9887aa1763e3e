"""`make binary`: dist/bridge (packed) and dist/bridge.unpacked."""

import os
import shutil
from pathlib import Path

import pack
from recipe import DIST, main, say


def place() -> Path:
    """Copy the two programs to dist; return the packed one's path."""
    packed = pack.build()
    DIST.mkdir(parents=True, exist_ok=True)
    for name in ("bridge", "bridge.unpacked"):
        new = DIST / f".{name}.{os.getpid()}"
        shutil.copy(packed / name, new)
        new.replace(DIST / name)  # at once: a program that runs is not written over, nor by two builds together
        say(f"dist/{name}", f"{(DIST / name).stat().st_size} bytes")
    return DIST / "bridge"


if __name__ == "__main__":
    main(place)
