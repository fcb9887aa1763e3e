"""Step 11: the image's two other programs, dumb-init (PID 1) and su-exec, static and small."""

from pathlib import Path

import fetch
import runtime
import toolchain
from recipe import ARCH, HERE, ROOT, SECTIONS, SMALL, cached, digest, main, run

DOCKER = ROOT / "docker"
WORDS = """
--entry _start -z norelro -z noseparate-code -z nognustack --build-id=none --hash-style=gnu --gc-sections -O2 -static -s
""".split()


def compile_and_link(sources: list[Path], output: Path, include: Path) -> None:
    """Compile the sources and link them with musl; the order puts our functions before the C library's."""
    log, parts = output.with_suffix(".log"), runtime.build()
    flags = [*SMALL, *SECTIONS, "-fno-builtin", "-DNDEBUG", "-Wall", f"-I{include}", f"-ffile-prefix-map={ROOT}=."]
    objects = []
    for source in sources:
        objects.append(output.with_name(f"{output.name}-{source.stem}.o"))
        run([toolchain.tools() / "cc", "-c", *flags, source, "-o", objects[-1]], log)
    emulation = (parts / "link").read_text().split()
    libc = [parts / name for name in ("libc.a", "libzigc.a", "libcompiler_rt.a")]
    run([toolchain.zig(), "ld.lld", *WORDS, *emulation, f"--Map={output}.map", "-o", output, parts / "crt1.o", *objects, *libc], log)


def build() -> Path:
    """Return the folder with `dumb-init` and `su-exec`."""
    source = fetch.unpacked("dumb-init")
    key = digest(toolchain.key(), source.name, runtime.build().name, HERE / "init.py", DOCKER / "small.c", DOCKER / "su-exec.c")

    def make(work: Path) -> None:
        compile_and_link([source / "dumb-init.c", DOCKER / "small.c"], work / "dumb-init", source)
        compile_and_link([DOCKER / "su-exec.c"], work / "su-exec", source)

    return cached(f"init-{ARCH}", key, make)


if __name__ == "__main__":
    main(build)
