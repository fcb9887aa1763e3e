"""Step 10: UPX. Its filter for calls (0x49) needs a byte value that is not the first of any call's offset. Bytes of addresses look like
calls too, and in some programs no value is free: the result is 150 KB bigger. So the link is made for several places in memory, each of
which has other addresses, and the smallest result is taken. Where the filter applies, results differ by 1,300 bytes.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fetch
import freeze
import link
from recipe import ARCH, HERE, BuildError, cached, digest, environment, main, run

PLACES = 12  # of which each takes 5 seconds of one core
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
        objects, rest = sorted((frozen / "objects").glob("*.o")), link.others(linked)

        def attempt(place: int) -> tuple[int, Path] | None:
            """Return what a place in memory gives: the packed size and the folder; None when the filter does not apply."""
            folder = work / str(place)
            folder.mkdir()
            program, log = folder / "bridge.unpacked", folder / "log"
            command = link.command(objects, rest, program, link.IMAGE_BASE + place * STEP)
            run([*command, "-s", f"--Map={folder}/bridge.map"], log)
            packed = folder / "bridge"
            return (packed.stat().st_size, folder) if pack(program, packed, log) else None

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            found = [one for one in cores.map(attempt, range(PLACES)) if one]
        if not found:
            raise BuildError(f"no place in memory of {PLACES} lets UPX's filter apply: raise PLACES in build/pack.py")
        _, best = min(found, key=lambda one: one[0])
        for file in best.iterdir():
            file.rename(work / file.name)
        for place in range(PLACES):
            shutil.rmtree(work / str(place))

    return cached(f"packed-{ARCH}", digest(linked.name, HERE / "pack.py"), make)


if __name__ == "__main__":
    main(build)
