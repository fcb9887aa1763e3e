"""Step 5a: the profile by which clang decides which parts of CPython are made fast and which small: pgo.txt as a file that clang reads.

`make pgo` writes pgo.txt: a program that was built with PGO=collect counts how often its branches run while it delivers messages. A line
is a function: its name, the hash of its control flow, its counters (7x3 is three times 7). A function whose hash differs in the present
sources is compiled without the profile.
"""

import hashlib
import itertools
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import toolchain
from recipe import HERE, cached, digest, environment, main, say

PROFILE = HERE / "pgo.txt"
COLLECT = os.environ.get("PGO") == "collect"
MOST_CHANGED = 0.1

# Values of pointers and sizes are not counted, because that needs a library of LLVM's in the program.
BRANCHES = "-mllvm -disable-vp=true".split()
COLLECTING = "-Xclang -fprofile-instrument=llvm -mllvm -enable-name-compression=false".split()
# The functions that make up 90 % of all counts are hot; those beyond 95 % are made as small as possible.
USING = """
-mllvm -pgo-cold-func-opt=minsize -mllvm -profile-summary-cutoff-hot=900000 -mllvm -profile-summary-cutoff-cold=950000
""".split()

# LLVM's indexed profile, in its version 4: llvm/lib/ProfileData/InstrProfWriter.cpp, llvm/Support/OnDiskHashTable.h.
MAGIC, VERSION, OF_BRANCHES, BY_MD5 = b"\xfflprofi\x81", 4, 1 << 56, 0
CUTOFFS = [10_000, *range(100_000, 900_001, 100_000), 950_000, 990_000, 999_000, 999_900, 999_990, 999_999]  # of a million


class Function(NamedTuple):
    """A function of the profile: its name (of a static one: FILE;NAME), the hash of its control flow, its counters."""

    name: str
    flow: int
    counts: list[int]


def written(functions: Iterable[Function]) -> str:
    """Return pgo.txt for these functions; counts are rounded to three digits."""
    lines = []
    for name, flow, counts in sorted(functions):
        runs = ((count, len(list(same))) for count, same in itertools.groupby(round(count, 3 - len(str(count))) for count in counts))
        lines.append(" ".join([name, f"{flow:x}", *(f"{count}x{times}" if times > 1 else str(count) for count, times in runs)]))
    return "\n".join(lines) + "\n"


def read(text: str) -> list[Function]:
    """Return the functions of a pgo.txt; ValueError when it is none."""
    found = []
    for line in text.splitlines():
        name, flow, *runs = line.split()
        pairs = (run.partition("x") for run in runs)
        found.append(Function(name, int(flow, 16), [int(count) for count, _, times in pairs for _ in range(int(times or 1))]))
    return found


def summary(functions: list[Function]) -> bytes:
    """Return the table by which clang tells hot from cold: for each share of the whole, the least count in it."""
    counts = sorted((count for function in functions for count in function.counts), reverse=True)
    totals, table = list(itertools.accumulate(counts)), []
    for cutoff in CUTOFFS:
        least = next(at for at, total in enumerate(totals) if total >= totals[-1] * cutoff // 1_000_000)
        table += [cutoff, counts[least], len(counts) - counts[::-1].index(counts[least])]
    entry = max(function.counts[0] for function in functions)
    inside = max((count for function in functions for count in function.counts[1:]), default=0)
    fields = [len(functions), len(counts), entry, counts[0], inside, totals[-1]]
    return struct.pack(f"<{2 + len(fields) + len(table)}Q", len(fields), len(CUTOFFS), *fields, *table)


def indexed(functions: list[Function]) -> bytes:
    """Return the file that clang reads: header, summary, a hash table of the functions by the MD5 of their names."""
    head = summary(functions)
    start = len(MAGIC) + 4 * 8 + len(head)
    size = 1 << (len(functions) * 4 // 3).bit_length()
    buckets: list[list[bytes]] = [[] for _ in range(size)]
    for name, same in itertools.groupby(sorted(functions), lambda function: function.name):
        record = b"".join(struct.pack(f"<2Q{len(f.counts)}Q2I", f.flow, len(f.counts), *f.counts, 8, 0) for f in same)
        place = int.from_bytes(hashlib.md5(name.encode()).digest()[:8], "little")
        buckets[place % size].append(struct.pack("<3Q", place, len(name.encode()), len(record)) + name.encode() + record)
    body, places = bytearray(), []
    for bucket in buckets:
        places.append(start + len(body) if bucket else 0)
        body += struct.pack("<H", len(bucket)) + b"".join(bucket) if bucket else b""
    body += bytes(-(start + len(body)) % 8)
    table = struct.pack(f"<2Q{size}Q", size, sum(map(len, buckets)), *places)
    return MAGIC + struct.pack("<4Q", VERSION | OF_BRANCHES, 0, BY_MD5, start + len(body)) + head + body + table


def build() -> Path:
    """Return the folder with `profile`, the file that clang reads."""

    def make(work: Path) -> None:
        (work / "profile").write_bytes(indexed(read(PROFILE.read_text())))

    return cached("pgo", digest(PROFILE, HERE / "pgo.py"), make)


def key() -> str:
    """Return the part of a step's key that stands for flags()."""
    return digest(HERE / "pgo.py", "collect" if COLLECT else build().name)


def flags() -> list[str]:
    """Return the compiler's flags for the profiled files; none, after a warning, when this compiler can't read the profile."""
    if COLLECT:
        return [*BRANCHES, *COLLECTING]
    using = [*BRANCHES, f"-fprofile-use={build()}/profile", *USING]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "trial.c").write_text("int trial;\n")
        trial = [str(toolchain.tools() / "cc"), "-O2", *using, "-c", "trial.c"]
        done = subprocess.run(trial, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        say("pgo.txt", f"not used, and what is hot is not known: {done.stderr.strip()[-200:]}")
    return [] if done.returncode else using


def check(log: Path) -> None:
    """Warn when, by the compiler's log, many functions have changed since they were counted. Clang has compiled those without the
    profile."""
    if COLLECT:
        return
    changed = {line.partition("hash mismatch) ")[2].split()[0] for line in log.read_text().splitlines() if "hash mismatch) " in line}
    counted = len(read(PROFILE.read_text()))
    if len(changed) > MOST_CHANGED * counted:
        say("pgo.txt", f"is of other sources: {len(changed)} of {counted} functions have changed; make pgo counts again")


if __name__ == "__main__":
    main(build)
