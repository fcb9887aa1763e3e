"""Step 9: the link. Objects of Nuitka, the native verifier, mimalloc, libpython, OpenSSL, zlib, musl: one static program, of which
late.py packs a part by itself.
"""

from functools import partial
from pathlib import Path

import compression
import freeze
import late
import library
import openssl
import runtime
import toolchain
from recipe import ARCH, HERE, ROOT, SECTIONS, cached, digest, main, run

WORDS = """
-w --error-limit=20 -z stack-size=16777216 -z norelro -z noseparate-code --build-id=none --gc-sections -O2 -static
""".split()


def others(folder: Path) -> list[Path]:
    """Return the objects that go in beside Nuitka's; folder is where a link has compiled its own."""
    return [*(folder / f"{name}.o" for name in ("_rsa", "memory", "late", "lzma", "branches")), library.build() / "malloc.o"]


def verifier(work: Path, log: Path) -> None:
    """Compile the RSA verification that CPython gets as a builtin module."""
    include = [f"-I{library.headers()}", f"-I{openssl.build()}/include"]
    flags = [*SECTIONS, "-O2", "-DNDEBUG", *include, f"-ffile-prefix-map={ROOT}=."]
    run([toolchain.tools() / "cc", "-c", *flags, library.VERIFIER, "-o", work / "_rsa.o"], log)


def memory(work: Path, log: Path) -> None:
    """Compile c/memory.c, which takes the place of a memcpy that moves one byte at a time."""
    source = HERE / "c/memory.c"
    flags = [*SECTIONS, "-O2", "-fno-builtin", f"-ffile-prefix-map={ROOT}=."]
    run([toolchain.tools() / "cc", "-c", *flags, source, "-o", work / "memory.o"], log)


def command(objects: list[Path], gates: Path, wanted: list[str], output: Path) -> list[str | Path]:
    """Return lld's command for what is there from the start: the objects in this order, and what else the late part refers to."""
    parts, halves = runtime.build(), late.parts()
    roots = [word for name in wanted for word in ("-u", name)]
    inside: list[str | Path] = ["--start-group", halves / "libpython3.13.a", halves / "hot.a", "--end-group"]
    libc: list[str | Path] = ["--as-needed", *(parts / name for name in ("libc.a", "libzigc.a", "libcompiler_rt.a"))]
    start = ["--entry", "_start", "--image-base=16777216", "-o", output, parts / "crt1.o"]
    return [toolchain.zig(), "ld.lld", *WORDS, *emulation(), *roots, *start, *objects, gates, *inside, *libc]


def late_command(code: Path, table: Path, more: list[Path], output: Path, base: int) -> list[str | Path]:
    """Return lld's command for the late part, which lies from `base` on."""
    archives = [late.parts() / "late.a", openssl.build() / "lib/libssl.a", compression.build() / "lib/libz.a"]
    group: list[str | Path] = ["--start-group", *archives, "--end-group"]
    start = ["--entry", "late_table", f"--image-base={base}", "-o", output, table, code, *more]
    return [toolchain.zig(), "ld.lld", *WORDS, *emulation(), *start, *group]


def emulation() -> list[str]:
    """Return the linker's own words for the target."""
    return (runtime.build() / "link").read_text().split()


def program(objects: list[Path], made: Path, work: Path, log: Path) -> None:
    """Write work/bridge (stripped), bridge.map and late.map: the objects in this order, and those that `made` has."""
    names, wanted = ((made / part).read_text().split() for part in ("names", "wanted"))
    late.join(partial(command, [*objects, *others(made)]), partial(late_command, made / "code.o"), names, wanted, work, log)


def build() -> Path:
    """Return the folder with `bridge` (stripped), `bridge.map` and `late.map` (what lies where), and the objects made here."""
    frozen = freeze.objects()
    made = [frozen.name, library.build().name, openssl.build().name, compression.build().name, runtime.build().name, late.parts().name]
    sources = [HERE / name for name in ("link.py", "elf.py", "gates.py", "bytecode.py", "c/memory.c", "c/late.c", "c/late_code.c")]
    key = digest(*made, *sources, library.VERIFIER)

    def make(work: Path) -> None:
        log = work / "log"
        verifier(work, log)
        memory(work, log)
        late.compiled(work, frozen / "late", log)
        objects = sorted((frozen / "objects").glob("*.o"))
        rest, second = partial(command, [*objects, *others(work)]), partial(late_command, work / "code.o")
        names, wanted = late.boundary(rest, second, work, log)
        (work / "names").write_text("\n".join(names))
        (work / "wanted").write_text("\n".join(wanted))
        program(objects, work, work, log)

    return cached(f"linked-{ARCH}", key, make)


if __name__ == "__main__":
    main(build)
