"""h11 and httptools as judges of our framing: both must accept all that we accept, and read it alike."""

from collections.abc import Iterable

import h11
import httptools

from bridge.errors import BridgeError
from bridge.http.reader import RequestReader

MAX_BODY = 4096  # small, so that the limit is met

# (method, target, headers sorted by name, body)
Read = tuple[str, str, tuple[tuple[str, str], ...], bytes]


def read(pieces: Iterable[bytes]) -> tuple[list[Read], str]:
    """Feed our reader. Return the requests and the end: "" (nothing left), "more" (something began), "close", or a refusal."""
    reader, found = RequestReader(MAX_BODY), []
    for piece in pieces:
        reader.buffer += piece
        try:
            while (request := reader.next()) is not None or reader.unfinished:
                if request is None:
                    continue
                head, body = request
                found.append((head.method, head.target, tuple(sorted(head.headers.items())), body))
                if not head.keep_alive:
                    return found, "close"
        except BridgeError as error:
            return found, type(error).__name__
    return found, "" if reader.empty else "more"


def joined(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Headers as we keep them: names in lower case, repeated ones joined."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return _coding_in_lower_case(headers)


def _coding_in_lower_case(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """h11 puts the value of Transfer-Encoding in lower case: so do we, to compare."""
    if "transfer-encoding" in headers:
        headers["transfer-encoding"] = headers["transfer-encoding"].lower()
    return tuple(sorted(headers.items()))


def _h11_connection(stream: bytes) -> h11.Connection:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(stream)
    return connection


def by_h11(stream: bytes, count: int) -> list[Read]:
    """The first `count` requests as h11 reads them; raises h11.RemoteProtocolError."""
    connection = _h11_connection(stream)
    found = []
    for _ in range(count):
        rest, _ = connection.trailing_data
        if rest.startswith(b"\r\n"):  # h11 skips none of the empty lines that RFC 9112 section 2.2 wants skipped
            connection = _h11_connection(rest.lstrip(b"\r\n"))
        request = connection.next_event()
        assert isinstance(request, h11.Request), request
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), event
            body += event.data
        assert not list(event.headers)
        found.append((request.method.decode(), request.target.decode("latin-1"), joined(request.headers.raw_items()), body))
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
    return found


class _Collector:
    """httptools' callbacks."""

    def __init__(self) -> None:
        self.found: list[Read] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.target, self.pairs, self.body = b"", [], b""

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        self.found.append((method, self.target.decode("latin-1"), joined(self.pairs), self.body))


def by_httptools(stream: bytes, count: int) -> list[Read]:
    """The first `count` requests as httptools (llhttp) reads them; raises httptools.HttpParserError."""
    found: list[Read] = []
    while len(found) < count:
        collector = _Collector()
        try:
            collector.parser.feed_data(stream)
        except httptools.HttpParserUpgrade as upgrade:  # it stops here for a 101, which we never send: on with HTTP
            stream = stream[upgrade.args[0] :]
        except httptools.HttpParserError:
            if len(found) + len(collector.found) < count:
                raise
        if not collector.found:
            break
        found += collector.found
    return found[:count]


# Methods that llhttp does not know: it refuses them, we answer 405.
LLHTTP_METHODS = (
    *("ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "MERGE", "MKACTIVITY"),
    *("MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT"),
    *("QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE"),
)


def check_against_oracles(stream: bytes, ours: tuple[list[Read], str]) -> None:
    """Raise AssertionError, or the oracle's own error, when h11 or httptools reads something else than we accepted."""
    requests = [(method, target, _coding_in_lower_case(dict(headers)), body) for method, target, headers, body in ours[0]]
    if not requests:
        return
    theirs = by_h11(stream, len(requests))
    assert theirs == requests, ("h11", theirs, requests)
    known = next((i for i, request in enumerate(requests) if request[0] not in LLHTTP_METHODS), len(requests))
    if known:
        theirs = by_httptools(stream, known)
        assert theirs == requests[:known], ("httptools", theirs, requests)
