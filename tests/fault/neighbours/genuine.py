"""Genuine messages at a steady rate, each posted once, at its time, whatever the outcome of earlier ones; and the answers of /livez."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from bridge.simulate.envelope import Post
from bridge.simulate.post import Connection, Endpoint
from bridge.simulate.sns import SNS
from tests.fault.check import Verdict, judge
from tests.tools.node import Stored

PATIENCE = 15.0  # seconds that SNS waits for an answer
WORKERS = 80
LARGE = 80_000


class Delivery(NamedTuple):
    """One POST. due: when it had to be sent (time.monotonic()); seconds: from then to the answer; status 0: none, and why."""

    message_id: str
    due: float
    seconds: float
    status: int
    why: str


class Genuine:
    """A third of the messages each on a new connection, the others on kept ones; one in ten is of 80 KB.

    with Genuine(sns, endpoint) as genuine: ...
    genuine.deliveries; genuine.verdict(stored)
    """

    def __init__(self, sns: SNS, endpoint: Endpoint, *, rate: float = 30, large: int = 10, **fields: Any) -> None:
        """rate: messages a second. large: one in so many is of 80 KB; 0: none. fields: of each, such as topic."""
        self._sns, self._endpoint, self._rate, self._large, self._fields = sns, endpoint, rate, large, fields
        self._work: queue.SimpleQueue[tuple[float, Post, bool] | None] = queue.SimpleQueue()
        self._kept: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._enough = threading.Event()
        self.sent: dict[str, bytes] = {}
        self.deliveries: list[Delivery] = []
        self._threads = [threading.Thread(target=self._pace, daemon=True)]
        self._threads += [threading.Thread(target=self._deliver, daemon=True) for _ in range(WORKERS)]

    def _pace(self) -> None:
        begun = time.monotonic()
        number = 0
        while not self._enough.is_set():
            number += 1
            large = self._large and number % self._large == 0
            post = self._sns.notification(f"{number} " + "z" * (LARGE if large else 100), version="12"[number % 2], **self._fields)
            due = begun + number / self._rate
            time.sleep(max(0.0, due - time.monotonic()))
            self.sent[post.message_id] = post.body
            self._work.put((due, post, number % 3 == 0))
        for _ in range(WORKERS):
            self._work.put(None)

    def _deliver(self) -> None:
        while (item := self._work.get()) is not None:
            due, post, new = item
            status, why = self._one(post, new)
            self.deliveries.append(Delivery(post.message_id, due, time.monotonic() - due, status, why))

    def _one(self, post: Post, new: bool) -> tuple[int, str]:
        connection = None
        try:
            if not new:
                try:
                    connection = self._kept.get_nowait()
                except queue.Empty:
                    pass
            connection = connection or self._endpoint.connect(PATIENCE)
            answer = self._endpoint.deliver(connection, post)
        except OSError as error:
            if connection is not None:
                connection.close()
            return 0, f"{type(error).__name__}: {error}"
        if new or answer.headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._kept.put(connection)
        return answer.status, answer.body.decode("latin-1").strip()

    def __enter__(self) -> "Genuine":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE + 10)
        while not self._kept.empty():
            self._kept.get_nowait().close()

    # ---- what came of it

    def between(self, begin: float, end: float) -> list[Delivery]:
        """The deliveries that were due in this time."""
        return [delivery for delivery in self.deliveries if begin <= delivery.due < end]

    def refused(self) -> list[Delivery]:
        """Those that were not answered 200."""
        return [delivery for delivery in self.deliveries if delivery.status != 200]

    def verdict(self, stored: list[Stored]) -> Verdict:
        """The one check, on what lay in the queue."""
        answers = {delivery.message_id: [delivery.status] for delivery in self.deliveries}
        return judge(self.sent, answers, ((message.properties.message_id, message.body) for message in stored))


def quantile(seconds: list[float], share: float) -> float:
    """The value below which this share of them lies (the next one above, because they are few)."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] if seconds else 0.0


@contextmanager
def asked(port: int, path: str = "/livez", every: float = 0.2) -> Iterator[list[tuple[float, int]]]:
    """Ask the admin listener again and again, each time on a new connection: a list of seconds and status, which grows."""
    answers: list[tuple[float, int]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            begun, status = time.monotonic(), 0
            try:
                with Connection("127.0.0.1", port, timeout=PATIENCE) as connection:
                    status = connection.get(path).status
            except OSError:
                pass
            answers.append((time.monotonic() - begun, status))
            stop.wait(every)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(PATIENCE + 1)
