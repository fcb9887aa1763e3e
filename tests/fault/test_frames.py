"""The fault proxy knows when a publish has begun and when it is whole, however its bytes are split."""

import struct

import pytest

from tests.tools.fault_frames import Frames

GREETING = b"AMQP\x00\x00\x09\x01"


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def publish(body: bytes, pieces: int) -> bytes:
    size = max(1, -(-len(body) // pieces))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    head = frame(1, b"\x00\x3c\x00\x28\x00\x00\x00\x01q\x01") + frame(2, b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + b"\x00\x00")
    return head + b"".join(frame(3, part) for part in parts)


@pytest.mark.parametrize("step", [1, 2, 7, 8, 100, 100_000])
@pytest.mark.parametrize("pieces", [1, 3])
def test_every_publish_is_seen_once(step, pieces):
    other = frame(1, b"\x00\x0a\x00\x0b...") + frame(8, b"")
    data = GREETING + other + publish(b"a body", pieces) + other + publish(b"", 1) + publish(b"x" * 1000, pieces)
    frames = Frames()
    seen = [frames.feed(data[at : at + step]) for at in range(0, len(data), step)]
    if step <= 8:
        assert (sum(begun for begun, _ in seen), sum(whole for _, whole in seen)) == (3, 3)
    assert any(begun for begun, _ in seen)
    assert any(whole for _, whole in seen)


def test_a_publish_without_its_last_byte_is_not_whole():
    frames = Frames()
    assert frames.feed(GREETING + publish(b"a body", 1)[:-1]) == (True, False)
    assert frames.feed(b"\xce") == (False, True)
