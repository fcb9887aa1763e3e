"""This machine's clock is wrong by two days: 503, never 403; SNS keeps the messages until the clock is right again.

libfaketime can't be loaded into a static binary, so that one runs under an emulator, whose system calls libfaketime answers.
"""

import os
import platform
import shutil
from pathlib import Path

import pytest

from bridge.simulate.sns import SNS
from tests.conftest import settings_for
from tests.fault.load import Load
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.broker import Broker
from tests.tools.ports import wait_for
from tests.tools.sqs import SQS

LIBRARY = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")
EMULATOR = f"qemu-{platform.machine()}"
pytestmark = [
    pytest.mark.skipif(UNDER_TEST == "image", reason="the clock is taken from outside, which a container does not let in"),
    pytest.mark.skipif(not LIBRARY, reason="libfaketime is missing: apt-get install libfaketime"),
    pytest.mark.skipif(UNDER_TEST != "source" and not shutil.which(EMULATOR), reason=f"{EMULATOR} is missing: apt-get install qemu-user"),
]


@pytest.fixture
def clock(folder: Path) -> Path:
    """The file that says by how much the bridge's clock is wrong."""
    path = folder / "clock"
    path.write_text("+0\n")
    return path


def believing(clock: Path, **settings: str) -> Wrapped:
    """A bridge to whom the file tells the time."""
    false = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return Wrapped(prefix=() if UNDER_TEST == "source" else (EMULATOR,), **false, **settings)


@pytest.fixture
def bridge(clock: Path, sns: SNS, broker: Broker, queue: str):
    """A bridge that believes in that clock."""
    with believing(clock, **settings_for(sns, broker.url, queue)) as bridge:
        bridge.wait_for("broker_connected", seconds=30)
        yield bridge


@pytest.fixture
def sqs():
    with SQS() as sqs:
        yield sqs


@pytest.fixture
def pulling(clock: Path, sns: SNS, sqs: SQS, broker: Broker, queue: str):
    """One that pulls, and believes in that clock."""
    own = {"BRIDGE_SQS_QUEUES": sqs.url("letters"), "BRIDGE_SQS_ENDPOINT": sqs.endpoint, **sqs.environment}
    with believing(clock, **settings_for(sns, broker.url, queue), **own) as bridge:
        bridge.wait_for("broker_connected", seconds=30)
        yield bridge


def set_clock(clock: Path, offset: str) -> None:
    fresh = clock.with_name("fresh")
    fresh.write_text(f"{offset}\n")
    os.replace(fresh, clock)


@pytest.mark.parametrize("offset", ["+2d", "-2d"])
def test_a_clock_that_is_wrong_by_two_days(offset, clock, bridge, broker, queue, sns, record):
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(300)
        set_clock(clock, offset)
        bridge.wait_for("verdict", status=503, reason="timestamp")
        load.wait_for_sent(300)
        set_clock(clock, "+0")
        load.over()
    record(f"clock wrong by {offset.replace('d', ' days')}", load, broker.take(queue))
    assert load.statuses() == {200, 403, 503}


@pytest.mark.parametrize(("offset", "days"), [("+2d", 1), ("-70d", 30)], ids=["expired", "not yet valid"])
def test_a_clock_outside_the_signing_certificate(offset, days, clock, bridge, broker, queue, sns, record):
    """A genuine signature by a certificate that seems out of date: not the message's fault."""
    sns.rotate(days=days)
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(300)
        set_clock(clock, offset)
        bridge.wait_for("verdict", status=503, reason="certificate-not-valid")
        load.wait_for_sent(300)
        set_clock(clock, "+0")
        load.over()
    record(
        f"clock wrong by {offset.replace('d', ' days')}: the signing certificate seems {'expired' if days == 1 else 'not yet valid'}",
        load,
        broker.take(queue),
    )
    assert load.statuses() == {200, 403, 503}


@pytest.mark.parametrize("offset", ["+2d", "-2d"])
def test_a_clock_that_jumps_under_a_bridge_that_pulls(offset, clock, pulling, broker, queue, sns, sqs):
    """SQS refuses what is signed by a wrong clock; nothing is lost or deleted by it, and pauses do not go by this clock."""

    def letters(number):
        posts = [post.body.decode() for post in sns.notifications(number)]
        sqs.send("letters", *posts)
        return posts

    first = letters(50)
    wait_for("the first deletes", lambda: len(sqs.deleted()) == 50, 20)
    set_clock(clock, offset)
    second = letters(50)
    error = pulling.wait_for("sqs_error", kind="clock")
    assert "this machine's clock is wrong" in error["explanation"]
    stored = broker.take(queue)
    assert set(sqs.deleted()) <= {message.body.decode() for message in stored}
    set_clock(clock, "+0")
    sqs.show("letters")
    wait_for("an empty queue", lambda: not sqs.bodies("letters"), 90)
    stored += broker.take(queue)
    assert {message.body.decode() for message in stored} == {*first, *second}
