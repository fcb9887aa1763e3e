"""Kept HTTP/1.1 connections to one origin; each exchange is taken by steps. http.client judges the heads that are not plain.

SQS's calls go this way, because a bridge that polls would keep in memory all that `requests` loads.
Source: RFC 9112 (HTTP/1.1), RFC 9110 section 9.3.6 (CONNECT).
"""

import os
import re
import socket
from _thread import allocate_lock
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from bridge.errors import BodyTooLarge, MalformedRequest
from bridge.http.framing import ChunkedBody
from bridge.sns.egress import EgressError, proxy_of, sentence, tls_in_tls
from bridge.sns.steps import Steps, Waiting, drive
from bridge.sockets import READ, WRITE, awaited
from bridge.version import PRODUCT

if TYPE_CHECKING:
    import ssl

KEPT = 32  # connections
MAX_HEAD = 131_072  # bytes of an answer before its body
MOMENT = 0.02  # seconds
END = b"\r\n\r\n"  # of the head


class AnswerTooLong(EgressError):
    """The answer's body is longer than the limit, in bytes. What is announced as longer was not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is longer than {limit} bytes")


class _Head(BytesIO):
    """What came of an answer, for http.client to read its head."""

    def makefile(self, _mode: str) -> BytesIO:
        return self


# Of a head with nothing that http.client has to judge, as SQS's are: how it begins, and what is not in it. Its email.parser takes ten
# times as long as such a look.
_PLAIN = re.compile(rb"http/1\.1 (200|[45][0-9][0-9]) ")
_ODD = b"transfer-encoding", b"close", b"\n ", b"\n\t"


class Origin:
    """Kept connections to one origin, for all threads. HTTPS_PROXY and NO_PROXY are honoured as they are when it is made."""

    def __init__(self, url: str, ca_file: str, proxies: bool = True) -> None:
        """url is one of the origin's; ca_file (PEM) holds the roots that are trusted. Raises EgressError."""
        parts = _split(url)
        self._tls = parts.scheme == "https"
        standard = 443 if self._tls else 80
        self._host, self._port = parts.hostname or "", parts.port or standard
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = host if self._port == standard else f"{host}:{self._port}"
        self._ca_file = ca_file
        proxy = proxy_of(url) if proxies else ""
        self._proxy = _split(proxy) if proxy else None
        self._kept: deque[Waiting] = deque(maxlen=KEPT)

    def exchange(self, *request: Any, **seconds: float) -> tuple[int, bytes]:
        """Take all steps of `steps`, which has the same arguments; return (status, body). Blocks. Raises EgressError."""
        return drive(self.steps(*request, **seconds))  # type: ignore[arg-type]

    def steps(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        limit: int,
        *,
        connect: float,
        read: float,
        total: float,
        expect: Callable[[int], bool] = lambda _size: True,
    ) -> Steps[tuple[int, bytes]]:
        """Send a request for one of the origin's URLs; return the answer's status and at most limit bytes of body.

        It ends within total seconds, and the time that a name's look-up takes; connect and read are the seconds that one step may take.
        expect(size) is called before the body is read: with its bytes, or with limit when the answer does not say how many; as long as it
        returns False, the body waits. Raises EgressError, of which AnswerTooLong is one.
        Redirects are not followed. When a kept connection ends before an answer begins, the other side had closed it: then the
        request is sent once more, on a new one. When nothing comes on a kept one in time, all kept ones are closed.
        """
        until = monotonic() + total
        try:
            target = _target(url)
            if self._proxy and not self._tls:
                target, headers = url, headers | self._proxy_headers()
            request = self._request(method, target, headers, body)
            connection = self._take()
            if connection is not None:
                connection.until, connection.read, connection.answered, connection.resumed = until, read, False, monotonic()
                try:
                    return (yield from self._ask(connection, request, limit, expect))
                except TimeoutError:
                    if not connection.answered:
                        self.close()  # whatever swallowed the request, a firewall that forgot its flows, keeps the others silent too
                    raise
                except ConnectionError:
                    if connection.answered:
                        raise
            connection = yield lambda: self._connect(min(connect, total), read, until)
            return (yield from self._ask(connection, request, limit, expect))
        except TimeoutError:
            raise EgressError(f"the answer took longer than {total:g} s" if monotonic() >= until else f"no byte for {read:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            raise EgressError(sentence(error)) from None

    def close(self) -> None:
        """Close the kept connections."""
        while True:
            try:
                self._kept.pop().sock.close()
            except IndexError:  # another thread may take the last one
                return

    def _take(self) -> Waiting | None:
        """Return the newest of the kept connections on which nothing has come, neither its end nor what was not asked for."""
        while True:
            try:
                kept = self._kept.pop()
            except IndexError:
                return None
            try:
                kept.sock.recv(1)  # poll would not see what TLS in TLS has read already
            except OSError as error:
                if awaited(error, READ) == READ:
                    return kept
            kept.sock.close()

    def _connect(self, seconds: float, read: float, until: float) -> Waiting:
        proxy = self._proxy
        host, port = (proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80)) if proxy else (self._host, self._port)
        try:
            if monotonic() >= until:  # it waited for its thread
                raise TimeoutError
            sock: Any = socket.create_connection((host, port), seconds)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if proxy and proxy.scheme == "https":
                    sock = tls_context(self._ca_file).wrap_socket(sock, server_hostname=host)
                if proxy and self._tls:
                    self._tunnel(sock, seconds, until)
                if self._tls:
                    context = tls_context(self._ca_file)
                    wrap = tls_in_tls(context) if proxy and proxy.scheme == "https" else context.wrap_socket
                    sock = wrap(sock, server_hostname=self._host)
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            raise EgressError(f"no connection within {seconds:g} s") from None
        except (OSError, HTTPException, ValueError) as error:  # a thread hands on no other errors than EgressErrors
            raise EgressError(sentence(error)) from None
        sock.settimeout(0)
        return Waiting(sock, read, until)

    def _tunnel(self, sock: Any, read: float, until: float) -> None:
        """Ask the proxy at the other end of sock for a way to the origin. Blocks. Raises EgressError."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        sock.settimeout(0)
        request = self._request("CONNECT", f"{host}:{self._port}", self._proxy_headers(), None)
        found = bytearray()
        drive(_until_body(Waiting(sock, read, until), request, found))
        sock.settimeout(read)
        status, *_ = _take_head(found)
        if status != 200:
            raise EgressError(f"the proxy answered CONNECT with {status}")

    def _proxy_headers(self) -> dict[str, str]:
        proxy = self._proxy
        if proxy is None or proxy.username is None:
            return {}
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _request(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> bytes:
        """Return a whole request. Raises ValueError when the target or a header holds what it can't carry."""
        headers = {"Host": self._authority, "Accept-Encoding": "identity", "User-Agent": PRODUCT, **headers}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        if not "".join(lines).isprintable() or " " in target:
            raise ValueError
        return "\r\n".join(lines).encode("latin-1") + (body or b"")

    def _ask(self, connection: Waiting, request: bytes, limit: int, expect: Callable[[int], bool]) -> Steps[tuple[int, bytes]]:
        """Send a request and read its answer; keep the connection or close it."""
        kept, found = False, bytearray()
        try:
            more = yield from _until_body(connection, request, found)
            status, length, in_chunks, keeps = _take_head(found)
            size = limit if length is None else length
            if size > limit:
                raise AnswerTooLong(limit)
            while not expect(size):
                if monotonic() >= connection.until:
                    raise TimeoutError
                yield MOMENT
            chunks = ChunkedBody(limit) if in_chunks else None
            while (body := _take_body(found, length, chunks, more, limit)) is None:
                if not more:
                    raise IncompleteRead(b"")
                more = yield from connection.receive(found)
            kept = keeps and more and not found
            return status, body
        finally:
            if kept:
                self._kept.append(connection)
            else:
                connection.sock.close()


def _until_body(connection: Waiting, request: bytes, found: bytearray) -> Steps[bool]:
    """Send a request and read its answer up to the body, of which a part may be found too; return whether more may come."""
    while request:
        sent = yield from connection.when(WRITE, connection.sock.send, request)
        request = request[sent:]
    more = True
    while more and END not in found and len(found) < MAX_HEAD:
        more = yield from connection.receive(found)
        while found[9:10] == b"1" and END in found:  # Continue, or another one before the answer
            del found[: found.index(END) + len(END)]
    return more


def _take_head(found: bytearray) -> tuple[int, int | None, bool, bool]:
    """Take an answer's head off what came; return its status, the body's length (None: until it ends), whether that is in chunks, and
    whether the connection stays open. Raises HTTPException, and ConnectionError when nothing came.
    """
    end = found.find(END) + len(END)
    head = bytes(found[:end]).lower()
    named = head.partition(b"\ncontent-length: ")[2].partition(b"\r\n")[0]
    plain = _PLAIN.match(head)
    if plain and named.isdigit() and head.count(b"content-length") == 1 and not any(odd in head for odd in _ODD):
        del found[:end]
        return int(plain[1]), int(named), False, True
    response = HTTPResponse(_Head(found))  # type: ignore[arg-type]
    response.begin()
    if END not in found:
        raise IncompleteRead(b"")
    del found[:end]
    lengths = set(response.headers.get_all("content-length", ()))
    if lengths and not response.chunked and not (len(lengths) == 1 and lengths.pop().strip().isdecimal()):
        raise EgressError("Content-Length is not a number")
    in_chunks = bool(response.chunked)
    return response.status, response.length, in_chunks, not response.will_close and not (in_chunks and lengths)


def _take_body(found: bytearray, length: int | None, chunks: ChunkedBody | None, more: bool, limit: int) -> bytes | None:
    """Take the body off what came when all of it is there, else return None. Raises EgressError, of which AnswerTooLong is one."""
    if chunks is not None:
        try:
            body = chunks.feed(found)
            while chunks.unfinished:
                body = chunks.feed(found)
        except BodyTooLarge:
            raise AnswerTooLong(limit) from None
        except MalformedRequest as error:
            raise EgressError(str(error)) from None
        return body
    if length is None:  # it ends with the connection
        if len(found) > limit:
            raise AnswerTooLong(limit)
        length = len(found) + more
    if len(found) < length:
        return None
    body = bytes(found if len(found) == length else found[:length])  # a slice would be one more copy
    del found[:length]
    return body


_loading = allocate_lock()  # the first calls come at once, and the roots of each would take 0.7 MiB
_newest: "tuple[object, ssl.SSLContext] | None" = None  # the last context that was made, and the file that it was made from


def tls_context(ca_file: str) -> "ssl.SSLContext":
    """Return the context of a CA file (PEM) as it is now: one for all connections until the file changes. Raises OSError."""
    global _newest
    import ssl

    found = os.stat(ca_file)
    stamp = ca_file, found.st_mtime_ns, found.st_ino, found.st_size
    with _loading:
        if _newest is None or _newest[0] != stamp:
            _newest = stamp, ssl.create_default_context(cafile=ca_file)
        return _newest[1]


def _split(url: str) -> SplitResult:
    """Return urlsplit's parts of a URL with a host. Raises EgressError, which does not hold the URL: a password may be in there."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise EgressError("the URL, or that of its proxy, has no host or a port that is none")


def _target(url: str) -> str:
    """Return a URL's path and query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
