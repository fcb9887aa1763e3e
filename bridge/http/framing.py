"""The only HTTP grammar we trust: bytes in, a Request or a refusal out. No sockets here.

RFC 9112 leaves a server room for leniency (bare LF, folded headers, repeated lengths, spaces before the colon). Each of
these has been used to smuggle a request past a proxy, and SNS sends none of them, so each is refused.
"""

import re

from bridge.errors import BodyTooLarge, HeadTooLarge, MalformedRequest

MAX_HEAD = 16384  # bytes of request line and headers; SNS sends about 600, a proxy adds a few hundred
MAX_FIELDS = 100  # header lines, as in http.server; SNS sends 12
FIELD_BYTES = 128  # what one takes in memory beside its characters, as measured
MAX_DIGITS = 15  # of a Content-Length; no body has a longer one
PIECE = 65536  # bytes
CHUNKS_AT_ONCE = 1000  # a read may bring 40,000 chunks of one byte; other clients should not wait for them
MAX_CHUNK_LINE = 16  # bytes of a chunk's size line, CRLF included
MAX_EMPTY_LINES = 4  # in front of a request

# RFC 9112 section 3 (request line, origin-form only) and section 5 (field lines), RFC 9110 section 5.6.2 (token).
# Possessive repeats: no input makes this backtrack.
_START = re.compile(r"([A-Z]{1,20}) (/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*+) HTTP/1\.([01])")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+([\t -~\x80-\xff]*+)")
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]%-]*")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")

_ONCE = frozenset(("host", "content-length", "transfer-encoding", "content-type", "authorization", "expect"))


class Request:
    """A request's head.

    method and target are as sent; headers maps lower-case names to values (latin-1, stripped); length is the body's length
    in bytes, or None when it comes in chunks; keep_alive tells whether the connection may carry another request, and
    expects_continue whether the client waits for a 100 before it sends the body.
    """

    __slots__ = ("expects_continue", "headers", "keep_alive", "length", "method", "target")

    def __init__(
        self, method: str, target: str, headers: dict[str, str], length: int | None, keep_alive: bool, expects_continue: bool = False
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue


def held_by(headers: dict[str, str]) -> int:
    """Return the bytes of memory that headers take."""
    return sum(len(name) + len(value) + FIELD_BYTES for name, value in headers.items())


def skip_empty_lines(buffer: bytearray, skipped: int) -> int:
    """Take empty lines (CRLF) off the front of buffer; return how many were skipped so far, `skipped` among them.

    RFC 9112 section 2.2: some clients send one behind a body. Those after MAX_EMPTY_LINES stay, and are no request line.
    """
    while skipped < MAX_EMPTY_LINES and buffer.startswith(b"\r\n"):
        del buffer[:2]
        skipped += 1
    return skipped


def head_end(buffer: bytes | bytearray) -> int:
    """Return where the head ends (the offset of the empty line's CRLF CRLF), or -1 when more bytes are needed.

    Raises HeadTooLarge, or MalformedRequest when a bare LF shows that the head's end will never come.
    """
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    if end < 0:
        if _has_bare_lf(buffer, MAX_HEAD):
            raise MalformedRequest("a line ends in a bare LF")
        if len(buffer) >= MAX_HEAD + 4:
            raise HeadTooLarge(f"the head is longer than {MAX_HEAD} bytes")
    return end


def _has_bare_lf(buffer: bytes | bytearray, end: int) -> bool:
    """Tell whether a LF without CR comes before end. A client can make this run once a byte; counting is 50 times faster than a pattern."""
    return buffer.count(b"\n", 0, end) != buffer.count(b"\r\n", 0, end)


# Lines that were parsed before. All but two or three lines of a head are the same in every message of a subscription.
_starts: dict[str, tuple[str, str, bool]] = {}
_fields: dict[str, tuple[str, str]] = {}
MAX_KEPT, MAX_KEPT_LINE = 500, 300
_NEVER_KEPT = frozenset(("authorization", "x-amz-sns-message-id"))


def _start(line: str) -> tuple[str, str, bool]:
    match = _START.fullmatch(line)
    if match is None:
        raise MalformedRequest("the request line is not well-formed HTTP/1.1")
    start = match[1], match[2], match[3] == "1"
    if len(line) <= MAX_KEPT_LINE:
        if len(_starts) >= MAX_KEPT:
            _starts.clear()
        _starts[line] = start
    return start


def _field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise MalformedRequest("a header is not well-formed HTTP/1.1")
    name = match[1].lower()
    field = name, match[2].rstrip(" ")
    if field[1].endswith("\t"):  # parsers differ on whether "chunked<tab>" is chunked
        raise MalformedRequest("a header ends in a tab")
    if name == "host" and not _HOST.fullmatch(field[1]):
        raise MalformedRequest("Host is not a host")
    if len(line) <= MAX_KEPT_LINE and name not in _NEVER_KEPT:
        if len(_fields) >= MAX_KEPT:
            _fields.clear()
        _fields[line] = field
    return field


def parse_head(head: bytes | bytearray) -> Request:
    """Return the Request of a head (bytes, without the final CRLF CRLF). Raises HeadTooLarge, MalformedRequest.

    Lines of one name are one list (RFC 9110 section 5.3), unless the name may stand only once.
    """
    lines = head.decode("latin-1").split("\r\n")
    start = lines.pop(0)
    if len(lines) > MAX_FIELDS:
        raise HeadTooLarge(f"the head has more than {MAX_FIELDS} headers")
    method, target, version_1_1 = _starts.get(start) or _start(start)
    known = _fields.get
    fields = [known(line) or _field(line) for line in lines]
    headers = dict(fields)
    if len(headers) < len(fields):
        headers = _lists(fields)
    if version_1_1 and "host" not in headers:
        raise MalformedRequest("the Host header is missing")
    expects = "expect" in headers
    if expects and headers["expect"].lower() != "100-continue":
        raise MalformedRequest("Expect is not 100-continue")
    # An HTTP/1.0 client knows no 100: RFC 9110 section 10.1.1
    return Request(method, target, headers, _length(headers, version_1_1), _keeps_alive(headers, version_1_1), expects and version_1_1)


def _lists(fields: list[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of fields some of which have one name. Raises MalformedRequest."""
    headers: dict[str, str] = {}
    for name, value in fields:
        if name in headers:
            if name in _ONCE or name.startswith("x-amz-sns-"):
                raise MalformedRequest(f"{name} occurs twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _length(headers: dict[str, str], version_1_1: bool) -> int | None:
    """Return the body's length in bytes, None for chunked (RFC 9112 section 6.3).

    int() alone would take "+3", "-1", "1_0" and " 3", so the digits are checked first. Content-Length beside
    Transfer-Encoding is the classic of request smuggling: refused, though the RFC lets a server choose.
    """
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        if length is not None or not version_1_1 or headers["transfer-encoding"].lower() != "chunked":
            raise MalformedRequest("Transfer-Encoding is not chunked alone")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= MAX_DIGITS):
        raise MalformedRequest("Content-Length is not a number")
    return int(length)


def _keeps_alive(headers: dict[str, str], version_1_1: bool) -> bool:
    """RFC 9112 section 9.3. An HTTP/1.0 client gets its connection closed, whatever it asks for."""
    connection = headers.get("connection")
    if not version_1_1 or connection is None or connection == "Keep-Alive":
        return version_1_1
    return "close" not in [option.strip(" \t").lower() for option in connection.split(",")]


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1), without chunk extensions and trailers, because neither SNS nor a proxy needs them."""

    __slots__ = ("_body", "_in_chunk", "_left", "_limit", "_pieces", "size", "unfinished")

    def __init__(self, limit: int) -> None:
        # Not a list of chunks, because chunks of one byte would take fifty times the memory; nor one bytearray, because one that grows to
        # megabytes is moved again and again, and leaves holes.
        self._pieces: list[bytes] = []  # each PIECE bytes or more
        self._body = bytearray()  # what came after them
        self.size = 0  # bytes of the body announced so far
        self._left = 0  # bytes of the chunk under way
        self._in_chunk = False
        self._limit = limit
        self.unfinished = False  # whether the last feed() may have left whole chunks for the next one

    @property
    def held(self) -> int:
        """How many bytes of memory the body takes so far."""
        return sum(map(len, self._pieces)) + self._body.__alloc__() if self.size else 0

    def feed(self, buffer: bytearray) -> bytes | None:
        """Take what is whole off the front of buffer, CHUNKS_AT_ONCE at most; return the body once it is all there, else None.

        Raises MalformedRequest, or BodyTooLarge when more than limit bytes are announced.
        """
        self.unfinished = False
        for _ in range(CHUNKS_AT_ONCE):
            if self._in_chunk:
                if len(buffer) < self._left + 2:
                    return None
                if buffer[self._left : self._left + 2] != b"\r\n":
                    raise MalformedRequest("a chunk does not end where its size says")
                self._body += buffer[: self._left]
                if len(self._body) >= PIECE:
                    self._pieces.append(bytes(self._body))
                    self._body.clear()
                del buffer[: self._left + 2]
                self._in_chunk = False
            size = self._next_size(buffer)
            if size is None:
                return None
            if size == 0:
                return b"".join([*self._pieces, self._body])
            self.size += size
            if self.size > self._limit:
                raise BodyTooLarge(f"the body is longer than {self._limit} bytes (BRIDGE_MAX_BODY)")
            self._left, self._in_chunk = size, True
        self.unfinished = True
        return None

    @staticmethod
    def _next_size(buffer: bytearray) -> int | None:
        """Take a size line (with the last chunk's empty line) off buffer; return the size in bytes, or None if more is needed."""
        end = buffer.find(b"\r\n", 0, MAX_CHUNK_LINE)
        if end < 0:
            if len(buffer) >= MAX_CHUNK_LINE or _has_bare_lf(buffer, MAX_CHUNK_LINE):
                raise MalformedRequest("a chunk's size line is not a size")
            return None
        if not _CHUNK_SIZE.fullmatch(buffer, 0, end):
            raise MalformedRequest("a chunk's size is not hexadecimal")
        size = int(buffer[:end], 16)
        if size:
            del buffer[: end + 2]
            return size
        if len(buffer) < end + 4:
            return None
        if buffer[end + 2 : end + 4] != b"\r\n":
            raise MalformedRequest("trailers are not accepted")
        del buffer[: end + 4]
        return 0
