"""IPv4, IPv6, and a name; and the listener that answers /healthy."""

import pytest

from tests.tools.ports import free_port


@pytest.mark.rule("BRIDGE_LISTEN")
def test_an_ipv6_listener_and_an_ipv6_broker(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_LISTEN=f"[::1]:{free_port('::1')}", BRIDGE_AMQP_URL=broker.url6)
    assert bridge.deliver(sns.notification()).status == 200
    assert broker.count(queue) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_empty_host_is_every_address(start_bridge, sns, host):
    bridge = start_bridge(BRIDGE_LISTEN=f":{free_port('::')}")
    bridge.host = host
    assert bridge.deliver(sns.notification()).status == 200


def test_the_log_tells_the_address(start_bridge):
    bridge = start_bridge()
    assert bridge.wait_for("listening")["address"] == f"127.0.0.1:{bridge.port}"


@pytest.mark.rule("BRIDGE_AMQP_URL", "healthy")
def test_healthy_is_200_without_a_broker(start_bridge):
    """It tells that the process answers; the admin listener tells whether it is ready."""
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL="amqp://127.0.0.1:9")
    with bridge.connect() as connection:
        answer = connection.get("/healthy")
    assert (answer.status, answer.body) == (200, b"")
