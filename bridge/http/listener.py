"""The listening socket and its connections on the loop: limits, room for newcomers, TLS, and the drain."""

import errno
import socket
from http.server import HTTPServer
from time import monotonic
from typing import TYPE_CHECKING

from bridge.amqp.loop import READ
from bridge.errors import Overloaded, SettingError
from bridge.http.connection import Connection, Service
from bridge.log import Log

if TYPE_CHECKING:
    import ssl

BACKLOG = 4096  # net.core.somaxconn limits it; when the backlog overflows, clients try again after 1, 3, 7 seconds
ACCEPTS = 512  # at most in one turn
ACCEPT_FOR = 0.02  # seconds of a turn
EVICTIONS = 64  # connections that one search finds
SWEEP = 0.25  # seconds between two looks at the clock
COMPLAIN_EVERY = 10.0  # seconds between two log lines about missing descriptors
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener(HTTPServer):
    """http.server's HTTPServer, driven by the loop instead of by serve_forever()."""

    def __init__(self, bound: socket.socket, service: Service, max_connections: int, log: Log) -> None:
        """bound is what `bind` returned; service is what its connections share."""
        self._service, self._max_connections, self._log = service, max_connections, log
        self._loop = service.loop
        self._tls: ssl.SSLContext | None = None
        self._complained = float("-inf")
        self._oldest: list[tuple[int, float, Connection]] = []  # rank, since, connection: the next to be closed, the very next at the end
        super().__init__(bound.getsockname(), Connection, bind_and_activate=False)  # type: ignore[arg-type]
        self.socket.close()
        self.socket = bound
        self._loop.add(self.fileno(), self._acceptable, READ)
        self._accepting = True
        self._sweep()

    def use_tls(self, context: "ssl.SSLContext") -> None:
        """Speak TLS with every connection from now on."""
        self._tls = context

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._service.connections)

    # ---- connections

    def _acceptable(self, _descriptor: int, _events: int) -> None:
        until = monotonic() + ACCEPT_FOR
        for _ in range(ACCEPTS):
            if self._full_of_unseen():
                return
            try:
                sock, address = self.get_request()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if self._cannot_accept(error):
                    continue
                return
            self.process_request(sock, address)
            if monotonic() >= until:
                return

    def process_request(self, sock: socket.socket, address: tuple[str, int]) -> None:  # type: ignore[override]
        """Take a new connection. Above the limit another one is closed for it, or it is refused."""
        connections = self._service.connections
        if len(connections) >= self._max_connections and not self._evict():
            sock.close()
            self._service.requests.verdicts.counters.add(Overloaded.reason)
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return
        connections.add(Connection(sock, address, self._service))
        if self._service.requests.buffered > self._service.requests.max_buffered:  # TLS's own bytes
            self._service.requests.make_room(0)
        self._loop.turn = max(self._loop.turn, len(connections) // 4)

    def _evict(self) -> bool:
        """Close the connection that should go next; tell whether one was found."""
        victim = self._victim()
        if victim is not None:
            victim.close()
        return victim is not None

    def _victim(self) -> Connection | None:
        """Return the connection to be closed next, None when none may be closed.

        It is the one that has waited longest of those that were answered, but never delivered a genuine message; then of those without an
        answer; then of all. A connection that had no visit yet is not closed. One search serves many evictions, because newcomers can come
        by the thousand.
        """
        while True:
            while self._oldest:
                rank, since, one = self._oldest[-1]
                if one.since == since and rank_of(one) == rank and one.expendable and not one.unseen:
                    return one
                self._oldest.pop()
            found = [(rank_of(one), one.since, one) for one in self._service.connections if one.expendable and not one.unseen]
            if not found:
                return None
            found.sort(key=lambda one: one[:2], reverse=True)
            self._oldest = found[-EVICTIONS:]

    def _full_of_unseen(self) -> bool:
        """Whether newcomers should stay in the kernel's queue for a turn, because all connections that could make room wait for a visit."""
        connections = self._service.connections
        if len(connections) < self._max_connections:
            return False
        victim = self._victim()
        return (victim is None or victim.trusted) and any(one.unseen for one in connections)

    def make_room(self, size: int) -> None:
        """Refuse requests that are being received, or TLS handshakes, until size bytes more would fit, with a sixteenth to spare.

        Those that hold most for the longest time go first. Connections that a genuine message came over stay.
        """
        requests = self._service.requests
        now = monotonic()
        receiving = [one for one in self._service.connections if one.buffered and not one.trusted and one.expendable]
        receiving.sort(key=lambda one: one.buffered * (now - one.since))
        while receiving and requests.buffered + size > requests.max_buffered * 15 // 16:
            receiving.pop().evict(Overloaded("too many bytes are held (BRIDGE_MAX_BUFFERED), and this client's were the most"))

    def _cannot_accept(self, error: OSError) -> bool:
        """No descriptor is free: make room, and tell whether that helped. Else accept nothing for a moment: the socket stays readable."""
        if error.errno in NO_DESCRIPTORS:
            if monotonic() >= self._complained + COMPLAIN_EVERY:
                self._complained = monotonic()
                advice = "raise the limit on open files, or lower BRIDGE_MAX_CONNECTIONS"
                self._log.error("cannot_accept", explanation=f"{error.strerror}; {advice}")
            if self._evict():
                return True
        self._stop_accepting()
        self._loop.call_later(SWEEP, self._accept_again)
        return False

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove(self.fileno())

    def _accept_again(self) -> None:
        if not self._accepting and not self._service.requests.draining:
            self._accepting = True
            self._loop.add(self.fileno(), self._acceptable, READ)

    def _sweep(self) -> None:
        self._loop.call_later(SWEEP, self._sweep)
        now = monotonic()
        for connection in list(self._service.connections):
            connection.expire(now)

    # ---- the end

    def drain(self) -> None:
        """Take no more connections, and close those without a request under way."""
        self._stop_accepting()
        self.socket.close()
        for connection in list(self._service.connections):
            if connection.idle:
                connection.close()

    def log_message(self, *_: object) -> None:
        """http.server's own log is not used."""


def rank_of(one: Connection) -> int:
    """Return how late a connection is closed to make room: 0 answered, but never genuine; 1 without an answer so far; 2 trusted."""
    return 2 if one.trusted else 0 if one.answered else 1


def bind(address: tuple[str, int], setting: str, share: bool = False) -> socket.socket:
    """Return a socket that listens on (host, port), with SO_REUSEPORT when the port is to be shared.

    Raises SettingError, naming setting, when the address can't be used.
    """
    family = socket.AF_INET6 if ":" in address[0] or (not address[0] and has_ipv6()) else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if share:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise SettingError(setting, f"can't listen on {address[0] or '*'}:{address[1]}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


def has_ipv6() -> bool:
    """Tell whether an IPv6 socket can be bound here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def describe(bound: socket.socket) -> str:
    """Return the host:port that a socket listens on, an IPv6 host in brackets."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
