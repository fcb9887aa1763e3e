"""Other attacks: at the start, two at once, on the admin listener, and with a captured genuine message."""

import contextlib
import time

import pytest

from bridge.simulate.certificates import Authority
from tests.fault.neighbours.crowd import Attack, Crowd
from tests.fault.neighbours.siege import scene_of
from tests.fault.test_neighbours_certificates import UNKNOWN, slow
from tests.tools.ports import wait_for


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_start_under_attack(seconds, neighbours, sns):
    """Nothing is in use yet, and a thousand clients of another address name certificates that nobody has: the genuine one gets its turn.

    From SNS's own address such a flood can keep it from its turn for as long as the flood lasts: SECURITY.md says so.
    """
    sns.unknown_answer = slow(seconds)
    bridge = neighbours.bridge(connected=False)
    attack = UNKNOWN._replace(then="again", rate=1500, every=0, seconds=20, addresses=1)
    with Crowd(attack, scene_of(sns), bridge.port):
        bridge.wait_for("broker_connected")
        time.sleep(2)
        begun = time.monotonic()
        answers = []

        def answered():
            with contextlib.suppress(OSError):
                answers.append(bridge.deliver(sns.notification()).status)
                return answers[-1] == 200

        wait_for("a 200", answered, 15, 0.05)
        neighbours.say(f"start under attack, certificates in {seconds} s: 200 after {time.monotonic() - begun:.1f} s, {len(answers)} tries")


ADMIN = {
    "/metrics, pipelined, on 64": Attack("metrics", 64, 5),
    "/status.json, pipelined, on 64": Attack("status", 64, 5),
    "clients that say nothing, 1,000": Attack("nothing", 1000, 5),
    "ten thousand requests a second": Attack("tiny", 64, 5),
}


@pytest.mark.parametrize("name", ADMIN)
def test_the_admin_listener(name, neighbours):
    bridge = neighbours.bridge()
    port = int(bridge.settings["BRIDGE_ADMIN_LISTEN"].rpartition(":")[2])
    neighbours.play(f"admin listener: {name}", ADMIN[name], bridge=bridge, port=port)


KINDS = {
    "headers of which no two are the same, on 64": Attack("new_headers", 64, 5),
    "HTTP/1.0, reconnecting, on 64": Attack("http_1_0", 64, 5),
    "Expect: 100-continue, pipelined, on 64": Attack("expect_again", 64, 5),
    "the like of SNS's own: 1,000 kept connections that did nothing yet": Attack("nothing", 1000, 5, back=False),
}


@pytest.mark.parametrize("name", KINDS)
def test_others(name, neighbours):
    neighbours.play(name, KINDS[name])


def test_a_genuine_message_again_and_again(neighbours, sns, broker, queue):
    """A copy of a genuine message is genuine. The queue gets duplicates, and every other message its answer."""
    bridge = neighbours.bridge(BRIDGE_ROUTING_KEY="neighbours-of-replay")
    broker.declare("neighbours-of-replay", **{"x-max-length": 200_000})
    scene = scene_of(sns)
    assert bridge.deliver(sns.notification()).status == 200  # its certificate is known from here on
    with Crowd(Attack("replayed", 64, 8), scene, bridge.port) as crowd:
        time.sleep(1)
        waits = []
        for number in range(150):
            begun = time.monotonic()
            assert bridge.deliver(sns.notification(f"genuine {number}")).status == 200
            waits.append(time.monotonic() - begun)
            time.sleep(0.02)
        crowd.wait()
    neighbours.say(f"replayed on 64: worst of 150 {max(waits):.2f} s; attacker {crowd.seen}")
    assert sorted(waits)[-2] < 1
    broker.delete("neighbours-of-replay")


def test_two_at_once(neighbours, sns, folder):
    """Memory is one: a thousand TLS connections in the middle of their handshake, and bodies that fill BRIDGE_MAX_BUFFERED."""
    sns.unknown_answer = slow(5)
    authority = Authority(folder / "tls", "listener")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1")
    bridge = neighbours.bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key))
    beside = Crowd(Attack("client_hello", 900, 7), scene_of(sns), bridge.port)
    attack = Attack("part_of_body", 80, 6, size=1_900_000, tls=True)
    words = {"bridge": bridge, "endpoint": bridge.endpoint(ca_file=authority.ca_file), "beside": beside}
    neighbours.play("900 TLS handshakes that stop, and 80 TLS clients with 1.9 of 2 MB", attack, **words)
