"""A bridge that many tests share, for promises that hold with its default settings, because a start for each would take minutes.

shared   (bridge, sns, queue): one bridge and one SNS for the module, a topic and its queue for the test
"""

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.simulate.post import Answer
from bridge.simulate.sns import SNS
from tests.conftest import settings_for
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker

ANY_TOPIC = "arn:aws:sns:eu-central-1:123456789012:*"
Shared = tuple[Bridge, SNS, str]


@pytest.fixture(scope="module")
def _shared(broker: Broker) -> Iterator[tuple[Bridge, SNS]]:
    with tempfile.TemporaryDirectory(prefix="bridge-test-") as folder, SNS(Path(folder), topic=ANY_TOPIC) as sns:
        Path(folder).chmod(0o755)
        with Bridge(**settings_for(sns, broker.url, "{topic}")) as bridge:
            bridge.wait_for("broker_connected")
            yield bridge, sns


@pytest.fixture
def shared(_shared: tuple[Bridge, SNS], broker: Broker) -> Iterator[Shared]:
    bridge, sns = _shared
    queue = broker.declare(f"topic-{secrets.token_hex(4)}")
    sns.topic = ANY_TOPIC.replace("*", queue)
    sns.requests.clear()
    sns.confirmed.clear()
    bridge.log.clear()
    yield bridge, sns, queue
    broker.delete(queue)


def refused(bridge: Bridge, answer: Answer, status: int, reason: str) -> None:
    """The answer and the log agree."""
    assert answer.status == status
    assert answer.body.decode().strip() == reason
    line = bridge.wait_for("verdict", status=status, reason=reason)
    assert line["explanation"]
