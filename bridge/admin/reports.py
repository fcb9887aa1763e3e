"""The reports of each process to the status page, beside its numbers: topics, last refusals, rates. Bounded, in shared memory.

A process writes its account into its own part of the memory, between two steps of a sequence number there. A reader that finds the
number odd or changed reads again.
"""

import json
import mmap
from collections import deque
from typing import Any

from bridge.counters import MAX_REFUSALS, Counters

ROOM = 32768  # bytes for a process; pages that are never written take no memory
MAX_TOPICS = 20  # messages of further topics are counted together, under the name ""
MAX_TROUBLE = 500  # characters
MAX_TEXT = 160  # characters of a refusal's texts
STEP = 3  # seconds
STEPS = 100


class Reports:
    """The accounts of all processes. Each process writes its own one."""

    def __init__(self, processes: int, statuses: dict[str, int]) -> None:
        """statuses maps the reasons of a refusal to their HTTP status. The memory is anonymous and inherited by fork()."""
        self._memory = mmap.mmap(-1, processes * ROOM)
        self._words = memoryview(self._memory).cast("Q")
        self._processes, self._process = processes, 0
        # the reasons of a final refusal, without 401, because SNS's first request of each delivery gets it
        self._refused = tuple(reason for reason, status in statuses.items() if status < 500 and status != 401)
        self._put_off = tuple(reason for reason, status in statuses.items() if status >= 500)
        self.topics: dict[str, list[float]] = {}  # by TopicArn: number of messages, time of the last (Unix seconds)
        self.refusals: list[list[Any]] = []
        self.rates: deque[list[int]] = deque(maxlen=STEPS)  # step, and in it: published, refused, put off, confirms, their microseconds
        self.trouble = ""  # why nothing can be published
        self._written_trouble = ""
        self._before: list[int] = []
        self._at = 0  # the step under way

    def use(self, process: int) -> None:
        """Write the account of this process (0, 1, …) from now on, beginning with the account of its predecessor."""
        self._process = process
        left = self.account(process)
        self.topics, self.refusals = left.get("topics", {}), left.get("refusals", [])
        self.rates = deque(left.get("rates", ()), STEPS)

    def account(self, process: int) -> dict[str, Any]:
        """Return a process's account; {} when it has written none, or has ended while writing."""
        at = process * ROOM
        for _ in range(100):
            before = self._words[at // 8]
            text = self._memory[at + 16 : at + 16 + self._words[at // 8 + 1]]
            if not before % 2 and before == self._words[at // 8]:
                return json.loads(text) if text else {}
        return {}

    def accounts(self) -> list[dict[str, Any]]:
        """Return the accounts of all processes."""
        return [self.account(process) for process in range(self._processes)]

    def update(self, counters: Counters, broker: str, now: float) -> None:
        """Take the news out of counters and write them. broker is its address; now is in Unix seconds."""
        changed = self._step(counters, int(now) // STEP)
        for arn, number in counters.topics.items():
            topic = self.topics.setdefault(arn if arn in self.topics or len(self.topics) < MAX_TOPICS else "", [0, 0])
            topic[0] += number
            topic[1] = int(now)
        if counters.refusals:
            new = [[one[:MAX_TEXT] if isinstance(one, str) else one for one in refusal] for refusal in counters.refusals]
            self.refusals = (self.refusals + new)[-MAX_REFUSALS:]
        if changed or counters.topics or counters.refusals or self.trouble != self._written_trouble:
            self._written_trouble = self.trouble
            counters.topics.clear()
            counters.refusals.clear()
            self._write(broker)

    def _step(self, counters: Counters, step: int) -> bool:
        """Begin a new step of the rates when it is time; tell whether one has begun."""
        if step == self._at:
            return False
        self._at = step
        confirmed, seconds = counters.own_histogram("confirm")
        totals = [
            counters.own("published"),
            sum(map(counters.own, self._refused)),
            sum(map(counters.own, self._put_off)),
            confirmed,
            seconds,
        ]
        if self._before:
            self.rates.append([step, *(now - before for now, before in zip(totals, self._before, strict=True))])
        self._before = totals
        return True

    def _write(self, broker: str) -> None:
        while True:
            account = {
                "broker": broker,
                "trouble": self.trouble[:MAX_TROUBLE],
                "topics": self.topics,
                "refusals": self.refusals,
                "rates": list(self.rates),
            }
            text = json.dumps(account, separators=(",", ":")).encode()
            if len(text) <= ROOM - 16:
                break
            del self.refusals[0]  # hostile text can grow sixfold when it is escaped
        at = self._process * ROOM
        self._words[at // 8] |= 1
        self._memory[at + 16 : at + 16 + len(text)] = text
        self._words[at // 8 + 1] = len(text)
        self._words[at // 8] += 1
