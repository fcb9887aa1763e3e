"""Which status: 503 for every failure that another try, or another machine, might not meet."""

import secrets
import time

import pytest

from bridge.simulate.envelope import now
from bridge.simulate.post import request
from tests.integration.conftest import refused
from tests.tools.ports import wait_for

# ---- 503: certificate and clock


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (404, b""), (302, b""), (200, b"garbage"), (200, b"x" * 100_000)],
    ids=["500", "404", "redirect", "garbage", "too long"],
)
def test_a_certificate_that_cannot_be_fetched_is_503(start_bridge, broker, queue, sns, answer):
    bridge = start_bridge()
    sns.certificate_answer = answer
    response = bridge.deliver(sns.notification())
    refused(bridge, response, 503, "certificate-unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert broker.count(queue) == 0


def test_a_redirect_of_the_certificate_is_not_followed(start_bridge, sns):
    bridge = start_bridge()
    sns.certificate_answer = lambda handler: handler.answer(302, b"", Location=f"{sns.endpoint}/elsewhere")
    refused(bridge, bridge.deliver(sns.notification()), 503, "certificate-unavailable")
    assert sns.requests == [sns.certificate_path]


def test_a_certificate_host_that_hangs_is_503_within_the_deadline(start_bridge, sns):
    bridge = start_bridge()
    sns.certificate_answer = lambda handler: time.sleep(12)
    start = time.monotonic()
    assert bridge.deliver(sns.notification()).status == 503
    assert time.monotonic() - start < 10.5


@pytest.mark.rule("BRIDGE_CA_FILE")
def test_a_certificate_host_with_an_unknown_ca_is_503(start_bridge, sns, folder):
    from bridge.simulate.certificates import Authority

    bridge = start_bridge(BRIDGE_CA_FILE=str(Authority(folder, "other").ca_file))
    refused(bridge, bridge.deliver(sns.notification()), 503, "certificate-unavailable")


def test_publishing_goes_on_once_the_certificate_can_be_had(start_bridge, sns):
    bridge = start_bridge()
    sns.certificate_answer = 500, b""
    sent = sns.notification()
    assert bridge.deliver(sent).status == 503
    sns.certificate_answer = None
    wait_for("a 200", lambda: bridge.deliver(sent).status == 200, 10, 0.2)


def test_an_expired_signing_certificate_is_503(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    sns.rotate(days=-1)
    refused(bridge, bridge.deliver(sns.notification()), 503, "certificate-not-valid")
    assert broker.count(queue) == 0


@pytest.mark.rule("timestamp")
@pytest.mark.parametrize("offset", [-2 * 86400, -7300, 7300, 2 * 86400])
def test_a_timestamp_outside_the_window_is_503(shared, broker, offset):
    """Our clock may be wrong, so SNS should keep it."""
    bridge, sns, queue = shared
    refused(bridge, bridge.deliver(sns.notification(timestamp=now(offset))), 503, "timestamp")
    assert broker.count(queue) == 0


@pytest.mark.rule("BRIDGE_MAX_AGE")
def test_max_age_0_takes_any_timestamp(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_MAX_AGE="0")
    assert bridge.deliver(sns.notification(timestamp="2017-01-01T00:00:00.000Z")).status == 200


# ---- 503: broker


def test_no_broker_is_503(start_bridge, sns):
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL="amqp://127.0.0.1:9")
    answer = bridge.deliver(sns.notification())
    refused(bridge, answer, 503, "broker-unavailable")
    assert "retry-after" in answer.headers


@pytest.mark.rule("unroutable")
def test_an_unroutable_message_is_503(start_bridge, sns):
    """It comes back, and then its ack comes too: the ack alone proves nothing."""
    bridge = start_bridge(BRIDGE_ROUTING_KEY="nobody-is-bound-here")
    refused(bridge, bridge.deliver(sns.notification()), 503, "unroutable")


def test_a_full_queue_that_rejects_is_503(start_bridge, broker, sns):
    name = broker.declare(f"full-{secrets.token_hex(4)}", **{"x-max-length": 2, "x-overflow": "reject-publish"})
    bridge = start_bridge(BRIDGE_ROUTING_KEY=name)
    statuses = [bridge.deliver(sns.notification()).status for _ in range(4)]
    assert statuses == [200, 200, 503, 503]
    bridge.wait_for("verdict", status=503, reason="nack")
    assert broker.count(name) == 2
    broker.purge(name)
    assert bridge.deliver(sns.notification()).status == 200
    broker.delete(name)


@pytest.mark.rule("BRIDGE_EXCHANGE")
def test_a_missing_exchange_is_503_and_never_a_bridge_that_needs_a_restart(start_bridge, broker, queue, sns):
    exchange = f"exchange-{secrets.token_hex(4)}"
    bridge = start_bridge(BRIDGE_EXCHANGE=exchange)
    for _ in range(3):
        assert bridge.deliver(sns.notification()).status == 503
    with broker.channel() as channel:
        channel.exchange_declare(exchange, "direct", durable=True)
        channel.queue_bind(queue, exchange, queue)
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 10, 0.1)
    with broker.channel() as channel:
        channel.exchange_delete(exchange)


def test_a_deleted_queue_is_503_until_it_is_back(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    assert bridge.deliver(sns.notification()).status == 200
    broker.delete(queue)
    refused(bridge, bridge.deliver(sns.notification()), 503, "unroutable")
    broker.declare(queue)
    assert bridge.deliver(sns.notification()).status == 200


@pytest.mark.rule("BRIDGE_MAX_IN_FLIGHT")
def test_too_many_in_flight_is_503_and_closes(start_bridge, mortal_broker, sns):
    mortal_broker.declare("in-flight")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="in-flight", BRIDGE_MAX_IN_FLIGHT="1", BRIDGE_DEADLINE="3s")
    assert bridge.deliver(sns.notification()).status == 200
    mortal_broker.freeze()
    with bridge.connect() as first:
        sent = sns.notification()
        first.send(request(sent, first.host))
        time.sleep(0.3)
        answer = bridge.deliver(sns.notification())
        refused(bridge, answer, 503, "overloaded")
        assert answer.headers["connection"].lower() == "close"
        assert first.receive().status == 503
    mortal_broker.thaw()
