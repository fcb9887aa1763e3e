"""The broker's password is a token that ends (RabbitMQ's OAuth 2 backend, Amazon MQ's IAM login), and its file is renewed meanwhile.

SOAK (seconds, 45 by default, 600 at most) is how long the first test goes on.
"""

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fault.load import Load
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker
from tests.tools.fault_proxy import FaultProxy
from tests.tools.oauth import Issuer
from tests.tools.ports import wait_for

SECONDS = min(float(os.environ.get("SOAK") or 45), 600)
LIFE = 20  # seconds of a token
QUEUE = "tokens"
CLOSES_CONNECTIONS = ("4.2", "4.3")  # others go on until a channel looks for its permissions again
Start = Callable[[str], Bridge]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def asking(issuer: Issuer) -> Iterator[Broker]:
    """A broker that takes tokens."""
    with Broker(settings=issuer.settings, plugins=issuer.plugins) as broker:
        broker.declare(QUEUE, kind="quorum")
        if broker.rabbitmq.series not in CLOSES_CONNECTIONS:
            issuer.look_each_second(broker)
        yield broker


@pytest.fixture
def token(folder: Path) -> Path:
    return folder / "token"


@pytest.fixture
def start(start_bridge: Callable[..., Bridge], asking: Broker, token: Path) -> Start:
    asking.purge(QUEUE)
    return lambda url: start_bridge(BRIDGE_AMQP_URL=url, BRIDGE_AMQP_PASSWORD_FILE=str(token), BRIDGE_ROUTING_KEY=QUEUE)


def longest_gap(load: Load) -> float:
    """Seconds that passed at most between two answers of 200."""
    times = sorted(attempt.at + attempt.seconds for attempt in load.attempts() if attempt.status == 200)
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.mark.quick
def test_a_token_that_is_renewed_in_time(asking, issuer, token, start, sns, record):
    """One connection for all of it, and not one delivery that SNS would have to send again."""
    with issuer.renewing(token, LIFE, every=LIFE / 2):
        bridge = start(issuer.url(asking))
        with Load(sns, bridge.endpoint(), rate=100) as load:
            time.sleep(SECONDS)
            load.over()
    record(f"broker's token of {LIFE} s renewed in its file, for {SECONDS:.0f} s", load, asking.take(QUEUE))
    assert load.statuses() == {200, 403}
    assert len(bridge.events("broker_connected")) == 1
    assert longest_gap(load) <= 1


@pytest.mark.quick
def test_a_token_that_is_renewed_too_late(asking, issuer, token, start, sns, record):
    """503 from the token's end until the file holds another one; then it takes less than a second."""
    issuer.write(token, 8)
    bridge = start(issuer.url(asking))
    with Load(sns, bridge.endpoint(), rate=100) as load:
        bridge.wait_for("verdict", 20, status=503)
        time.sleep(5)
        issuer.write(token, 600)
        load.over()
    row = record("broker's token renewed 5 s after its end", load, asking.take(QUEUE))
    assert row["recovers within"] <= 1
    assert load.statuses() <= {200, 403, 503}


def test_a_broker_that_takes_no_renewal(asking, issuer, token, start, sns, record):
    """The bridge connects again with the new token before the old one ends, and asks that broker for no renewal any more."""
    with FaultProxy(asking.port) as proxy, issuer.renewing(token, LIFE, every=LIFE / 4):
        proxy.refuse_renewal()
        bridge = start(issuer.url(asking).replace(str(asking.port), str(proxy.port)))
        with Load(sns, bridge.endpoint(), rate=100) as load:
            wait_for("the first renewal", lambda: proxy.refusals == 1, LIFE)
            bridge.wait_for("broker_connected", 3 * LIFE, more_than=4)
            load.over()
    record("broker that takes no renewed token: another connection each time", load, asking.take(QUEUE), publishes=2)
    assert load.statuses() == {200, 403}
    assert longest_gap(load) <= 1
