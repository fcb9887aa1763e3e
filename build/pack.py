"""Step 10: UPX. Its filter for calls (0x49) needs a byte value that is the first of no offset that looks like a call's but is none. Some
7,000 places of the program do, so one or two values of 256 are free, and in some programs none: the result is 150 KB bigger. All offsets
change with the order of the libraries, so the link is made for each order, and the smallest result is taken. Where the filter applies,
results differ by 2,000 bytes.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import fetch
import freeze
import link
from recipe import ARCH, HERE, BuildError, cached, digest, environment, main, run

# Each takes 5 seconds of one core. The filter for arm64 (0x52) always applies, and its programs were tried in the one order.
ORDERS = list(permutations(link.ORDER)) if ARCH == "amd64" else [link.ORDER]


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

        def attempt(number: int) -> tuple[int, Path] | None:
            """Return what an order gives: the packed size and the folder; None when the filter does not apply."""
            folder = work / str(number)
            folder.mkdir()
            program, log = folder / "bridge.unpacked", folder / "log"
            command = link.command(objects, rest, program, ORDERS[number])
            run([*command, "-s", f"--Map={folder}/bridge.map"], log)
            packed = folder / "bridge"
            return (packed.stat().st_size, folder) if pack(program, packed, log) else None

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            found = [one for one in cores.map(attempt, range(len(ORDERS))) if one]
        if not found:
            raise BuildError(f"no order of the libraries of {len(ORDERS)} lets UPX's filter apply: change ORDERS in build/pack.py")
        _, best = min(found, key=lambda one: one[0])
        if ARCH == "amd64":  # the programs of others are tried by `make test-arm64`
            run([best / "bridge", "--version"], best / "log")
        for file in best.iterdir():
            file.rename(work / file.name)
        for number in range(len(ORDERS)):
            shutil.rmtree(work / str(number))

    return cached(f"packed-{ARCH}", digest(linked.name, HERE / "pack.py"), make)


if __name__ == "__main__":
    main(build)
