"""Receiving, while the test plays SQS, the pipeline and the broker: what is left, and when nothing is received."""

import pytest

from bridge.errors import BadSignature, BrokerLost, CertificateNotValid, CertificateUnavailable, Nacked, RoutingFailed, Unroutable
from bridge.sqs import receiver as module
from bridge.sqs.queue import SQSError
from tests.unit.sqs.world import World, message


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
        world.jobs.clear()
        world.polls = world.receiver._asked = 0
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

    @pytest.mark.parametrize("error", [RoutingFailed("no attribute"), Unroutable("no queue"), CertificateUnavailable("404")])
    def test_one_that_fails_for_a_reason_of_its_own_holds_up_no_other(self, world, error):
        """Anybody who may publish to the topic can leave out the attribute that a routing key needs."""
        [pending] = world.receives(message(1))
        world.turn()
        polls = world.total("sqs_polls_total")
        pending.failed(error)
        world.turn()
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", 60)] and world.total("sqs_polls_total") > polls

    def test_when_all_fail_for_such_a_reason_a_hundred_a_second_are_tried(self, world):
        start, failed = world.clock, 0
        while world.clock < start + 10:
            for pending in world.receives(*(message(failed + number) for number in range(10))):
                if not pending.over:
                    failed += 1
                    pending.failed(RoutingFailed("no exchange"))
            world.turn()
            world.clock += 0.01
        assert 500 <= failed <= 2500

    def test_what_comes_while_the_bridge_stops_is_given_back_at_once(self, world):
        world.receiver.pull()
        world.requests.draining = True
        world.queue.answers["receive"] = [message(1)]
        world.turn()
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", 0)] and not world.taken


class TestAsking:
    def test_one_poll_waits_at_an_empty_queue(self, world):
        for _ in range(5):
            world.receiver.pull()
        assert world.polls == 1
        world.turn()
        assert world.polls == 1

    @pytest.mark.parametrize("why", ["not ready", "draining", "full of messages"])
    def test_nothing_is_asked_for(self, monkeypatch, why):
        world = World(monkeypatch)
        world.ready = why != "not ready"
        world.requests.draining = why == "draining"
        if why == "full of messages":
            world.receives(message(1))
            world.jobs.clear()
            world.polls = world.receiver._asked = 0
            world.requests.buffered = world.requests.max_buffered
        world.receiver.pull()
        assert world.polls == 0

    def test_requests_that_wait_for_a_certificate_take_no_place_of_a_poll(self, monkeypatch):
        """Anybody can make so many wait: whether a message is forged is known once its certificate is there."""
        world = World(monkeypatch, max_in_flight=20)
        for _ in range(19):
            world.requests.admit(lambda _error: None, "192.0.2.1", world.clock, 10).wait(lambda: None)
        world.receiver.pull()
        assert world.polls == 1

    def test_more_polls_while_batches_come_back_full_and_are_confirmed(self, world):
        number, most = 0, 0
        for _ in range(60):
            world.receiver.pull()
            most = max(most, world.polls)
            number += 10
            world.queue.answers["receive"] = [message(number + one) for one in range(10)]
            world.turn()
            for pending in world.taken:
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

    def test_a_host_that_answers_with_nothing_at_once_is_asked_about_once_a_second(self, world):
        """An emulator that does not wait, or a web server that answers anything with 200 and some JSON."""
        world.long_poll, start = 0.01, world.clock
        while world.clock < start + 60:
            world.receiver.pull()
            world.turn()
            world.clock += 0.1
        assert 50 <= world.total("sqs_polls_total") <= 120

    def test_an_empty_answer_that_comes_at_once_is_no_end_of_the_pauses_after_errors(self, world):
        for pause in (1, 2, 4, 8):
            assert world.receiver._pause == pause
            world.queue.answers["receive"] = SQSError("unavailable", "ReceiveMessage on queue orders: no answer")
            world.clock += 60
            world.receiver.pull()
            world.turn()
            world.queue.answers["receive"], world.long_poll = [], 0.01
            world.clock += 60
            world.receiver.pull()
            world.turn()

    def test_messages_that_come_at_once_bring_the_next_poll_at_once(self, world):
        for number in range(20):
            [pending] = world.receives(message(number))
            world.confirm(pending)
            assert world.polls == 1

    def test_a_bug_in_a_call_is_a_failure(self, world):
        world.receiver.pull()
        world.turn(ZeroDivisionError())
        assert world.total("sqs_errors:unavailable") == 1
        world.clock += 2
        world.receiver.pull()
        assert world.polls == 1

    def test_how_many_wait_is_asked_once_a_minute(self, world):
        world.receiver.look()
        assert not world.jobs, "a start has enough to do"
        world.clock += module.FIRST_LOOK
        world.receiver.look()
        world.receiver.look()
        assert len(world.jobs) == 1
        world.turn()
        assert world.receiver.waiting == 7

    @pytest.mark.parametrize("text", ["", "-1", "\u00b2", "7.5", "9" * 5000])
    def test_what_is_no_number_of_messages_changes_nothing(self, world, text):
        world.receiver.waiting = 3
        world.queue.answers["attributes"] = {"ApproximateNumberOfMessages": text}
        world.clock += module.FIRST_LOOK
        world.receiver.look()
        world.turn()
        assert world.receiver.waiting == 3


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


def test_while_requests_come_by_http_a_queue_rests_after_each_batch(world):
    """Else a queue with 100,000 letters keeps two cores busy, and a POST waits for them."""
    posted = world.requests.admit(lambda _error: None, "127.0.0.1", world.clock, 10)
    first, second = world.receives(message(1), message(2))
    world.clock += 0.01
    world.confirm(first)
    assert not world.polls, "one batch at a time"
    world.timers.clear()
    world.confirm(second)
    assert not world.polls
    [rest] = [delay for delay, call in world.timers if call == world.receiver.pull]
    assert rest == pytest.approx(module.REST * 0.01)
    world.receiver.pull()
    assert not world.polls, "it rests, whoever calls"
    world.clock += rest
    world.ring()
    assert world.polls == 1
    posted.done("published")


def test_a_rest_has_an_end(world):
    """A batch that the broker has confirmed after seconds is no reason to rest for many."""
    posted = world.requests.admit(lambda _error: None, "127.0.0.1", world.clock, 10)
    [pending] = world.receives(message(1))
    world.clock += 0.9
    world.timers.clear()
    world.confirm(pending)
    assert module.MAX_REST in [delay for delay, _ in world.timers]
    posted.done("published")
