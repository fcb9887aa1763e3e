"""Step 4: zlib, static; only inflate is ever linked in (a peer may answer gzip)."""

import shutil
from pathlib import Path

import fetch
import toolchain
from recipe import ARCH, HERE, SECTIONS, SMALL, SOURCES, cached, digest, main, run, target

PARTS = "adler32 crc32 deflate inffast inflate inftrees trees zutil compress uncompr".split()


def build() -> Path:
    """Return the folder with include/ and lib/libz.a."""
    tools = toolchain.tools()
    key = digest(SOURCES["source"]["zlib"], target(), toolchain.key(), HERE / "compression.py", SECTIONS, SMALL)

    def make(work: Path) -> None:
        tree = fetch.source("zlib")
        log = work / "log"
        (work / "lib").mkdir()
        (work / "include").mkdir()
        for name in ("zlib.h", "zconf.h"):
            shutil.copy(tree / name, work / "include" / name)
        for part in PARTS:
            flags = [*SMALL, *SECTIONS, "-DHAVE_UNISTD_H", "-DDYNAMIC_CRC_TABLE", f"-ffile-prefix-map={tree}=zlib"]
            run([f"{tools}/cc", "-c", *flags, tree / f"{part}.c", "-o", work / f"{part}.o"], log)
        run([f"{tools}/ar", "rcD", work / "lib/libz.a", *(work / f"{part}.o" for part in PARTS)], log)

    return cached(f"zlib-{ARCH}", key, make)


if __name__ == "__main__":
    main(build)
