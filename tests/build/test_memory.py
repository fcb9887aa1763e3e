"""build/c/memory.c: memmove, memcmp and memchr do what the C standard says, at any address and length."""

import ctypes
import random
import subprocess

import pytest

from tests.tools.launch import ROOT

NAMES = ("memmove", "memcpy", "memcmp", "memchr")
LENGTHS = [*range(160), 255, 256, 1000, 2047, 2048, 5000]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Its functions, by names that the process has no others of."""
    library = tmp_path_factory.mktemp("memory") / "memory.so"
    renamed = [f"-D{name}=own_{name}" for name in NAMES]
    source = (ROOT / "build/c/memory.c").read_text().replace('alias("memmove")', 'alias("own_memmove")')
    subprocess.run(
        ["gcc", "-O2", "-fno-builtin", "-shared", "-fPIC", *renamed, "-x", "c", "-", "-o", library], input=source.encode(), check=True
    )
    loaded = ctypes.CDLL(str(library))
    for name in NAMES:
        getattr(loaded, f"own_{name}").restype = ctypes.c_void_p
    loaded.own_memcmp.restype = ctypes.c_int
    return loaded


def held(content):
    """The content in memory of its own, and its address."""
    block = ctypes.create_string_buffer(content, len(content) + 1)
    return block, ctypes.addressof(block)


@pytest.mark.parametrize("length", LENGTHS)
def test_memcmp_orders_as_bytes_do(own, length):
    chance = random.Random(length)
    content = chance.randbytes(length)
    for place in {0, 1, length // 2, length - 8, length - 2, length - 1} & set(range(length)):
        other = bytearray(content)
        other[place] ^= 1 << chance.randrange(8)
        for start in (0, 1, 7):
            (a, one), (b, two) = held(bytes(start) + content), held(bytes(other))
            order = own.own_memcmp(ctypes.c_void_p(one + start), ctypes.c_void_p(two), ctypes.c_size_t(length))
            assert (order > 0) == (content > other) and (order < 0) == (content < other), (place, a, b)
    (a, one), (b, two) = held(content), held(content)
    assert own.own_memcmp(ctypes.c_void_p(one), ctypes.c_void_p(two), ctypes.c_size_t(length)) == 0


@pytest.mark.parametrize("length", LENGTHS)
def test_memchr_finds_the_first_and_looks_no_further_than_told(own, length):
    for place in {0, 1, length // 2, length - 1, length} & set(range(length + 1)):
        content = bytearray(b"\x80" * (length + 70))
        content[place] = content[length + 3] = 0xFF
        block, start = held(bytes(content))
        found = own.own_memchr(ctypes.c_void_p(start), ctypes.c_int(0xFF - 256), ctypes.c_size_t(length))
        assert found == (start + place if place < length else None), block


@pytest.mark.parametrize("name", ["own_memmove", "own_memcpy"])
@pytest.mark.parametrize("length", LENGTHS)
def test_memmove_moves_over_itself(own, name, length):
    content = random.Random(length).randbytes(length + 64)
    for source, target in ((0, 1), (1, 0), (0, 17), (17, 0), (0, 64), (64, 0), (3, 3)):
        block, start = held(content)
        getattr(own, name)(ctypes.c_void_p(start + target), ctypes.c_void_p(start + source), ctypes.c_size_t(length))
        expected = bytearray(content)
        expected[target : target + length] = content[source : source + length]
        assert block.raw[:-1] == bytes(expected), (source, target)
