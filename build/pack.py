"""Step 10: UPX. Its filter for calls (0x49) needs a byte value that is not the first of any call's offset. In some link orders no value
is free, and the result is 170 KB bigger. So the link is made again in another order until the filter applies.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fetch
import freeze
import link
from recipe import ARCH, HERE, BuildError, cached, digest, environment, main, run

ATTEMPTS = 6


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


def orders(objects: list[Path]) -> Iterator[list[Path]]:
    """Return the objects in one order after another: the given one, then each rotated a step further."""
    for step in range(ATTEMPTS):
        yield objects[step:] + objects[:step]


def build() -> Path:
    """Return the folder with `bridge` (packed), `bridge.unpacked` and `bridge.map` (the linker's map)."""
    linked, frozen = link.build(), freeze.objects()

    def make(work: Path) -> None:
        log = work / "log"
        rest, program = link.others(linked), work / "bridge.unpacked"
        for objects in orders(sorted((frozen / "objects").glob("*.o"))):
            run([*link.command(objects, rest, program), "-s", f"--Map={work}/bridge.map"], log)
            if pack(program, work / "bridge", log):
                return
        raise BuildError(f"no link order in {ATTEMPTS} lets UPX's filter apply")

    return cached(f"packed-{ARCH}", digest(linked.name, HERE / "pack.py"), make)


if __name__ == "__main__":
    main(build)
