"""Calls that wait, as generators: the loop takes their steps beside everything else (bridge/sqs/calls.py), or a thread does, at once.

Source: PEP 380, "Syntax for Delegating to a Subgenerator"."""

import select
from collections.abc import Callable, Generator
from time import monotonic, sleep
from typing import Any, TypeVar

from bridge.sockets import READ, awaited

RECEIVE = 65536  # bytes of a recv
BUSY = 0.002  # seconds after which a step ends although the next need not wait, because others have work too


class Waiting:
    """A connection of which a step waits: for `event` (of poll) on `sock`, `left` seconds at most."""

    def __init__(self, sock: Any, read: float, until: float) -> None:
        """read: the seconds of one step; until: when the answer has to be there (monotonic seconds)."""
        self.sock, self.read, self.until = sock, read, until
        self.answered = False  # whether a byte of an answer came
        self.event, self.left, self.resumed = 0, 0.0, monotonic()

    def when(self, event: int, operation: Callable[[Any], Any], argument: Any, at_once: bool = True) -> "Steps[Any]":
        """Return operation(argument), which reads from the socket or writes to it, once it need not wait. Raises OSError.

        at_once: whether it is worth trying before the first event.
        """
        self.event, since = event, monotonic()
        while True:
            now = monotonic()
            if now - self.resumed > BUSY:
                yield 0.0
                self.resumed = now = monotonic()
            if at_once and now < self.until:
                try:
                    return operation(argument)
                except OSError as error:
                    self.event = awaited(error, event)
                    if not self.event:
                        raise
            at_once = True
            self.left = min(since + self.read, self.until) - now
            if self.left <= 0:
                raise TimeoutError
            yield self
            self.resumed = monotonic()

    def receive(self, found: bytearray) -> "Steps[bool]":
        """Add what comes next to `found`; return whether anything came, or the other side has ended. Raises OSError."""
        part: bytes = (yield from self.when(READ, self.sock.recv, RECEIVE, self.answered)) or b""  # TLS in TLS ends with 0
        self.answered = self.answered or len(part) > 0
        found += part
        return len(part) > 0


Result = TypeVar("Result")
# What a call waits for, step by step: a connection; so many seconds; or work that blocks, whose result is sent in.
Steps = Generator[Waiting | float | Callable[[], Any], Any, Result]


def drive(steps: "Steps[Result]") -> Result:
    """Take all steps of a call; return its result. Blocks. Raises what the call raises."""
    result: Any = None
    error: Exception | None = None
    while True:
        try:
            wanted = steps.send(result) if error is None else steps.throw(error)
        except StopIteration as end:
            found: Result = end.value
            return found
        result = error = None
        if isinstance(wanted, Waiting):
            poll = select.poll()
            poll.register(wanted.sock, wanted.event)
            poll.poll(wanted.left * 1000)
        elif isinstance(wanted, float):
            sleep(wanted)
        else:
            try:
                result = wanted()
            except Exception as raised:
                error = raised
