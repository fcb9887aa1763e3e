"""Framing against h11 and httptools: both accept every request that we accept, with the same method, target, headers and body."""

from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.oracles import LLHTTP_METHODS, MAX_BODY, check_against_oracles, joined, read

EXAMPLES = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
RESERVED = {"host", "content-length", "transfer-encoding", "connection", "expect", "content-type", "authorization", "upgrade"}

names = st.text(TOKEN, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in RESERVED and not name.lower().startswith("x-amz-sns-")
)
values = st.text([chr(i) for i in (9, *range(0x20, 0x7F), *range(0x80, 0x100))], max_size=30).map(lambda text: text.rstrip(" \t"))
targets = st.text("abcXYZ019-._~!$&'()*+,;=:@%/?", max_size=30).map(lambda text: f"/{text}")
bodies = st.binary(max_size=200)


@st.composite
def requests(draw):
    """(the bytes of a well-formed request, the request that has to be read)."""
    method, target = draw(st.sampled_from(["POST", "GET", "PUT", "DELETE", "OPTIONS"])), draw(targets)
    headers = [("Host", "a.test"), *draw(st.lists(st.tuples(names, values), max_size=5))]
    body = draw(bodies)
    if draw(st.booleans()):
        headers.insert(draw(st.integers(0, len(headers))), ("Content-Length", str(len(body))))
        sent = body
    else:
        headers.insert(draw(st.integers(0, len(headers))), ("Transfer-Encoding", "chunked"))
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(body) - 1)), max_size=4))) if len(body) > 1 else []
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    before, behind = st.sampled_from([b"", b" ", b"\t "]), st.sampled_from([b"", b" ", b"   "])
    lines = [b"%b:%b%b%b\r\n" % (name, draw(before), value, draw(behind)) for name, value in pairs]
    head = f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(lines)
    return head + b"\r\n" + sent, (method, target, joined(pairs), body)


# Pieces of the published ways to smuggle requests, and of our own grammar.
FRAGMENTS = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\x0b", b":", b",", b";", b"\xa0", b"\x85", b"\xff", b"\r\r\n", b"\r\n ", b"\r\n\t"),
    *(b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"Content-Length:5,5\r\n", b"content-length: 1_0\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"transfer-encoding:\tchunked\r\n",
    ),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer_Encoding: chunked\r\n", b"Host: b.test\r\n"),
    *(
        b"Connection: close\r\n",
        b"Connection: keep-alive, x\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"Connection: upgrade\r\n",
    ),
    *(
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"5;a=b\r\n",
        b"0x5\r\n",
        b"00\r\n",
        b"ffffffff\r\n",
        b"100000005\r\n",
        b"5 \r\n",
        b"GET / HTTP/1.1\r\n",
    ),
    *(b"POST /x HTTP/1.0\r\n", b"HTTP/1.1", b"HTTP/0.9", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n"),
]


@st.composite
def mutated(draw):
    """Well-formed requests one after the other, then changed in one to four places."""
    stream = bytearray(b"".join(request for request, _ in draw(st.lists(requests(), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(stream)))
        match draw(st.integers(0, 3)):
            case 0 | 1:
                stream[at:at] = draw(st.sampled_from(FRAGMENTS))
            case 2:
                del stream[at : at + draw(st.integers(1, 4))]
            case 3:
                stream[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(stream)


def cut(stream, places):
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


places = st.lists(st.integers(0, 1 << 16), max_size=12)


@EXAMPLES
@given(st.lists(requests(), min_size=1, max_size=3), places)
def test_what_is_well_formed_is_read_as_it_was_written(sent, places):
    stream = b"".join(request for request, _ in sent)
    found = read(cut(stream, places))
    assert found == ([expected for _, expected in sent], "")
    check_against_oracles(stream, found)


@settings(EXAMPLES, max_examples=1500)
@given(mutated(), places)
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", [])
def test_what_we_accept_both_oracles_accept_alike(stream, places):
    whole = read([stream])
    check_against_oracles(stream, whole)
    assert read(cut(stream, places)) == whole
    assert read([bytes((byte,)) for byte in stream]) == whole


@settings(EXAMPLES, max_examples=1000)
@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.sampled_from([b"a", b"A: b\r\n", b"Host: a\r\n"])), max_size=12), places)
def test_streams_of_fragments(fragments, places):
    stream = b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(fragments)
    whole = read([stream])
    check_against_oracles(stream, whole)
    assert read(cut(stream, places)) == whole


@EXAMPLES
@given(st.binary(max_size=300), places)
def test_any_bytes(stream, places):
    whole = read([stream])
    check_against_oracles(stream, whole)
    assert read(cut(stream, places)) == whole


@EXAMPLES
@given(st.integers(0, 2 * MAX_BODY), st.booleans(), places)
def test_the_limit_on_the_body(size, chunked, places):
    if chunked:
        half = size // 2
        stream = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream += b"".join(b"%x\r\n%b\r\n" % (part, bytes(part)) for part in (half, size - half) if part) + b"0\r\n\r\n"
    else:
        stream = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    found, end = read(cut(stream, places))
    assert (len(found), end) == ((1, "") if size <= MAX_BODY else (0, "BodyTooLarge"))


def test_the_oracles_know_the_methods_of_this_test():
    assert {"POST", "GET", "PUT", "DELETE", "OPTIONS"} <= set(LLHTTP_METHODS)
