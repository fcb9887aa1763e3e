"""What the link has to read of an ELF program, and the one thing that it adds: a segment (System V gABI, chapters 4 and 5)."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from recipe import ARCH

PAGE = {"amd64": 4096, "arm64": 65536}[ARCH]  # the largest that a kernel may have
HEADER, ENTRY, SECTION, SYMBOL = "<16sHHIQQQIHHHHHH", "<IIQQQQQQ", "<IIQQQQIIQQ", "<IBBHQQ"
LOAD, PHDR, SYMTAB, READ, WRITE = 1, 6, 2, 4, 2
OBJECT, THREAD_LOCAL = 1, 6


@dataclass
class Segment:
    """A program header. `address` and `memory` are where and how much of memory it takes, `offset` and `size` where its bytes are."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    size: int
    memory: int
    align: int

    def pack(self) -> bytes:
        fields = (self.kind, self.flags, self.offset, self.address, self.physical, self.size, self.memory, self.align)
        return struct.pack(ENTRY, *fields)


class Section(NamedTuple):
    """A section header, of its fields those that are read here; `link` is another's number, `each` the size of an entry."""

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int
    each: int


def up(value: int) -> int:
    """Return the value rounded up to a whole page."""
    return -(-value // PAGE) * PAGE


def entry(program: bytes) -> int:
    """Return the entry point's address."""
    return int(struct.unpack_from(HEADER, program)[4])


def segments(program: bytes) -> list[Segment]:
    """Return the program headers."""
    head = struct.unpack_from(HEADER, program)
    return [Segment(*struct.unpack_from(ENTRY, program, head[5] + number * head[9])) for number in range(head[10])]


def sections(program: bytes) -> list[Section]:
    """Return the section headers, in their order."""
    head = struct.unpack_from(HEADER, program)
    entries = [struct.unpack_from(SECTION, program, head[6] + number * head[11]) for number in range(head[12])]
    return [Section(text(program, entries[head[13]][4] + entry[0]), entry[1], *entry[3:7], entry[9]) for entry in entries]


def text(program: bytes, at: int) -> str:
    """Return the string there, which a zero byte ends."""
    return program[at : program.index(b"\0", at)].decode()


def symbols(program: bytes) -> dict[str, tuple[int, int]]:
    """Return the address and the type (OBJECT, THREAD_LOCAL ...) of each symbol that an unstripped program's objects share."""
    found, there = {}, sections(program)
    for section in (section for section in there if section.kind == SYMTAB):
        for at in range(section.offset, section.offset + section.size, section.each):
            name, info, other, index, value, _ = struct.unpack_from(SYMBOL, program, at)
            if (info >> 4 or other & 3) and index:
                found[text(program, there[section.link].offset + name)] = value, info & 15
    return found


def memory(program: bytes) -> bytes:
    """Return a program's bytes as they lie in memory from its first page on, without the zeros at their end. The file's own header is
    left out: nothing reads it there, and where it says that the sections are depends on the paths in what debuggers read."""
    loads = [segment for segment in segments(program) if segment.kind == LOAD]
    base = loads[0].address // PAGE * PAGE
    image = bytearray(max(segment.address + segment.size for segment in loads) - base)
    for segment in loads:
        at = segment.address - base
        image[at : at + segment.size] = program[segment.offset : segment.offset + segment.size]
    header = struct.calcsize(HEADER)
    assert loads[0].offset == 0, "the header is not where it was"
    return bytes(header) + bytes(image[header:])


def attach(path: Path, data: bytes) -> None:
    """Add a read-only segment with `data` to a program, on the first page behind all others; the entry of the program headers that
    only describes themselves makes room for it."""
    program = bytearray(path.read_bytes())
    head = struct.unpack_from(HEADER, program)
    old = segments(program)
    kept = [segment for segment in old if segment.kind != PHDR]
    last = max(at for at, segment in enumerate(kept) if segment.kind == LOAD)
    address = up(max(segment.address + segment.memory for segment in kept if segment.kind == LOAD))
    offset = up(len(program))
    kept.insert(last + 1, Segment(LOAD, READ, offset, address, address, len(data), len(data), PAGE))
    assert len(kept) == len(old), "the program has no entry to give"
    program[head[5] : head[5] + len(kept) * head[9]] = b"".join(segment.pack() for segment in kept)
    path.write_bytes(program.ljust(offset, b"\0") + data)
