"""Messages that wait for a certificate, or whose client has gone, take nothing from those whose certificate is in use."""

import socket
import struct
import time

import pytest

from bridge.simulate.post import request
from tests.fault.neighbours.crowd import Attack
from tests.fault.neighbours.siege import metric, resident
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for

STRENGTHS = {"as seen": 1, "twice": 2}
UNKNOWN = Attack("forged_unknown", 1100, 8)
WAITING = {  # with the seconds that the certificate's host takes
    "1,500 forged messages a second, 40 a name, on {}": (UNKNOWN._replace(then="again", rate=1500, every=0.03), 0.2),
    "1,500 forged messages a second, a name each, on {}": (UNKNOWN._replace(then="again", rate=1500, every=0), 0.0),
    "1,200 forged messages a second, each reset": (UNKNOWN._replace(then="reset", rate=1200, every=2.66), 2.8),
    "1,200 forged messages a second, each half closed": (UNKNOWN._replace(then="half", rate=1200, every=2.66), 2.8),
    "1,200 forged messages a second, a name each, each reset": (UNKNOWN._replace(then="reset", rate=1200, every=0), 2.8),
    "one certificate that never comes, on {}": (UNKNOWN._replace(stream="forged_one_unknown"), 20.0),
}


def slow(seconds):
    """The answer to a request for a certificate that is not there."""

    def behave(handler):
        time.sleep(seconds)
        handler.answer(404, b"")

    return behave


@pytest.mark.shown
@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
@pytest.mark.parametrize("name", WAITING)
def test_waiting_for_a_certificate(name, times, neighbours, sns):
    attack, seconds = WAITING[name]
    sns.unknown_answer = slow(seconds)
    attack = attack.doubled() if times == 2 else attack
    neighbours.play(name.format(f"{attack.connections:,}") + (", twice" if times == 2 else ""), attack)


@pytest.mark.shown
@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_waiting_for_a_certificate_from_another_address(times, neighbours, sns):
    sns.unknown_answer = slow(20)
    attack = UNKNOWN._replace(stream="forged_one_unknown", connections=UNKNOWN.connections * times, addresses=1)
    neighbours.play(f"one certificate that never comes, on {attack.connections:,}, from another address", attack)


@pytest.mark.quick
def test_waiting_for_a_certificate_in_short(neighbours, sns):
    sns.unknown_answer = slow(2.8)
    neighbours.play("2,000 forged messages a second for 4 s, each reset", Attack("forged_unknown", 1100, 4, "reset", rate=2000, every=2.66))


# ---- a broker that keeps its acks back


@pytest.fixture
def relay(broker):
    with FaultProxy(broker.port) as proxy:
        yield proxy


def held_bridge(neighbours, relay):
    return neighbours.bridge(BRIDGE_AMQP_URL=f"amqp://guest:guest@127.0.0.1:{relay.port}/%2F", BRIDGE_DEADLINE="2s")


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_clients_that_hang_up_while_acks_are_kept_back(times, neighbours, relay, sns):
    """Their deliveries are over after BRIDGE_DEADLINE all the same, and the next ones have their room."""
    bridge = held_bridge(neighbours, relay)
    admin = int(bridge.settings["BRIDGE_ADMIN_LISTEN"].rpartition(":")[2])
    assert bridge.deliver(sns.notification()).status == 200
    relay.black_hole()
    posts = [request(sns.notification(f"held {number}"), "a") for number in range(20)]
    for number in range(1000 * times):
        with socket.create_connection((bridge.host, bridge.port)) as client:
            client.sendall(posts[number % 20])
            if number % 50 == 49:
                time.sleep(0.05)  # so that it is read before it is reset
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for("no delivery in flight", lambda: metric(admin, "bridge_in_flight") == 0, 5)
    answer = bridge.deliver(sns.notification())
    assert (answer.status, answer.body) == (503, b"deadline\n"), "the deliveries that had ended made no room for it"
    relay.heal()
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 15)


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_expired_deliveries_are_forgotten(times, neighbours, relay, sns):
    """A message that was answered 503 leaves the publisher's table too, so memory does not grow while a broker never confirms."""
    bridge = held_bridge(neighbours, relay)
    assert bridge.deliver(sns.notification()).status == 200
    relay.black_hole()
    clients = [bridge.connect() for _ in range(200 * times)]
    posts = [request(sns.notification(f"held {number} " + "x" * 2000), "a") for number in range(20)]
    before, count = 0.0, 0
    for turn in range(4):
        for number, client in enumerate(clients):
            client.send(posts[number % 20])
        for client in clients:
            assert client.receive().status == 503
            count += 1
        if turn == 1:
            before = resident(bridge.pid(), "VmRSS")
    grown = resident(bridge.pid(), "VmRSS") - before
    neighbours.say(f"{count} deliveries expired: {grown * 1024 / (count / 2):.2f} KiB each stayed")
    relay.heal()
    for client in clients:
        client.close()
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 15)
