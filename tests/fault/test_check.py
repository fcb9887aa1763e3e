"""The check itself: every way of losing a message is found, and every honest outcome passes."""

import pytest

from tests.fault.check import judge

A, B = "id-a", "id-b"
SENT = {A: b"body a", B: b"body b"}


def test_what_the_bridge_itself_sends_again_may_be_there_twice():
    queue = [(A, SENT[A]), (A, SENT[A])]
    assert judge(SENT, {A: [200], B: [503]}, queue).multiplied == {A}
    assert not judge(SENT, {A: [200], B: [503]}, queue, publishes=2).faults


@pytest.mark.parametrize(
    ("answers", "queue"),
    [
        ({A: [200], B: [200]}, [A, B]),
        ({A: [200], B: [503]}, [A]),  # kept by SNS, never published
        ({A: [200], B: [503]}, [A, B]),  # published, and the confirm came too late
        ({A: [200], B: [0]}, [A, B]),  # the connection ended before the answer
        ({A: [200], B: [503, 200]}, [A, B, B]),  # a retry may be a duplicate
        ({A: [200], B: [0, 0, 200]}, [A, B, B, B]),
        ({A: [0], B: [503]}, []),
        ({A: [200], B: [200], "forged": [403]}, [A, B]),
        ({A: [200], B: [200], "forged": [503, 403]}, [A, B]),
    ],
    ids=str,
)
def test_an_honest_outcome_passes(answers, queue):
    verdict = judge(SENT, answers, [(identity, SENT[identity]) for identity in queue])
    assert verdict.faults == {}
    assert str(verdict) == "nothing lost"


@pytest.mark.parametrize(
    ("fault", "answers", "queue"),
    [
        ("lost", {A: [200], B: [200]}, [(A, SENT[A])]),
        ("lost", {A: [503, 200], B: [200]}, [(B, SENT[B])]),
        ("lost", {A: [200, 503], B: [200]}, [(B, SENT[B])]),
        ("invented", {A: [200], B: [200]}, [(A, SENT[A]), (B, SENT[B]), ("from nowhere", b"")]),
        ("invented", {A: [200], B: []}, [(A, SENT[A]), (B, SENT[B])]),
        ("refused", {A: [200], B: [403]}, [(A, SENT[A])]),
        ("refused", {A: [200], B: [503, 400]}, [(A, SENT[A])]),
        ("let_in", {A: [200], B: [200], "forged": [403]}, [(A, SENT[A]), (B, SENT[B]), ("forged", b"forged")]),
        ("changed", {A: [200], B: [200]}, [(A, SENT[A]), (B, SENT[B] + b" ")]),
        ("changed", {A: [200], B: [200], "forged": [200]}, [(A, SENT[A]), (B, SENT[B]), ("forged", b"forged")]),
        ("multiplied", {A: [200], B: [200]}, [(A, SENT[A]), (A, SENT[A]), (B, SENT[B])]),
        ("multiplied", {A: [0], B: [200]}, [(A, SENT[A]), (A, SENT[A]), (B, SENT[B])]),
    ],
    ids=str,
)
def test_every_fault_is_found(fault, answers, queue):
    verdict = judge(SENT, answers, queue)
    assert fault in verdict.faults
    assert str(verdict) != "nothing lost"


def test_the_figures_of_a_row():
    verdict = judge(SENT, {A: [503, 200], B: [0], "forged": [403]}, [(A, SENT[A]), (A, SENT[A]), (B, SENT[B])])
    assert (verdict.sent, verdict.answered, verdict.queued, verdict.duplicates) == (2, 1, 3, 1)
