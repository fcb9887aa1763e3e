"""The HTTP grammar: every published way to smuggle a request is refused.

Sources of the cases: RFC 9112 section 11.2; Linhart et al., "HTTP Request Smuggling" (2005); Kettle, "HTTP Desync Attacks"
(2019), "HTTP/2: The Sequel is Always Worse" (2021), "Browser-Powered Desync Attacks" (2022) and "The Desync Endgame"
(2025); Jabiyev et al., "T-Reqs" (2021); Kenneth Ballenegger's and Ben Kallus' chunked line terminator cases (2024, 2025).
"""

import pytest

from bridge.http.framing import MAX_EMPTY_LINES
from tests.unit.http.streams import HOST, OVER_ZERO, SECOND, chunks, post, read_all_ways

# ---- refused: nothing of it, and nothing behind it, is a request

LENGTHS = {
    "two differing Content-Lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two equal Content-Lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of equal lengths": b"Content-Length: 5, 5\r\n",
    "a list of differing lengths": b"Content-Length: 5, 6\r\n",
    "a plus sign": b"Content-Length: +3\r\n",
    "a minus sign": b"Content-Length: -1\r\n",
    "an underscore": b"Content-Length: 1_0\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n",
    "a fraction": b"Content-Length: 5.0\r\n",
    "an exponent": b"Content-Length: 1e1\r\n",
    "a quoted length": b'Content-Length: "5"\r\n',
    "digits that are not ASCII": "Content-Length: \u0665\r\n".encode(),
    "superscript digit in latin-1": b"Content-Length: \xb2\r\n",
    "a no-break space before the length": b"Content-Length: \xa05\r\n",
    "a vertical tab before the length": b"Content-Length: \x0b5\r\n",
    "a form feed after the length": b"Content-Length: 5\x0c\r\n",
    "a space inside the length": b"Content-Length: 1 0\r\n",
    "an empty length": b"Content-Length:\r\n",
    "only blanks for a length": b"Content-Length: \t \r\n",
    "a length of 30 digits": b"Content-Length: " + b"9" * 30 + b"\r\n",
    "a length with many zeros in front": b"Content-Length: " + b"0" * 30 + b"5\r\n",
    "two lengths in different case": b"Content-Length: 5\r\ncontent-length: 0\r\n",
}
CODINGS = {
    "a tab after chunked": b"Transfer-Encoding: chunked\t\r\n",
    "CL.TE": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
    "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "CL.0 with chunked": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "TE.TE: two chunked": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "TE.TE: chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "TE.TE: nonsense, then chunked": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked with a trailing comma": b"Transfer-Encoding: chunked,\r\n",
    "a comma before chunked": b"Transfer-Encoding: ,chunked\r\n",
    "chunked twice in one value": b"Transfer-Encoding: chunked, chunked\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "chunked with a parameter": b"Transfer-Encoding: chunked;a=b\r\n",
    "chunked behind a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked before a vertical tab": b"Transfer-Encoding: chunked\x0b\r\n",
    "chunked behind a NUL": b"Transfer-Encoding: \x00chunked\r\n",
    "chunked before a no-break space": b"Transfer-Encoding: chunked\xa0\r\n",
    "chunked with a Kelvin sign": "Transfer-Encoding: chun\u212aed\r\n".encode(),
    "an empty coding": b"Transfer-Encoding:\r\n",
    "a space before the colon of the coding": b"Transfer-Encoding : chunked\r\n",
    "a tab before the colon of the coding": b"Transfer-Encoding\t: chunked\r\n",
    "a blank in front of the coding's line": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "the coding on a folded line": b"Transfer-Encoding:\r\n chunked\r\n",
    "the coding folded with a tab": b"Transfer-Encoding:\r\n\tchunked\r\n",
    "the coding behind a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "the coding behind a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
    "the coding behind CR CR LF": b"X: y\r\r\nTransfer-Encoding: chunked\r\n",
    "the coding behind a NUL": b"X: y\x00\r\nTransfer-Encoding: chunked\r\n",
    "a NUL in the coding's name": b"Transfer-Encoding\x00: chunked\r\n",
    "a high byte in the coding's name": b"Transfer\x9f-Encoding: chunked\r\n",
}
HEADERS = {
    "two Hosts": b"Host: b.test\r\n",
    "a Host in lower case too": b"host: b.test\r\n",
    "a folded header": b"A: b\r\n c\r\n",
    "a bare LF at the end of a header": b"A: b\n",
    "a bare CR inside a header": b"A: b\rC: d\r\n",
    "a NUL in a value": b"A: b\x00c\r\n",
    "a NUL in a name": b"A\x00: b\r\n",
    "another control character": b"A: \x01\r\n",
    "a DEL in a value": b"A: \x7f\r\n",
    "a line without a colon": b"A\r\n",
    "a line with an empty name": b": b\r\n",
    "a blank at the start of a name": b" A: b\r\n",
    "a space before the colon": b"A : b\r\n",
    "a space in a name": b"A B: c\r\n",
    "a parenthesis in a name": b"A(: b\r\n",
    "a name that is not ASCII": b"\xc3\xa4: b\r\n",
    "two x-amz-sns-topic-arn": b"x-amz-sns-topic-arn: a\r\nX-Amz-Sns-Topic-Arn: b\r\n",
    "two Authorizations": b"Authorization: Basic YTpi\r\nAuthorization: Basic Yzpk\r\n",
    "another expectation": b"Expect: 200-ok\r\n",
    "an obfuscated expectation": b"Expect: y 100-continue\r\n",
    "two expectations": b"Expect: 100-continue\r\nExpect: 100-continue\r\n",
}
LINES = {
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\n" + HOST + b"\r\n",
    "http in lower case": b"GET / http/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /\r\n" + HOST + b"\r\n",
    "two spaces before the target": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces before the version": b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab before the target": b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space behind the version": b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a blank before the method": b" GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a NUL": b"GE\x00T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "an empty method": b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a very long method": b"G" * 30 + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form": b"GET http://b.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority-form": b"CONNECT b.test:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk-form": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment in the target": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a backslash in the target": b"GET /a\\b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a byte that is not ASCII in the target": b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a request line that ends in a bare LF": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "a request line that ends in a bare CR": b"GET / HTTP/1.1\r" + HOST + b"\r\n",
    "only bare LFs": b"GET / HTTP/1.1\nHost: a.test\n\n",
    "five empty lines first": b"\r\n" * (MAX_EMPTY_LINES + 1) + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a CR first": b"\rGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "an empty line with a bare LF first": b"\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "an empty head": b"\r\n\r\n" * MAX_EMPTY_LINES,
    "a header before the request line": HOST + b"GET / HTTP/1.1\r\n\r\n",
    "a TLS ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
    "the PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with user information": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a Host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a Host with a comma": b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "HTTP/1.0 in chunks": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + OVER_ZERO,
}
CHUNKS = {
    "a chunk extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "a chunk extension with a bare LF inside (TERM.EXT)": b"5;\na\r\nhello\r\n0\r\n\r\n",
    "a chunk extension with a bare CR inside": b"5;\ra\r\nhello\r\n0\r\n\r\n",
    "an extension on the last chunk": b"5\r\nhello\r\n0;a\r\n\r\n",
    "a size line that ends in a bare LF": b"5\nhello\r\n0\r\n\r\n",
    "a size line that ends in a bare CR": b"5\rhello\r\n0\r\n\r\n",
    "a size line that ends in CR CR LF": b"5\r\r\nhello\r\n0\r\n\r\n",
    "a chunk that ends in a bare LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk that ends in two other bytes (SPILL)": b"5\r\nhelloXX0\r\n\r\n",
    "a chunk without an end": b"5\r\nhello0\r\n\r\n",
    "a chunk longer than its size": b"3\r\nhello\r\n0\r\n\r\n",
    "a chunk shorter than its size": b"7\r\nhello\r\n0\r\n\r\n" + SECOND,
    "a prefix 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a plus sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a size with a minus sign": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a tab behind the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "a size that is no number": b"G\r\nhello\r\n0\r\n\r\n",
    "a NUL behind the size": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "a size of 17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a trailer": b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "a trailer that sets Content-Length": b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "a last chunk that ends in a bare LF": b"5\r\nhello\r\n0\n\n",
    "an empty line that ends in a bare LF": b"5\r\nhello\r\n0\r\n\n",
    "an empty line that ends in a bare CR": b"5\r\nhello\r\n0\r\n\rX",
}


@pytest.mark.parametrize("name", LENGTHS)
def test_refused_length(name):
    assert read_all_ways(post(LENGTHS[name], b"hello" + SECOND)) == ([], "MalformedRequest")


@pytest.mark.parametrize("name", CODINGS)
def test_refused_transfer_encoding(name):
    assert read_all_ways(post(CODINGS[name], OVER_ZERO)) == ([], "MalformedRequest")


@pytest.mark.parametrize("name", HEADERS)
def test_refused_header(name):
    assert read_all_ways(post(HEADERS[name] + b"Content-Length: 0\r\n", SECOND)) == ([], "MalformedRequest")


@pytest.mark.parametrize("name", LINES)
def test_refused_request_line(name):
    assert read_all_ways(LINES[name] + SECOND) == ([], "MalformedRequest")


@pytest.mark.parametrize("name", CHUNKS)
def test_refused_chunk(name):
    assert read_all_ways(chunks(CHUNKS[name]) + SECOND) == ([], "MalformedRequest")
