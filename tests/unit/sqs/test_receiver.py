"""Receiving, while the test plays SQS, the pipeline and the broker: what is deleted, what is left, and when nothing is received."""

import gc
import os
import sys

import pytest

from bridge.commands.serve import failures
from bridge.counters import Counters
from bridge.errors import BadSignature, BrokerLost, CertificateNotValid, Nacked
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.sqs import receiver as module
from bridge.sqs.queue import Batch, ReceivedMessage, Room, SQSError, TooLong
from bridge.sqs.receiver import Receiver
from bridge.verdicts import Verdicts


def message(number, receipt="", count=1, body="body"):
    attributes = {"ApproximateReceiveCount": str(count)}
    members = {"MessageId": f"id-{number}", "ReceiptHandle": receipt or f"receipt-{number}", "Body": body, "Attributes": attributes}
    return ReceivedMessage(members)


class Queue:
    name = "orders"

    def __init__(self):
        self.deletes, self.hidden, self.answers = [], [], {}
        self.room, self.numbers = Room(1 << 18), []

    def receive(self, number, wait, visibility):
        assert (wait, visibility) == (module.WAIT, module.VISIBILITY)
        self.numbers.append(number)
        batch = Batch(self.answer("receive", [])[:number])
        batch.size = sum(len(message.body) for message in batch)
        self.room.take(batch.size, 0)
        return batch

    def delete(self, receipts):
        self.deletes.append(receipts)
        return self.answer("delete", {})

    def change_visibility(self, receipts):
        self.hidden += receipts
        return self.answer("hide", {})

    def attributes(self):
        return self.answer("attributes", {"ApproximateNumberOfMessages": "7"})

    def answer(self, what, usual):
        found = self.answers.get(what, usual)
        if isinstance(found, SQSError):
            raise found
        return found


class World:
    """Everything around one receiver; the test turns it."""

    def __init__(self, monkeypatch, max_in_flight=1000):
        self.clock, self.timers, self.jobs, self.taken, self.trusted, self.late = 1000.0, [], [], [], [], []
        self.polls = 0  # among the jobs
        monkeypatch.setattr(module, "monotonic", lambda: self.clock)
        statuses = {one.reason: one.status for one in failures()}
        self.counters, self.ready, self.queue = Counters(1, statuses), True, Queue()
        log = Log(fd=os.open(os.devnull, os.O_WRONLY))
        self.requests = PendingRequests(max_in_flight, 1 << 20, 10, Verdicts(self.counters, log), log)
        self.receiver = Receiver(self.queue, self, self, self, self.requests, self, self.counters, log)

    def run(self, work, seconds, then, late):
        self.jobs.append((work, then))
        self.late.append(late)
        self.polls += seconds == module.WAIT + module.PATIENCE

    def call_later(self, delay, call):
        self.timers.append((delay, call))

    def take(self, body, headers, pending, stored):
        assert stored and headers.keys() <= {"x-amz-sns-subscription-arn"}
        self.taken.append((headers, pending))

    def turn(self, why=""):
        """End the calls under way; the pipeline takes the messages."""
        jobs, self.jobs, self.polls = self.jobs, [], 0
        for work, then in jobs:
            then(*((None, why) if why else (work(), "")))
        self.visit()

    def visit(self):
        visits, self.trusted[:] = list(self.trusted), []
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
        return [pending for _, pending in self.taken[-len(messages) :]]

    def confirm(self, pending):
        pending.sent = 1.0
        pending.confirmed(2.0)

    def total(self, name):
        return self.counters.total(name)


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


class TestDelete:
    def test_nothing_is_deleted_before_its_confirm(self, world):
        first, second = world.receives(message(1), message(2))
        world.ring()
        world.turn()
        assert not world.queue.deletes
        world.confirm(first)
        world.ring()
        world.turn()
        assert world.queue.deletes == [["receipt-1"]] and not second.over
        assert (world.total("sqs_received_total"), world.total("sqs_published_total"), world.total("sqs_deleted_total")) == (2, 1, 1)

    def test_ten_are_deleted_at_once_and_the_rest_in_a_moment(self, world):
        for pending in world.receives(*map(message, range(10))):
            world.confirm(pending)
        world.turn()
        assert [len(batch) for batch in world.queue.deletes] == [10]
        assert world.receiver.idle

    @pytest.mark.parametrize("answer", [{0: "InternalError"}, SQSError("throttled", "no"), SQSError("access-denied", "no")])
    def test_a_delete_that_fails_is_tried_again_by_the_newest_receipt_and_nothing_is_published_again(self, world, answer):
        [pending] = world.receives(message(1))
        world.confirm(pending)
        world.queue.answers["delete"] = answer
        world.ring()
        world.turn()
        assert not world.receiver.idle and world.total("sqs_delete_failures_total") == 1
        assert len(world.taken) == 1 and world.receives(message(1, "newer")) and len(world.taken) == 1
        world.queue.answers.clear()
        for _ in range(3):
            world.ring()
            world.turn()
        assert world.queue.deletes[-1] == ["newer"] and world.receiver.idle

    def test_a_receipt_that_is_invalid_is_let_go(self, world):
        [pending] = world.receives(message(1))
        world.confirm(pending)
        world.queue.answers["delete"] = {0: "ReceiptHandleIsInvalid"}
        world.ring()
        world.turn()
        assert world.receiver.idle and world.total("sqs_delete_failures_total") == 1

    def test_what_is_shown_again_in_mid_publish_is_not_published_twice(self, world):
        [pending] = world.receives(message(1))
        world.receives(message(1, "newer"))
        assert len(world.taken) == 1
        world.confirm(pending)
        world.ring()
        world.turn()
        assert world.queue.deletes == [["newer"]]

    def test_nothing_more_is_received_while_deletes_fail_for_too_many(self, world, monkeypatch):
        monkeypatch.setattr(module, "MAX_UNDELETED", 2)
        world.queue.answers["delete"] = SQSError("access-denied", "no")
        for pending in world.receives(message(1), message(2)):
            world.confirm(pending)
        world.ring()
        world.turn()
        polls = world.total("sqs_polls_total")
        world.receiver.pull()
        assert world.total("sqs_polls_total") == polls


class TestLeft:
    @pytest.mark.parametrize("error", [BadSignature("forged"), CertificateNotValid("expired then")])
    def test_what_is_refused_for_good_is_out_of_sight_for_hours_and_judged_once(self, world, error):
        [pending] = world.receives(message(1))
        pending.failed(error)
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", 3600)] and world.total(f"sqs:{error.reason}") == 1
        assert not world.queue.deletes
        world.receives(message(1, "again", count=30))
        world.ring()
        world.turn()
        assert world.queue.hidden[-1] == ("again", 39_600) and len(world.taken) == 1 and world.total(error.reason) == 1

    @pytest.mark.parametrize("error", [BrokerLost("gone"), Nacked("full")])
    def test_what_the_broker_did_not_take_comes_back_and_the_next_poll_waits(self, world, error):
        [pending] = world.receives(message(1, count=3))
        world.turn()
        pending.failed(error)
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", 180)] and not world.queue.deletes
        polls = world.total("sqs_polls_total")
        world.receiver.pull()
        assert world.total("sqs_polls_total") == polls
        world.clock += 2
        world.receiver.pull()
        assert world.total("sqs_polls_total") > polls

    def test_what_comes_while_the_bridge_stops_is_given_back_at_once(self, world):
        world.receiver.pull()
        world.requests.draining = True
        world.queue.answers["receive"] = [message(1)]
        world.turn()
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", 0)] and not world.taken

    def test_the_subscription_is_that_of_the_unsubscribe_url(self, world):
        arn = "arn:aws:sns:eu-central-1:123456789012:orders:00000000-0000-0000-0000-000000000007"
        url = f"https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={arn}"
        world.receives(message(1, body=f'{{"Message": "\\"UnsubscribeURL\\": \\"x?SubscriptionArn=arn:x\\"", "UnsubscribeURL" : "{url}"}}'))
        assert world.taken[0][0]["x-amz-sns-subscription-arn"] == arn


class TestAsking:
    def test_one_poll_waits_at_an_empty_queue(self, world):
        for _ in range(5):
            world.receiver.pull()
        assert world.polls == 1
        world.turn()
        assert world.polls == 1

    @pytest.mark.parametrize("why", ["not ready", "draining", "full"])
    def test_nothing_is_asked_for(self, monkeypatch, why):
        world = World(monkeypatch)
        world.ready = why != "not ready"
        world.requests.draining = why == "draining"
        world.requests.buffered = world.requests.max_buffered if why == "full" else 0
        world.receiver.pull()
        assert world.polls == 0

    def test_more_polls_while_batches_come_back_full_and_are_confirmed(self, world):
        number, most = 0, 0
        for _ in range(60):
            world.receiver.pull()
            most = max(most, world.polls)
            number += 10
            world.queue.answers["receive"] = [message(number + one) for one in range(10)]
            world.turn()
            for _, pending in world.taken:
                if not pending.over:
                    world.confirm(pending)
        assert 2 < most <= 2 * module.POLLS
        assert len(world.requests) <= module.POLLS * 10

    def test_full_batches_that_wait_for_their_confirm_bring_no_more(self, world):
        """A certificate that is fetched, a broker that is slow."""
        world.receives(*map(message, range(10)))
        world.receiver.pull()
        assert world.polls == 0 and len(world.requests) == 10

    def test_a_few_that_wait_long_hold_up_nobody(self, world):
        world.receives(*map(message, range(4)))
        world.receiver.pull()
        assert world.polls == 1 and len(world.requests) == 4

    def test_never_more_than_may_be_in_flight(self, monkeypatch):
        world = World(monkeypatch, max_in_flight=3)
        pendings = world.receives(*map(message, range(10)))
        assert len(pendings) == 10 or len(world.requests) <= 3
        assert len(world.requests) == 3 and world.polls == 0

    def test_after_an_error_the_next_poll_waits_longer_and_longer(self, world):
        world.queue.answers["receive"] = SQSError("unavailable", "ReceiveMessage on queue orders: no answer")
        waits = []
        for _ in range(9):
            start = world.clock
            while not world.polls:
                world.clock += 0.1
                world.receiver.pull()
            waits.append(world.clock - start)
            world.turn()
        assert waits[0] < 0.2 and 20 < waits[-1] <= 100 and world.total("sqs_errors:unavailable") == 9
        world.queue.answers["receive"] = []
        world.clock += 100
        world.receiver.pull()
        world.turn()
        assert world.polls == 1, "an answer ends the pauses"

    def test_a_thread_that_hangs_is_given_up(self, world):
        world.receiver.pull()
        world.turn("no answer within 50 s")
        assert world.total("sqs_errors:unavailable") == 1
        world.clock += 2
        world.receiver.pull()
        assert world.polls == 1

    def test_how_many_wait_is_asked_once_a_minute(self, world):
        world.receiver.look()
        world.receiver.look()
        assert len(world.jobs) == 1
        world.turn()
        assert world.receiver.waiting == 7


class TestMemory:
    """BRIDGE_MAX_BUFFERED is 1 MiB here, so answers have room for 256 KiB."""

    def test_an_answers_bytes_are_held_until_its_messages_are_counted_as_buffered(self, world):
        world.receiver.pull()
        world.queue.answers["receive"] = [message(1, body="x" * 1000), message(2, body="x" * 500)]
        [(work, then)] = world.jobs
        found = work()
        assert world.queue.room.held == 1500 and world.requests.buffered == 0
        then(found, "")
        assert world.queue.room.held == 0 and world.requests.buffered == 1500

    @pytest.mark.parametrize("error", [None, BadSignature("forged"), Nacked("full")])
    def test_a_message_that_is_over_is_forgotten_at_once(self, world, error):
        """1 MiB of each would wait for the collector, which counts objects and no bytes."""
        gc.disable()
        try:
            held = message(1)
            [pending] = world.receives(held)
            world.confirm(pending) if error is None else pending.failed(error)
            world.taken.clear()
            del pending
            assert sys.getrefcount(held) == 2, "the test's own, and the argument"
        finally:
            gc.enable()

    def test_an_answer_that_comes_too_late_gives_its_room_back(self, world):
        world.receiver.pull()
        world.queue.answers["receive"] = [message(1)]
        [(work, then)], [late] = world.jobs, world.late
        found = work()
        then(None, "no answer within 50 s")
        late(found)
        late(SQSError("unavailable", "as late"))
        assert world.queue.room.held == 0 and not world.taken

    def test_fewer_messages_are_asked_for_while_they_are_large(self, world):
        for pending in world.receives(*(message(one, body="x" * 60_000) for one in range(10))):
            world.confirm(pending)
        world.receiver.pull()
        world.turn()
        assert set(world.queue.numbers[1:]) == {4}
        for number in range(10, 20):
            world.confirm(world.receives(message(number))[0])
        assert world.queue.numbers[-1] > 8, "and more again once they are small"

    def test_what_is_too_long_to_be_read_is_asked_for_one_by_one(self, world):
        world.queue.answers["receive"] = TooLong("unavailable", "ReceiveMessage on queue orders: the answer is longer than 9 bytes")
        world.receiver.pull()
        world.turn()
        world.clock += 2
        world.queue.answers.clear()
        world.receiver.pull()
        world.turn()
        assert world.queue.numbers == [10, 1]

    def test_the_polls_under_way_can_bring_half_of_it_at_most(self, world):
        for pending in world.receives(*(message(one, body="x" * 20_000) for one in range(10))):
            world.confirm(pending)
        world.jobs.clear()
        world.polls = world.receiver._asked = 0
        world.receiver._wanted = module.POLLS
        world.receiver.pull()
        assert world.polls == 2, "of ten messages of 20 KB each; three could be 600 KB"

    def test_messages_that_are_larger_than_the_room_come_one_at_a_time(self, world):
        for one in range(3):
            [pending] = world.receives(message(one, body="x" * 400_000))
            world.receiver.pull()
            assert world.polls == 0 and world.requests.buffered == 400_000
            world.confirm(pending)
        assert world.queue.numbers[-1] == 1


def test_who_posts_waits_behind_one_batch_only(world):
    """Eight full batches in the broker's line would be that much of every answer by HTTP."""
    world.receiver._wanted = module.POLLS
    world.receiver.pull()
    assert world.polls == module.POLLS
    world.turn()
    posted = world.requests.admit(lambda _error: None, "127.0.0.1", world.clock, 10)
    world.receiver._wanted = module.POLLS
    world.turn()
    world.jobs.clear()
    world.polls = world.receiver._asked = 0
    world.receiver.pull()
    assert world.polls == 1
    posted.done("published")
    world.clock += module.QUIET + 0.1
    world.receiver._wanted = module.POLLS
    world.receiver.pull()
    assert world.polls == module.POLLS
