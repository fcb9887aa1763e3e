"""One client's connection on the loop: pieces from the socket in, answers out in order. Idle or slow, it costs a buffer."""

import mmap
import socket
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import TYPE_CHECKING

from bridge.amqp.loop import READ, WRITE
from bridge.amqp.transport import is_tls, would_block
from bridge.errors import BridgeError, MethodNotAllowed, NotFound, Overloaded
from bridge.http.framing import Request
from bridge.http.reader import RequestReader
from bridge.pending import Delivery

if TYPE_CHECKING:
    from bridge.http.listener import Server

MAX_AHEAD = 65536  # bytes read ahead while a delivery is under way
SMALL = 65536  # bytes of a body that are not worth counting
IDLE_FOR = 75.0  # seconds that a connection may wait between two requests
LINGER_FOR = 2.0  # seconds to read on after the last answer: closing over unread bytes would reset it away
# One for all connections: nothing stays in it between two events. Its pages take memory when something came that long.
_received = memoryview(mmap.mmap(-1, 262144, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class Connection(BaseHTTPRequestHandler):
    """http.server's request class; the loop calls it when its socket is readable, instead of it reading by itself."""

    def __init__(self, sock: socket.socket, address: tuple[str, int], server: "Server") -> None:
        self.connection, self.client_address = sock, address
        self.site = server
        self.descriptor = sock.fileno()  # -1 once closed
        self.since = monotonic()  # when the request under way began, or the idling
        self.proven = False  # whether a message that came over it was published
        self.reader = RequestReader(server.limits.max_body)
        self.delivery: Delivery | None = None
        self._reserved = 0
        self._advancing = self._lingering = self._input_ended = self._watched = False
        self._tls = self._handshaking = is_tls(sock)
        self._watch()

    # ---- from the socket

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self.site.loop.add(self.descriptor, self._handshake if self._handshaking else self._ready, READ)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self.site.loop.remove(self.descriptor)

    def _handshake(self, _descriptor: int, _events: int) -> None:
        """One step of TLS's handshake."""
        import ssl

        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            self.site.loop.update(self.descriptor, READ)
        except ssl.SSLWantWriteError:
            self.site.loop.update(self.descriptor, WRITE)
        except (OSError, ValueError):
            self.close()
        else:
            self._handshaking = False
            self._unwatch()
            self._watch()
            self._readable()  # the first request may have come with the handshake's last message

    def _ready(self, _descriptor: int, _events: int) -> None:
        """There is something to read; when this turn has read enough, the loop tells it again in the next."""
        if self.site.loop.reads_left:
            self.site.loop.reads_left -= 1
            self._readable()

    def _readable(self) -> None:
        """Take what has come."""
        try:
            while True:
                size = self.connection.recv_into(_received)
                if not size:
                    self._end_of_input()
                elif not self._lingering:
                    if self.delivery is None and self.reader.empty:
                        self.since = monotonic()
                    self.reader.buffer += _received[:size]
                    self._advance()
                # what waits inside the TLS layer, the loop can't see
                if not (self._tls and self._watched and self.connection.pending()):
                    return
        except would_block():
            return
        except OSError:
            self.close()

    def _end_of_input(self) -> None:
        """The client sends no more; it may still wait for an answer."""
        if self.delivery is None:
            self.close()
        else:
            self._input_ended = True
            self._unwatch()

    # ---- one request after the other

    def _advance(self) -> None:
        """Start one delivery after the other, as long as none waits for its answer."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self.delivery is None and self.reader.buffer and self.descriptor >= 0 and not self._lingering:
                item = self.reader.next()
                if self.reader.announced > SMALL:
                    self._reserve(self.reader.announced)
                if item is None:
                    if self.reader.wants_continue:
                        self.reader.wants_continue = False
                        self.handle_expect_100()
                    return
                self._begin(*item)
            if self.delivery is not None and len(self.reader.buffer) > MAX_AHEAD:
                self._unwatch()
        except BridgeError as error:
            self.site.verdict(error, client=self.client_address[0])
            self.answer(error, False)
        except Exception as error:
            self.site.bug(error)
            self.close()
        finally:
            self._advancing = False

    def _begin(self, request: Request, body: bytes) -> None:
        # the answer to HEAD would need its body left out; ending the connection does as well
        delivery = self.delivery = Delivery(self, request.keep_alive and request.method != "HEAD")
        try:
            self._dispatch(request, body, delivery)
        except Exception as error:
            delivery.broke(error)

    def _dispatch(self, request: Request, body: bytes, delivery: Delivery) -> None:
        self.site.admit(delivery)
        method = getattr(self, "do_" + request.method, None)
        if method is None:
            raise MethodNotAllowed("SNS delivers by POST")
        method(request, body, delivery)

    def do_POST(self, request: Request, body: bytes, delivery: Delivery) -> None:
        """A delivery by SNS. Raises BridgeError."""
        self.site.deliveries.receive(request, body, delivery)

    def do_GET(self, request: Request, _body: bytes, delivery: Delivery) -> None:
        """/healthy: the process is alive; it says nothing about the broker. Raises NotFound."""
        if request.target != "/healthy":
            raise NotFound("GET answers /healthy only")
        delivery.done("healthy")

    do_HEAD = do_GET

    def handle_expect_100(self) -> bool:
        """RFC 9110 section 10.1.1: the client waits for a word before it sends the body."""
        self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _reserve(self, size: int) -> None:
        """Count a large body against what all connections together may buffer. Raises Overloaded."""
        self.site.buffered += size - self._reserved
        self._reserved = size
        if self.site.buffered > self.site.limits.max_buffered:
            raise Overloaded("too many bytes are buffered (BRIDGE_MAX_BUFFERED)")

    # ---- answers

    def answer_ok(self, keep_alive: bool) -> None:
        """200, without a body."""
        keep_alive = keep_alive and not self.site.draining
        self._answered(self.site.answers.ok(keep_alive), keep_alive, False)

    def answer(self, error: BridgeError, keep_alive: bool) -> None:
        """The answer that an error stands for; its reason is the body (SNS keeps it in the topic's delivery status log)."""
        keep_alive = keep_alive and not error.close and not self.site.draining
        answer = self.site.answers.make(error.status, error.reason + "\n", error.headers, keep_alive)
        self._answered(answer, keep_alive, error.close)

    def answer_text(self, status: int, text: str, headers: str, keep_alive: bool) -> None:
        """An answer with a text and header lines of its own."""
        self._answered(self.site.answers.make(status, text, headers, keep_alive), keep_alive, False)

    def _answered(self, answer: bytes, keep_alive: bool, more_may_come: bool) -> None:
        self.delivery = None
        if self._reserved:
            self.site.buffered -= self._reserved
            self._reserved = 0
        if self.descriptor < 0:
            return
        self.since = monotonic()
        self._send(answer)
        if self.descriptor < 0:
            return
        if not keep_alive or self._input_ended:
            self._last_answer_sent(more_may_come or not self.reader.empty)
            return
        if not self._watched:
            self._watch()
            if self._tls:
                self._readable()
        if self.reader.buffer:
            self._advance()

    def _send(self, answer: bytes) -> None:
        """Send at once. A client that does not take even an answer's few bytes loses its connection."""
        try:
            if self.connection.send(answer) == len(answer):
                return
        except OSError:
            pass
        self.close()

    def _last_answer_sent(self, more_may_come: bool) -> None:
        if self._input_ended or not more_may_come:
            self.close()
            return
        self._lingering = True
        self.reader = RequestReader(0)
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._watch()

    def close(self) -> None:
        """Close the socket. A delivery under way goes on, without anybody to tell."""
        if self.descriptor < 0:
            return
        self._unwatch()
        self.descriptor = -1
        self.site.buffered -= self._reserved
        self._reserved = 0
        self.site.connections.discard(self)
        self.connection.close()

    # ---- the clock

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.delivery is None and self.reader.empty and not self._handshaking

    def expire(self, now: float) -> None:
        """End what has taken too long; now is monotonic seconds. A slow client's connection is closed without a status."""
        waited = now - self.since
        if self.delivery is not None:
            if waited >= self.site.limits.deadline:
                self.delivery.expired()
        elif waited >= (LINGER_FOR if self._lingering else IDLE_FOR if self.idle else self.site.limits.deadline):
            self.close()
