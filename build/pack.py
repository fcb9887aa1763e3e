"""Step 10: UPX. Its filter for calls (0x49) needs a byte value that is not the first of any call's offset. Bytes of addresses look like
calls too, and in some programs no value is free: the result is 150 KB bigger. So the link is made again for another place in memory,
which changes all addresses, until the filter applies.
"""

import re
import subprocess
from pathlib import Path

import fetch
import freeze
import link
from recipe import ARCH, HERE, BuildError, cached, digest, environment, main, run

ATTEMPTS = 16  # of which each takes 4 seconds
STEP = 65536  # bytes between two places in memory, a page of arm64


def upx() -> list[str]:
    """Return the packer's command: Debian's build of it, with the library that it needs beside it."""
    library_folder = next((fetch.package("libucl1") / "usr/lib").rglob("libucl.so.1")).parent
    return ["env", f"LD_LIBRARY_PATH={library_folder}", str(fetch.package("upx-ucl") / "usr/bin/upx-ucl")]


def pack(program: Path, packed: Path, log: Path) -> bool:
    """Pack a program; tell whether the filter applied."""
    packed.unlink(missing_ok=True)
    run([*upx(), "-q", "--best", "--lzma", "--crp-lzma-lc=4", "-o", packed, program], log)
    told = subprocess.run([*upx(), "--fileinfo", packed], capture_output=True, text=True, env=environment()).stdout
    return re.search(r"filter 0x[0-9a-f]*[1-9a-f]", told) is not None


def build() -> Path:
    """Return the folder with `bridge` (packed), `bridge.unpacked` and `bridge.map` (the linker's map)."""
    linked, frozen = link.build(), freeze.objects()

    def make(work: Path) -> None:
        log = work / "log"
        objects, rest, program = sorted((frozen / "objects").glob("*.o")), link.others(linked), work / "bridge.unpacked"
        for attempt in range(ATTEMPTS):
            command = link.command(objects, rest, program, link.IMAGE_BASE + attempt * STEP)
            run([*command, "-s", f"--Map={work}/bridge.map"], log)
            if pack(program, work / "bridge", log):
                return
        raise BuildError(f"no place in memory in {ATTEMPTS} lets UPX's filter apply: raise ATTEMPTS in build/pack.py")

    return cached(f"packed-{ARCH}", digest(linked.name, HERE / "pack.py"), make)


if __name__ == "__main__":
    main(build)
