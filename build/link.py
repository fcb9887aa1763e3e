"""Step 9: the link. Objects of Nuitka, the native verifier, mimalloc, libpython, OpenSSL, zlib, musl: one static program."""

from pathlib import Path

import compression
import freeze
import library
import openssl
import runtime
import toolchain
from recipe import ARCH, HERE, ROOT, SECTIONS, cached, digest, main, run

WORDS = """
-w --error-limit=20 --entry _start --image-base=16777216 -z stack-size=16777216 -z norelro -z noseparate-code --build-id=none
--gc-sections -O2 -static
--call-graph-profile-sort=none
""".split()
# Hot functions lie together. On arm64 UPX's stub restores calls wrongly then, and the packed program crashes at its start.
HOT_TOGETHER = ["-z", "keep-text-section-prefix"] if ARCH == "amd64" else []
ORDER = 0, 1, 2, 3  # of the libraries, whose order in the program does not matter


def others(folder: Path) -> list[Path]:
    """Return the objects that go in beside Nuitka's; folder is where a link has compiled its own."""
    return [folder / "_rsa.o", folder / "memory.o", library.build() / "malloc.o"]


def verifier(work: Path, log: Path) -> None:
    """Compile the RSA verification that CPython gets as a builtin module."""
    include = [f"-I{library.headers()}", f"-I{openssl.build()}/include"]
    flags = [*SECTIONS, "-O2", "-DNDEBUG", *include, f"-ffile-prefix-map={ROOT}=."]
    run([toolchain.tools() / "cc", "-c", *flags, library.VERIFIER, "-o", work / "_rsa.o"], log)


def memory(work: Path, log: Path) -> None:
    """Compile c/memory.c, which replaces a memcpy that moves one byte at a time."""
    source = HERE / "c/memory.c"
    flags = [*SECTIONS, "-O2", "-fno-builtin", f"-ffile-prefix-map={ROOT}=."]
    run([toolchain.tools() / "cc", "-c", *flags, source, "-o", work / "memory.o"], log)


def command(objects: list[Path], rest: list[Path], output: Path, order: tuple[int, ...] = ORDER) -> list[str | Path]:
    """Return lld's command, with the libraries in this order."""
    parts = runtime.build()
    python, crypto, zlib = library.build(), openssl.build() / "lib", compression.build() / "lib"
    inside = [python / "libpython3.13.a", crypto / "libssl.a", crypto / "libcrypto.a", zlib / "libz.a"]
    archives: list[str | Path] = ["--start-group", *(inside[number] for number in order), "--end-group"]
    emulation = (parts / "link").read_text().split()
    libc: list[str | Path] = ["--as-needed", *(parts / name for name in ("libc.a", "libzigc.a", "libcompiler_rt.a"))]
    return [toolchain.zig(), "ld.lld", *WORDS, *HOT_TOGETHER, *emulation, "-o", output, parts / "crt1.o", *objects, *rest, *archives, *libc]


def build() -> Path:
    """Return the folder with `bridge` (stripped) and `bridge.map` (the linker's map)."""
    frozen = freeze.objects()
    made = [frozen.name, library.build().name, openssl.build().name, compression.build().name, runtime.build().name]
    key = digest(*made, HERE / "link.py", library.VERIFIER, HERE / "c/memory.c")

    def make(work: Path) -> None:
        log = work / "log"
        verifier(work, log)
        memory(work, log)
        rest = others(work)
        objects = sorted((frozen / "objects").glob("*.o"))
        run([*command(objects, rest, work / "bridge"), "-s", f"--Map={work}/bridge.map"], log)

    return cached(f"linked-{ARCH}", key, make)


if __name__ == "__main__":
    main(build)
