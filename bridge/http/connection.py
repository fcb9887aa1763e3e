"""One client's connection on the loop: bytes from the socket in, answers out in their order. An idle or slow client costs a buffer."""

import mmap
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from time import monotonic

from bridge.amqp.loop import Loop
from bridge.errors import BridgeError, MethodNotAllowed, Overloaded
from bridge.http.crowds import Crowds, network_of
from bridge.http.framing import Request
from bridge.http.reader import RequestReader
from bridge.http.responses import Responses
from bridge.pending import PendingRequest, PendingRequests
from bridge.sockets import READ, awaited, is_tls, shake_hands

MAX_AHEAD = 65536  # bytes read ahead while a request waits for its answer
IDLE_FOR = 75.0  # seconds that a connection may wait between two requests
LINGER_FOR = 2.0  # seconds to read on after the last answer, because closing over unread bytes resets the connection and loses the answer
HANDSHAKE_BYTES, TLS_BYTES = 61440, 16384  # what TLS itself holds for a client during the handshake and after it, as measured
SEND_BUFFER = 1 << 18  # bytes that the kernel should take of a long answer at once
# One buffer for all connections, because nothing stays in it between two events. A page of it takes memory once bytes have reached it.
_received = mmap.mmap(-1, 262144, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

# The states of a connection. ANSWERING leads back to READING until the last answer.
HANDSHAKING = "handshaking"  # of TLS
READING = "reading"  # the next request arrives, or is waited for
ANSWERING = "answering"  # a request waits for its answer; what arrives meanwhile is kept, up to MAX_AHEAD
LINGERING = "lingering"  # the last answer is sent; what arrives is thrown away
CLOSED = "closed"


class Service:
    """The parts that the connections of one listener share: the loop, limits, and the functions that answer."""

    def __init__(
        self,
        loop: Loop,
        requests: PendingRequests,
        max_body: int,
        get: Callable[[str], tuple[int, str, str]],
        post: Callable[[Request, bytes, PendingRequest], None] | None,
        trusted: bool = False,
    ) -> None:
        """max_body is in bytes. get(target) returns status, text (ASCII) and header lines, or raises NotFound. post(request, body, pending)
        answers `pending` now or later, or raises BridgeError; None: POST is not allowed. trusted tells whether all clients are.
        """
        self.loop, self.requests, self.max_body, self.get, self.post, self.trusted = loop, requests, max_body, get, post, trusted
        self.answers = Responses()
        self.connections: set[Connection] = set()
        self.known, self.strangers = Crowds(), Crowds()  # connections that a genuine message came over, and all others


class Connection(BaseHTTPRequestHandler):
    """http.server's request class, driven by the loop.

    The base class reads by blocking calls, and accepts headers that the framing here refuses; so its reading and writing are replaced.
    A whole request is answered at once (GET, HEAD) or becomes a PendingRequest (POST).
    """

    def __init__(self, sock: socket.socket, address: tuple[str, int], service: Service) -> None:
        self.connection, self.client_address, self.service = sock, address, service
        self.descriptor, self._tls = sock.fileno(), is_tls(sock)
        self.state = HANDSHAKING if self._tls else READING
        self.since = monotonic()  # when the request under way began, or the idling
        self.trusted = service.trusted  # whether a genuine message came over it
        self.network = network_of(address[0])
        (service.known if self.trusted else service.strangers).add(self.network)
        self.pending: PendingRequest | None = None  # in state ANSWERING
        self.reader = RequestReader(service.max_body)
        self._tls_bytes = self.buffered = HANDSHAKE_BYTES if self._tls else 0  # buffered: bytes that are counted, the reader's and TLS's
        service.requests.buffered += self.buffered
        self.close_connection = False  # after the answer under way
        self._head_only = False  # whether that answer is to HEAD
        self._greeted = False  # whether its ClientHello was answered
        self.visited = False
        self.answered = False  # it had an answer, but never one for a genuine message
        self.queued = False  # whether a visit is to come
        self._unread = False  # whether that visit is for what is here already
        self._watched = False
        self._input_ended = False
        service.connections.add(self)
        self._watch()
        (self._visit if self._tls else self._queue)()  # the first bytes have often arrived; for TLS it has stood in line (arrivals.py)

    # ---- visits: one step each, when the loop has time for it

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self.service.loop.watch(self.descriptor, self._ready)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self.service.loop.unwatch(self.descriptor)

    def _ready(self) -> None:
        if not self.queued:
            if self.trusted:  # as in _queue(), without another call
                self.queued = True
                self.service.loop.trusted.append(self._visit)
            else:
                self._queue()

    def _queue(self) -> None:
        """Stand in line for a visit."""
        self.queued = True
        loop = self.service.loop
        costly = self.state is HANDSHAKING and not self._greeted  # the ClientHello's answer is what costs
        if self.trusted:
            loop.trusted.append(self._visit)
        else:
            (loop.handshakes if costly else loop.newcomers).append(self._visit, self.network)

    def _visit(self) -> None:
        self.queued = False
        if self.state is CLOSED:  # to make room, while it stood in line
            return
        try:
            if self.state is HANDSHAKING:
                self._handshake()
                return
            item = None if self._unread else self._receive()
            self._unread = False
            if self.state is READING:
                self._advance(item)
            if (not self.reader.empty or self.buffered != self._tls_bytes) and self.state is not CLOSED:
                self._count(self.reader.held + self._tls_bytes)
        except BridgeError as error:
            self.refuse(error)
        except Exception as error:
            self.service.requests.log.bug(error)
            self.close()

    def _handshake(self) -> None:
        """One step of TLS's handshake."""
        self.visited = True
        try:
            event = shake_hands(self.connection)
        except (OSError, ValueError):
            self.close()
            return
        self.service.loop.update(self.descriptor, event or READ)
        if event == READ:
            self._greeted = self.connection.cipher() is not None
        elif not event:
            self.state = READING
            self._tls_bytes = TLS_BYTES
            self._queue()  # the first request may have come with the handshake's last message

    def _receive(self) -> tuple[Request, bytes] | None:
        """Take what has arrived; return it when it is one request."""
        try:
            size = self.connection.recv_into(_received)
        except OSError as error:
            if not awaited(error, READ):
                self.close()
            return None
        self.visited = True
        if not size:
            self._end_of_input()
        if not size or self.state is LINGERING:
            return None
        if self.state is READING and self.reader.empty:
            self.since = monotonic()
        item = self.reader.take(_received, size, self.state is READING)
        if self.state is ANSWERING and len(self.reader.buffer) > MAX_AHEAD:
            self._unwatch()
        elif self._tls and self.connection.pending():  # what waits inside the TLS layer, the loop can't see
            self._queue()
        return item

    def _end_of_input(self) -> None:
        """The client sends no more; it may still wait for an answer."""
        if self.state is not ANSWERING:
            self.close()
            return
        self._input_ended = True
        self._unwatch()

    def _count(self, held: int) -> None:
        """Count the bytes that are held for this connection. Raises Overloaded when other clients' bytes make no room for them."""
        requests = self.service.requests
        grown = held > self.buffered
        requests.buffered += held - self.buffered
        self.buffered = held
        if grown and requests.buffered > requests.max_buffered:
            requests.make_room(0)
            if requests.buffered > requests.max_buffered and self.state is READING:
                raise Overloaded("too many bytes are held (BRIDGE_MAX_BUFFERED)")

    # ---- one request after the other

    def _advance(self, item: tuple[Request, bytes] | None) -> None:
        """Start one request, item or the next that is whole. The one after it starts in another visit."""
        item = item or self.reader.next()
        if item is not None:
            self._begin(*item)
        elif self.reader.unfinished:
            self._unread = True
            if not self.queued:
                self._queue()
        elif self._input_ended:
            self.close()
        else:
            self._watch()
            if self.reader.wants_continue:
                self.handle_expect_100()

    def _begin(self, request: Request, body: bytes) -> None:
        self.close_connection = not request.keep_alive
        self._head_only = request.method == "HEAD"
        service = self.service
        if request.method == "POST" and service.post is not None:
            if self.buffered != self._tls_bytes:  # from now on the body is counted by its request
                self._count(self.reader.held + self._tls_bytes)
            self.state = ANSWERING  # before the request is let in, because room for it is made by other connections than its own
            pending = self.pending = service.requests.admit(self.answer, self.client_address[0], self.since, len(body))
            try:
                service.post(request, body, pending)
            except Exception as error:
                pending.broke(error)
        elif request.method in ("GET", "HEAD"):
            self.answered = True
            keep_alive = not self.close_connection and not service.requests.draining
            self._answered(service.answers.make(*service.get(request.target), keep_alive), keep_alive, False)
        else:
            raise MethodNotAllowed("SNS delivers by POST" if service.post else "GET and HEAD are answered here", service.post is not None)

    def handle_expect_100(self) -> bool:
        """Send 100 Continue (RFC 9110 section 10.1.1), because the client waits for it before it sends the body."""
        self.reader.wants_continue = False
        self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    # ---- answers

    def answer(self, error: BridgeError | None) -> None:
        """Answer the request under way: None is a 200 without a body; an error gives status and headers, and its reason is the body."""
        service = self.service
        keep_alive = not self.close_connection and not service.requests.draining
        if error is None:
            if not self.trusted and self.pending is not None and self.pending.genuine:
                self.trusted = True
                service.strangers.remove(self.network)
                service.known.add(self.network)
            self._answered(service.answers.ok(keep_alive), keep_alive, False)
        else:  # SNS keeps the reason in the topic's delivery status log
            self.answered = True
            keep_alive = keep_alive and not error.close
            self._answered(service.answers.make(error.status, error.reason + "\n", error.headers, keep_alive), keep_alive, error.close)

    def refuse(self, error: BridgeError) -> None:
        """Answer the request that is being received or let in with an error. Without one, close the connection."""
        if self.state is READING or (self.state is ANSWERING and self.pending is None):
            self.service.requests.verdicts.refused(error, self.client_address[0])
            self.answer(error)
        else:
            self.close()

    def evict(self, error: BridgeError) -> None:
        """Make room: answer the request that is being received with the error, and close."""
        if self.reader.empty:
            self.close()
        else:
            self.refuse(error)

    def _answered(self, answer: bytes, keep_alive: bool, more_may_come: bool) -> None:
        self.pending = None
        self.state = READING
        self.since = monotonic()
        if self._head_only:  # RFC 9110 section 9.3.2
            self._head_only = False
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        self._send(answer)
        if self.state is CLOSED:
            return
        if not keep_alive:
            self._last_answer_sent(more_may_come or not self.reader.empty)
            return
        if not self._watched and not self._input_ended and len(self.reader.buffer) <= MAX_AHEAD:
            self._watch()
        if self.reader.buffer or self._input_ended:
            self._unread = True
        elif not (self._tls and self.connection.pending()):
            return
        if not self.queued:
            self._queue()

    def _send(self, answer: bytes) -> None:
        """Send at once. If the client does not take the whole answer, its connection is closed."""
        try:
            if len(answer) > 4096:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if self.connection.send(answer) == len(answer):
                return
        except OSError:
            pass
        self.close()

    def _last_answer_sent(self, more_may_come: bool) -> None:
        if self._input_ended or not more_may_come:
            self.close()
            return
        self.state = LINGERING
        self._release()
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._watch()

    def _release(self) -> None:
        """Forget the bytes that have arrived and were not answered."""
        self.reader = RequestReader(0)
        self._unread = False
        self._count(0 if self.state is CLOSED else self._tls_bytes)

    def close(self) -> None:
        """Close the socket. A genuine message under way goes on to the broker, and its answer is dropped."""
        if self.state is CLOSED:
            return
        self._unwatch()
        self.state = CLOSED
        self._release()
        self.service.connections.discard(self)
        (self.service.known if self.trusted else self.service.strangers).remove(self.network)
        if self.queued:
            self.service.loop.forget(self._visit, self.network)
        self.connection.close()
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.leave()

    # ---- the clock

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.state is READING and self.reader.empty

    def expire(self, now: float) -> None:
        """Close what has taken too long, without an answer; now is monotonic seconds. A PendingRequest has a deadline of its own."""
        if self.state is not ANSWERING:
            limit = LINGER_FOR if self.state is LINGERING else IDLE_FOR if self.idle else self.service.requests.deadline
            if now - self.since >= limit:
                self.close()
