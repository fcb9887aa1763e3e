"""A delivery's one verdict, whoever comes to it first: a step of the line, the broker, the clock."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.bodies import tracing
from bridge.errors import BridgeError, DeadlineExceeded

if TYPE_CHECKING:
    from bridge.http.connection import Connection


class Delivery:
    """One request that is being answered: once, by whoever speaks first. What comes later (a confirm after the deadline) is nobody's."""

    __slots__ = ("admitted", "connection", "keep_alive", "message_id", "sent", "topic_arn", "trace")

    def __init__(self, connection: "Connection", keep_alive: bool) -> None:
        self.connection: Connection | None = connection
        self.keep_alive, self.admitted = keep_alive, False
        self.message_id, self.topic_arn, self.sent = "", "", 0.0  # sent to the broker, in monotonic seconds
        self.trace: tracing.Trace | None = None

    def done(self, reason: str) -> None:
        """Answer 200."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.site.leave(self, reason)
            connection.answer_ok(self.keep_alive)

    def confirmed(self, now: float) -> None:
        """The broker has confirmed the message into a queue; now is monotonic seconds."""
        if self.connection is not None:
            self.connection.proven = True
            self.connection.site.counters.publish_times.append(now - self.connection.since)
        self.done("published")

    def failed(self, error: BridgeError) -> None:
        """Answer with what the error says."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.site.leave(self, "")
            connection.site.verdict(error, self.message_id, self.topic_arn, connection.client_address[0], self.trace)
            connection.answer(error, self.keep_alive)

    def attempt(self, step: Callable[[], None]) -> None:
        """Take a step; what it raises is the delivery's end."""
        try:
            step()
        except Exception as error:
            self.broke(error)

    def broke(self, error: Exception) -> None:
        """Answer with what a step has raised."""
        if isinstance(error, BridgeError):
            self.failed(error)
            return
        if self.connection is not None:
            self.connection.site.bug(error)
        self.failed(BridgeError("a bug in the bridge; the log says where"))

    def expired(self) -> None:
        """Its time is up."""
        self.failed(DeadlineExceeded("the delivery took longer than BRIDGE_DEADLINE"))

    @property
    def over(self) -> bool:
        """Whether it has been answered."""
        return self.connection is None
