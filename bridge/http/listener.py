"""The listening socket and its connections on the loop: limits, room for newcomers, TLS, and the drain."""

import errno
import socket
from http.server import HTTPServer
from time import monotonic
from typing import TYPE_CHECKING

from bridge.errors import Overloaded, SettingError
from bridge.http.arrivals import Arrivals
from bridge.http.connection import ANSWERING, CLOSED, HANDSHAKE_BYTES, Connection, Service
from bridge.http.crowds import network_of
from bridge.log import Log
from bridge.sockets import READ

if TYPE_CHECKING:
    import ssl

BACKLOG = 4096  # net.core.somaxconn limits it; when the backlog overflows, clients try again after 1, 3, 7 seconds
ACCEPTS = 512  # at most in one turn
ACCEPT_FOR = 0.02  # seconds of a turn
EVICTIONS = 64  # connections that one search finds
MOST = 99  # the highest level of a crowd
SWEEP = 0.25  # seconds between two looks at the clock
COMPLAIN_EVERY = 10.0  # seconds between two log lines about missing descriptors
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener(HTTPServer):
    """http.server's HTTPServer, driven by the loop instead of by serve_forever()."""

    def __init__(self, bound: socket.socket, service: Service, max_connections: int, log: Log, waiting: int = 0) -> None:
        """bound is what `bind` returned; service is what its connections share. Above max_connections one is closed; at most `waiting` more
        wait for a TLS handshake.
        """
        self._service, self._max_connections, self._log = service, max_connections, log
        self._loop = service.loop
        self._tls: ssl.SSLContext | None = None
        self._arrivals = Arrivals(service, waiting, self._connect)
        self._complained = float("-inf")
        self._next: list[tuple[tuple[bool, int, bool, bool, float], Connection]] = []  # to be closed, by order_of, the very next at the end
        super().__init__(bound.getsockname(), Connection, bind_and_activate=False)  # type: ignore[arg-type]
        self.socket.close()
        self.socket = bound
        self._loop.add(self.fileno(), self._acceptable, READ)
        self._accepting = True
        self._sweep()

    def use_tls(self, context: "ssl.SSLContext") -> None:
        """Speak TLS with every connection from now on."""
        self._tls = context
        # A client that has sent nothing stays with the kernel for a second (tcp(7)).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._service.connections)

    # ---- connections

    def _acceptable(self, _descriptor: int, _events: int) -> None:
        until = monotonic() + ACCEPT_FOR
        for _ in range(ACCEPTS):
            if self._enough_wait():
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
        """Take a new connection. With TLS it waits for its handshake."""
        if self._tls is None:
            self._connect(sock, address)
        else:
            self._arrivals.add(sock, address)

    def _connect(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Make the connection. Above a limit another one is closed for it, or it is refused."""
        service = self._service
        connections, requests = service.connections, service.requests
        if self._tls is not None and requests.buffered + HANDSHAKE_BYTES > requests.max_buffered:
            requests.make_room(HANDSHAKE_BYTES)
        full = self._tls is not None and requests.buffered + HANDSHAKE_BYTES > requests.max_buffered
        if full or (len(connections) >= self._max_connections and not self._evict(service.strangers.level(network_of(address[0])))):
            sock.close()
            requests.verdicts.counters.add(Overloaded.reason)
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return
        Connection(sock, address, service)
        self._loop.turn = max(self._loop.turn, len(connections) // 4)

    def _evict(self, level: int) -> bool:
        """Close the connection that should go next; tell whether one was found.

        level is that of the newcomer's network. A connection that had no visit yet is only closed when its network's level is higher.
        """
        victim = self._victim()
        if victim is None or (is_unseen(victim) and self._service.strangers.level(victim.network) <= level):
            return False
        victim.close()
        return True

    def _victim(self) -> Connection | None:
        """Return the connection to be closed next, by `order_of`; None when none may be closed.

        One search serves many evictions, because newcomers can come by the thousand.
        """
        level = self._service.strangers.level
        while True:
            while self._next:
                order, one = self._next[-1]
                if is_expendable(one) and order_of(one, order[1]) == order:
                    return one
                self._next.pop()
            found = [(order_of(one, -level(one.network)), one) for one in self._service.connections if is_expendable(one)]
            if not found:
                return None
            found.sort(key=lambda one: one[0], reverse=True)
            self._next = found[-EVICTIONS:]

    def _enough_wait(self) -> bool:
        """Whether newcomers should stay in the kernel's queue for a turn, because all that could make room for them wait for a visit.

        They do not when a genuine message came from another network than these: the next newcomer may be from there too. Without that none
        that waits for a handshake is closed: it would come again, in front of all others.
        """
        service = self._service
        if self._tls is not None:
            return self._arrivals.full and not service.known.elsewhere(self._arrivals.largest())
        if len(service.connections) < self._max_connections:
            return False
        victim = self._victim()
        return victim is not None and is_unseen(victim) and not service.known.elsewhere(victim.network)

    def make_room(self, size: int) -> None:
        """Refuse requests that are being received, or TLS handshakes, until size bytes more would fit, with a sixteenth to spare.

        Those of the network that holds most go first, of them those that hold most for the longest time; networks that hold less than a
        sixteenth of all are alike. Connections that a genuine message came over stay.
        """
        requests = self._service.requests
        now = monotonic()
        receiving = [one for one in self._service.connections if one.buffered and not one.trusted and is_expendable(one)]
        held: dict[str, int] = {}
        for one in receiving:
            held[one.network] = held.get(one.network, 0) + one.buffered * 16
        receiving.sort(key=lambda one: ((held[one.network] // requests.max_buffered).bit_length(), one.buffered * (now - one.since)))
        while receiving and requests.buffered + size > requests.max_buffered * 15 // 16:
            receiving.pop().evict(Overloaded("too many bytes are held (BRIDGE_MAX_BUFFERED), and this client's were the most"))
        while requests.buffered + size > requests.max_buffered and self._arrivals.drop_one():
            pass

    def _cannot_accept(self, error: OSError) -> bool:
        """No descriptor is free: make room, and tell whether that helped. Else accept nothing for a moment: the socket stays readable."""
        if error.errno in NO_DESCRIPTORS:
            if monotonic() >= self._complained + COMPLAIN_EVERY:
                self._complained = monotonic()
                advice = "raise the limit on open files, or lower BRIDGE_MAX_CONNECTIONS"
                self._log.error("cannot_accept", explanation=f"{error.strerror}; {advice}")
            if self._evict(MOST):
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
        self._next.clear()
        self._arrivals.expire(now)
        for connection in list(self._service.connections):
            connection.expire(now)

    # ---- the end

    def drain(self) -> None:
        """Take no more connections, and close those without a request under way."""
        self._stop_accepting()
        self.socket.close()
        self._arrivals.close()
        for connection in list(self._service.connections):
            if connection.idle:
                connection.close()


def is_expendable(one: Connection) -> bool:
    """Tell whether it may be closed to make room: it has no genuine message under way, and no request that is just let in."""
    if one.state is ANSWERING:
        return one.pending is not None and not one.pending.genuine
    return one.state is not CLOSED


def is_unseen(one: Connection) -> bool:
    """Tell whether it stands in line with the first that it sent."""
    return one.queued and not one.visited


def order_of(one: Connection, crowd: int) -> tuple[bool, int, bool, bool, float]:
    """Return the key that sorts connections by when they are closed to make room. crowd is the level of its network, negative.

    Connections that a genuine message came over go last. Of the others those go first whose network has most of them. Of one level those
    go first that were answered, though never for a genuine message; then those without an answer; then those that had no visit yet; and of
    these the one that has waited longest.
    """
    return one.trusted, crowd, is_unseen(one), not one.answered, one.since


def bind(address: tuple[str, int], setting: str, share: bool = False) -> socket.socket:
    """Return a socket that listens on (host, port), with SO_REUSEPORT when the port is to be shared.

    Raises SettingError, naming setting, when the address can't be used.
    """
    try:
        sock = _bound(address, share)
        sock.listen(BACKLOG)
    except OSError as error:
        raise _unusable(address, setting, error) from None
    sock.setblocking(False)
    return sock


def look_at(address: tuple[str, int], setting: str) -> None:
    """Raise SettingError when `bind` would, but for a port that is in use: the bridge itself may use it."""
    try:
        _bound(address, False).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise _unusable(address, setting, error) from None


def _bound(address: tuple[str, int], share: bool) -> socket.socket:
    """Return a socket that has the address and does not listen yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] or (not address[0] and has_ipv6()) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _unusable(address: tuple[str, int], setting: str, error: OSError) -> SettingError:
    return SettingError(setting, f"can't listen on {address[0] or '*'}:{address[1]}: {error.strerror or error}")


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
