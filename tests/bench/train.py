"""make pgo: builds the binary so that it counts what runs, delivers messages through it, and writes the counters to build/pgo.txt.

The counters are read out of the running program's memory, where they lie as LLVM lays them out (llvm/include/llvm/ProfileData/
InstrProfData.inc): a table of functions, the counters themselves, and the functions' names.
"""

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import contract, messages, prepare, sqs
from tests.bench.measure import Bench
from tests.bench.parts import started
from tests.bench.prepare import CACHE, ROOT, say
from tests.bench.servers import OURS, Candidate
from tests.tools import elf
from tests.tools.broker import Broker

sys.path.insert(0, str(ROOT / "build"))

import pgo

DELIVERIES = [(512, 64, 8000), (512, 8, 2000), (512, 1, 500), (4096, 8, 2000), (65536, 8, 100)]  # size, connections, count
LETTER, LETTERS = 4096, 5000  # bytes of a message from a queue, and how many of them
ENTRY = struct.Struct("<3Q24xI12x")  # name's MD5, hash of the control flow, where the counters lie from here, how many


def build() -> Path:
    """Build the program that counts; return its path."""
    folder = CACHE / "counting"
    say("building the binary that counts (5 to 10 minutes)")
    subprocess.run([sys.executable, ROOT / "build/binary.py"], env=os.environ | {"PGO": "collect", "DIST": str(folder)}, check=True)
    return folder / "bridge.unpacked"


def blocks(raw: bytes) -> Iterator[bytes]:
    """Yield each block of names: every object file brings one, after its length and a zero that says that it is not compressed."""
    at = 0
    while at < len(raw):
        length, shift = 0, 0
        while raw[at] & 128:
            length, shift, at = length | (raw[at] & 127) << shift, shift + 7, at + 1
        length, at = length | raw[at] << shift, at + 1
        if length:  # else zeros that fill up to an even place
            yield raw[at + 1 : at + 1 + length]
            at += 1 + length


def functions(program: Path, pid: int) -> list[pgo.Function]:
    """Return what a running program has counted."""
    places = {section.name: section for section in elf.sections(program.read_bytes())}

    def part(name: str) -> tuple[int, bytes]:
        section = places[f"__llvm_prf_{name}"]
        with Path(f"/proc/{pid}/mem").open("rb") as memory:
            memory.seek(section.address)
            return section.address, memory.read(section.size)

    (table, entries), (counters, counts), (_, names) = part("data"), part("cnts"), part("names")
    texts = [name for block in blocks(names) for name in block.split(b"\1")]
    by_md5 = {int.from_bytes(hashlib.md5(name).digest()[:8], "little"): name.decode() for name in texts}
    found = []
    for i, (name, flow, distance, count) in enumerate(ENTRY.iter_unpack(entries)):
        at = (table + i * ENTRY.size + distance - counters) % 2**64
        found.append(pgo.Function(by_md5[name], flow, list(struct.unpack_from(f"<{count}Q", counts, at))))
    return found


def main() -> None:
    prepare.everything()
    load, program = messages.make(), build()
    with Broker() as broker:
        bench = Bench(broker, load)
        with sqs.queue(bench, LETTER) as letters:
            counting = sqs.with_queue(Candidate("counting", [str(program)], OURS), letters)
            with started(bench, [counting]) as (server,):
                if wrong := contract.check(server, broker, load):
                    raise SystemExit("; ".join(wrong))
                for size, connections, count in DELIVERIES:
                    row = bench.measure(server, size, connections, count, 60, warm=0)
                    say(f"{row['ok']:,} messages of {size:,} B over {connections} connections, {row['bad']} bad answers")
                row = sqs.drained(bench, server, letters, LETTERS)
                say(f"{LETTERS:,} messages of {LETTER:,} B from a queue, {row['bad']} put out of sight")
                counted = functions(program, server.process.pid)
    pgo.PROFILE.write_text(pgo.written(counted))
    ran = sum(any(function.counts) for function in counted)
    say(f"{pgo.PROFILE.relative_to(ROOT)}: {len(counted):,} functions, {ran:,} of them have run")


if __name__ == "__main__":
    main()
