"""What tests read of an ELF program of 64 bits, little-endian (System V gABI, chapters 4 and 5)."""

import struct
from typing import NamedTuple

HEADER, ENTRY, SECTION = "<16sHHIQQQIHHHHHH", "<IIQQQQQQ", "<IIQQQQIIQQ"


class Section(NamedTuple):
    """Of a section header what is read here: where its bytes lie in memory, and how many they are."""

    name: str
    address: int
    size: int


def kinds(program: bytes) -> set[int]:
    """Return the types of the program headers (1 is PT_LOAD, 2 PT_DYNAMIC, 3 PT_INTERP)."""
    head = struct.unpack_from(HEADER, program)
    return {struct.unpack_from(ENTRY, program, head[5] + number * head[9])[0] for number in range(head[10])}


def sections(program: bytes) -> list[Section]:
    """Return the section headers, in their order."""
    head = struct.unpack_from(HEADER, program)
    entries = [struct.unpack_from(SECTION, program, head[6] + number * head[11]) for number in range(head[12])]
    names = entries[head[13]][4]
    return [Section(_text(program, names + entry[0]), entry[3], entry[5]) for entry in entries]


def _text(program: bytes, at: int) -> str:
    """Return the string there, which a zero byte ends."""
    return program[at : program.index(b"\0", at)].decode()
