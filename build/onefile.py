"""`make onefile`: Nuitka's own --onefile of the same inputs, to compare.

Its bootstrap unpacks the program into a temporary folder and runs it as a child: bigger, two processes, more memory, and a
writable /tmp is needed. The static standalone is one file already, so the image carries that.
"""

import shutil
from pathlib import Path

import freeze
import link
import pack
import sums
from recipe import ARCH, DIST, HERE, BuildError, cached, digest, main, say


def build() -> Path:
    """Write dist/bridge.onefile; return its path."""
    program = link.build() / "bridge"

    def make(work: Path) -> None:
        freeze.stage(work)
        freeze.nuitka(work, "onefile", program)
        made = work / "out/bridge"
        if not made.exists():
            raise BuildError(f"Nuitka left no {made}; see {work}/log")
        if not pack.pack(made, work / "bridge.onefile", work / "log"):
            say("onefile", "packed without UPX's filter for calls")
        for name in ("python", "zig", "cache", "site", "out", "objects", "app"):
            shutil.rmtree(work / name, ignore_errors=True)

    made = cached(f"onefile-{ARCH}", digest(freeze.key("onefile"), program.parent.name, HERE / "onefile.py"), make)
    DIST.mkdir(exist_ok=True)
    shutil.copy(made / "bridge.onefile", DIST / "bridge.onefile")
    sums.write()
    say("dist/bridge.onefile", f"{(DIST / 'bridge.onefile').stat().st_size} bytes")
    return DIST / "bridge.onefile"


if __name__ == "__main__":
    main(build)
