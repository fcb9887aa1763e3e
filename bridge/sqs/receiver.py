"""Receiving from queues, on the loop: ReceiveMessage -> the pipeline -> the broker's confirm -> DeleteMessageBatch, in this order only.

Source: SQS developer guide, "Amazon SQS visibility timeout", "Amazon SQS short and long polling"; SQS API reference.
"""

import os
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from bridge.amqp.loop import Loop
from bridge.amqp.publisher import Publisher
from bridge.counters import Counters
from bridge.errors import BridgeError, Draining, concerns_others, stays_in_queue
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.pipeline import Pipeline
from bridge.sns.egress import EgressError
from bridge.sns.steps import Steps
from bridge.sqs.calls import Calls
from bridge.sqs.queue import AT_ONCE, Batch, Queue, ReceivedMessage, Refusal, SQSError, TooLong, whole_number

WAIT = 20  # seconds of a long poll: SQS's limit
VISIBILITY = 60  # seconds in which a message has to be published and deleted, else SQS shows it again
POLLS = 8  # of ten messages each, at once for a queue, while batches come back full
QUIET = 1.0  # seconds without a request by HTTP after which there is more than one poll; else a POST would wait behind so many messages
# While requests come by HTTP, a queue rests after each batch for so many times what that took, and so many seconds at most: SQS, the
# bridge and RabbitMQ have time for a POST then, on few cores too.
REST, MAX_REST = 3, 0.25
SOON = 0.05  # seconds until a batch that is not full is sent
MAX_UNDELETED = 1000  # published messages whose deletes fail; above it nothing is received
REFUSED, MAX_REFUSED = 3600, 39600  # seconds for which a refused message is hidden, for each receive; SQS's limit is 12 h
MAX_PUT_OFF = 900  # seconds for which a message without a confirm is hidden at most
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until the next poll or delete after a failure
ALONE = 100  # messages in a row that fail for a reason of their own; then a pause, because it may be that of all
LOOK = 60.0  # seconds between two looks at how many messages wait
FIRST_LOOK = 2.0  # seconds; a connection that is made beside all else of a start takes 0.8 MiB for good
MAX_KNOWN = 10_000  # refused messages that are remembered


class Receiver:
    """Receives from one queue. A message is deleted only when the broker has confirmed it."""

    def __init__(
        self,
        queue: Queue,
        calls: Calls,
        loop: Loop,
        pipeline: Pipeline,
        requests: PendingRequests,
        publisher: Publisher,
        counters: Counters,
        log: Log,
    ) -> None:
        self._queue, self._calls, self._loop, self._pipeline = queue, calls, loop, pipeline
        self._requests, self._publisher, self._counters, self._log = requests, publisher, counters, log
        self._client = f"sqs:{queue.name}"
        self._asked = 0  # messages that the polls under way can bring
        self._each, self._at_once = 0, AT_ONCE  # bytes that one of them takes, as the last answers had it; how many a poll asks for
        self._in_flight: dict[str, ReceivedMessage] = {}  # by MessageId: received and not answered yet
        self._wanted = 1  # polls at once, and batches in flight
        self._full = False  # whether the last batch was full
        self._posted_at = 0.0  # monotonic seconds: when a request by HTTP was last seen
        self._began = self._rest_until = 0.0  # monotonic seconds: when the batch in flight came; when the rest after one ends
        # Published, and not known to be deleted. MessageId -> its newest ReceiptHandle; until when that hides it, in monotonic seconds.
        self._undeleted: dict[str, tuple[str, float]] = {}
        self._to_delete: list[str] = []  # MessageIds
        self._to_hide: list[tuple[str, int]] = []  # ReceiptHandle, seconds
        self._refused: dict[str, None] = {}  # MessageIds of messages that were refused for good
        self._flush_soon = self._settle_soon = False
        self._pause = self._delete_pause = FIRST_PAUSE
        self._alone = 0  # messages in a row that failed for a reason of their own
        self._resume_at = 0.0  # monotonic seconds
        self._look_at = monotonic() + FIRST_LOOK
        self._complaints: dict[str, str] = {}  # by operation: the last explanation that was logged
        self.waiting = 0  # messages in the queue, as SQS estimates it
        self.all_in_flight: Callable[[], int] = lambda: len(self._in_flight)  # of all queues

    @property
    def in_flight(self) -> int:
        """The number of messages that were received and not answered yet."""
        return len(self._in_flight)

    @property
    def posted(self) -> bool:
        """Whether a request came by HTTP a moment ago."""
        return monotonic() - self._posted_at <= QUIET

    @property
    def idle(self) -> bool:
        """Whether nothing published waits for its delete."""
        return not self._undeleted

    # ---- receive

    def pull(self) -> None:
        """Receive as much as the broker and the limits let in. Called now and then, and after each batch."""
        while (number := self._room()) > 0:
            self._asked += number
            self._counters.add("sqs_polls_total")
            self._call("ReceiveMessage", self._queue.receive(number, WAIT, VISIBILITY), partial(self._received, number, monotonic()))

    def _room(self) -> int:
        """Return how many messages may be asked for now; 0 while the broker takes nothing."""
        requests, at_once, here = self._requests, self._at_once, len(self._in_flight) + self._asked
        least = (at_once + 1) // 2 if self._wanted == 1 else at_once  # while few come, polls may be small; while many come, they are full
        least = min(least, requests.max_in_flight)
        if at_once * self._wanted - here < least:  # first, because most calls end here
            return 0
        now = monotonic()
        if not self._publisher.ready or requests.draining or now < self._resume_at or len(self._undeleted) >= MAX_UNDELETED:
            return 0
        # One poll is always begun. What HTTP's clients hold does not hinder it: it makes room for messages as it does for a POST.
        if here and requests.buffered + (self._asked + at_once) * self._each > requests.max_buffered // 2:
            return 0
        if len(requests) > self.all_in_flight():
            self._posted_at = now
        posted = self.posted
        if posted and (here or now < self._rest_until):
            return 0
        places = requests.max_in_flight - (len(requests) - requests.waiting) - self._asked
        room = min(at_once * (1 if posted else self._wanted) - here, places)
        return min(at_once, room) if room >= least else 0

    def _received(self, number: int, asked_at: float, batch: Batch | None, error: SQSError | None) -> None:
        """A poll of up to `number` messages, begun at `asked_at` (monotonic seconds), has ended; without a batch it failed."""
        self._asked -= number
        if batch is None:
            if isinstance(error, TooLong):
                self._each, self._at_once = self._queue.room.most, 1
            self._slow_down()
            return
        self._counters.add("sqs_received_total", len(batch))
        self._full, self._began = len(batch) == number, monotonic()
        if batch:
            self._each = max(batch.size // len(batch), self._each * 3 // 4, 1)  # large ones are remembered for some answers
            self._at_once = max(1, min(AT_ONCE, self._queue.room.most // self._each))  # what can be read at once
        elif self._began - asked_at < WAIT / 2:  # an emulator that does not wait, or no SQS at all: asked at once again, it is a busy loop
            self._slow_down(FIRST_PAUSE)
        else:
            self._wanted, self._pause = 1, FIRST_PAUSE
        try:
            for message in batch:
                self._take(message)
        finally:
            self._queue.room.give(batch.size)  # their bodies count as buffered now
        self.pull()

    def _take(self, message: ReceivedMessage) -> None:
        message.hidden_until = self._began + VISIBILITY
        if (known := self._in_flight.get(message.message_id)) is not None:  # SQS has shown it again: only the newest receipt deletes it
            known.receipt, known.hidden_until = message.receipt, message.hidden_until
            return
        if message.message_id in self._undeleted:  # it is published already, and came back before it was deleted
            self._undeleted[message.message_id] = message.receipt, message.hidden_until
            self._flush_later()
            return
        if message.message_id in self._refused:
            self._hide(message, REFUSED * message.count, MAX_REFUSED)
            return
        try:
            message.pending = self._requests.admit(partial(self._answered, message), self._client, self._began, len(message.body))
        except BridgeError as error:
            if isinstance(error, Draining):  # another bridge can receive it at once
                self._hide(message, 0, 0)
            else:
                self._hide(message, VISIBILITY * message.count, MAX_PUT_OFF)
                self._slow_down()
            return
        self._in_flight[message.message_id] = message
        self._loop.letters.append(partial(self._visit, message))

    def _visit(self, message: ReceivedMessage) -> None:
        pending = message.pending
        if not pending.over:
            pending.attempt(lambda: self._pipeline.take(message.body, {}, pending, stored=True, encoding=message.encoding))

    def _answered(self, message: ReceivedMessage, error: BridgeError | None) -> None:
        message.pending.answer = None  # else the two hold each other and the body, until the collector comes
        self._in_flight.pop(message.message_id, None)
        if error is None:
            self._counters.add("sqs_published_total" if hasattr(message.pending, "sent") else "sqs_confirmed_total")
            self._pause, self._alone = FIRST_PAUSE, 0
            if self._full and self._wanted < POLLS:
                self._wanted, self._full = self._wanted + 1, False
            self._undeleted[message.message_id] = message.receipt, message.hidden_until
            self._to_delete.append(message.message_id)
        elif stays_in_queue(error.status, error.reason):
            self._counters.add(f"sqs:{error.reason}")
            if len(self._refused) >= MAX_KNOWN:
                self._refused.clear()
            self._refused[message.message_id] = None
            self._hide(message, REFUSED * message.count, MAX_REFUSED)
        else:
            self._hide(message, VISIBILITY * message.count, MAX_PUT_OFF)
            self._alone = 0 if concerns_others(error.reason) else self._alone + 1
            if self._alone % ALONE == 0:
                self._slow_down(FIRST_PAUSE if self._alone else LONGEST_PAUSE)
        if not self._settle_soon:  # once for all that are confirmed in a turn
            self._settle_soon = True
            self._loop.letters.append(self._settle)

    def _settle(self) -> None:
        """Delete what was published, and receive more, or rest."""
        self._settle_soon = False
        self._flush_later()
        if self.posted and not self._in_flight:
            now = monotonic()
            rest = min(REST * (now - self._began), MAX_REST)
            self._rest_until = now + rest
            self._loop.call_later(rest, self.pull)
        else:
            self.pull()

    # ---- delete, or hide

    def _hide(self, message: ReceivedMessage, seconds: int, most: int) -> None:
        self._to_hide.append((message.receipt, min(seconds, most)))
        self._flush_later()

    def _flush_later(self) -> None:
        """Send full batches now, and the rest in a moment."""
        self._flush(AT_ONCE)
        if not self._flush_soon and (self._to_delete or self._to_hide):
            self._flush_soon = True
            self._loop.call_later(SOON, self._flush_rest)

    def _flush_rest(self) -> None:
        self._flush_soon = False
        self._flush(1)

    def _flush(self, least: int) -> None:
        while len(self._to_delete) >= least:
            ids = [one for one in self._to_delete[:AT_ONCE] if one in self._undeleted]
            del self._to_delete[:AT_ONCE]
            if ids:
                self._delete(ids)
        while len(self._to_hide) >= least:
            batch = self._to_hide[:AT_ONCE]
            del self._to_hide[:AT_ONCE]
            self._change_visibility(batch)

    def _change_visibility(self, batch: list[tuple[str, int]]) -> None:
        """Hide messages. When that fails, they come back after VISIBILITY."""
        self._call("ChangeMessageVisibility", self._queue.change_visibility(batch), lambda _failed, _error: None)

    def _delete(self, ids: list[str]) -> None:
        asked = {one: self._undeleted[one] for one in ids}
        self._call(
            "DeleteMessage",
            self._queue.delete([receipt for receipt, _hidden_until in asked.values()]),
            lambda failed, error: self._deleted(asked, failed or {}, error),
        )

    def _deleted(self, asked: dict[str, tuple[str, float]], failed: dict[int, Refusal], error: SQSError | None) -> None:
        """A delete of messages, given with their receipts, has ended. One that was shown again meanwhile is still in the queue,
        though SQS says that it was deleted.
        """
        again = []
        for number, (one, held) in enumerate(asked.items()):
            code, vain = (error.kind, False) if error else failed.get(number, ("", False))
            if not error and self._undeleted.get(one) != held:
                code, vain = "newer receipt", False
            # In these two cases the message is gone, or comes back with another receipt.
            if code and code != "ReceiptHandleIsInvalid" and not (vain and monotonic() >= held[1]):
                again.append(one)
            else:
                self._undeleted.pop(one, None)
            self._counters.add("sqs_delete_failures_total" if code else "sqs_deleted_total")
        if again:
            self._loop.call_later(self._delete_pause, lambda: self._delete_again(again))
            self._delete_pause = min(self._delete_pause * 2, LONGEST_PAUSE)
        else:
            self._delete_pause = FIRST_PAUSE

    def _delete_again(self, ids: list[str]) -> None:
        self._to_delete += ids
        self._flush_later()

    # ---- calls, and their failures

    def look(self) -> None:
        """Ask now and then how many messages wait."""
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + LOOK
            self._call("GetQueueAttributes", self._queue.attributes(), self._looked)

    def _looked(self, attributes: dict[str, str] | None, _error: SQSError | None) -> None:
        waiting = whole_number(attributes or {}, "ApproximateNumberOfMessages")
        self.waiting = self.waiting if waiting is None else waiting

    def _call(self, operation: str, steps: Steps[Any], then: Callable[[Any, SQSError | None], None]) -> None:
        """Take the steps of a call; then(its result, None) or then(None, the error) is called on the loop."""

        def ended(result: Any, error: Exception | None) -> None:
            if error is not None:
                if not isinstance(error, SQSError):
                    if not isinstance(error, EgressError):
                        self._log.bug(error)
                    error = SQSError("unavailable", f"{operation} on queue {self._queue.name}: {error}")
                self._failed(operation, error)
            elif self._complaints.pop(operation, None):
                self._log.info("sqs_recovered", queue=self._queue.name, operation=operation)
            then(result, error)

        self._calls.run(steps, ended)

    def _failed(self, operation: str, error: SQSError) -> None:
        self._counters.add(f"sqs_errors:{error.kind}")
        if str(error) != self._complaints.get(operation) and not self._requests.draining:
            self._complaints[operation] = str(error)
            self._log.error("sqs_error", queue=self._queue.name, operation=operation, kind=error.kind, explanation=str(error))

    def _slow_down(self, longest: float = LONGEST_PAUSE) -> None:
        """Poll again after a pause. It doubles until a message is confirmed or the queue is empty; jitter keeps many bridges apart.

        One of FIRST_PAUSE at most leaves the next pause as it is.
        """
        if monotonic() >= self._resume_at:
            self._wanted = 1
            self._resume_at = monotonic() + min(self._pause, longest) * (0.5 + os.urandom(1)[0] / 510)
            self._pause = max(self._pause, min(self._pause * 2, longest))
