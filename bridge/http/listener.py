"""The listening socket and its connections, on the loop: limits, deadlines, TLS that follows its files, and the drain."""

import errno
import os
import socket
from http.server import HTTPServer
from time import monotonic, time
from typing import TYPE_CHECKING

from bridge.amqp.loop import READ, Loop
from bridge.bodies.tracing import Trace
from bridge.config import Config
from bridge.counters import Counters
from bridge.errors import BridgeError, Draining, Overloaded, SettingError
from bridge.http.connection import Connection
from bridge.http.responses import Responses
from bridge.log import Log
from bridge.pending import Delivery
from bridge.pipeline import Pipeline

if TYPE_CHECKING:
    import ssl

BACKLOG = 1024
ACCEPTS = 64  # at most in one turn
SWEEP = 0.25  # seconds between two looks at the clock
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Limits:
    """What one server takes at most: bytes, connections, seconds."""

    __slots__ = ("deadline", "max_body", "max_buffered", "max_connections", "max_in_flight")

    def __init__(self, config: Config) -> None:
        self.max_body, self.max_buffered = config.max_body, config.max_buffered
        self.max_connections, self.max_in_flight = config.max_connections, config.max_in_flight
        self.deadline = config.deadline - SWEEP - 0.1  # the sweep may come so much later, and the answer must not


class Server(HTTPServer):
    """http.server's HTTPServer, driven by the loop instead of by serve_forever()."""

    connection_class: type[Connection] = Connection
    deliveries: Pipeline

    def __init__(self, bound: socket.socket, loop: Loop, limits: Limits, counters: Counters, log: Log) -> None:
        """bound is what `bind` returned."""
        self.loop, self.limits, self.counters, self.log = loop, limits, counters, log
        self.answers = Responses()
        self.connections: set[Connection] = set()
        self.in_flight = 0
        self.buffered = 0  # bytes of large bodies
        self.draining = False
        self._tls: ssl.SSLContext | None = None
        super().__init__(bound.getsockname(), self.connection_class, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        loop.add(self.fileno(), self._acceptable, READ)
        self._accepting = True
        self._sweep()

    def use_tls(self, context: "ssl.SSLContext") -> None:
        """Speak TLS with every connection from now on."""
        self._tls = context

    # ---- connections

    def _acceptable(self, _descriptor: int, _events: int) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = self.get_request()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._cannot_accept(error)
                return
            self.process_request(sock, address)

    def process_request(self, sock: socket.socket, address: tuple[str, int]) -> None:  # type: ignore[override]
        """Take a new connection, if there are too many at the cost of the one that waits longest among those that published nothing."""
        if len(self.connections) >= self.limits.max_connections and not self._evict():
            sock.close()
            self.counters.add(Overloaded.reason)
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return
        self.connections.add(self.connection_class(sock, address, self))
        self.loop.turn = max(self.loop.turn, len(self.connections) // 4)  # each turn goes by all that are ready, read or not

    def _evict(self) -> bool:
        waiting = [connection for connection in self.connections if connection.delivery is None]
        if not waiting:
            return False
        min(waiting, key=lambda connection: (connection.proven, connection.since)).close()
        return True

    def _cannot_accept(self, error: OSError) -> None:
        """Out of descriptors: make room and look away for a moment, for the listening socket stays readable."""
        if error.errno in NO_DESCRIPTORS:
            self.log.error("cannot_accept", explanation=f"{error.strerror}; raise the limit on open files, or lower BRIDGE_MAX_CONNECTIONS")
            self._evict()
        self._stop_accepting()
        self.loop.call_later(SWEEP, self._accept_again)

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self.loop.remove(self.fileno())

    def _accept_again(self) -> None:
        if not self._accepting and not self.draining:
            self._accepting = True
            self.loop.add(self.fileno(), self._acceptable, READ)

    def _sweep(self) -> None:
        now = monotonic()
        for connection in list(self.connections):
            connection.expire(now)
        self.counters.put("connections", len(self.connections))
        self.counters.put("in_flight", self.in_flight)
        self.counters.put("log_lines_dropped_total", self.log.dropped)
        self.loop.call_later(SWEEP, self._sweep)

    # ---- deliveries

    def admit(self, delivery: Delivery) -> None:
        """Let a delivery in. Raises Draining, Overloaded."""
        if self.draining:
            raise Draining("the bridge is stopping")
        if self.in_flight >= self.limits.max_in_flight:
            raise Overloaded("too many deliveries are in flight (BRIDGE_MAX_IN_FLIGHT)")
        self.in_flight += 1
        delivery.admitted = True

    def leave(self, delivery: Delivery, reason: str) -> None:
        """A delivery has its verdict; reason is that of a 200, "" for all else."""
        if delivery.admitted:
            self.in_flight -= 1
        if reason:
            if reason == "published":
                self.counters.published.append(delivery.topic_arn)
            else:
                self.counters.add(reason)
            if self.log.debugs and delivery.message_id:
                known = {"message_id": delivery.message_id, "topic_arn": delivery.topic_arn}
                if delivery.trace is not None:
                    known["trace_id"] = delivery.trace.trace_id
                self.log.debug("verdict", status=200, reason=reason, **known)

    def verdict(self, error: BridgeError, message_id: str = "", topic_arn: str = "", client: str = "", trace: Trace | None = None) -> None:
        """Log and count what was not answered with 200."""
        self.counters.add(error.reason)
        if not error.expected:
            self.counters.refusals.append((time(), error.status, error.reason, str(error), topic_arn[:300], message_id, client))
        fields = ("message_id", message_id), ("topic_arn", topic_arn), ("client", client), ("trace_id", trace and trace.trace_id)
        known = {name: value for name, value in fields if value}
        say = self.log.error if error.status in (413, 500) else self.log.debug if error.expected else self.log.warning
        say("verdict", status=error.status, reason=error.reason, explanation=str(error), **known)

    def bug(self, error: Exception) -> None:
        """Log where the unexpected happened: names of modules and functions, never values."""
        places = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{os.path.basename(code.co_filename)}:{code.co_name}:{trace.tb_lineno}")
            trace = trace.tb_next
        self.log.error("bug", explanation=type(error).__name__, place=" < ".join(reversed(places)))

    # ---- the end

    def drain(self) -> None:
        """Take no more connections and no more requests; what is in flight gets its answer."""
        self.draining = True
        self._stop_accepting()
        self.socket.close()
        for connection in list(self.connections):
            if connection.idle:
                connection.close()

    def log_message(self, *_: object) -> None:
        """http.server's own log is not used."""


def bind(address: tuple[str, int], setting: str, share: bool = False) -> socket.socket:
    """Return a socket that listens on (host, port), with SO_REUSEPORT when the port is to be shared.

    Raises SettingError, naming setting, when the address can't be had.
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
