"""A request is answered once, also when its client has gone; a request that is over leaves every table."""

import json
import os

import pytest

from bridge.bodies.tracing import Trace
from bridge.commands.serve import failures
from bridge.counters import Counters
from bridge.errors import BadSignature, Draining, Nacked, Overloaded
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.verdicts import LINES, Verdicts

STATUSES = {one.reason: one.status for one in failures()}


class Written:
    """A log that is kept."""

    def __init__(self, path):
        self.path = path
        self.log = Log(fd=os.open(path, os.O_WRONLY | os.O_CREAT))

    def text(self):
        return self.path.read_text()


@pytest.fixture
def written(tmp_path):
    return Written(tmp_path / "log")


@pytest.fixture
def counters():
    return Counters(1, STATUSES)


@pytest.fixture
def requests(counters, written):
    return PendingRequests(3, 1000, 10.0, Verdicts(counters, written.log), written.log)


@pytest.fixture
def answers():
    return []


@pytest.fixture
def pending(requests, answers):
    return requests.admit(answers.append, "192.0.2.1", 5.0, 100)


def reasons(answers):
    return [answer and answer.reason for answer in answers]


class TestOneAnswer:
    def test_a_confirm_is_200(self, pending, answers, counters, requests):
        pending.topic_arn = "arn"
        assert not pending.over and len(requests) == 1 and requests.buffered == 100
        pending.confirmed(5.25)
        assert pending.over and answers == [None] and counters.published == ["arn"] and counters.publish_times == [0.25]
        assert len(requests) == requests.buffered == 0

    def test_a_failure_is_answered_counted_and_logged_with_its_ids(self, pending, answers, counters, written):
        pending.message_id, pending.topic_arn, pending.trace = "id", "arn", Trace("00-a-b-01", "")
        pending.failed(Nacked("no"))
        assert reasons(answers) == ["nack"] and counters.total("nack") == 1
        line = json.loads(written.text())
        known = {"status": 503, "message_id": "id", "topic_arn": "arn", "client": "192.0.2.1", "trace_id": pending.trace.trace_id}
        assert line.items() >= known.items()

    @pytest.mark.parametrize(
        "first",
        [
            lambda one, _: one.confirmed(5.25),
            lambda one, _: one.failed(Nacked("no")),
            lambda one, _: one.done("confirmed"),
            lambda _, all_requests: all_requests.expire(15.1),
        ],
    )
    def test_the_first_outcome_counts_and_none_after_it(self, first, pending, requests, answers, written):
        first(pending, requests)
        answered = list(answers)
        pending.confirmed(5.25)
        pending.failed(Nacked("no"))
        requests.expire(100.0)
        pending.done("confirmed")
        pending.attempt(lambda: {}["secret"])
        pending.leave()
        assert answers == answered and len(answered) == 1 and len(requests) == requests.buffered == 0

    def test_a_step_that_refuses_is_the_answer(self, pending, answers):
        def step():
            raise BadSignature("no")

        pending.attempt(step)
        assert reasons(answers) == ["bad-signature"]

    def test_an_answer_that_cannot_be_sent_ends_the_request_and_nothing_else(self, requests, written):
        """A confirm is told by what reads the broker's connection, which an exception would end."""

        def answer(_error):
            raise KeyError("192.0.2.1")

        for end in ("confirmed", "failed", "done"):
            pending = requests.admit(answer, "192.0.2.1", 5.0, 100)
            getattr(pending, end)({"confirmed": 5.25, "failed": Nacked("no"), "done": "confirmed"}[end])
        assert len(requests) == requests.buffered == 0
        assert written.text().count('"bug"') == 3

    @pytest.mark.rule("bug")
    def test_a_bug_is_500_and_says_nothing_to_the_client(self, pending, answers, written):
        pending.attempt(lambda: {}["secret"])
        assert reasons(answers) == ["bug"] and "secret" not in str(answers[0])
        assert "KeyError" in written.text() and "secret" not in written.text()


class TestItsEnd:
    def test_its_deadline_counts_from_its_first_byte(self, pending, requests, answers):
        requests.expire(14.9)
        assert not answers
        requests.expire(15.0)
        assert reasons(answers) == ["deadline"] and len(requests) == 0

    def test_it_ends_by_its_deadline_when_the_client_is_gone(self, pending, requests, answers, counters):
        pending.genuine = True
        pending.leave()
        assert len(requests) == 1 and requests.buffered == 100
        requests.expire(15.0)
        assert len(requests) == requests.buffered == 0 and not answers and counters.total("deadline") == 1

    def test_the_confirm_of_a_genuine_message_counts_without_a_client(self, pending, counters, answers):
        pending.genuine, pending.topic_arn = True, "arn"
        pending.leave()
        pending.confirmed(5.5)
        assert counters.published == ["arn"] and not answers

    def test_without_a_client_nothing_unproven_is_kept(self, pending, requests):
        pending.leave()
        assert pending.over and len(requests) == requests.buffered == 0

    @pytest.mark.parametrize("end", ["done", "failed", "leave"])
    def test_what_is_over_leaves_the_table_that_holds_it(self, end, pending):
        left = []
        pending.held = left.append
        {"done": lambda: pending.done("confirmed"), "failed": lambda: pending.failed(Nacked("no")), "leave": pending.leave}[end]()
        assert left == [pending]


class TestLimits:
    def test_too_many_in_flight_are_refused(self, requests, answers):
        admitted = [requests.admit(answers.append, "", 5.0, 1) for _ in range(3)]
        with pytest.raises(Overloaded, match="BRIDGE_MAX_IN_FLIGHT"):
            requests.admit(answers.append, "", 5.0, 1)
        admitted[0].done("confirmed")
        requests.admit(answers.append, "", 5.0, 1)

    def test_those_that_wait_for_a_certificate_take_no_place(self, requests, answers):
        left = []
        waiting = [requests.admit(answers.append, "", 5.0, 1) for _ in range(3)]
        for one in waiting:
            one.wait(lambda: left.append(1))
        others = [requests.admit(answers.append, "", 5.0, 1) for _ in range(3)]
        assert len(requests) == 6 and requests.waiting == 3
        waiting[0].resume()
        waiting[1].leave()
        requests.expire(20.0)
        assert (len(requests), requests.waiting, requests.buffered, len(left)) == (0, 0, 0, 2) and all(one.over for one in others)

    def test_bytes_that_do_not_fit_are_refused_unless_room_is_made(self, requests, answers):
        requests.admit(answers.append, "", 5.0, 900)
        with pytest.raises(Overloaded, match="BRIDGE_MAX_BUFFERED"):
            requests.admit(answers.append, "", 5.0, 101)
        requests.buffered += 50  # of requests that are being received

        def make_room(size):
            assert size == 100
            requests.buffered -= 50

        requests.make_room = make_room
        requests.admit(answers.append, "", 5.0, 100)
        assert requests.buffered == 1000

    def test_a_bridge_that_stops_takes_no_more(self, requests, answers):
        requests.draining = True
        with pytest.raises(Draining):
            requests.admit(answers.append, "", 5.0, 1)


class TestRepeatedRefusals:
    def test_they_are_counted_one_by_one_and_summed_up_in_the_log(self, monkeypatch, counters, written):
        now = [100.0]
        monkeypatch.setattr("bridge.verdicts.monotonic", lambda: now[0])
        verdicts = Verdicts(counters, written.log)
        for _ in range(5000):
            verdicts.refused(BadSignature("no"))
        verdicts.refused(Nacked("no"))
        assert counters.total("bad-signature") == 5000
        assert written.text().count("bad-signature") == LINES and written.text().count("nack") == 1
        now[0] += 1
        verdicts.sum_up()
        last = written.text().splitlines()[-1]
        assert "verdicts_not_logged" in last and '"reason": "bad-signature"' in last and f'"number": {5000 - LINES}' in last
        verdicts.refused(BadSignature("no"))
        assert written.text().count("verdicts_not_logged") == 1 and "bad-signature" in written.text().splitlines()[-1]
