"""Kept HTTP/1.1 connections to one origin, by http.client. They block: each request runs in a thread, under deadlines.

SQS's calls go this way, because a bridge that polls would keep what `requests` loads: 6 MiB of memory from source, 1.4 in the binary.
Source: RFC 9112 (HTTP/1.1), RFC 9110 section 9.3.6 (CONNECT).
"""

import io
import os
import select
import socket
from _thread import allocate_lock
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from bridge.sns.egress import EgressError, proxy_of, sentence, tls_in_tls
from bridge.version import PRODUCT

if TYPE_CHECKING:
    import ssl

KEPT = 32  # connections


class AnswerTooLong(EgressError):
    """The answer's body is longer than the limit. What is announced as longer was not read."""


class _Connection(HTTPConnection):
    """A connection whose reads end in time. `until` is the answer's deadline (monotonic seconds), `read` the seconds of one step."""

    until = read = 0.0
    answered = False  # whether a byte of an answer came

    def patience(self) -> float:
        """Return the seconds that the next step may take. Raises TimeoutError."""
        left = min(self.read, self.until - monotonic())
        if left <= 0:
            raise TimeoutError
        return left

    def response_class(self, _sock: Any, **words: Any) -> HTTPResponse:  # type: ignore[override]
        """http.client calls this for its response, which then reads from `makefile`."""
        return HTTPResponse(self, **words)  # type: ignore[arg-type]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reads(self, self.sock.makefile("rb", buffering=0)))


class _Reads(io.RawIOBase):
    """What a connection's socket reads, each read with the patience that is left."""

    def __init__(self, connection: _Connection, raw: Any) -> None:
        self._connection, self._sock, self._raw = connection, connection.sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._connection.patience())
        number: int = self._raw.readinto(buffer)
        self._connection.answered = self._connection.answered or number > 0
        return number

    def close(self) -> None:
        super().close()
        self._raw.close()


class Origin:
    """Kept connections to one origin, for all threads. HTTPS_PROXY and NO_PROXY are honoured as they are when it is made."""

    def __init__(self, url: str, ca_file: str, proxies: bool = True) -> None:
        """url is one of the origin's; ca_file (PEM) holds the roots that are trusted. Raises EgressError."""
        parts = _split(url)
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._ca_file = ca_file
        proxy = proxy_of(url) if proxies else ""
        self._proxy = _split(proxy) if proxy else None
        self._kept: deque[_Connection] = deque(maxlen=KEPT)

    def exchange(
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
        expect: Callable[[int, float], None] = lambda _size, _until: None,
    ) -> tuple[int, bytes]:
        """Send a request for one of the origin's URLs; return the answer's status and at most limit bytes of body.

        It blocks for total seconds, and while a name is looked up; connect and read are the seconds that one step may take.
        expect(size, until) is called once, before the body is read: with its bytes, or with limit when the answer does not say how many;
        it may wait until monotonic seconds `until`. Raises EgressError, of which AnswerTooLong is one, and what expect raises.
        Redirects are not followed. When a kept connection ends before an answer begins, the other side had closed it: then the
        request is sent once more, on a new one.
        """
        until = monotonic() + total
        try:
            connection = self._take()
            if connection is not None:
                connection.until, connection.read, connection.answered = until, read, False
                try:
                    return self._ask(connection, method, url, headers, body, limit, expect)
                except ConnectionError:
                    if connection.answered:
                        raise
            return self._ask(self._connect(min(connect, total), read, until), method, url, headers, body, limit, expect)
        except TimeoutError:
            raise EgressError(f"the answer took longer than {total:g} s" if monotonic() >= until else f"no byte for {read:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            raise EgressError(sentence(error)) from None

    def close(self) -> None:
        """Close the connections that are kept."""
        while (kept := self._take()) is not None:
            kept.close()

    def _take(self) -> _Connection | None:
        """Return the newest of the kept connections that the other side has not closed."""
        while True:
            try:
                kept = self._kept.pop()
            except IndexError:
                return None
            poll = select.poll()
            poll.register(kept.sock, select.POLLIN)
            if not poll.poll(0):
                return kept
            kept.close()

    def _connect(self, seconds: float, read: float, until: float) -> _Connection:
        proxy = self._proxy
        host, port = (proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80)) if proxy else (self._host, self._port)
        try:
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
        return self._connection(sock, read, until)

    def _connection(self, sock: Any, read: float, until: float) -> _Connection:
        connection = _Connection(self._host, self._port)
        connection.default_port = 443 if self._tls else 80  # which a Host header leaves out
        connection.sock, connection.read, connection.until = sock, read, until
        return connection

    def _tunnel(self, sock: Any, read: float, until: float) -> None:
        """Ask the proxy at the other end of sock for a way to the origin. Raises EgressError."""
        connection = self._connection(sock, read, until)
        host = f"[{self._host}]" if ":" in self._host else self._host
        connection.request("CONNECT", f"{host}:{self._port}", headers=self._proxy_headers())
        response = connection.response_class(sock, method="CONNECT")  # and not getresponse, which ends what has no length
        response.begin()
        if response.status != 200:
            raise EgressError(f"the proxy answered CONNECT with {response.status}")

    def _proxy_headers(self) -> dict[str, str]:
        proxy = self._proxy
        if proxy is None or proxy.username is None:
            return {}
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _ask(
        self,
        connection: _Connection,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        limit: int,
        expect: Callable[[int, float], None],
    ) -> tuple[int, bytes]:
        """Send a request and read its answer; keep the connection or close it."""
        kept = False
        try:
            headers = {"User-Agent": PRODUCT, **headers}
            target = _target(url)
            if self._proxy and not self._tls:
                target, headers = url, headers | self._proxy_headers()
            connection.sock.settimeout(connection.patience())
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            length = response.length
            if length is not None and length > limit:
                raise AnswerTooLong(f"the answer is longer than {limit} bytes")
            expect(limit if length is None else length, connection.until)
            answer = response.read() if length is not None else response.read(limit + 1)
            if len(answer) > limit:
                raise AnswerTooLong(f"the answer is longer than {limit} bytes")
            kept = response.isclosed() and not response.will_close
            return response.status, answer
        finally:
            if kept:
                self._kept.append(connection)
            else:
                connection.close()


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
