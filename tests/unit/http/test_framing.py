"""The HTTP grammar: requests of SNS and proxies are read, up to the limits and however they are cut."""

import itertools

import pytest

from bridge.http.framing import MAX_EMPTY_LINES, MAX_FIELDS, MAX_HEAD, parse_head
from tests.fuzz.oracles import MAX_BODY, read
from tests.unit.http.streams import SECOND, chunks, post, read_all_ways

# ---- read: what SNS and proxies send


def one(stream):
    found, end = read_all_ways(stream)
    assert end in ("", "close")
    assert len(found) == 1
    return found[0]


def test_what_sns_sends():
    headers = (
        b"x-amz-sns-message-type: Notification\r\nx-amz-sns-message-id: 9d2c5580-b61d-550c-8583-37a582870907\r\n"
        b"x-amz-sns-topic-arn: arn:aws:sns:us-west-2:131990247566:t\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=UTF-8\r\n"
        b"Connection: Keep-Alive\r\nUser-Agent: Amazon Simple Notification Service Agent\r\nAccept-Encoding: gzip,deflate\r\n"
    )
    method, target, found, body = one(post(headers, b"{}", target=b"/sns?a=b%20c&d=%C3%A4"))
    assert (method, target, body) == ("POST", "/sns?a=b%20c&d=%C3%A4", b"{}")
    assert dict(found)["x-amz-sns-message-type"] == "Notification"
    assert dict(found)["content-type"] == "text/plain; charset=UTF-8"


def test_chunks_as_proxies_send_them():
    assert one(chunks(b"5\r\nhello\r\n00A\r\n0123456789\r\nb\r\n01234567890\r\n000\r\n\r\n"))[3] == b"hello012345678901234567890"


def test_an_empty_body_in_chunks():
    assert one(chunks(b"0\r\n\r\n"))[3] == b""


def test_chunked_in_upper_case():
    assert one(post(b"TRANSFER-ENCODING: CHUNKED\r\n", b"2\r\nhi\r\n0\r\n\r\n"))[3] == b"hi"


def test_blanks_behind_the_coding_and_the_length():
    assert one(post(b"Transfer-Encoding: \t chunked  \r\n", b"2\r\nhi\r\n0\r\n\r\n"))[3] == b"hi"
    assert one(post(b"Content-Length: \t 2  \r\n", b"hi"))[3] == b"hi"


def test_no_length_is_no_body():
    found, end = read_all_ways(post() + SECOND)
    assert [request[1] for request in found] == ["/", "/smuggled"] and end == ""


def test_a_get_with_a_body_keeps_it():
    found, _ = read_all_ways(post(b"Content-Length: %d\r\n" % len(SECOND), SECOND, method=b"GET"))
    assert len(found) == 1 and found[0][3] == SECOND


def test_pipelined_requests_in_their_order():
    stream = b"".join(post(b"Content-Length: 1\r\n", b"%d" % i, target=b"/%d" % i) for i in range(5))
    found, end = read([stream])
    assert [(request[1], request[3]) for request in found] == [(f"/{i}", b"%d" % i) for i in range(5)] and end == ""
    read_all_ways(stream[:400])


def test_repeated_headers_are_joined():
    assert dict(one(post(b"Via: a\r\nX: y\r\nVIA: b\r\n"))[2])["via"] == "a, b"


def test_blanks_around_a_value_are_not_part_of_it():
    assert dict(one(post(b"A:\t b c \r\nB:\r\nC:d\r\n"))[2]) == {"host": "a.test", "a": "b c", "b": "", "c": "d"}


def test_latin_1_in_a_value():
    assert dict(one(post(b"A: \xe4\r\n"))[2])["a"] == "ä"


def test_leading_zeros_of_a_length():
    assert one(post(b"Content-Length: 005\r\n", b"hello"))[3] == b"hello"


@pytest.mark.parametrize("host", [b"a.test:3000", b"[::1]:3000", b"127.0.0.1", b"", b"a_b.test"])
def test_hosts(host):
    one(post(host=b"Host: %b\r\n" % host))


@pytest.mark.parametrize("connection", [b"close", b"Close", b"keep-alive, close", b"close,x"])
def test_nothing_is_read_after_connection_close(connection):
    found, end = read_all_ways(post(b"Connection: %b\r\n" % connection) + SECOND)
    assert len(found) == 1 and end == "close"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [((b"keep-alive", b"close"), False), ((b"close", b"keep-alive"), False), ((b"keep-alive", b"x"), True), ((b"", b"Keep-Alive"), True)],
)
def test_two_connection_lines_are_one_list(lines, kept):
    """RFC 9110 section 5.3."""
    found, end = read_all_ways(post(b"".join(b"Connection: %b\r\n" % line for line in lines)) + SECOND)
    assert (len(found), end) == ((2, "") if kept else (1, "close"))
    assert dict(found[0][2])["connection"] == ", ".join(line.decode() for line in lines)


@pytest.mark.parametrize("number", range(MAX_EMPTY_LINES + 1))
def test_some_empty_lines_before_a_request_are_skipped(number):
    """RFC 9112 section 2.2."""
    empty = b"\r\n" * number
    found, end = read_all_ways(empty + post(b"Content-Length: 2\r\n", b"hi") + empty + SECOND + empty)
    assert ([(target, body) for _, target, _, body in found], end) == ([("/", b"hi"), ("/smuggled", b"")], "")


@pytest.mark.parametrize("number", [1, 2])
def test_more_empty_lines_are_no_request(number):
    found, end = read_all_ways(post(b"Content-Length: 2\r\n", b"hi") + b"\r\n" * (MAX_EMPTY_LINES + number) + SECOND)
    assert (len(found), end) == (1, "MalformedRequest")


@pytest.mark.parametrize(("version", "expected"), [(b"1.1", True), (b"1.0", False)])
def test_only_a_client_of_http_1_1_expects_a_100(version, expected):
    """RFC 9110 section 10.1.1."""
    head = parse_head(post(b"Expect: 100-Continue\r\nContent-Length: 2\r\n", version=b"HTTP/" + version)[:-4])
    assert head.expects_continue is expected


def test_nothing_is_read_after_http_1_0():
    for headers in (b"", b"Connection: keep-alive\r\n"):
        found, end = read_all_ways(post(headers + b"Content-Length: 2\r\n", b"hi", version=b"HTTP/1.0") + SECOND)
        assert len(found) == 1 and end == "close"


def test_http_1_0_without_host():
    assert one(b"GET / HTTP/1.0\r\n\r\n")[1] == "/"


# ---- limits


def head_of(size):
    start = b"GET / HTTP/1.1\r\nHost: a\r\nA: "
    return start + b"x" * (size - len(start)) + b"\r\n\r\n"


@pytest.mark.parametrize("size", range(MAX_HEAD - 6, MAX_HEAD + 7))
def test_the_largest_head_does_not_depend_on_the_pieces(size):
    stream = head_of(size)
    first, rest = stream[:16000], stream[16000:]
    results = {read([first, *(rest[at : at + step] for at in range(0, len(rest), step))])[1] for step in (1, 2, 3, 5, 7, len(rest))}
    assert results == {"" if size <= MAX_HEAD else "HeadTooLarge"}


@pytest.mark.parametrize(("count", "error"), [(MAX_FIELDS, ""), (MAX_FIELDS + 1, "HeadTooLarge"), (2990, "HeadTooLarge")])
def test_a_head_has_a_hundred_headers_at_most(count, error):
    """Thousands of short ones take twenty times their bytes in memory."""
    assert read([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%x:\r\n" % number for number in range(count - 1)) + b"\r\n"])[1] == error


def test_an_endless_head():
    assert read([b"GET / HTTP/1.1\r\n", *itertools.repeat(b"A: b\r\n" * 10, 500)]) == ([], "HeadTooLarge")
    assert read([b"G" * 100_000]) == ([], "HeadTooLarge")


def test_the_largest_body():
    assert read([post(b"Content-Length: %d\r\n" % MAX_BODY, bytes(MAX_BODY))])[1] == ""
    assert read([post(b"Content-Length: %d\r\n" % (MAX_BODY + 1))]) == ([], "BodyTooLarge")
    assert read([post(b"Content-Length: 999999999999999\r\n")]) == ([], "BodyTooLarge")


def test_the_largest_body_in_chunks():
    half = b"%x\r\n%b\r\n" % (MAX_BODY // 2, bytes(MAX_BODY // 2))
    assert read([chunks(half * 2 + b"0\r\n\r\n")])[1] == ""
    assert read([chunks(half * 2 + b"1\r\n")]) == ([], "BodyTooLarge")
    assert read([chunks(b"FFFFFFFF\r\n")]) == ([], "BodyTooLarge")


def test_a_body_of_one_byte_chunks():
    assert read([chunks(b"1\r\nx\r\n" * MAX_BODY + b"0\r\n\r\n")])[0][0][3] == b"x" * MAX_BODY


def test_a_request_that_is_not_whole_waits():
    stream = post(b"Content-Length: 5\r\n", b"hello")
    for end in range(1, len(stream)):
        assert read([stream[:end]]) == ([], "more")
    stream = chunks(b"5\r\nhello\r\n0\r\n\r\n")
    for end in range(1, len(stream)):
        assert read([stream[:end]]) == ([], "more")


def test_many_headers_take_no_longer_than_few():
    """A pattern that backtracks would need minutes for these."""
    for line in (b"a: " + b" " * 16000, b"a" * 16000, b"a: b\r\n" * 2500 + b"\x00", b"a:" + b"\t " * 8000 + b"\x01"):
        assert read([post(line[: MAX_HEAD - 100] + b"\x00\r\n")])[1] in ("MalformedRequest", "HeadTooLarge")
