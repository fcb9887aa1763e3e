"""Any split of the same bytes gives the same requests, and leaves the same rest."""

import mmap

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError
from bridge.http.reader import RequestReader

LIMIT = 300
BODY = st.binary(max_size=60)
RECEIVED = mmap.mmap(-1, 65536)


@st.composite
def request(draw):
    body = draw(BODY)
    lines = [b"POST /%b HTTP/1.1" % draw(st.sampled_from([b"", b"a", b"healthy"])), b"Host: x"]
    lines += draw(st.lists(st.sampled_from([b"A: b", b"A: c", b"X-B:", b"Expect: 100-continue", b"Connection: close"]), max_size=3))
    if draw(st.booleans()):
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:20], body[20:]) if piece)
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + chunks + b"0\r\n\r\n"


@st.composite
def stream(draw):
    """Some requests; at times with a few bytes changed or cut off, so that refusals occur too."""
    whole = b"".join(draw(st.lists(request(), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(whole)))
        whole = whole[:at] + draw(st.binary(max_size=3)) + whole[at + draw(st.integers(0, 3)) :]
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


def read(pieces, whole=False):
    """Read as a connection does; whole: what arrives may be taken as one request."""
    reader, found = RequestReader(LIMIT), []
    for piece in pieces:
        RECEIVED[: len(piece)] = piece
        try:
            item = reader.take(RECEIVED, len(piece), whole)
            while (item := item or reader.next()) is not None:
                head, body = item
                item = None
                found.append((head.method, head.target, head.headers, head.length, head.keep_alive, body))
        except BridgeError as error:
            return found, error.status, error.reason
    return found, 0, "rest" if not reader.empty else ""


@settings(max_examples=200, deadline=None)
@given(stream(), st.data())
def test_any_split_gives_the_same_requests_and_the_same_end(whole, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = read([whole])
    assert read(pieces) == read([piece for piece in pieces if piece], whole=True) == expected
    assert read(bytes([byte]) for byte in whole) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(BODY, min_size=1, max_size=20))
def test_every_body_comes_out_as_it_went_in(bodies):
    found, status, rest = read(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    assert ([one[-1] for one in found], status, rest) == (bodies, 0, "")
