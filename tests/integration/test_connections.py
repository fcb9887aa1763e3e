"""Connections: idle or slow ones cost no thread and delay nobody; HTTP as clients and proxies speak it."""

import contextlib
import os
import socket
import threading
import time

import pytest

from bridge.simulate.post import Connection, request
from tests.tools.ports import wait_for


def test_500_idle_and_100_dripping_clients_delay_nobody(start_bridge, sns):
    bridge = start_bridge()
    assert bridge.deliver(sns.notification()).status == 200
    before = bridge.threads()
    idle = [bridge.connect() for _ in range(500)]
    dripping = [bridge.connect() for _ in range(100)]
    stop = threading.Event()

    def drip():
        for number in range(1000):
            for connection in dripping:
                try:
                    connection.send(b"P" if number == 0 else b"O")
                except OSError:
                    pass
            if stop.wait(0.4):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        worst = 0.0
        for _ in range(50):
            start = time.monotonic()
            assert bridge.deliver(sns.notification()).status == 200
            worst = max(worst, time.monotonic() - start)
        assert worst < 1
        assert bridge.threads() <= before
    finally:
        stop.set()
        thread.join()
        for connection in idle + dripping:
            connection.close()


@pytest.mark.rule("BRIDGE_DEADLINE")
def test_a_dripping_client_is_closed_at_the_deadline_without_a_status(start_bridge, sns):
    """The limit is on the whole request, not on each recv."""
    bridge = start_bridge(BRIDGE_DEADLINE="2s")
    with bridge.connect() as connection:
        sent = request(sns.notification(), connection.host)
        start = time.monotonic()
        with pytest.raises(OSError):
            for at in range(len(sent)):
                connection.send(sent[at : at + 1])
                time.sleep(0.1)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_pieces_is_a_request(start_bridge, sns, size):
    bridge = start_bridge()
    with bridge.connect() as connection:
        sent = request(sns.notification(), connection.host)
        for at in range(0, len(sent), size):
            connection.send(sent[at : at + size])
        assert connection.receive().status == 200


def test_pipelined_requests_are_answered_in_order(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    with bridge.connect() as connection:
        good = [sns.notification() for _ in range(20)]
        requests = []
        for number, sent in enumerate(good):
            requests.append(request(sent if number % 2 else sent._replace(body=b"{}"), connection.host))
        connection.send(b"".join(requests))
        assert [connection.receive().status for _ in good] == [400, 200] * 10
    assert sorted(broker.ids(queue)) == sorted(sent.message_id for sent in good[1::2])


@pytest.mark.rule("BRIDGE_MAX_BUFFERED")
def test_what_is_sent_ahead_is_read_as_it_is_answered(start_bridge, broker, queue, sns):
    """Four megabytes of requests on one connection take a fraction of one, however fast they are sent."""
    bridge = start_bridge(BRIDGE_MAX_BUFFERED="1MiB", BRIDGE_MAX_BODY="64KiB")
    sent = request(sns.notification("x" * 7000), "a")
    with bridge.connect() as connection:
        sender = threading.Thread(target=connection.socket.sendall, args=(sent * 500,), daemon=True)
        sender.start()
        assert {connection.receive().status for _ in range(500)} == {200}
        sender.join()
    assert broker.count(queue) == 500


def test_a_chunked_request_is_a_request(start_bridge, broker, queue, sns):
    """Proxies send them."""
    bridge = start_bridge()
    sent = sns.notification()
    headers = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
    with bridge.connect() as connection:
        half = len(sent.body) // 2
        chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (sent.body[:half], sent.body[half:], b""))
        answer = connection.exchange(f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode() + chunks)
    assert answer.status == 200
    assert broker.take(queue)[0].body == sent.body


def test_a_client_that_goes_away_leaves_nothing_behind(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    descriptors = len(list(descriptors_of(bridge)))
    for _ in range(50):
        with bridge.connect() as connection:
            connection.send(request(sns.notification(), connection.host)[:-10])
    for _ in range(50):
        with bridge.connect() as connection:
            connection.send(request(sns.notification(), connection.host))
    wait_for("all descriptors back", lambda: len(list(descriptors_of(bridge))) <= descriptors + 2, 10)
    assert bridge.deliver(sns.notification()).status == 200


def descriptors_of(bridge):
    return os.listdir(f"/proc/{bridge.pid()}/fd")


@pytest.mark.rule("BRIDGE_MAX_CONNECTIONS")
def test_more_connections_than_allowed_close_the_idle_ones(start_bridge, sns):
    bridge = start_bridge(BRIDGE_MAX_CONNECTIONS="20")
    idle = [Connection(bridge.host, bridge.port) for _ in range(40)]
    assert bridge.deliver(sns.notification()).status == 200
    for connection in idle:
        connection.close()


def connections_from(bridge, address, count):
    """Connections of a client at another loopback address."""
    return [socket.create_connection((bridge.host, bridge.port), 15, source_address=(address, 0)) for _ in range(count)]


@pytest.mark.rule("BRIDGE_MAX_CONNECTIONS")
def test_room_is_made_at_the_cost_of_the_address_that_has_most(start_bridge, sns):
    """A connection that has waited longest stays, because its address has no other."""
    bridge = start_bridge(BRIDGE_MAX_CONNECTIONS="100")
    first = bridge.connect()
    crowd = connections_from(bridge, "127.0.0.2", 300)
    assert first.deliver(sns.notification()).status == 200
    assert bridge.deliver(sns.notification()).status == 200
    for connection in (first, *crowd):
        connection.close()


@pytest.mark.rule("BRIDGE_MAX_CONNECTIONS")
def test_who_was_answered_for_nothing_genuine_goes_before_who_was_not_answered(start_bridge, sns):
    """Of one address: the one that has not sent anything yet may be SNS's."""
    bridge = start_bridge(BRIDGE_MAX_CONNECTIONS="12")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(bridge.connect())
        others = [stack.enter_context(bridge.connect()) for _ in range(10)]
        for number, other in enumerate(others):
            if number % 2:
                assert other.get("/healthy").status == 200
            else:
                assert other.deliver(sns.notification()._replace(body=b"{}")).status == 400
        for _ in range(8):
            assert stack.enter_context(bridge.connect()).get("/healthy").status == 200
        assert first.deliver(sns.notification()).status == 200


@pytest.mark.rule("BRIDGE_MAX_BUFFERED")
def test_room_for_bytes_is_made_at_the_cost_of_the_address_that_has_most(start_bridge, sns):
    """Not of the client that has sent most for the longest time, when others of one address together have more."""
    bridge = start_bridge(BRIDGE_MAX_BUFFERED="8MiB")
    sent = request(sns.notification("x" * 200_000), "a")
    with bridge.connect() as first:
        first.send(sent[:-1])
        time.sleep(0.3)
        crowd = connections_from(bridge, "127.0.0.2", 100)
        for connection in crowd:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n" + b"x" * 140_000)
        first.send(sent[-1:])
        assert first.receive().status == 200
    for connection in crowd:
        connection.close()


def test_a_client_that_waits_for_100_continue(start_bridge, sns):
    bridge = start_bridge()
    sent = sns.notification()
    with bridge.connect() as connection:
        head = request(sent._replace(body=b""), connection.host, extra={"Expect": "100-continue"})
        connection.send(head.replace(b"Content-Length: 0", b"Content-Length: %d" % len(sent.body)))
        assert connection.receive().status == 100
        assert connection.exchange(sent.body).status == 200


def test_a_client_of_http_1_0_gets_no_100(start_bridge, sns):
    """RFC 9110 section 10.1.1: an HTTP/1.0 client would take the 100 for its answer."""
    bridge = start_bridge()
    sent = sns.notification()
    with bridge.connect() as connection:
        head = request(sent._replace(body=b""), connection.host, extra={"Expect": "100-continue"}).replace(b" HTTP/1.1", b" HTTP/1.0", 1)
        connection.send(head.replace(b"Content-Length: 0", b"Content-Length: %d" % len(sent.body)))
        connection.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.socket.recv(100)
        connection.socket.settimeout(15)
        connection.send(sent.body)
        assert connection.receive().status == 200


def test_the_answer_to_head_is_a_head(start_bridge, sns):
    """RFC 9110 section 9.3.2: what a GET would get, without its content; the next answer starts right behind it."""
    bridge = start_bridge()
    with bridge.connect() as connection:
        for target, status in (("/healthy", 200), ("/unknown", 404)):
            connection.send(f"HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /healthy HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            received = b""
            while received.count(b"\r\n\r\n") < 2:
                received += connection.socket.recv(4096)
            first, second, rest = received.split(b"\r\n\r\n")
            assert first.startswith(b"HTTP/1.1 %d " % status) and second.startswith(b"HTTP/1.1 200 ") and rest == b""
            assert (b"Content-Length: 0" in first) == (status == 200)


def test_an_empty_line_between_two_requests_costs_none_of_them(start_bridge, broker, queue, sns):
    """RFC 9112 section 2.2."""
    bridge = start_bridge()
    first, second = sns.notifications(2)
    with bridge.connect() as connection:
        connection.send(b"\r\n" + request(first, connection.host) + b"\r\n" + request(second, connection.host))
        assert [connection.receive().status for _ in range(2)] == [200, 200]
        connection.send(b"\r\n")
        assert connection.deliver(sns.notification()).status == 200
    assert broker.count(queue) == 3


def test_a_client_that_asks_for_it_has_its_connection_closed(start_bridge, sns):
    bridge = start_bridge()
    with bridge.connect() as connection:
        answer = connection.deliver(sns.notification(), extra={"Connection": "close"})
        assert (answer.status, answer.headers["connection"].lower()) == (200, "close")
        assert connection.ended()


def test_a_client_that_stops_sending_still_gets_its_answer(start_bridge, sns):
    """It has shut down its sending side: half a connection is enough for an answer."""
    bridge = start_bridge()
    with bridge.connect() as connection:
        connection.send(request(sns.notification(), connection.host))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.receive().status == 200


@pytest.mark.rule("BRIDGE_MAX_BUFFERED")
def test_a_head_that_announces_much_costs_nobody_anything(start_bridge, sns):
    """Bytes that have arrived count, announced ones do not."""
    bridge = start_bridge(BRIDGE_MAX_BUFFERED="3MiB")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(bridge.connect())
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nx")
        assert bridge.deliver(sns.notification("x" * 200_000)).status == 200


@pytest.mark.rule("overloaded")
def test_bytes_beyond_the_limit_cost_those_who_hold_most_for_longest(start_bridge, sns):
    """A client without a genuine message gets 503; a genuine message that is larger than the rest of the room gets through."""
    bridge = start_bridge(BRIDGE_MAX_BUFFERED="3MiB")
    with bridge.connect() as first, bridge.connect() as second:
        first.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_900_000)
        time.sleep(0.3)
        second.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_500_000)
        answer = first.receive()
        assert (answer.status, answer.body) == (503, b"overloaded\n")
        assert bridge.deliver(sns.notification("x" * 200_000)).status == 200
