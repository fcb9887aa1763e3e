"""Whole requests out of pieces: the bytes that are held, that are left, and that are too many."""

import tracemalloc
from sys import getsizeof

import pytest

from bridge.errors import BodyTooLarge, HeadTooLarge, MalformedRequest
from bridge.http.framing import CHUNKS_AT_ONCE, MAX_HEAD
from bridge.http.reader import RequestReader

LIMIT = 100


def post(body=b"", *headers, length=None):
    lines = [b"POST / HTTP/1.1", b"Host: x", *headers]
    if length is not False:
        lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return post(b"", b"Transfer-Encoding: chunked", length=False) + body


def reading(stream, limit=LIMIT):
    reader = RequestReader(limit)
    reader.buffer += stream
    return reader


def test_a_request_and_its_body():
    reader = reading(post(b"body"))
    head, body = reader.next()
    assert (head.method, head.target, body, type(body)) == ("POST", "/", b"body", bytes)
    assert reader.empty and reader.next() is None


def test_pipelined_requests_come_one_by_one_in_order():
    reader = reading(post(b"one") + chunked(b"tw", b"o") + post() + post(b"four")[:-1])
    assert [reader.next()[1] for _ in range(3)] == [b"one", b"two", b""]
    assert reader.next() is None and not reader.empty
    reader.buffer += b"r"
    assert reader.next()[1] == b"four" and reader.empty


@pytest.mark.parametrize("stream", [post(b"x" * 20), chunked(b"x" * 15, b"y" * 5)])
def test_byte_by_byte_is_the_same(stream):
    reader = RequestReader(LIMIT)
    found = []
    for byte in stream:
        assert not found
        reader.buffer.append(byte)
        item = reader.next()
        if item is not None:
            found.append(item[1])
        assert reader.empty is bool(found)
    assert found == [reading(stream).next()[1]]


class TestLimits:
    def test_a_body_at_the_limit_is_read(self):
        assert reading(post(b"x" * LIMIT)).next()[1] == b"x" * LIMIT
        assert reading(chunked(b"x" * (LIMIT - 1), b"x")).next()[1] == b"x" * LIMIT

    @pytest.mark.rule("BRIDGE_MAX_BODY")
    def test_a_longer_body_is_refused_before_it_comes(self):
        with pytest.raises(BodyTooLarge, match=rf"{LIMIT + 1} bytes.*BRIDGE_MAX_BODY={LIMIT}") as caught:
            reading(post(length=LIMIT + 1)).next()
        assert caught.value.status == 413 and caught.value.close

    @pytest.mark.parametrize("sizes", [(LIMIT + 1,), (LIMIT, 1), (1,) * (LIMIT + 1)])
    def test_a_longer_body_in_chunks_is_refused_by_what_is_announced(self, sizes):
        stream = chunked(*(b"x" * size for size in sizes))
        with pytest.raises(BodyTooLarge, match="BRIDGE_MAX_BODY"):
            reading(stream[: stream.rindex(b"x")]).next()

    @pytest.mark.parametrize("cut", range(5))
    def test_the_longest_head_is_read_however_it_is_cut(self, cut):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nA: "
        head += b"a" * (MAX_HEAD - len(head))
        reader = reading(head + b"\r\n\r\n"[:cut])
        if cut < 4:
            assert reader.next() is None
            reader.buffer += b"\r\n\r\n"[cut:]
        assert reader.next() is not None

    def test_a_longer_head_is_refused_before_it_ends(self):
        with pytest.raises(HeadTooLarge) as caught:
            reading(b"POST / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD).next()
        assert caught.value.status == 431 and caught.value.close

    def test_a_line_that_never_ends_is_refused(self):
        with pytest.raises(HeadTooLarge):
            reading(b"P" * (MAX_HEAD + 4)).next()

    def test_a_chunk_size_that_never_ends_is_refused(self):
        with pytest.raises(MalformedRequest):
            reading(chunked()[:-5] + b"0" * 16).next()

    def test_a_body_in_chunks_of_one_byte_takes_no_more_room_than_it_has_bytes(self):
        size = 1 << 16
        reader = RequestReader(size)
        reader.buffer += chunked()[:-5]
        assert reader.next() is None
        tracemalloc.start()
        try:
            for _ in range(size // 1024):
                reader.buffer += b"1\r\nx\r\n" * 1024
                assert reader.next() is None
                while reader.unfinished:
                    assert reader.next() is None
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 2 * size
        reader.buffer += b"0\r\n\r\n"
        assert reader.next()[1] == b"x" * size


class TestHeld:
    """Bytes that have arrived count against the limit, announced ones do not."""

    HEAD = 300  # at most, of two headers

    def test_a_head_that_announces_much_holds_no_more_than_a_head(self):
        reader = reading(post(length=77))
        assert reader.next() is None and reader.held < self.HEAD
        reader.buffer += b"x" * 10
        assert reader.next() is None and 10 <= reader.held < self.HEAD + 100

    def test_chunks_that_have_arrived_count(self):
        reader = reading(post(b"", b"Transfer-Encoding: chunked", length=False))
        assert reader.next() is None and reader.held < self.HEAD
        reader.buffer += b"a\r\n" + b"x" * 10 + b"\r\n5\r\nyy"
        assert reader.next() is None and 12 <= reader.held < self.HEAD + 100

    def test_what_a_growing_buffer_has_to_spare_counts(self):
        reader = reading(post(length=90_000), 100_000)
        for _ in range(80):
            reader.buffer += b"x" * 1000
            assert reader.next() is None
        assert reader.held > reader.buffer.__alloc__() > 80_000

    def test_nothing_is_held_of_a_request_that_was_handed_on(self):
        reader = reading(post(b"x" * 50))
        assert reader.next() and reader.held == 0
        reader.buffer += post(b"y")[:10]
        assert reader.next() is None and 10 <= reader.held < 100


class TestContinue:
    def test_a_client_that_waits_is_seen_before_its_body_comes(self):
        reader = reading(post(b"", b"Expect: 100-continue", length=4))
        assert reader.next() is None and reader.wants_continue
        reader.buffer += b"body"
        assert reader.next()[1] == b"body" and not reader.wants_continue

    def test_one_that_sent_its_body_along_is_not_kept_waiting(self):
        reader = reading(post(b"body", b"Expect: 100-continue"))
        assert reader.next()[1] == b"body" and not reader.wants_continue

    def test_the_next_request_does_not_inherit_it(self):
        reader = reading(post(b"body", b"Expect: 100-continue") + post(length=4))
        reader.next()
        assert reader.next() is None and not reader.wants_continue

    def test_too_long_a_body_is_refused_instead(self):
        with pytest.raises(BodyTooLarge):
            reading(post(b"", b"Expect: 100-continue", length=LIMIT + 1)).next()


class TestOneByteChunks:
    def test_a_call_takes_a_part_and_the_next_ones_the_rest(self):
        """A read may bring 40,000 chunks; between two calls other clients are served."""
        reader = reading(post(b"", b"Transfer-Encoding: chunked", length=False), 4 * CHUNKS_AT_ONCE)
        reader.buffer += b"1\r\nx\r\n" * (2 * CHUNKS_AT_ONCE) + b"0\r\n\r\n"
        assert reader.next() is None and reader.unfinished and reader.held >= CHUNKS_AT_ONCE
        assert reader.next() is None and reader.unfinished
        assert reader.next()[1] == b"x" * (2 * CHUNKS_AT_ONCE) and not reader.unfinished


@pytest.mark.parametrize("fields", [[b"%02d:" % number for number in range(98)], [b"%02d: " % number + b"x" * 150 for number in range(98)]])
def test_a_head_counts_while_its_body_is_awaited(fields):
    """One client can leave a thousand of them."""
    reader = reading(post(b"", *fields, length=10))
    assert reader.next() is None
    headers = reader._head.headers
    assert sum(map(getsizeof, (headers, *headers, *headers.values()))) * 9 // 10 <= reader.held <= 40_000
    reader.buffer += bytes(10)
    assert reader.next() is not None and not reader.held
