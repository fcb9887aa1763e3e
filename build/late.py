"""Step 9a: what an idle bridge without TLS has no need of is packed by itself, and unpacked when it is first called.

Unpacking is most of a packed program's start, and two fifths of it would be for libssl, libcrypto and the libraries that speak HTTP.
So the program is linked in two: the late part's calls into the rest have the rest's addresses; the rest's calls into the late
part go through gates, of which each leads to late_load() (c/late.c) until that has run. Which calls these are the linker tells:
they are what is undefined when one part is linked without the other (gates.py).
"""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import elf
import fetch
import library
import openssl
import toolchain
from bytecode import array
from gates import gates, table
from recipe import ARCH, HERE, SECTIONS, SMALL, BuildError, cached, digest, environment, main, run

Command = Callable[..., list[str | Path]]

# The members of libcrypto that RSA verification by bridge/sns/_rsa.c is made of, errors aside.
HOT = """
bn_add bn_asm bn_ctx bn_div bn_exp bn_gcd bn_lib bn_mod bn_mont bn_mul bn_shift bn_sqr bn_word x86_64-gcc x86_64-mont x86_64-mont5
armv8-mont sha1dgst sha1-x86_64 sha1-armv8 sha256 sha256-x86_64 sha256-armv8 cpuid x86_64cpuid armcap arm64cpuid mem mem_clr ctype
cversion info
""".split()
MODULES = ("_ssl.o", "zlibmodule.o")  # of libpython
ROOM = 4 << 20  # bytes of memory that the late part may take; they are nowhere in the file
BRANCHES = {"amd64": "Bra86", "arm64": "Bra"}  # the SDK's source with the filter of branches


def parts() -> Path:
    """Return the folder with the two halves of libpython and libcrypto: libpython3.13.a and hot.a, late.a; and the packer."""
    python, crypto, sdk = library.build(), openssl.build(), fetch.source("7zip") / "C"
    key = digest(python.name, crypto.name, sdk.parent.parent.name, HERE / "late.py", HERE / "c/pack_late.c")
    ar = toolchain.tools() / "ar"

    def make(work: Path) -> None:
        log, members = work / "log", work / "members"
        members.mkdir()
        run([ar, "x", crypto / "lib/libcrypto.a"], log, members)
        hot = [path for path in sorted(members.glob("*.o")) if path.stem.partition("-lib-")[2] in HOT]
        run([ar, "rcD", work / "hot.a", *hot], log)
        rest = [path for path in sorted(members.glob("*.o")) if path not in hot]
        run([ar, "x", python / "libpython3.13.a", *MODULES], log, members)
        run([ar, "rcD", work / "late.a", *rest, *(members / name for name in MODULES)], log)
        shutil.copy(python / "libpython3.13.a", work)
        run([ar, "d", work / "libpython3.13.a", *MODULES], log)
        packer(work, sdk, log)
        shutil.rmtree(members)

    return cached(f"late-{ARCH}", key, make)


def packer(work: Path, sdk: Path, log: Path) -> None:
    """Compile c/pack_late.c for this machine, with the encoder of the same sources as the decoder's."""
    sources = [HERE / "c/pack_late.c", *(sdk / f"{name}.c" for name in ("LzmaEnc", "LzFind", "Bra", "Bra86", "CpuArch"))]
    cc = toolchain.tools("x86_64-linux-musl") / "cc"
    run([cc, "-O2", "-DZ7_ST", "-w", f"-I{sdk}", *sources, "-o", work / "pack_late"], log, ZIG_LOCAL_CACHE_DIR=str(work / "zig"))
    shutil.rmtree(work / "zig")


def compiled(work: Path, bytecode: Path, log: Path) -> None:
    """Compile late.o (the loader), code.o (the late modules' bytecode) and the decoder."""
    sdk, sizes = fetch.source("7zip") / "C", [f"-DLATE_ROOM={ROOM}", f"-DLATE_PAGE={elf.PAGE}"]
    cc, flags = toolchain.tools() / "cc", [*SECTIONS, "-DNDEBUG", "-w", f"-ffile-prefix-map={work}=.", f"-ffile-prefix-map={HERE}=."]
    lzma = ["-DZ7_EXTRACT_ONLY", f"-I{sdk}", f"-ffile-prefix-map={sdk}=."]
    run([cc, "-c", *SMALL, *flags, *lzma, *sizes, f"-I{library.headers()}", HERE / "c/late.c", "-o", work / "late.o"], log)
    run([cc, "-c", "-O2", *flags, *lzma, sdk / "LzmaDec.c", "-o", work / "lzma.o"], log)
    run([cc, "-c", *SMALL, *flags, *lzma, sdk / f"{BRANCHES[ARCH]}.c", "-o", work / "branches.o"], log)
    modules = sorted(bytecode.iterdir())
    text = "".join(array(f"code{at}", path.read_bytes()) for at, path in enumerate(modules))
    rows = "".join(f'    {{"{path.name}", code{at}, {path.stat().st_size}}},\n' for at, path in enumerate(modules))
    kind = "struct { const char *name; const unsigned char *code; int size; }"
    (work / "code.h").write_text(f"{text}static const {kind} modules[] = {{\n{rows}    {{0}}\n}};\n")
    run([cc, "-c", *SMALL, *flags, f"-I{work}", HERE / "c/late_code.c", "-o", work / "code.o"], log)


def assembled(text: str, name: Path, log: Path) -> Path:
    """Assemble; return the object."""
    name.with_suffix(".s").write_text(text)
    run([toolchain.tools() / "cc", "-c", name.with_suffix(".s"), "-o", name.with_suffix(".o")], log)
    return name.with_suffix(".o")


def undefined(command: list[str | Path], log: Path) -> set[str]:
    """Link, and return what is referred to and not there."""
    words = [str(word) for word in command if word != "-w"]
    found = subprocess.run([*words, "--warn-unresolved-symbols", "--error-limit=0"], capture_output=True, text=True, env=environment())
    with log.open("a") as out:
        out.write("+ " + " ".join(words) + "\n" + found.stderr[:20000])
    if found.returncode:
        raise BuildError(f"the link failed; the log is {log}\n{found.stderr[-2000:]}")
    return set(re.findall(r"undefined (?:\w+ )*symbol: (\S+)", found.stderr))


def boundary(rest: Command, late: Command, work: Path, log: Path) -> tuple[list[str], list[str]]:
    """Return what the rest calls in the late part, and what the late part refers to in the rest: each of these may keep more code
    alive, and so refer to more, until nothing is new."""
    names, wanted = set[str](), set[str]()
    for _ in range(8):
        known = names, wanted
        names = undefined(rest(assembled(gates([]), work / "gates", log), sorted(wanted), work / "try"), log)
        wanted = undefined(late(assembled(table(sorted(names)), work / "table", log), [], work / "try", 1 << 28), log)
        if names & wanted:
            raise BuildError(f"neither part of the program has {', '.join(sorted(names & wanted))}")
        if (names, wanted) == known:
            return sorted(names), sorted(wanted)
    raise BuildError("the two parts of the program want more of each other with each link")


def join(rest: Command, late: Command, names: list[str], wanted: list[str], work: Path, log: Path) -> None:
    """Write work/bridge: the rest with its gates, stripped, and the late part packed in a segment of its own."""
    program, second = work / "bridge", work / "late"
    gate = assembled(gates(names), work / "gates", log)
    run([*rest(gate, wanted, program), f"--Map={work}/bridge.map"], log)
    known = elf.symbols(program.read_bytes())
    local = [name for name in wanted if known[name][1] == elf.THREAD_LOCAL]
    if local:
        raise BuildError(f"thread-local, which the late part can't refer to: {', '.join(local)}")
    places = [f"{name} = {known[name][0]};" for name in wanted]
    (work / "places.ld").write_text("\n".join(places) + "\n")
    base = known["late_room"][0]
    entry = assembled(table(names), work / "table", log)
    run([*late(entry, [work / "places.ld"], second, base), f"--Map={work}/late.map"], log)
    packed = pack(second.read_bytes(), names, base, work, log)
    run([*rest(gate, wanted, program), "-s"], log)
    elf.attach(program, packed)
    for name in ("late", "late.image", "late.packed"):
        (work / name).unlink()


def pack(program: bytes, names: list[str], base: int, work: Path, log: Path) -> bytes:
    """Return the late part as c/late.c finds it: struct head, then LZMA's stream."""
    has = elf.symbols(program)
    wrong = [name for name in names if has[name][1] == elf.OBJECT]
    loads = [segment for segment in elf.segments(program) if segment.kind == elf.LOAD]
    if wrong:
        raise BuildError(f"data of the late part is asked for, which no gate can lead to: {', '.join(wrong)}")
    if len(loads) != 3 or loads[-1].address + loads[-1].memory > base + ROOM:
        raise BuildError(f"the late part has {len(loads)} segments, expected 3, or takes more than {ROOM} bytes")
    _, text, written = loads
    image = elf.memory(program)
    (work / "late.image").write_bytes(image)
    kind = {"amd64": "x86", "arm64": "arm64"}[ARCH]
    start, end = text.address - base, written.address // elf.PAGE * elf.PAGE - base
    run([parts() / "pack_late", kind, str(start), str(text.size), work / "late.image", work / "late.packed"], log)
    packed = (work / "late.packed").read_bytes()
    head = (len(packed) - 5, len(image), start, text.size, end, elf.entry(program) - base)
    return struct.pack("<6I5s3x", *head, packed[:5]) + packed[5:]


if __name__ == "__main__":
    main(parts)
