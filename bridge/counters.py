"""Numbers that all processes of the bridge share: each process has a row in one piece of memory, and each can add up all rows.

Deliveries only append to lists, because that is cheap. `flush` adds the lists to the row, four times a second.
"""

import mmap
import os
from bisect import bisect_right
from collections import Counter, deque
from time import time

OK = ("published", "confirmed", "unsubscribed", "healthy")  # the reasons of a 200
GAUGES = (
    "connections",
    "in_flight",
    "started",
    "ready",
    "blocked",
    "draining",
    "pid",
    "turned",
    "sqs_waiting",
)  # 0 once the process is gone
COUNTS = (
    "broker_connections_total",
    "blocked_milliseconds",
    "returns_total",
    "certificate_fetches_total",
    "certificate_fetch_failures_total",
    "log_lines_dropped_total",
    "attributes_left_out_total",
)
SQS_ERRORS = ("no-credentials", "access-denied", "no-such-queue", "clock", "throttled", "unavailable")  # kinds of a call that failed
SQS_COUNTS = ("polls", "received", "published", "confirmed", "deleted", "delete_failures")
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds: upper bounds of the histograms
HISTOGRAMS = ("publish", "confirm")
MAX_REFUSALS = 12  # the last ones are kept


class Counters:
    """Whole numbers by name, summed over the processes."""

    def __init__(self, processes: int, statuses: dict[str, int]) -> None:
        """statuses maps the reasons of BridgeError's classes to their HTTP status. The memory is anonymous and inherited by fork()."""
        self.statuses = statuses
        self.main = os.getpid(), time()  # the process that started the bridge, and when
        names = [*OK, *GAUGES, *COUNTS, *statuses, *(f"sqs_{name}_total" for name in SQS_COUNTS)]
        names += [*(f"sqs:{reason}" for reason in statuses), *(f"sqs_errors:{kind}" for kind in SQS_ERRORS)]
        self._at = {name: at for at, name in enumerate(names)}
        for at, name in enumerate(HISTOGRAMS):  # the buckets, the one without a bound, and the sum in microseconds
            self._at[name] = len(names) + at * (len(BOUNDS) + 2)
        self._width = len(names) + len(HISTOGRAMS) * (len(BOUNDS) + 2)
        self._all = memoryview(mmap.mmap(-1, processes * self._width * 8)).cast("Q")
        self.processes = processes
        self.row = self._all[: self._width]
        # of this process, and not in its row yet
        self.published: list[str] = []  # a TopicArn for each message
        self.publish_times: list[float] = []  # seconds
        self.confirm_times: list[float] = []
        # of this process alone
        self.topics: Counter[str] = Counter()  # published, by TopicArn
        self.refusals: deque[tuple[float, int, str, str, str, str, str]] = deque(maxlen=MAX_REFUSALS)

    def use(self, process: int) -> None:
        """Write to the row of this process (0, 1, …) from now on. The counts of its predecessor stay, because totals never fall."""
        self.row = self._all[process * self._width : (process + 1) * self._width]

    def forget(self, process: int) -> None:
        """Set the gauges of a process that has died to 0."""
        for gauge in GAUGES:
            self._all[process * self._width + self._at[gauge]] = 0

    def own(self, name: str) -> int:
        """Return the value of this process."""
        return self.row[self._at[name]]

    def of(self, process: int, name: str) -> int:
        """Return the value of a process (0, 1, …)."""
        return self._all[process * self._width + self._at[name]]

    def add(self, name: str, much: int = 1) -> None:
        """Add to a count of this process."""
        self.row[self._at[name]] += much

    def put(self, name: str, value: int) -> None:
        """Set a gauge of this process."""
        self.row[self._at[name]] = value

    def total(self, name: str) -> int:
        """Return the sum over all processes."""
        return sum(self._all[self._at[name] :: self._width])

    def histogram(self, name: str) -> tuple[list[int], float]:
        """Return the number of durations in each bucket, and their sum in seconds.

        A bucket holds the durations above the bound before it, up to its own in BOUNDS; the last one holds those above all bounds.
        """
        at = self._at[name]
        buckets = [sum(self._all[at + bucket :: self._width]) for bucket in range(len(BOUNDS) + 2)]
        return buckets[:-1], buckets[-1] / 1e6

    def own_histogram(self, name: str) -> tuple[int, int]:
        """Return the number of durations of this process, and their sum in microseconds."""
        at = self._at[name] + len(BOUNDS) + 1
        return sum(self.row[self._at[name] : at]), self.row[at]

    def flush(self) -> None:
        """Add what was appended since the last call to this process's row."""
        if self.published:
            self.add("published", len(self.published))
            self.topics.update(self.published)
            self.published.clear()
        for name, times in zip(HISTOGRAMS, (self.publish_times, self.confirm_times), strict=True):
            if times:
                self._observe(self._at[name], times)

    def _observe(self, at: int, times: list[float]) -> None:
        times.sort()
        below = 0
        for bound in BOUNDS:
            within = bisect_right(times, bound)
            self.row[at] += within - below
            below = within
            at += 1
        self.row[at] += len(times) - below
        self.row[at + 1] += int(sum(times) * 1e6)
        times.clear()
