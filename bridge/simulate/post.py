"""The client side of a delivery: raw keep-alive connections, so that tests can send any bytes, right or wrong.

with Connection("127.0.0.1", 3000) as connection:
    answer = connection.deliver(post)
    answer = connection.exchange(b"POST / HTTP/1.1\r\n...")
"""

import socket
import ssl
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from bridge.simulate.envelope import Post

SNS_TIMEOUT = 15.0  # seconds that SNS waits for an answer


class Answer(NamedTuple):
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Closed(ConnectionError):
    """The connection ended without an answer."""


def request(post: Post, host: str, path: str = "/", extra: dict[str, str] | None = None) -> bytes:
    """Return the bytes of the POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(post.body)}",
        *(f"{k}: {v}" for k, v in (post.headers | (extra or {})).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + post.body


def basic(credentials: str) -> dict[str, str]:
    """Return the Authorization header of "user:password"."""
    return {"Authorization": "Basic " + b64encode(credentials.encode()).decode()}


class Connection:
    """One connection, plain or TLS (when `tls` or `ca_file` is given; `client`: certificate and key; `name`: of the server's).

    timeout is in seconds, for each operation of the socket. Raises OSError.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ca_file: Path | None = None,
        client: tuple[Path, Path] | None = None,
        name: str = "localhost",
        tls: bool = False,
        timeout: float = SNS_TIMEOUT,
    ) -> None:
        self.host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.socket: socket.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls or ca_file is not None:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
            if client:
                context.load_cert_chain(*client)
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self._read = b""

    def send(self, sent: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(sent)

    def receive(self) -> Answer:
        """Read one answer. Raises Closed when the connection ends first, TimeoutError when nothing comes in time."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return Answer(int(first.split()[1]), headers, body)

    def _more(self) -> None:
        received = self.socket.recv(65536)
        if not received:
            raise Closed(f"the connection ended after {self._read!r}")
        self._read += received

    def exchange(self, sent: bytes) -> Answer:
        """Send a request's bytes and read the answer."""
        self.send(sent)
        return self.receive()

    def deliver(self, post: Post, path: str = "/", extra: dict[str, str] | None = None) -> Answer:
        """POST once and return the answer."""
        return self.exchange(request(post, self.host, path, extra))

    def get(self, path: str) -> Answer:
        """GET a path and return the answer."""
        return self.exchange(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    def ended(self) -> bool:
        """Tell whether the other side closes the connection; waits for that as long as the socket's timeout."""
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Endpoint(NamedTuple):
    """A subscription's endpoint as SNS gets it, http[s]://[user:password@]host[:port]/path; with the roots and the name to verify."""

    url: str
    ca_file: Path | None = None
    client: tuple[Path, Path] | None = None
    name: str = ""

    def connect(self, timeout: float = SNS_TIMEOUT) -> Connection:
        """Open a connection to it. Raises OSError."""
        parts = urlsplit(self.url)
        host, tls = parts.hostname or "", parts.scheme == "https"
        return Connection(
            host,
            parts.port or (443 if tls else 80),
            ca_file=self.ca_file if tls else None,
            client=self.client,
            name=self.name or host,
            tls=tls,
            timeout=timeout,
        )

    def deliver(self, connection: Connection, post: Post) -> Answer:
        """POST as SNS does it: without credentials first, and with them after a 401 that asks for Basic."""
        parts = urlsplit(self.url)
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        answer = connection.deliver(post, path)
        if answer.status == 401 and parts.username and answer.headers.get("www-authenticate", "").lower().startswith("basic"):
            answer = connection.deliver(post, path, basic(f"{unquote(parts.username)}:{unquote(parts.password or '')}"))
        return answer
