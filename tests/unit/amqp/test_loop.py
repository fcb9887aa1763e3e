"""The loop's turns: each is bounded, forgets nothing, and ends at no exception."""

import socket
import threading
from time import monotonic, sleep

import pytest

from bridge.amqp.loop import FLUSH, TURN, FairLane, Loop
from bridge.sockets import READ, WRITE


@pytest.fixture
def loop():
    loop = Loop()
    guard = threading.Timer(10, loop.stop)  # a loop that does not stop by itself fails the test, and does not hang it
    guard.start()
    loop.call_soon(lambda: None)  # visits are asked for by events: the first turn does not wait for one more
    yield loop
    guard.cancel()


class Turns:
    """Replaces the transport; flushed at the end of each turn."""

    def __init__(self, loop, seen, wanted):
        self.loop, self.seen, self.wanted, self.by_turn = loop, seen, wanted, []
        loop.services.transports.append(self)

    def flush(self):
        self.by_turn.append(len(self.seen))
        if len(self.seen) >= self.wanted:
            self.loop.stop()


def test_a_turn_makes_some_visits_and_the_next_turns_all_others(loop):
    seen = []
    for number in range(100):
        loop.newcomers.append(lambda number=number: seen.append(number))
    turns = Turns(loop, seen, 100)
    loop.run()
    assert seen == list(range(100))
    assert all(after - before <= TURN for before, after in zip([0, *turns.by_turn], turns.by_turn, strict=False))


def test_slow_visits_end_a_turn_early(loop):
    seen = []
    for number in range(20):
        loop.newcomers.append(lambda number=number: seen.append(sleep(0.015) or number))
    turns = Turns(loop, seen, 20)
    loop.run()
    assert seen == list(range(20)) and max(after - before for before, after in zip([0, *turns.by_turn], turns.by_turn, strict=False)) <= 2


@pytest.mark.parametrize("patience", [0, 1e-9])
def test_a_client_that_has_gone_leaves_nothing_in_a_lane(patience):
    """In a flood more clients come and go in a turn than it has visits; each that stayed in line would take memory."""
    lane = FairLane(0.01, patience)
    visits = [(lambda: None, f"network {at % 7}") for at in range(100)]
    for visit, network in visits:
        lane.append(visit, network)
        lane.append(visit, network)
    for visit, network in visits[:50]:
        lane.remove(visit, network)
        lane.remove(visit, network)
    assert len(lane) == 50
    assert {lane.popleft() for _ in range(50)} == {visit for visit, _ in visits[50:]}
    lane.remove(*visits[99])
    assert not lane and not lane.waiting


def test_what_a_turn_writes_leaves_before_its_end(loop):
    """The broker has work while a long turn goes on."""
    seen = []
    for number in range(FLUSH * 3):
        loop.trusted.append(lambda number=number: seen.append(number))
    turns = Turns(loop, seen, FLUSH * 3)
    loop.run()
    assert turns.by_turn[:3] == [FLUSH, FLUSH * 2, FLUSH * 3]


def test_a_visit_that_asks_for_another_one_does_not_keep_others_waiting(loop):
    """A client that has sent a thousand requests at once gets one answer a visit."""
    seen = []

    def greedy():
        seen.append("greedy")
        if len(seen) < 500:
            loop.newcomers.append(greedy)

    loop.newcomers.append(greedy)
    loop.newcomers.append(lambda: seen.append("other"))
    loop.trusted.append(lambda: seen.append("trusted"))
    Turns(loop, seen, 500)
    loop.run()
    assert seen[:3] == ["trusted", "greedy", "other"]


def test_the_oldest_goes_first_of_those_that_have_waited_little_and_then_the_newest_of_the_others(monkeypatch):
    """In a flood a newcomer waits for a moment at most, whether thousands stand there or come again as soon as they were served."""
    now = 1000.0
    monkeypatch.setattr("bridge.amqp.loop.monotonic", lambda: now)
    lane, seen = FairLane(0.01, patience=0.25), []

    def come(*names):
        for name in names:
            lane.append(lambda name=name: seen.append(name))

    come("a", "b", "c")
    now += 0.2
    come("d", "e")
    now += 0.1
    lane.popleft()()
    come("f")
    while lane:
        lane.popleft()()
    assert seen == ["d", "e", "f", "c", "b", "a"]


def test_a_newcomer_is_served_in_time_though_each_that_is_served_comes_again(monkeypatch):
    """Thousands of handshakes that are begun again and again take all the time there is: each that is made brings the next one."""
    now = 1000.0
    monkeypatch.setattr("bridge.amqp.loop.monotonic", lambda: now)
    lane, waits = FairLane(0.01, patience=0.25), []

    def again():
        lane.append(lambda: again())

    def newcomer():
        began = now
        lane.append(lambda: waits.append(now - began))

    for _ in range(3000):
        again()
    for number in range(7000):  # 10 s: a signature takes 1.4 ms
        now += 0.0014
        if number > 500 and number % 70 == 0:
            newcomer()
        lane.popleft()()
    assert len(waits) >= 90 and max(waits) < 0.3


@pytest.mark.parametrize("lane", ["newcomers", "handshakes"])
def test_a_network_with_many_visits_holds_up_only_itself(loop, lane):
    """Two hundred handshakes of one client address, and then one of another: it is the second that is made."""
    seen = []
    for _ in range(200):
        getattr(loop, lane).append(lambda: seen.append("many"), "127.0.0.2")
    for number in range(3):
        getattr(loop, lane).append(lambda number=number: seen.append(number), "127.0.0.1")
    Turns(loop, seen, 203)
    loop.run()
    assert set(seen[1:6:2]) == {0, 1, 2} and seen.count("many") == 200
    assert not getattr(loop, lane)


def test_an_exception_of_a_visit_costs_neither_the_other_visits_nor_the_broker_anything(loop):
    bugs, seen = [], []
    loop.on_bug, loop.on_amqp_bug = bugs.append, seen.append

    def broken():
        raise RuntimeError

    loop.letters.append(broken)
    loop.letters.append(lambda: seen.append("next"))
    Turns(loop, seen, 1)
    loop.run()
    assert len(bugs) == 1 and seen == ["next"]


@pytest.mark.parametrize("where", ["visit", "timer", "soon", "descriptor"])
def test_an_exception_of_a_callback_is_told_and_ends_nothing(loop, where):
    bugs, seen, pair = [], [], None
    loop.on_bug = bugs.append

    def broken(*_):
        if where == "descriptor":
            loop.remove(pair[0].fileno())
        raise KeyError(where)

    if where == "visit":
        loop.newcomers.append(broken)
    elif where == "timer":
        loop.call_later(0, broken)
    elif where == "soon":
        loop.call_soon(broken)
    else:
        import socket

        pair = socket.socketpair()
        loop.add(pair[0].fileno(), broken, 1)
        pair[1].send(b"x")
    loop.call_later(0.05, lambda: (seen.append(1), loop.stop()))
    started = monotonic()
    loop.run()
    assert seen == [1] and [error.args for error in bugs] == [(where,)] and monotonic() - started < 5


def test_an_exception_under_the_amqp_connection_is_told_to_its_owner(loop):
    """After that pika's state is unknown, so the publisher has to connect again."""
    bugs, broken = [], []
    loop.on_bug, loop.on_amqp_bug = bugs.append, broken.append

    def step():
        raise RuntimeError("can't start new thread")

    loop.services.call_later(0, step)
    loop.services.add_callback_threadsafe(step)
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert len(bugs) == len(broken) == 2


def test_each_client_that_has_sent_something_is_ready_once_a_turn_until_it_is_not_watched(loop):
    pairs = [socket.socketpair() for _ in range(100)]
    seen = []
    for at, (ours, theirs) in enumerate(pairs):
        loop.watch(ours.fileno(), lambda at=at: seen.append(at))
        if at % 2:
            theirs.send(b"x")
    turns = Turns(loop, seen, 150)
    loop.run()
    assert turns.by_turn[-3:] == [50, 100, 150] and set(seen) == set(range(1, 100, 2))
    for ours, _ in pairs[:99]:
        loop.unwatch(ours.fileno())
    loop.call_soon(loop.stop)
    loop.run()
    assert seen[150:] in ([99], [99, 99])
    for pair in pairs:
        for one in pair:
            one.close()


def test_a_client_may_hang_up_or_wait_for_room(loop):
    """The end of a connection is an event too, whatever was asked for; `update` asks for other events."""
    ours, theirs = socket.socketpair()
    loop.watch(ours.fileno(), loop.stop)
    loop.update(ours.fileno(), WRITE)
    loop.run()
    loop.update(ours.fileno(), READ)
    theirs.close()
    loop.run()
    loop.unwatch(ours.fileno())
    ours.close()
