"""Odd messages, half-written credentials, signals and odd requests cost no genuine message its answer."""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.fault.neighbours.crowd import Attack
from tests.fault.neighbours.genuine import Genuine
from tests.fault.test_neighbours_broker import bad_topic
from tests.fault.test_neighbours_certificates import STRENGTHS
from tests.fault.test_neighbours_machine import family
from tests.tools.bridge import UNDER_TEST
from tests.tools.broker import Broker

pytestmark = pytest.mark.shown
OTHERS = "neighbours-of-odd-messages"  # a queue for the odd ones


@contextlib.contextmanager
def again_and_again(every, step):
    """Call step(number) every so many seconds, while genuine messages come."""
    stop = threading.Event()

    def run():
        number = 0
        while not stop.wait(every):
            number += 1
            step(number)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def apart(sns, folder):
    """Settings that send the messages of the other topic to a queue of their own."""
    path = folder / "routes.toml"
    path.write_text(f'[[route]]\ntopic = "{bad_topic(sns)}"\nrouting_key = "{OTHERS}"\n')
    return {"BRIDGE_TOPICS": f"{sns.topic},{bad_topic(sns)}", "BRIDGE_ROUTES": str(path)}


ATTRIBUTES = {
    "257 attributes": {f"a{number}": ("String", "v") for number in range(257)},
    "514 attributes": {f"a{number}": ("String", "v") for number in range(514)},
    "an attribute of 100 kB": {"a": ("String", "v" * 100_000)},
    "an attribute of 200 kB": {"a": ("String", "v" * 200_000)},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_messages_with_much_that_is_not_signed(name, neighbours, sns, folder, broker):
    """They are genuine, and are answered 200 like all others."""
    broker.declare(OTHERS)
    bridge = neighbours.bridge(**apart(sns, folder))
    beside = Genuine(sns, bridge.endpoint(), rate=10, large=0, topic=bad_topic(sns), attributes=ATTRIBUTES[name])
    neighbours.play(f"messages with {name}, 10 a second", None, bridge=bridge, beside=beside, seconds=6)
    assert {delivery.status for delivery in beside.deliveries} == {200}
    broker.delete(OTHERS)


@pytest.mark.parametrize("length", [10_000, 20_000])
def test_a_broker_with_small_frames(length, neighbours, sns, folder):
    """What is longer than a frame may be is left out of the headers. It closes no channel under the messages of others.

    8192 is the least that RabbitMQ 4 takes.
    """
    with Broker(settings="frame_max = 8192") as small:
        small.declare("small")
        small.declare(OTHERS)
        bridge = neighbours.bridge(BRIDGE_AMQP_URL=small.url, BRIDGE_ROUTING_KEY="small", **apart(sns, folder))
        odd = {"attributes": {"a": ("String", "v" * length)}, "subject": "\U0001f600" * 1024}
        beside = Genuine(sns, bridge.endpoint(), rate=10, large=0, topic=bad_topic(sns), **odd)
        here = neighbours._replace(broker=small, queue="small")
        here.play(f"attributes of {length:,} bytes, frame_max 8192", None, bridge=bridge, beside=beside, seconds=6)
        assert {delivery.status for delivery in beside.deliveries} == {200}


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_credentials_that_are_half_written(times, neighbours, folder: Path):
    """`sns:` and no more lets nobody in, and the password in use stays."""
    path = folder / "credentials"
    parts = ("sns:", "sns:\n", "sns:a-lo", "", "sns:a-long-password\n")
    path.write_text(parts[-1])
    bridge = neighbours.bridge(BRIDGE_BASIC_AUTH_FILE=str(path))
    beside = again_and_again(0.3 / times, lambda number: path.write_text(parts[number % len(parts)]))
    words = {"bridge": bridge, "endpoint": bridge.endpoint("sns:a-long-password"), "beside": beside}
    name = f"credentials written in parts, an empty password on {16 * times}"
    seen = neighbours.play(name, Attack("empty_password", 16 * times, 6), **words)
    assert seen.attacker["401"] and "200" not in seen.attacker


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman passes signals on in its own time")
@pytest.mark.parametrize("rate", [20, 40])
def test_signals(rate, neighbours):
    """None of these ends a process, or a connection."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
    bridge = neighbours.bridge()
    beside = again_and_again(1 / rate, lambda number: os.kill(family(bridge.pid())[0], numbers[number % 4]))
    neighbours.play(f"SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, {rate} a second", None, bridge=bridge, beside=beside, seconds=6)


REQUESTS = {
    "Expect in HTTP/1.0, reconnecting": ("expect_of_http_1_0", "400", "403"),
    "an empty line before each request": ("empty_line_between", "403"),
    "two Connection lines": ("two_connection_lines", "403"),
}


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
@pytest.mark.parametrize("name", REQUESTS)
def test_odd_requests(name, times, neighbours):
    """Each is answered as its standard says: for the signature that is wrong."""
    stream, *statuses = REQUESTS[name]
    seen = neighbours.play(f"{name}, on {16 * times}", Attack(stream, 16 * times, 5))
    assert {status for status in seen.attacker if status.isdigit()} <= set(statuses)
