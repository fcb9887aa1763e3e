"""A server that plays a script on every connection, and requests to it."""

import contextlib
import socket
import ssl
import threading

import pytest

from bridge.sns.egress import EgressError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


class Server:
    """Plays a script on every connection: script(file, number of the connection), a request's head having been read.

    newest is the last connection's socket.
    """

    def __init__(self, script, tls=None):
        self.script, self.tls, self.heads, self.accepted = script, tls, [], 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                self.accepted += 1
                threading.Thread(target=self.serve, args=(sock, self.accepted), daemon=True).start()

    def serve(self, sock, number):
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.newest = sock
            with sock, sock.makefile("rwb") as file:
                while head := self.head(file):
                    self.heads.append(head)
                    if self.script(file, number) == "close":
                        return
                    file.flush()

    def head(self, file):
        lines = []
        while line := file.readline().strip().decode():
            lines.append(line)
        return lines


def ask(origin, port, scheme="http", host="127.0.0.1", limit=1000, total=5.0, read=5.0):
    return origin.exchange("GET", f"{scheme}://{host}:{port}/a?b=c", {"X-Own": "1"}, None, limit, connect=2.0, read=read, total=total)


def refusal(*arguments, **words):
    with pytest.raises(EgressError) as caught:
        ask(*arguments, **words)
    return str(caught.value)
