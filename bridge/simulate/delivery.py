"""SNS's delivery of many messages at once, over keep-alive connections, with retries by a delivery policy.

    outcomes = deliver_all(posts, endpoint, connections=64)                      # one attempt each
    outcomes = deliver_all(posts, endpoint, policy=Policy(), scale=0.01)         # SNS's default retries, a hundred times as fast

Source: SNS developer guide, "Amazon SNS message delivery retries" and "Creating an HTTP/S delivery policy".
"""

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from bridge.simulate.envelope import Post
from bridge.simulate.post import SNS_TIMEOUT, Closed, Connection, Endpoint


class Policy(NamedTuple):
    """healthyRetryPolicy. The defaults are SNS's own: three retries, 20 seconds apart."""

    minDelayTarget: float = 20
    maxDelayTarget: float = 20
    numRetries: int = 3
    numNoDelayRetries: int = 0
    numMinDelayRetries: int = 0
    numMaxDelayRetries: int = 0
    backoffFunction: str = "linear"

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Return the policy in a DeliveryPolicy document, of a subscription or of a topic ("http": {"defaultHealthyRetryPolicy": ...}).

        Raises KeyError.
        """
        rules = document.get("healthyRetryPolicy") or document["http"]["defaultHealthyRetryPolicy"]
        return cls(**{name: rules[name] for name in cls._fields if rules.get(name) is not None})

    def delays(self) -> list[float]:
        """Return the seconds before each retry, in SNS's phases: no delay, least delay, back-off from least to most, most delay."""
        steps = self.numRetries - self.numNoDelayRetries - self.numMinDelayRetries - self.numMaxDelayRetries
        least, most = self.minDelayTarget, self.maxDelayTarget
        backoff = [least + (most - least) * _share(self.backoffFunction, step, steps) for step in range(1, steps + 1)]
        return [0.0] * self.numNoDelayRetries + [least] * self.numMinDelayRetries + backoff + [most] * self.numMaxDelayRetries


def _share(function: str, step: int, steps: int) -> float:
    if function == "exponential":
        return float((2**step - 1) / (2**steps - 1))
    if function == "geometric":
        return float(step**2 / steps**2)
    if function == "arithmetic":
        return step * (step + 1) / (steps * (steps + 1))
    return step / steps


ONCE = Policy(numRetries=0)


class Attempt(NamedTuple):
    """One POST: its answer's status (0: none), when it began (time.monotonic()), how long it took, and what went wrong."""

    status: int
    at: float
    seconds: float
    why: str = ""


class Outcome(NamedTuple):
    """The outcome of one message. `status` is the last answer's; SNS has given up unless it is 2xx."""

    post: Post
    attempts: tuple[Attempt, ...]

    @property
    def status(self) -> int:
        """The last answer's status, 0 for no answer."""
        return self.attempts[-1].status

    @property
    def delivered(self) -> bool:
        """Whether the last answer was 2xx."""
        return 200 <= self.status < 300


def retried(status: int) -> bool:
    """Tell whether SNS sends again after a status: 0 (no answer), 5xx and, by the guide, 429. Every other refusal is final."""
    return status == 0 or status >= 500 or status == 429


class _Work:
    """The messages to send: the retries that are due, then the next new message."""

    def __init__(self, posts: Iterable[Post], outcomes: list[Outcome]) -> None:
        self._posts: Iterator[Post] = iter(posts)
        self._retries: list[tuple[float, int, Post, tuple[Attempt, ...]]] = []
        self._changed = threading.Condition()
        self._source = threading.Lock()
        self._under_way = self._count = 0
        self._exhausted = False
        self.outcomes = outcomes

    def next(self) -> tuple[Post, tuple[Attempt, ...]] | None:
        """Wait for a message to send; return it with its attempts so far, None when all is done."""
        while True:
            with self._changed:
                now = time.monotonic()
                if self._retries and self._retries[0][0] <= now:
                    self._under_way += 1
                    return heapq.heappop(self._retries)[2:]
                if self._exhausted:
                    if not self._retries and not self._under_way:
                        self._changed.notify_all()
                        return None
                    self._changed.wait(self._retries[0][0] - now if self._retries else None)
                    continue
                due = max(0.0, self._retries[0][0] - now) if self._retries else -1
            if not self._source.acquire(timeout=due):  # without _changed, because the generator may sleep while a retry is due
                continue
            try:
                post = next(self._posts, None)
            finally:
                self._source.release()
            with self._changed:
                if post is not None:
                    self._under_way += 1
                    return post, ()
                self._exhausted = True
                self._changed.notify_all()

    def done(self, post: Post, attempts: tuple[Attempt, ...], delays: list[float]) -> None:
        """Queue the next retry of a message, or append its outcome."""
        with self._changed:
            self._under_way -= 1
            if retried(attempts[-1].status) and len(attempts) <= len(delays):
                self._count += 1
                heapq.heappush(self._retries, (time.monotonic() + delays[len(attempts) - 1], self._count, post, attempts))
            else:
                self.outcomes.append(Outcome(post, attempts))
            self._changed.notify_all() if self._exhausted else self._changed.notify()


def deliver_all(
    posts: Iterable[Post],
    endpoint: Endpoint,
    *,
    connections: int = 16,
    policy: Policy = ONCE,
    scale: float = 1.0,
    timeout: float = SNS_TIMEOUT,
    outcomes: list[Outcome] | None = None,
) -> list[Outcome]:
    """Send every message and return the outcomes in the order in which they were settled.

    posts may be a generator. It is asked for the next message whenever a connection is free, so it can pace or end the load.
    scale multiplies the policy's delays; timeout is the time limit of an answer, in seconds; outcomes is appended to meanwhile.
    """
    work = _Work(posts, [] if outcomes is None else outcomes)
    delays = [delay * scale for delay in policy.delays()]
    threads = [threading.Thread(target=_send, args=(work, endpoint, delays, timeout), daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return work.outcomes


def _send(work: _Work, endpoint: Endpoint, delays: list[float], timeout: float) -> None:
    connection: Connection | None = None
    while (item := work.next()) is not None:
        post, attempts = item
        connection, attempt = _attempt(connection, endpoint, post, timeout)
        work.done(post, (*attempts, attempt), delays)
    if connection is not None:
        connection.close()


def _attempt(connection: Connection | None, endpoint: Endpoint, post: Post, timeout: float) -> tuple[Connection | None, Attempt]:
    start = time.monotonic()
    try:
        if connection is None:
            connection = endpoint.connect(timeout)
        answer = endpoint.deliver(connection, post)
    except (OSError, Closed) as error:
        if connection is not None:
            connection.close()
        return None, Attempt(0, start, time.monotonic() - start, f"{type(error).__name__}: {error}")
    attempt = Attempt(
        answer.status, start, time.monotonic() - start, "" if answer.status == 200 else answer.body.decode("utf-8", "replace")
    )
    if answer.headers.get("connection", "").lower() == "close":
        connection.close()
        return None, attempt
    return connection, attempt
