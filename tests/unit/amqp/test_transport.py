"""The stream under pika: gathered writes, a peer that does not read, and an end that is told once."""

import socket
import time

import pytest

from bridge.amqp import transport as module
from bridge.amqp.loop import Loop

PATIENCE = 20  # seconds


class Protocol:
    """pika's side: records all calls."""

    def __init__(self):
        self.received, self.ends, self.eofs = b"", [], 0

    def data_received(self, data):
        self.received += data
        if b"breach" in data:
            raise ValueError("breach")

    def eof_received(self):
        self.eofs += 1

    def connection_lost(self, error):
        self.ends.append(error)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def peer():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def stream(loop, peer):
    protocol = Protocol()
    return loop.services.adopt(peer[0], protocol), protocol, peer[1]


def turn(loop, until):
    """Run the loop until `until()` holds."""
    give_up = time.monotonic() + PATIENCE

    def look():
        if until() or time.monotonic() > give_up:
            loop.stop()
        else:
            loop.call_later(0.005, look)

    loop.call_later(0, look)
    loop.run()
    assert until()


def receive(sock):
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


def test_what_a_turn_writes_leaves_at_its_end_in_order(loop, stream):
    transport, _, theirs = stream
    for piece in (b"one ", b"two ", b"three"):
        transport.write(piece)
    assert receive(theirs) == b"" and transport.get_write_buffer_size() == 13
    loop.services.flush()
    assert receive(theirs) == b"one two three" and transport.get_write_buffer_size() == 0


def test_what_comes_is_handed_on(loop, stream):
    _, protocol, theirs = stream
    theirs.send(b"data")
    turn(loop, lambda: protocol.received == b"data")


def test_a_peer_that_reads_late_gets_everything_in_order(loop, stream):
    transport, _, theirs = stream
    sent = bytes(range(256)) * 8192
    for at in range(0, len(sent), 65536):
        transport.write(sent[at : at + 65536])
        loop.services.flush()
    assert transport.get_write_buffer_size() > 0
    got = b""

    def all_there():
        nonlocal got
        got += receive(theirs)
        return len(got) == len(sent)

    turn(loop, all_there)
    assert got == sent and transport.get_write_buffer_size() == 0


def test_a_large_write_is_sent_at_once_behind_what_was_written_before(stream):
    transport, _, theirs = stream
    transport.write(b"small")
    assert receive(theirs) == b""
    transport.write(bytes(module.LARGE))
    assert receive(theirs).startswith(b"small\0")


def test_a_peer_that_does_not_read_is_congestion_until_it_reads(loop, stream, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNSENT", 1 << 20)
    transport, _, theirs = stream
    for _ in range(32):
        transport.write(bytes(65536))
    assert not transport.congested, "nothing says yet that the socket does not take it"
    loop.services.flush()
    assert transport.congested
    turn(loop, lambda: not receive(theirs) and not transport.get_write_buffer_size())
    assert not transport.congested
    transport.write(b"more")
    loop.services.flush()
    assert receive(theirs) == b"more"


def test_what_waits_for_a_peer_that_does_not_read_is_counted_until_it_is_sent_or_given_up(loop, stream):
    transport, _, theirs = stream
    counted = []
    loop.services.count = counted.append
    transport.write(b"small")
    loop.services.flush()
    assert not counted, "the socket has taken it"
    transport.write(bytes(2 << 20))
    loop.services.flush()
    transport.write(bytes(1000))
    loop.services.flush()
    assert sum(counted) == transport.get_write_buffer_size() > 1 << 20
    turn(loop, lambda: not receive(theirs) and not transport.get_write_buffer_size())
    assert sum(counted) == 0
    transport.write(bytes(2 << 20))
    loop.services.flush()
    assert sum(counted) > 1 << 20
    transport.abort()
    assert sum(counted) == 0


@pytest.mark.parametrize("how", ["closed", "breach", "abort"])
def test_an_end_is_told_once_in_a_later_turn(loop, stream, how):
    transport, protocol, theirs = stream
    transport.write(b"unsent")
    if how == "closed":
        theirs.close()
    elif how == "breach":
        theirs.send(b"breach")
    else:
        transport.abort()
        assert not protocol.ends
    turn(loop, lambda: protocol.ends)
    assert len(protocol.ends) == 1 and protocol.eofs == (how == "closed")
    assert (type(protocol.ends[0]) is ValueError) is (how == "breach")
    assert not loop.services.transports
    transport.abort()
    transport.write(b"late")
    transport.flush()
    turn(loop, lambda: True)
    assert len(protocol.ends) == 1


# ---- the broker's address


def looked_up(loop, host):
    """The answer that pika gets about a host, and the number of threads for it."""
    answers = []
    loop.services.getaddrinfo(host, 5672, answers.append, socktype=socket.SOCK_STREAM)
    assert not answers, "never before the call has returned"
    turn(loop, lambda: answers)
    [answer] = answers
    return answer


@pytest.fixture
def no_thread(monkeypatch):
    def start(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", start)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_an_address_is_known_without_a_thread(loop, no_thread, host, family):
    [record] = looked_up(loop, host)
    assert record[0] == family and record[4][:2] == (host, 5672)


def test_that_no_thread_can_start_is_an_answer_and_no_traceback(loop, no_thread):
    answer = looked_up(loop, "localhost")
    assert isinstance(answer, OSError) and "thread" in str(answer)


def test_a_name_is_looked_up(loop):
    assert all(record[4][1] == 5672 for record in looked_up(loop, "localhost"))


def test_a_lookup_that_was_given_up_is_not_answered(loop):
    answers = []
    reference = loop.services.getaddrinfo("127.0.0.1", 5672, answers.append, socktype=socket.SOCK_STREAM)
    assert reference.cancel() and not reference.cancel()
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert not answers
