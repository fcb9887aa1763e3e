"""SQS, the pipeline and the broker around a receiver, which a test plays."""

import os

from bridge.commands.serve import failures
from bridge.counters import Counters
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.sns.steps import drive
from bridge.sqs import receiver as module
from bridge.sqs.queue import Batch, ReceivedMessage, Room, SQSError
from bridge.sqs.receiver import Receiver
from bridge.verdicts import Verdicts


def message(number, receipt="", count=1, body="body"):
    attributes = {"ApproximateReceiveCount": str(count)}
    members = {"MessageId": f"id-{number}", "ReceiptHandle": receipt or f"receipt-{number}", "Body": body, "Attributes": attributes}
    return ReceivedMessage(members)


class Queue:
    """Its calls have no step, and end at once."""

    name = "orders"

    def __init__(self):
        self.deletes, self.hidden, self.answers = [], [], {}
        self.room, self.numbers = Room(1 << 18), []

    def receive(self, number, wait, visibility):
        assert (wait, visibility) == (module.WAIT, module.VISIBILITY)
        self.numbers.append(number)
        batch = Batch(self.answer("receive", [])[:number])
        batch.size = sum(len(message.body) for message in batch)
        self.room.take(batch.size)
        return batch
        yield

    def delete(self, receipts):
        self.deletes.append(receipts)
        return self.answer("delete", {})
        yield

    def change_visibility(self, receipts):
        self.hidden += receipts
        return self.answer("hide", {})
        yield

    def attributes(self):
        return self.answer("attributes", {"ApproximateNumberOfMessages": "7"})
        yield

    def answer(self, what, usual):
        found = self.answers.get(what, usual)
        if isinstance(found, SQSError):
            raise found
        return found


class World:
    """Everything around one receiver; the test turns it."""

    def __init__(self, monkeypatch, max_in_flight=1000):
        self.clock, self.timers, self.jobs, self.taken, self.letters = 1000.0, [], [], [], []
        self.polls = 0  # among the jobs
        self.long_poll = module.WAIT  # seconds that SQS takes for an empty answer
        monkeypatch.setattr(module, "monotonic", lambda: self.clock)
        statuses = {one.reason: one.status for one in failures()}
        self.counters, self.ready, self.queue = Counters(1, statuses), True, Queue()
        log = Log(fd=os.open(os.devnull, os.O_WRONLY))
        self.requests = PendingRequests(max_in_flight, 1 << 20, 10, Verdicts(self.counters, log), log)
        self.receiver = Receiver(self.queue, self, self, self, self.requests, self, self.counters, log)

    def run(self, steps, then):
        self.jobs.append((steps, then))
        self.polls += steps.__name__ == "receive"

    def call_later(self, delay, call):
        self.timers.append((delay, call))

    def take(self, body, headers, pending, stored, encoding):
        assert stored and not headers
        self.taken.append(pending)

    def turn(self, bug=None):
        """End the calls under way; the pipeline takes the messages."""
        jobs, self.jobs, self.polls, begun = self.jobs, [], 0, self.clock
        for steps, then in jobs:
            try:
                result, error = None if bug else drive(steps), bug
            except SQSError as raised:
                result, error = None, raised
            if steps.__name__ == "receive" and result == []:
                self.clock = max(self.clock, begun + self.long_poll)
            then(result, error)
        self.visit()

    def visit(self):
        visits, self.letters[:] = list(self.letters), []
        for visit in visits:
            visit()

    def ring(self):
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()

    def receives(self, *messages):
        self.queue.answers["receive"] = list(messages)
        self.receiver.pull()
        self.turn()
        self.queue.answers["receive"] = []
        return self.taken[-len(messages) :]

    def confirm(self, pending):
        pending.sent = 1.0
        pending.confirmed(2.0)
        self.visit()

    def total(self, name):
        return self.counters.total(name)
