"""How requests end: counted and logged. Refusals that repeat too often are summed up in the log."""

from time import monotonic, time
from typing import TYPE_CHECKING

from bridge.counters import Counters
from bridge.errors import BridgeError
from bridge.log import Log

if TYPE_CHECKING:
    from bridge.bodies.tracing import Trace

LINES = 20  # of the log, for one reason in one second; a client can cause thousands


class Verdicts:
    """The one place that counts and logs the end of requests."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self.counters, self._log = counters, log
        self._lines: dict[str, int] = {}  # by reason, in this second
        self._second = 0

    def published(self, message_id: str, topic_arn: str, trace: "Trace | None", seconds: float) -> None:
        """Count a message that the broker has confirmed; seconds is the time since its request's first byte."""
        self.counters.published.append(topic_arn)
        self.counters.publish_times.append(seconds)
        if self._log.debugs:
            self._tell("published", message_id, topic_arn, trace)

    def ok(self, reason: str, message_id: str = "", topic_arn: str = "", trace: "Trace | None" = None) -> None:
        """Count another 200; reason is one of counters.OK."""
        self.counters.add(reason)
        if self._log.debugs and message_id:
            self._tell(reason, message_id, topic_arn, trace)

    def _tell(self, reason: str, message_id: str, topic_arn: str, trace: "Trace | None") -> None:
        known = {"message_id": message_id, "topic_arn": topic_arn}
        if trace is not None:
            known["trace_id"] = trace.trace_id
        self._log.debug("verdict", status=200, reason=reason, **known)

    def refused(
        self, error: BridgeError, client: str = "", message_id: str = "", topic_arn: str = "", trace: "Trace | None" = None
    ) -> None:
        """Count and log a request that is not answered with 200. client is an address; topic_arn may be hostile text."""
        self.counters.add(error.reason)
        if not error.expected:
            self.counters.refusals.append((time(), error.status, error.reason, str(error), topic_arn[:300], message_id, client))
        self.sum_up()
        lines = self._lines[error.reason] = self._lines.get(error.reason, 0) + 1
        if lines > LINES:
            return
        fields = ("message_id", message_id), ("topic_arn", topic_arn), ("client", client), ("trace_id", trace and trace.trace_id)
        known = {name: value for name, value in fields if value}
        say = self._log.error if error.status in (413, 500) else self._log.debug if error.expected else self._log.warning
        say("verdict", status=error.status, reason=error.reason, explanation=str(error), **known)

    def sum_up(self) -> None:
        """When a new second has begun, log how many verdicts of the last one got no line of their own."""
        second = int(monotonic())
        if second == self._second:
            return
        self._second = second
        for reason, lines in self._lines.items():
            if lines > LINES:
                self._log.warning("verdicts_not_logged", reason=reason, number=lines - LINES)
        self._lines.clear()
