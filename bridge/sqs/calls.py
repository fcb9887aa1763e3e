"""The calls to SQS that are under way: the loop takes their steps, and only what blocks has a thread (a connection, credentials)."""

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from bridge.amqp.loop import Loop
from bridge.sns.egress import EgressError
from bridge.sns.fetch import Egress
from bridge.sns.steps import Steps, Waiting

WAITING = 64  # calls that wait for their turn
THREAD = 30.0  # seconds for what a thread does
NEVER = float("inf")

Then = Callable[[Any, Exception | None], None]


class Calls:
    """Takes the steps of a number of calls. The others wait for their turn."""

    def __init__(self, loop: Loop, egress: Egress, at_once: int) -> None:
        """at_once is how many calls may be under way."""
        self.loop, self.egress, self._at_once = loop, egress, at_once
        self._waiting: deque[_Call] = deque()
        self.under_way: set[_Call] = set()

    def run(self, steps: Steps[Any], then: Then) -> None:
        """Take the steps of a call; then(its result, None) or then(None, what it raised) is called on the loop, never at once."""
        if len(self._waiting) < WAITING:
            self._waiting.append(_Call(self, steps, then))
            self.begin()
        else:
            self.loop.call_soon(lambda: then(None, EgressError("too many calls are waiting")))

    def begin(self) -> None:
        """Begin as many calls as may be under way."""
        while self._waiting and len(self.under_way) < self._at_once:
            call = self._waiting.popleft()
            self.under_way.add(call)
            self.loop.letters.append(call.visit)

    def expire(self) -> None:
        """Go on with the calls that have waited too long; they see it. To be called several times a second."""
        now = monotonic()
        for call in [one for one in self.under_way if one.until <= now]:
            call.ready()


class _Call:
    """A call under way."""

    def __init__(self, calls: Calls, steps: Steps[Any], then: Then) -> None:
        self._calls, self._steps, self._then = calls, steps, then
        self._descriptor = -1  # that the loop watches
        self.until = NEVER  # monotonic seconds: when it has waited too long for a connection

    def ready(self) -> None:
        """Wait for the connection no more, and go on soon."""
        loop, self.until = self._calls.loop, NEVER
        loop.unwatch(self._descriptor)
        loop.letters.append(self.visit)

    def visit(self, result: Any = None, error: Exception | None = None) -> None:
        """Take the next step with the result or the error of what it waited for."""
        calls, letters = self._calls, self._calls.loop.letters
        try:
            wanted = self._steps.send(result) if error is None else self._steps.throw(error)
        except Exception as end:
            calls.under_way.discard(self)
            calls.begin()
            if isinstance(end, StopIteration):
                self._then(end.value, None)
            else:
                self._then(None, end)
            return
        if isinstance(wanted, Waiting):
            self._descriptor = wanted.sock.fileno()
            try:
                calls.loop.watch(self._descriptor, self.ready, wanted.event)
            except (OSError, ValueError) as refused:  # the kernel's limit on what a user may watch
                letters.append(partial(self.visit, None, refused))
                return
            self.until = monotonic() + wanted.left
        elif isinstance(wanted, float):
            calls.loop.call_later(wanted, lambda: letters.append(self.visit))
        else:
            calls.egress.run(
                wanted, THREAD, lambda result, why: letters.append(lambda: self.visit(result, EgressError(why) if why else None))
            )
