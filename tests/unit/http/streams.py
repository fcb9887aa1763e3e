"""Requests as streams of bytes, and what is read of a stream however it is cut."""

from tests.fuzz.oracles import check_against_oracles, read

HOST = b"Host: a.test\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
OVER_ZERO = b"0\r\n\r\n" + SECOND


def post(headers=b"", body=b"", host=HOST, target=b"/", version=b"HTTP/1.1", method=b"POST"):
    return b"%b %b %b\r\n%b%b\r\n%b" % (method, target, version, host, headers, body)


def chunks(body, headers=b""):
    return post(headers + b"Transfer-Encoding: chunked\r\n", body)


def in_pieces(stream):
    """The stream whole, byte by byte, in threes, and cut once at every place."""
    yield [stream]
    yield [bytes((byte,)) for byte in stream]
    yield [stream[at : at + 3] for at in range(0, len(stream), 3)]
    if len(stream) < 500:
        yield from ([stream[:at], stream[at:]] for at in range(1, len(stream)))


def read_all_ways(stream):
    results = [read(pieces) for pieces in in_pieces(stream)]
    assert all(result == results[0] for result in results)
    check_against_oracles(stream, results[0])
    return results[0]
