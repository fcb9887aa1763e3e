"""The client side of a delivery: raw keep-alive connections, so that tests can send exactly the bytes they mean, right or wrong.

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
from urllib.parse import urlsplit

from tests.tools.envelope import Post

SNS_TIMEOUT = 15.0  # what SNS waits for an answer


class Answer(NamedTuple):
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Closed(ConnectionError):
    """The connection ended without an answer."""


def request(post: Post, host: str, path: str = "/", extra: dict[str, str] | None = None) -> bytes:
    """The bytes of the POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(post.body)}",
        *(f"{k}: {v}" for k, v in (post.headers | (extra or {})).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + post.body


def basic(credentials: str) -> dict[str, str]:
    """The Authorization header of "user:password"."""
    return {"Authorization": "Basic " + b64encode(credentials.encode()).decode()}


class Connection:
    """One connection, plain or TLS (when `ca_file` is given; `client`: certificate and key)."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ca_file: Path | None = None,
        client: tuple[Path, Path] | None = None,
        name: str = "localhost",
        timeout: float = SNS_TIMEOUT,
    ) -> None:
        self.host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.socket: socket.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca_file is not None:
            context = ssl.create_default_context(cafile=str(ca_file))
            if client:
                context.load_cert_chain(*client)
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self._read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

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
        data = self.socket.recv(65536)
        if not data:
            raise Closed(f"the connection ended after {self._read!r}")
        self._read += data

    def exchange(self, data: bytes) -> Answer:
        self.send(data)
        return self.receive()

    def deliver(self, post: Post, path: str = "/", extra: dict[str, str] | None = None) -> Answer:
        return self.exchange(request(post, self.host, path, extra))

    def get(self, path: str) -> Answer:
        return self.exchange(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    def ended(self) -> bool:
        """Whether the other side closes (waits for it as long as the socket's timeout)."""
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Endpoint(NamedTuple):
    """A subscription's endpoint, as it is given to SNS: http[s]://[user:password@]host:port/path, and what SNS trusts there."""

    url: str
    ca_file: Path | None = None
    client: tuple[Path, Path] | None = None

    def connect(self, timeout: float = SNS_TIMEOUT) -> Connection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return Connection(
            parts.hostname, parts.port, ca_file=self.ca_file if parts.scheme == "https" else None, client=self.client, timeout=timeout
        )

    def deliver(self, connection: Connection, post: Post) -> Answer:
        """POST as SNS does it: without credentials first, and with them after a 401 that asks for Basic."""
        parts = urlsplit(self.url)
        answer = connection.deliver(post, parts.path or "/")
        if answer.status == 401 and parts.username and answer.headers.get("www-authenticate", "").lower().startswith("basic"):
            answer = connection.deliver(post, parts.path or "/", basic(f"{parts.username}:{parts.password}"))
        return answer
