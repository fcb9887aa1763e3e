"""The load under which the faults happen: genuine messages at a steady rate, a forged one now and then, retried as SNS does it.

with Load(sns, bridge.endpoint()) as load:       # leaving: at least `least` were sent, and SNS is done with every one
    load.wait_for_sent(300)
    broker.kill(); ...; broker.start()
    load.over()                                  # the fault is over: from here the recovery is measured
verdict = load.verdict(broker.take(queue))
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from bridge.simulate.delivery import Attempt, Outcome, Policy, deliver_all
from bridge.simulate.envelope import Post, post
from bridge.simulate.post import SNS_TIMEOUT, Endpoint
from bridge.simulate.sns import SNS
from tests.fault.check import Verdict, judge
from tests.tools.node import Stored
from tests.tools.ports import wait_for

PATIENT = Policy(minDelayTarget=1, maxDelayTarget=1, numRetries=120)
ONE_FORGED_IN = 50


def forged(sent: Post) -> Post:
    """The same message with a text that its signature does not cover."""
    fields = json.loads(sent.body)
    return post(fields | {"Message": fields["Message"] + " forged"})


class Load:
    """`sent`: the genuine messages so far, id -> body. `outcomes`: the outcome of each message, once the load has ended."""

    def __init__(
        self,
        sns: SNS,
        endpoint: Endpoint,
        *,
        rate: float = 200,
        connections: int = 48,
        least: int = 1000,
        policy: Policy = PATIENT,
        scale: float = 1,
        timeout: float = SNS_TIMEOUT,
        make: Callable[[int], Post] | None = None,
    ) -> None:
        """rate: new messages a second. make(number) makes a genuine message."""
        self._sns, self._rate, self._least = sns, rate, least
        self._make = make or (
            lambda number: sns.notification(
                f"message {number} äöü ✓", version="12"[number % 2], subject="A subject" if number % 3 else None
            )
        )
        self.sent: dict[str, bytes] = {}
        self.outcomes: list[Outcome] = []
        self.beside: list[Attempt] = []  # POSTs made beside this load; they count for the worst answer
        self._enough = threading.Event()
        self.over_at = 0.0
        self._thread = threading.Thread(target=self._run, args=(endpoint, connections, policy, scale, timeout), daemon=True)

    def _run(self, endpoint: Endpoint, connections: int, policy: Policy, scale: float, timeout: float) -> None:
        self.outcomes = deliver_all(self._posts(), endpoint, connections=connections, policy=policy, scale=scale, timeout=timeout)

    def _posts(self) -> Iterator[Post]:
        due = time.monotonic()
        number = 0
        while not self._enough.is_set() or len(self.sent) < self._least:
            number += 1
            sent = self._make(number)
            if number % ONE_FORGED_IN:
                self.sent[sent.message_id] = sent.body
            else:
                sent = forged(sent)
            due = max(due + 1 / self._rate, time.monotonic() - 0.5)
            time.sleep(max(0.0, due - time.monotonic()))
            yield sent

    # ---- while it runs

    def wait_for_sent(self, more: int = 300, seconds: float = 60) -> None:
        """Wait until so many more messages were sent."""
        goal = len(self.sent) + more
        wait_for(f"{more} messages sent", lambda: len(self.sent) >= goal, seconds)

    def over(self) -> None:
        """The fault is over; a hundred more messages are sent after it."""
        self._least = max(self._least, len(self.sent) + 100)
        self.over_at = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._enough.set()
        if kind is None:
            self._thread.join(300)
            assert not self._thread.is_alive(), "the load did not end within 300 s"

    # ---- what came of it

    def attempts(self) -> Iterator[Attempt]:
        """Every POST that was made."""
        return (attempt for outcome in self.outcomes for attempt in outcome.attempts)

    def statuses(self, after: float = 0, before: float = float("inf")) -> set[int]:
        """The statuses of the POSTs that began in this time; 0 is no answer."""
        return {attempt.status for attempt in self.attempts() if after <= attempt.at < before}

    def worst(self) -> float:
        """Seconds of the slowest answer (or of waiting for none)."""
        return max(attempt.seconds for attempt in (*self.attempts(), *self.beside))

    def recovery(self) -> float | None:
        """Seconds from the fault's end to the first 200 of a POST that began after it; None when no end was marked."""
        if not self.over_at:
            return None
        good = [attempt.at + attempt.seconds for attempt in self.attempts() if attempt.status == 200 and attempt.at >= self.over_at]
        assert good, "nothing was answered 200 after the fault"
        return min(good) - self.over_at

    def verdict(self, stored: Iterable[Stored], publishes: int = 1) -> Verdict:
        """The one check, on what lay in the queue. publishes: how often the bridge may publish what was posted once."""
        answers = {outcome.post.message_id: [attempt.status for attempt in outcome.attempts] for outcome in self.outcomes}
        return judge(self.sent, answers, ((message.properties.message_id, message.body) for message in stored), publishes)
