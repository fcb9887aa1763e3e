"""Calls on the loop, whose steps wait for a simulated SQS, for a thread, and for room."""

import errno
import itertools
import threading
import time

import pytest

from bridge.amqp.loop import Loop
from bridge.sns.egress import default_ca_file
from bridge.sns.fetch import Egress
from bridge.sqs import calls
from bridge.sqs import queue as module
from bridge.sqs.calls import Calls
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue import Queue, Room, SQSError
from bridge.sqs.queue_url import QueueURL
from tests.tools.sqs import REGION

PATIENCE = 10.0  # seconds


class Turned:
    """A loop with calls to a queue; the results of what a test begins, in the order of their ends."""

    def __init__(self, sqs, endpoint=None, at_once=4, queues=1):
        self.loop, self.ended = Loop(), []
        egress = Egress(self.loop.call_soon, self.loop.call_later, "", self.loop.cancel, queues)
        self.calls = Calls(self.loop, egress, at_once)
        chain = CredentialChain(sqs.environment, REGION, None)
        self.queue = Queue(QueueURL(sqs.url("orders")), endpoint or sqs.endpoint, chain, default_ca_file(), room=Room(20_000))

    def begin(self, steps):
        self.calls.run(steps, lambda result, error: self.ended.append(error or result))

    def until(self, condition):
        end = time.monotonic() + PATIENCE

        def tick():
            self.calls.expire()
            if condition() or time.monotonic() > end:
                self.loop.stop()
            else:
                self.loop.call_later(0.02, tick)

        self.loop.call_soon(tick)
        self.loop.run()
        assert condition(), self.ended

    def result(self, steps):
        had = len(self.ended)
        self.begin(steps)
        assert len(self.ended) == had, "never at once"
        self.until(lambda: len(self.ended) > had)
        return self.ended.pop()


@pytest.fixture
def turned(sqs):
    return Turned(sqs)


def test_messages_are_received_and_deleted_over_one_connection(sqs, turned):
    seen = set()
    sqs.fault = lambda *_: lambda handler: seen.add(handler.client_address) or handler.answer(200, {})
    for _ in range(3):
        assert turned.result(turned.queue.receive(10, 0, 30)) == []
    assert len(seen) == 1
    sqs.fault = None
    sqs.send("orders", "Größe ✓ 😀", "x" * 18_000)
    received = turned.result(turned.queue.receive(10, 0, 30))
    assert [message.body.decode() for message in received] == ["Größe ✓ 😀", "x" * 18_000]
    assert turned.result(turned.queue.delete([message.receipt for message in received])) == {} and sqs.bodies("orders") == []


def test_a_call_in_a_long_poll_holds_up_no_other(sqs, turned):
    turned.begin(turned.queue.receive(10, 20, 30))
    assert turned.result(turned.queue.attributes())["ApproximateNumberOfMessages"] == "0"
    sqs.send("orders", "a")
    turned.until(lambda: turned.ended)
    assert [message.body for message in turned.ended[0]] == [b"a"]


def test_more_calls_than_may_be_under_way_wait_for_their_turn(sqs):
    turned, under_way, most = Turned(sqs, at_once=2), set(), []

    def slowly(handler):
        under_way.add(handler)
        most.append(len(under_way))
        time.sleep(0.1)
        under_way.discard(handler)
        handler.answer(200, {})

    sqs.fault = lambda *_: slowly
    for _ in range(6):
        turned.begin(turned.queue.receive(10, 0, 30))
    turned.until(lambda: len(turned.ended) == 6)
    assert turned.ended == [[]] * 6 and max(most) == 2


def test_more_than_that_which_wait_are_refused(sqs, monkeypatch):
    """A queue that takes no change of visibility holds up to so many, and no memory without end."""
    monkeypatch.setattr(calls, "WAITING", 3)
    turned = Turned(sqs, at_once=2)
    sqs.fault = lambda *_: lambda handler: time.sleep(0.3) or handler.answer(200, {})
    for _ in range(6):
        turned.begin(turned.queue.receive(10, 0, 30))
    assert not turned.ended
    turned.until(lambda: len(turned.ended) == 6)
    assert str(turned.ended[0]) == "too many calls are waiting" and turned.ended[1:] == [[]] * 5


def test_nobody_there_is_an_error(sqs):
    turned = Turned(sqs, endpoint="http://127.0.0.1:1")
    error = turned.result(turned.queue.attributes())
    assert isinstance(error, SQSError) and error.kind == "unavailable" and "refused" in str(error)


def test_without_credentials_a_call_is_an_error(sqs):
    sqs.environment = {}
    turned = Turned(sqs)
    turned.queue._chain._ask = lambda *_: (500, b"")
    assert turned.result(turned.queue.attributes()).kind == "no-credentials"


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_an_answer_that_hangs_ends_in_time(sqs, turned, monkeypatch, start):
    monkeypatch.setattr(module, "READ", 0.3)

    def hang(handler):
        handler.wfile.write(start)
        handler.wfile.flush()
        time.sleep(2)
        handler.close_connection = True

    sqs.fault = lambda *_: hang
    begun = time.monotonic()
    error = turned.result(turned.queue.receive(10, 0, 30))
    assert "no byte for 0.3 s" in str(error) and time.monotonic() - begun < 1 and turned.queue.room.held == 0


def test_an_answer_waits_for_room(sqs, turned):
    sqs.send("orders", *("x" * 15_000 for _ in range(2)))
    for _ in range(2):
        turned.begin(turned.queue.receive(1, 0, 30))
    turned.until(lambda: turned.ended)
    first = turned.ended.pop()
    assert turned.queue.room.held == first.size
    turned.queue.room.give(first.size)
    turned.until(lambda: turned.ended)
    assert turned.queue.room.held == turned.ended[0].size


def test_many_queues_whose_calls_all_need_a_new_connection(sqs):
    """An origin that closes each connection; twenty queues begin to drain."""
    turned = Turned(sqs, at_once=640, queues=20)

    def once(handler):
        handler.close_connection = True
        handler.answer(200, {})

    sqs.fault = lambda *_: once
    for _ in range(240):
        turned.begin(turned.queue.receive(1, 0, 30))
    turned.until(lambda: len(turned.ended) == 240)
    assert turned.ended == [[]] * 240


def test_a_call_that_waited_too_long_for_its_connection_takes_no_thread(sqs, monkeypatch):
    monkeypatch.setattr(module, "TOTAL", -0.1)
    turned = Turned(sqs)
    monkeypatch.setattr("socket.create_connection", lambda *_: pytest.fail("a connection for nobody"))
    assert "no connection within" in str(turned.result(turned.queue.attributes()))


def test_an_answer_that_never_stops_coming_does_not_hold_up_the_loop(sqs, turned, monkeypatch):
    monkeypatch.setattr(module, "TOTAL", 1.5)
    over, turns = threading.Event(), []

    def flood(handler):
        while not over.is_set():
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    def turn():
        turns.append(time.monotonic())
        turned.loop.call_later(0.01, turn)

    sqs.fault = lambda *_: flood
    turned.begin(turned.queue.attributes())
    turn()
    turned.until(lambda: turned.ended)
    over.set()
    assert "longer than 1.5 s" in str(turned.ended[0])
    assert max(after - before for before, after in itertools.pairwise(turns)) < 0.5


def test_a_bug_in_what_follows_a_call_holds_up_no_other(sqs):
    turned, bugs = Turned(sqs, at_once=8, endpoint="http://127.0.0.1:1"), []
    turned.loop.on_bug = bugs.append

    def follow(_result, error):
        bugs.append(error)
        raise ZeroDivisionError

    for _ in range(8):
        turned.calls.run(turned.queue.attributes(), follow)
    turned.until(lambda: len(bugs) == 16)
    assert [type(bug) for bug in bugs].count(ZeroDivisionError) == 8


def test_a_connection_that_the_kernel_does_not_watch_is_an_error_and_not_a_call_for_ever(turned, monkeypatch):
    def watch(descriptor, ready, event=None):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(turned.loop, "watch", watch)
        error = turned.result(turned.queue.attributes())
    assert isinstance(error, SQSError) and "No space left" in str(error)
    assert not turned.calls.under_way and turned.result(turned.queue.attributes())


def test_a_bug_in_a_call_ends_this_one_only(turned):
    def broken():
        yield lambda: None
        raise ZeroDivisionError

    turned.begin(broken())
    turned.begin(turned.queue.attributes())
    turned.until(lambda: len(turned.ended) == 2)
    assert {type(one) for one in turned.ended} == {ZeroDivisionError, dict}
