"""Receiving: the bytes of messages are counted from before they are read until they are confirmed, and are bounded."""

import gc
import sys

import pytest

from bridge.errors import BadSignature, Nacked
from bridge.sns.steps import drive
from bridge.sqs import receiver as module
from bridge.sqs.queue import TooLong
from tests.unit.sqs.world import message


class TestMemory:
    """BRIDGE_MAX_BUFFERED is 1 MiB here, so answers have room for 256 KiB."""

    def test_an_answers_bytes_are_held_until_its_messages_are_counted_as_buffered(self, world):
        world.receiver.pull()
        world.queue.answers["receive"] = [message(1, body="x" * 1000), message(2, body="x" * 500)]
        [(steps, then)] = world.jobs
        found = drive(steps)
        assert world.queue.room.held == 1500 and world.requests.buffered == 0
        then(found, None)
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

    @pytest.mark.parametrize("held", [(1 << 19) + 1, 1 << 20])
    def test_what_clients_of_http_hold_makes_room_for_one_poll(self, world, held):
        """Connections that only stay open hold TLS's buffers, and would stop all receiving."""

        def make_room(_size):
            world.requests.buffered = 0

        world.requests.buffered, world.requests.make_room = held, make_room
        world.receiver.pull()
        assert world.polls == 1, "and no second one"
        [pending] = world.receives(message(1, body="x" * 1000))
        assert not pending.over and world.requests.buffered <= world.requests.max_buffered

    def test_a_bug_in_taking_a_message_keeps_no_room(self, world, monkeypatch):
        monkeypatch.setattr(world.requests, "admit", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            world.receives(message(1, body="x" * 1000))
        assert world.queue.room.held == 0

    def test_what_finds_no_room_stays_in_the_queue(self, world):
        world.requests.buffered = world.requests.max_buffered
        assert not world.receives(message(1))
        world.ring()
        world.turn()
        assert world.queue.hidden == [("receipt-1", module.VISIBILITY)] and not world.queue.deletes
        assert world.requests.buffered == world.requests.max_buffered

    def test_messages_that_are_larger_than_the_room_come_one_at_a_time(self, world):
        for one in range(3):
            [pending] = world.receives(message(one, body="x" * 400_000))
            world.receiver.pull()
            assert world.polls == 0 and world.requests.buffered == 400_000
            world.confirm(pending)
        assert world.queue.numbers[-1] == 1
