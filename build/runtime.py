"""Step 7: musl and compiler-rt for the last link: crt1.o, libc.a, libzigc.a, libcompiler_rt.a."""

import re
import shutil
import subprocess
from pathlib import Path

import toolchain
from recipe import ARCH, CACHE, HERE, BuildError, cached, digest, environment, main, target

PARTS = ("crt1.o", "libc.a", "libzigc.a", "libcompiler_rt.a")


def build() -> Path:
    """Return the folder with PARTS, as zig builds them in its smallest mode, and `link`: the linker's own words."""
    triple = target()["triple"]

    def make(work: Path) -> None:
        (work / "empty.c").write_text("int main(void) { return 0; }\n")
        command = [toolchain.zig(), "build-exe", "empty.c", "-lc", "-OReleaseSmall", "-target", triple, "--verbose-link"]
        places = {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig-cache"), "ZIG_LOCAL_CACHE_DIR": str(work / "local")}
        found = subprocess.run(command, cwd=work, env=environment(**places), capture_output=True, text=True)
        line = next((line for line in found.stderr.splitlines() if line.startswith("ld.lld ") and " -o empty " in line), "")
        for part in PARTS:
            place = re.search(rf"\S+/{re.escape(part)}(?= |$)", line)
            if not place:
                raise BuildError(f"zig names no {part}:\n{found.stderr}")
            shutil.copy(place[0], work / part)
        emulation = re.search(r"-m (\w+)", line)
        (work / "link").write_text(f"-m {emulation[1] if emulation else ''}")
        shutil.rmtree(work / "local")

    return cached(f"runtime-{ARCH}", digest(triple, toolchain.key(), HERE / "runtime.py"), make)


if __name__ == "__main__":
    main(build)
