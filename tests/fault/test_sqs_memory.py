"""The memory limits that are shipped hold while a queue is full of the largest messages that SQS has: the kernel kills nothing.

SQS's limit is 1 MiB, and anybody who may send to the queue may send that: it is no Notification and stays there. A message of SNS has
256 KiB.
"""

import time

import pytest

from bridge.settings import size
from tests.conftest import settings_for
from tests.fault.neighbours.siege import MIB
from tests.fault.test_neighbours_limits import LIMITS, small
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.cgroup import MemoryGroup
from tests.tools.ports import wait_for
from tests.tools.repeat import repeated
from tests.tools.sqs import SQS

QUEUE = "letters"
GENUINE = 100
FOREIGN = {
    "none": "",
    "1 MiB of ASCII": "x" * MIB,
    "1 MiB of quotes": '"' * MIB,
    "1 MiB of astral text": "\U0001f600" * (MIB // 4),
    "1 MiB of ampersands": '{"UnsubscribeURL":"?' + "&" * (MIB - 20),
    "1 MiB of JSON objects": '{"a":[' + "{}," * (MIB // 3 - 4) + "{}]}",
}


def impatient(sqs):
    """Whenever all is out of sight, all visibility timeouts run out, those of an hour too: what is foreign comes again and again."""

    def show():
        if all(message.visible > time.monotonic() for message in sqs.messages(QUEUE)):
            sqs.show(QUEUE)

    return repeated(1, show)


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman's own memory limit is the image tests' matter")
@pytest.mark.parametrize("place", LIMITS)
@pytest.mark.parametrize("name", FOREIGN)
def test_limit(name, place, sns, broker, queue, capsys):
    limit, settings = LIMITS[place]
    limit = f"{small[1]}M" if place == "README" and small else limit
    genuine = {sns.notification(f"{number:03}" + "x" * 262_100).body.decode() for number in range(GENUINE)}
    foreign = [FOREIGN[name]] * 40 if FOREIGN[name] else []
    with SQS() as sqs, MemoryGroup(size(limit)) as group:
        own = {"BRIDGE_SQS_QUEUES": sqs.url(QUEUE), "BRIDGE_SQS_ENDPOINT": sqs.endpoint, **sqs.environment}
        letters = list(genuine)
        for number, one in enumerate(foreign):
            letters.insert(number * 3, one)
        sqs.send(QUEUE, *letters)
        with Wrapped(prefix=group.prefix, **settings_for(sns, broker.url, queue), **own, **settings) as bridge, impatient(sqs):
            wait_for("what stays", lambda: len(sqs.bodies(QUEUE)) == len(foreign) or group.killed(), 90, 0.1)
            for _ in range(300):  # all that is foreign is judged too
                summed = sum(line["number"] for line in bridge.events("verdicts_not_logged"))
                if len(bridge.events("verdict")) + summed >= len(foreign) or group.killed():
                    break
                time.sleep(0.2)
            else:
                pytest.fail(f"{bridge.log[-5:]}")
        with capsys.disabled():
            print(f"\n  {name}, limit {limit} ({place}): the cgroup at most {group.highest() / MIB:.0f} MiB")
        assert not group.killed()
    assert {message.body.decode() for message in broker.take(queue)} == genuine
