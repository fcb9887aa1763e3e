"""Deleting, while the test plays SQS, the pipeline and the broker: only what was confirmed, by its newest receipt, until it is gone."""

import pytest

from bridge.sqs import receiver as module
from bridge.sqs.queue import SQSError
from tests.unit.sqs.world import message


def test_nothing_is_deleted_before_its_confirm(world):
    first, second = world.receives(message(1), message(2))
    world.ring()
    world.turn()
    assert not world.queue.deletes
    world.confirm(first)
    world.ring()
    world.turn()
    assert world.queue.deletes == [["receipt-1"]] and not second.over
    assert (world.total("sqs_received_total"), world.total("sqs_published_total"), world.total("sqs_deleted_total")) == (2, 1, 1)


def test_ten_are_deleted_at_once_and_the_rest_in_a_moment(world):
    for pending in world.receives(*map(message, range(10))):
        world.confirm(pending)
    world.turn()
    assert [len(batch) for batch in world.queue.deletes] == [10]
    assert world.receiver.idle


@pytest.mark.parametrize(
    "answer",
    [{0: ("InternalError", False)}, {0: ("InvalidParameterValue", True)}, SQSError("throttled", "no"), SQSError("access-denied", "no")],
)
def test_a_delete_that_fails_is_tried_again_by_the_newest_receipt_and_nothing_is_published_again(world, answer):
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


def test_one_that_is_shown_again_while_its_delete_is_under_way_is_deleted_by_the_newer_receipt(world):
    """SQS answers a delete by an older receipt with success, and keeps the message."""
    [pending] = world.receives(message(1))
    world.confirm(pending)
    world.ring()
    delete = world.jobs.pop()
    world.receives(message(1, "newer"))
    world.jobs.append(delete)
    world.turn()
    assert not world.receiver.idle
    for _ in range(2):
        world.ring()
        world.turn()
    assert world.queue.deletes == [["receipt-1"], ["newer"]] and world.receiver.idle and len(world.taken) == 1


def test_a_receipt_that_is_invalid_is_let_go(world):
    [pending] = world.receives(message(1))
    world.confirm(pending)
    world.queue.answers["delete"] = {0: ("ReceiptHandleIsInvalid", True)}
    world.ring()
    world.turn()
    assert world.receiver.idle and world.total("sqs_delete_failures_total") == 1


@pytest.mark.parametrize("vain", [True, False])
def test_one_that_sqs_refuses_for_good_is_let_go_when_the_message_would_have_come_back(world, vain):
    world.long_poll, start = 0, world.clock
    [pending] = world.receives(message(1))
    world.confirm(pending)
    world.queue.answers["delete"] = {0: ("InvalidParameterValue", vain)}
    for hidden in (0, module.VISIBILITY - 1, module.VISIBILITY):
        world.clock = start + hidden
        for _ in range(2):
            world.ring()
            world.turn()
        assert world.receiver.idle == (vain and hidden == module.VISIBILITY)
    assert world.total("sqs_delete_failures_total") == len(world.queue.deletes) > 2


def test_one_that_is_let_go_and_comes_back_is_deleted_only_after_another_confirm(world):
    [pending] = world.receives(message(1))
    world.confirm(pending)
    world.clock += module.VISIBILITY
    world.queue.answers["delete"] = {0: ("InvalidParameterValue", True)}
    world.ring()
    world.turn()
    assert world.receiver.idle
    world.queue.answers.clear()
    deletes = len(world.queue.deletes)
    [pending] = world.receives(message(1, "newer"))
    for _ in range(3):
        world.ring()
        world.turn()
    assert len(world.queue.deletes) == deletes and not pending.over
    world.confirm(pending)
    world.ring()
    world.turn()
    assert world.queue.deletes[-1] == ["newer"] and world.receiver.idle


def test_the_time_in_which_a_message_is_hidden_begins_with_its_newest_receipt(world):
    world.long_poll = 0
    [pending] = world.receives(message(1))
    world.clock += module.VISIBILITY - 1
    world.receives(message(1, "newer"))
    world.confirm(pending)
    world.clock += module.VISIBILITY - 1
    world.queue.answers["delete"] = {0: ("InvalidParameterValue", True)}
    world.ring()
    world.turn()
    assert world.queue.deletes == [["newer"]] and not world.receiver.idle


def test_what_is_shown_again_in_mid_publish_is_not_published_twice(world):
    [pending] = world.receives(message(1))
    world.receives(message(1, "newer"))
    assert len(world.taken) == 1
    world.confirm(pending)
    world.ring()
    world.turn()
    assert world.queue.deletes == [["newer"]]


def test_nothing_more_is_received_while_deletes_fail_for_too_many(world, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNDELETED", 2)
    world.queue.answers["delete"] = SQSError("access-denied", "no")
    for pending in world.receives(message(1), message(2)):
        world.confirm(pending)
    world.ring()
    world.turn()
    polls = world.total("sqs_polls_total")
    world.receiver.pull()
    assert world.total("sqs_polls_total") == polls
