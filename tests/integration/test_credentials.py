"""Passwords that end: RabbitMQ's own OAuth 2 backend, tokens of seconds in BRIDGE_AMQP_PASSWORD_FILE, and deliveries all the while."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from bridge.simulate.certificates import replace
from bridge.simulate.delivery import deliver_all
from tests.tools.broker import Broker
from tests.tools.oauth import Issuer
from tests.tools.ports import wait_for

QUEUE = "tokens"


@pytest.fixture(scope="module")
def issuer():
    with tempfile.TemporaryDirectory(prefix="bridge-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # RabbitMQ reads the key as a user of its own
        yield Issuer(folder)


@pytest.fixture(scope="module")
def oauth(issuer):
    """A broker that takes the issuer's tokens, and sees within a second that one has ended."""
    with Broker(settings=issuer.settings, plugins=issuer.plugins) as broker:
        issuer.look_each_second(broker)
        broker.declare(QUEUE)
        yield broker


@pytest.fixture
def token(folder):
    return folder / "token"


@pytest.fixture
def renewed(start_bridge, issuer, oauth, token):
    """A bridge whose password is what the file `token` holds: it has to be there."""

    def start(**settings):
        oauth.purge(QUEUE)
        settings = {"BRIDGE_AMQP_URL": issuer.url(oauth), "BRIDGE_AMQP_PASSWORD_FILE": str(token), "BRIDGE_ROUTING_KEY": QUEUE} | settings
        return start_bridge(**settings)

    return start


def load(bridge, sns, seconds):
    """Deliver for some seconds; return the number of each answer, and the MessageIds that were answered 200."""
    until = time.monotonic() + seconds
    posts = iter(lambda: (time.sleep(0.01), sns.notification())[1] if time.monotonic() < until else None, None)
    outcomes = deliver_all(posts, bridge.endpoint(), connections=8)
    return Counter(outcome.status for outcome in outcomes), {outcome.post.message_id for outcome in outcomes if outcome.status == 200}


def test_a_token_that_is_renewed_in_time_costs_no_delivery_and_no_connection(renewed, issuer, oauth, token, sns):
    with issuer.renewing(token, seconds=6, every=3):
        bridge = renewed()
        statuses, answered = load(bridge, sns, 20)
    assert set(statuses) == {200} and len(answered) > 300
    assert answered - set(oauth.ids(QUEUE)) == set()
    assert len(bridge.events("credential_renewed")) >= 4
    assert len(bridge.events("broker_connected")) == 1, "the open connection was renewed"
    assert "eyJ" not in str(bridge.log), "no token in the log"


def test_a_token_that_has_ended_is_said_so_and_a_new_one_is_back_within_a_second(renewed, issuer, oauth, token, sns):
    issuer.write(token, 3)
    bridge = renewed()
    assert bridge.deliver(sns.notification()).status == 200
    wait_for("503", lambda: bridge.deliver(sns.notification()).status == 503, 15, 0.2)
    bridge.wait_for("verdict", status=503)
    time.sleep(2)
    explanations = {line["explanation"] for line in bridge.events("verdict", status=503)}
    assert any("BRIDGE_AMQP_PASSWORD_FILE" in text or "ACCESS_REFUSED" in text or "BRIDGE_AMQP_URL" in text for text in explanations)
    issuer.write(token, 60)
    start = time.monotonic()
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 10, 0.05)
    assert time.monotonic() - start < 1.2  # the file is looked at four times a second


def test_a_secret_that_the_open_connection_does_not_take_leads_to_another_and_loses_nothing(renewed, issuer, oauth, token, sns):
    """RabbitMQ closes a connection for which a token of another user comes."""
    issuer.write(token, 60)
    bridge = renewed()
    assert bridge.deliver(sns.notification()).status == 200
    issuer.write(token, 60, user="another")
    statuses, answered = load(bridge, sns, 4)
    assert set(statuses) == {200}
    issuer.write(token, 60, user="a third")
    more, answered_later = load(bridge, sns, 4)
    assert set(more) == {200} and (answered | answered_later) - set(oauth.ids(QUEUE)) == set()


def test_a_half_written_file_leaves_the_token_in_use(renewed, issuer, oauth, token, sns):
    issuer.write(token, 60)
    bridge = renewed()
    for content in (b"", token.read_bytes()[:100], b"\xff\xfe", b"x" * 70_000):
        replace(token, content)
        time.sleep(0.6)
        assert bridge.deliver(sns.notification()).status == 200
    bridge.wait_for("amqp_password_unusable")
    assert len(bridge.events("broker_connected")) == 1
    issuer.write(token, 60)
    bridge.wait_for("credential_renewed")
    assert bridge.deliver(sns.notification()).status == 200


def test_a_token_without_the_permission_to_write_costs_only_its_own_messages(renewed, issuer, oauth, token, sns):
    issuer.write(token, 60, scopes=("configure:*/*", "read:*/*"))
    bridge = renewed()
    answer = bridge.deliver(sns.notification())
    assert (answer.status, answer.body) == (503, b"routing\n")
    issuer.write(token, 60)
    start = time.monotonic()
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 10, 0.05)
    assert time.monotonic() - start < 1.5
