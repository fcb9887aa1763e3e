"""The attacker: one process, many connections that send streams.

with Crowd(Attack("tiny", 64, 8), scene, port) as crowd:      # a process of its own: it takes no time from the genuine load's
    crowd.wait()
crowd.seen                                                    # what it sent, and what was answered
"""

import json
import resource
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.fault.neighbours.streams import STREAMS, Scene, Stream
from tests.tools.bridge import ROOT

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a RST
BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen at connect(), so that one address has all ports
LIFE = 0.0003  # seconds between the last byte and a reset


class Attack(NamedTuple):
    """connections that are open at once, each sending `stream`, for so many seconds.

    then: sit (until the bridge closes), again (the stream once more after an answer), reset, close, half (no more is sent, all is read).
    back: whether a connection that has ended is replaced. rate: new connections a second at most. throughput: bytes a second at most,
    of all together. read: whether answers are read. tls: after a handshake (of any certificate). size, every: the
    Scene's. addresses: it comes from so many, 127.0.0.2 and the next; 0: from 127.0.0.1, as SNS's own messages do.
    """

    stream: str
    connections: int
    seconds: float = 8
    then: str = "sit"
    back: bool = True
    rate: float = 0
    throughput: float = 0
    read: bool = True
    size: int = 0
    tls: bool = False
    every: float = 0.2
    addresses: int = 0

    def doubled(self) -> "Attack":
        """At twice the strength."""
        return self._replace(connections=self.connections * 2, rate=self.rate * 2, throughput=self.throughput * 2)


class _Client:
    def __init__(self, port: int, stream: Stream, tls: "ssl.SSLContext | None", address: str) -> None:
        self.stream, self.piece, self.until = stream, memoryview(b""), 0.0
        self.sent_all = False
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        if tls is not None:
            self.socket.settimeout(5)
            self.socket.connect(("127.0.0.1", port))
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            self.socket.setblocking(False)
            return
        self.socket.connect_ex(("127.0.0.1", port))

    def next_piece(self, now: float) -> bool:
        """Tell whether bytes are ready to be sent, and take them from the stream if not."""
        while not self.piece and not self.sent_all and now >= self.until:
            item = next(self.stream, None)
            if item is None:
                self.sent_all = True
            elif isinstance(item, bytes):
                self.piece = memoryview(item)
            else:
                self.until = now + item
        return bool(self.piece) and now >= self.until


class _Attacker:
    def __init__(self, attack: Attack, scene: Scene, port: int) -> None:
        self._attack, self._scene, self._port = attack, scene, port
        self._selector = selectors.DefaultSelector()
        self._clients: set[_Client] = set()
        self._doomed: list[tuple[float, _Client]] = []
        self._begun = time.monotonic()
        self.seen: Counter[str] = Counter()
        self._tls: ssl.SSLContext | None = None
        if attack.tls:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def run(self) -> Counter[str]:
        while (now := time.monotonic()) < self._begun + self._attack.seconds:
            self._open(now)
            for key, events in self._selector.select(0.002 if self._doomed or self._attack.throughput else 0.01):
                if events & selectors.EVENT_READ:
                    self._receive(key.data)
                if events & selectors.EVENT_WRITE and key.data in self._clients:
                    self._send(key.data, now)
            self._wake(now)
            if self._too_much(now):
                time.sleep(0.002)
        return self.seen

    def _too_much(self, now: float) -> bool:
        """Whether more was sent so far than `throughput` allows."""
        return bool(self._attack.throughput) and self.seen["bytes"] > self._attack.throughput * (now - self._begun)

    def _open(self, now: float) -> None:
        allowed = self._attack.rate * (now - self._begun) if self._attack.rate else float("inf")
        most = 200  # at a time: then the others have a turn
        while len(self._clients) < self._attack.connections and most and self.seen["connections"] <= allowed:
            if not self._attack.back and self.seen["connections"] >= self._attack.connections:
                return
            try:
                client = _Client(self._port, STREAMS[self._attack.stream](self._scene), self._tls, self._address())
            except OSError as error:  # no descriptor, no port
                self.seen[type(error).__name__] += 1
                return
            self._clients.add(client)
            self._selector.register(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
            self.seen["connections"] += 1
            most -= 1

    def _address(self) -> str:
        """Where the next connection comes from."""
        return f"127.0.0.{2 + self.seen['connections'] % self._attack.addresses}" if self._attack.addresses else "127.0.0.1"

    def _send(self, client: _Client, now: float) -> None:
        try:
            for _ in range(8):
                if not client.next_piece(now):
                    break
                if self._too_much(now):
                    return
                size = client.socket.send(client.piece[: 4096 if self._attack.throughput else None])
                self.seen["bytes"] += size
                client.piece = client.piece[size:]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._drop(client, type(error).__name__)
            return
        if client.sent_all and not client.piece:
            self._sent_all(client, now)
        elif client.until > now:
            self._selector.modify(client.socket, selectors.EVENT_READ, client)

    def _sent_all(self, client: _Client, now: float) -> None:
        then = self._attack.then
        self._selector.modify(client.socket, selectors.EVENT_READ, client)
        if then in ("reset", "close"):
            self._doomed.append((now + LIFE, client))
        elif then == "half":
            try:
                client.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._drop(client, type(error).__name__)

    def _receive(self, client: _Client) -> None:
        if not self._attack.read:
            return
        try:
            received = client.socket.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._drop(client, type(error).__name__)
            return
        if not received:
            self._drop(client, "closed")
            return
        for line in received.split(b"HTTP/1.1 ")[1:]:
            self.seen[line[:3].decode("latin-1")] += 1
        if client.sent_all and self._attack.then == "again":
            client.stream, client.sent_all = STREAMS[self._attack.stream](self._scene), False
            self._selector.modify(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)

    def _wake(self, now: float) -> None:
        """End the connections that are due, and resume those that paused."""
        while self._doomed and self._doomed[0][0] <= now:
            _, client = self._doomed.pop(0)
            if client in self._clients:
                if self._attack.then == "reset":
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                self._drop(client, "done")
        for client in self._clients:
            if client.until and client.until <= now:
                client.until = 0.0
                self._selector.modify(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)

    def _drop(self, client: _Client, how: str) -> None:
        self.seen[how] += 1
        self._clients.discard(client)
        self._selector.unregister(client.socket)
        client.socket.close()


class Crowd:
    """An attack in a process of its own. `seen`: once it is over, connections, bytes, answers by status, and how connections ended."""

    def __init__(self, attack: Attack, scene: Scene, port: int) -> None:
        self._attack = attack
        self._words = json.dumps([attack, scene._replace(size=attack.size, every=attack.every), port])
        self.seen: dict[str, int] = {}

    def wait(self) -> None:
        out, _ = self._process.communicate(timeout=self._attack.seconds + 60)
        assert not self._process.returncode, f"the attacker ended with {self._process.returncode}"
        self.seen = json.loads(out)

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.fault.neighbours.crowd"]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(self._words)
        self._process.stdin.close()
        self._process.stdin = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    attack, scene, port = json.load(sys.stdin)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seen: Any = _Attacker(Attack(*attack), Scene(*scene), port).run()
    json.dump(seen, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
