"""Step 2: the compiler. `zig cc` carries clang, lld, musl and compiler-rt in one wheel, for every target."""

import os
from pathlib import Path

import fetch
from recipe import CACHE, SOURCES, cached, digest, main, target

WRAPPER = """#!/bin/sh
export ZIG_LOCAL_CACHE_DIR="${{ZIG_LOCAL_CACHE_DIR:-{cache}}}" ZIG_GLOBAL_CACHE_DIR={cache}
exec {zig} {command} "$@"
"""


def zig() -> Path:
    """Return the zig program."""
    program = fetch.unpacked("ziglang") / "ziglang/zig"
    program.chmod(0o755)
    return program


def tools(triple: str | None = None) -> Path:
    """Return a folder with cc, ar and ranlib for the target (by default the one that ARCH names)."""
    triple = triple or target()["triple"]
    program = zig()

    def make(work: Path) -> None:
        for name, command in (("cc", f"cc -target {triple}"), ("ar", "ar"), ("ranlib", "ranlib")):
            (work / name).write_text(WRAPPER.format(cache=CACHE / "zig-cache", zig=program, command=command))
            os.chmod(work / name, 0o755)

    return cached(f"tools-{triple}", digest(triple, program, WRAPPER, str(CACHE)), make)


def key() -> str:
    """Return the part of a step's key that stands for the compiler: the pinned wheel's line."""
    lines = (Path(__file__).parent / SOURCES["pypi"]["requirements"]).read_text().splitlines()
    return next(line for line in lines if line.startswith("ziglang"))


if __name__ == "__main__":
    main(tools)
