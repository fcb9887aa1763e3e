"""`make binary`: dist/bridge (packed) and dist/bridge.unpacked."""

import shutil
from pathlib import Path

import pack
from recipe import DIST, main, say


def place() -> Path:
    """Copy the two programs to dist; return the packed one's path."""
    packed = pack.build()
    DIST.mkdir(parents=True, exist_ok=True)
    for name in ("bridge", "bridge.unpacked"):
        shutil.copy(packed / name, DIST / f".{name}")
        (DIST / f".{name}").replace(DIST / name)  # at once: a program that runs is not written over
        say(f"dist/{name}", f"{(DIST / name).stat().st_size} bytes")
    return DIST / "bridge"


if __name__ == "__main__":
    main(place)
