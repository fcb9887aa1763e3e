"""A thousand clients at once, without a thousand threads.

attempts = post_at_once(posts, "127.0.0.1", port)      # one connection and one POST each, all at the same time
"""

import selectors
import socket
import time
from collections.abc import Sequence

from bridge.simulate.delivery import Attempt
from bridge.simulate.envelope import Post
from bridge.simulate.post import SNS_TIMEOUT, request


class _Client:
    def __init__(self, host: str, port: int, data: bytes) -> None:
        self.unsent, self.received, self.began = memoryview(data), b"", time.monotonic()
        self.attempt: Attempt | None = None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((host, port))

    def turn(self) -> bool:
        """Send or receive as much as possible; tell whether it is over."""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
                return False
            data = self.socket.recv(4096)
        except BlockingIOError:
            return False
        except OSError as error:
            return self._end(0, f"{type(error).__name__}: {error}")
        self.received += data
        if not data:
            return self._end(0, "closed without an answer")
        head, blank, body = self.received.partition(b"\r\n\r\n")
        return self._end(int(head.split()[1]), body.decode("latin-1").strip()) if blank else False

    def _end(self, status: int, why: str) -> bool:
        self.attempt = Attempt(status, self.began, time.monotonic() - self.began, why)
        return True


def post_at_once(posts: Sequence[Post], host: str, port: int, timeout: float = SNS_TIMEOUT) -> list[Attempt]:
    """POST each of them on a connection of its own; return what came, in their order. Status 0: no answer (within timeout seconds)."""
    clients = []
    with selectors.DefaultSelector() as selector:
        for sent in posts:
            client = _Client(host, port, request(sent, f"{host}:{port}"))
            clients.append(client)
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        end = time.monotonic() + timeout
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(0.5):
                client = key.data
                if client.turn():
                    selector.unregister(client.socket)
                    client.socket.close()
                elif not client.unsent and key.events == selectors.EVENT_WRITE:
                    selector.modify(client.socket, selectors.EVENT_READ, client)
        for client in clients:
            if client.attempt is None:
                client._end(0, f"no answer within {timeout:g} s")
                client.socket.close()
    return [client.attempt for client in clients if client.attempt is not None]
