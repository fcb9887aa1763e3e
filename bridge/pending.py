"""Requests that wait for their answer. One table owns them, their deadlines, and the count of all bytes that are held.

A request knows a callable that answers it, and no connection. So it ends in time and leaves every table at once, even when its client
has gone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, DeadlineExceeded, Draining, Overloaded
from bridge.verdicts import Verdicts

if TYPE_CHECKING:
    from bridge.bodies.tracing import Trace
    from bridge.log import Log


class PendingRequest:
    """A request that is answered exactly once. Later outcomes (a confirm after the deadline) are ignored."""

    __slots__ = (
        *("_requests", "answer", "began", "client", "genuine", "held", "message_id", "over", "sent", "size", "topic_arn", "trace"),
        "waiting",
    )

    def __init__(
        self, requests: "PendingRequests", answer: Callable[[BridgeError | None], None], client: str, began: float, size: int
    ) -> None:
        """answer(None) sends a 200, answer(error) what the error says; client is its address; began in monotonic seconds; size in bytes."""
        self._requests = requests
        self.answer: Callable[[BridgeError | None], None] | None = answer  # None: the client is gone
        self.client, self.began, self.size = client, began, size
        self.over = self.genuine = self.waiting = False
        self.message_id = self.topic_arn = ""
        self.sent: float  # to the broker, in monotonic seconds
        self.trace: Trace | None = None
        self.held: Callable[[PendingRequest], None] | None = None  # takes it out of the table that holds it

    def done(self, reason: str) -> None:
        """Answer 200; reason is one of counters.OK."""
        if not self.over:
            self._end()
            self._requests.verdicts.ok(reason, self.message_id, self.topic_arn, self.trace)
            self._tell(None)

    def confirmed(self, now: float) -> None:
        """The broker has confirmed the message into a queue; now is monotonic seconds."""
        if not self.over:
            self._end()
            self._requests.verdicts.published(self.message_id, self.topic_arn, self.trace, now - self.began)
            self._tell(None)

    def failed(self, error: BridgeError) -> None:
        """Answer with what the error says."""
        if not self.over:
            self._end()
            self._requests.verdicts.refused(error, self.client, self.message_id, self.topic_arn, self.trace)
            self._tell(error)

    def _tell(self, error: BridgeError | None) -> None:
        """Answer the client. An exception in it concerns this client alone, not the broker's connection that has brought the confirm."""
        if self.answer is not None:
            try:
                self.answer(error)
            except Exception as bug:
                self._requests.log.bug(bug)

    def attempt(self, step: Callable[[], None]) -> None:
        """Take a step; an exception in it ends the request."""
        try:
            step()
        except Exception as error:
            self.broke(error)

    def broke(self, error: Exception) -> None:
        """Answer with the exception that a step has raised; one that is no BridgeError is logged as a bug."""
        if not isinstance(error, BridgeError):
            self._requests.log.bug(error)
            error = BridgeError("a bug in the bridge; the log says where")
        self.failed(error)

    def holds(self, size: int) -> None:
        """Count the bytes that are held for it now, if they are more than before."""
        if size > self.size:
            self._requests.buffered += size - self.size
            self.size = size

    def wait(self, leave: Callable[[], None]) -> None:
        """Wait for a certificate, outside the limit on requests in flight; leave() takes it out of the certificates' table."""
        self.waiting = True
        self._requests.waiting += 1
        self.held = lambda _request: leave()

    def resume(self) -> None:
        """The wait is over; the request is in flight again, unless it is over too."""
        if self.waiting:
            self.waiting = False
            self._requests.waiting -= 1
            self.held = None

    def leave(self) -> None:
        """The client is gone. A genuine message goes on to the broker; any other request ends without an answer."""
        self.answer = None
        if not self.genuine and not self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        requests = self._requests
        if self.waiting:
            self.waiting = False
            requests.waiting -= 1
        requests.pending.discard(self)
        requests.buffered -= self.size
        held, self.held = self.held, None
        if held is not None:
            held(self)


class PendingRequests:
    """All requests that have no answer yet, also those that wait for a certificate; and the number of bytes held for all clients."""

    def __init__(self, max_in_flight: int, max_buffered: int, deadline: float, verdicts: Verdicts, log: "Log") -> None:
        """max_buffered in bytes; deadline in seconds from a request's first byte to its answer."""
        self.max_in_flight, self.max_buffered, self.deadline = max_in_flight, max_buffered, deadline
        self.verdicts, self.log = verdicts, log
        self.draining = False
        self.buffered = 0  # bytes: of requests that are being received, and of those that have no answer
        self.make_room: Callable[[int], None] = lambda _size: None  # the listener's: closes connections until size bytes more would fit
        self.pending: set[PendingRequest] = set()
        self.waiting = 0  # how many of them wait for a certificate; max_in_flight does not count these

    def __len__(self) -> int:
        return len(self.pending)

    def admit(self, answer: Callable[[BridgeError | None], None], client: str, began: float, size: int) -> PendingRequest:
        """Let a request in; the arguments are PendingRequest's. Raises Draining, Overloaded."""
        if self.draining:
            raise Draining("the bridge is stopping")
        if len(self.pending) - self.waiting >= self.max_in_flight:
            raise Overloaded("too many deliveries are in flight (BRIDGE_MAX_IN_FLIGHT)")
        buffered = self.buffered + size
        if buffered > self.max_buffered:
            self.make_room(size)
            buffered = self.buffered + size
            if buffered > self.max_buffered:
                raise Overloaded("too many bytes are held (BRIDGE_MAX_BUFFERED)")
        self.buffered = buffered
        request = PendingRequest(self, answer, client, began, size)
        self.pending.add(request)
        return request

    def count(self, more: int) -> None:
        """Count bytes that are held beside requests: copies of messages that wait for a broker which does not read."""
        self.buffered += more

    def expire(self, now: float) -> None:
        """End what has taken longer than the deadline; now is monotonic seconds."""
        late = now - self.deadline
        for request in [one for one in self.pending if one.began <= late]:
            request.failed(DeadlineExceeded("the delivery took longer than BRIDGE_DEADLINE"))
        self.verdicts.sum_up()
