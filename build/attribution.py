"""The bytes of the program by groups, from the linker's map and the frozen modules. They are counted before packing."""

import json
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import closure
import cpython
from recipe import HERE

# A line of lld's map: address, load address, size, alignment, then an input section "file:(section)".
LINE = re.compile(r"^ *[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]+) +\d+ {9}(\S.*):\((\S+)\)$")

OWNERS = (
    ("libssl.a", "OpenSSL: libssl"),
    ("libcrypto.a", "OpenSSL: libcrypto"),
    ("libpython3.13.a", "CPython"),
    ("libz.a", "zlib"),
    ("libc.a", "musl"),
    ("libzigc.a", "musl"),
    ("libcompiler_rt.a", "musl"),
    ("crt1.o", "musl"),
    ("malloc.o", "mimalloc"),
    ("memory.o", "bridge: C"),
    ("_rsa.o", "bridge: C"),
    ("__constants_data", "bytecode"),
    ("objects/", "Nuitka: run time"),
)


def owner(name: str) -> str:
    """Return the group of an input file of the link."""
    return next((group for part, group in OWNERS if part in name), "linker")


def sections(linked: Path) -> Counter[str]:
    """Return the bytes of each group that are in the program's file."""
    found: Counter[str] = Counter()
    for line in linked.read_text().splitlines():
        part = LINE.match(line)
        if part and not part[3].startswith((".bss", ".tbss", "COMMON", ".debug", ".symtab", ".strtab")):
            found[owner(part[2])] += int(part[1], 16)
    return found


def bytecode(total: int) -> Counter[str]:
    """Return `total` divided among the packages of the frozen modules by the size of their bytecode."""
    with tempfile.TemporaryDirectory() as folder:
        closure.write(Path(folder))
        command = [cpython.interpreter() / "bin/python3.13", "-I", HERE / "bytecode.py", "--sizes", folder]
        sizes = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found: Counter[str] = Counter()
    for module, size in sizes.items():
        package = module.split(".")[0]
        found[f"bytecode: {package if package in ('bridge', 'pika', 'requests', 'urllib3') else 'stdlib'}"] += size
    whole = sum(found.values())
    return Counter({name: size * total // whole for name, size in found.items()})


def groups(linked: Path) -> dict[str, int]:
    """Return group -> bytes, the largest first, of the program that this map describes."""
    found = sections(linked)
    found += bytecode(found.pop("bytecode", 0))
    return dict(found.most_common())
