"""BRIDGE_ADMIN_LISTEN: liveness, readiness that looks at the broker, and metrics."""

import pytest

from tests.integration.test_processes import admin, value
from tests.tools.ports import free_port, wait_for


@pytest.fixture
def port() -> int:
    return free_port()


def test_readiness_follows_the_broker(start_bridge, mortal_broker, port):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    wait_for("ready", lambda: admin(port, "/readyz").status == 200)
    mortal_broker.kill()
    bridge.wait_for("broker_lost")
    wait_for("not ready", lambda: admin(port, "/readyz").status == 503)
    assert admin(port, "/livez").status == 200
    mortal_broker.start()
    wait_for("ready again", lambda: admin(port, "/readyz").status == 200, 60)


def test_every_verdict_is_counted_by_its_reason(start_bridge, sns, port):
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    assert bridge.deliver(sns.notification()).status == 200
    forged = sns.notification()
    assert bridge.deliver(forged._replace(body=forged.body.replace(b"hello", b"hullo"))).status == 403
    with bridge.connect() as connection:
        assert connection.get("/healthy").status == 200
    text = admin(port, "/metrics").body
    for status, reason in ((200, "published"), (403, "bad-signature"), (200, "healthy")):
        assert value(text, f'bridge_verdicts_total{{status="{status}",reason="{reason}"}}') == 1
    assert value(text, "bridge_broker_connections_total") == 1


def test_the_admin_listener_takes_no_deliveries(start_bridge, sns, port):
    start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    from bridge.simulate.post import Connection

    with Connection("127.0.0.1", port) as connection:
        assert connection.deliver(sns.notification()).status == 405
    assert admin(port, "/").status == 404


def test_the_port_of_deliveries_has_no_metrics(start_bridge):
    bridge = start_bridge()
    with bridge.connect() as connection:
        assert connection.get("/metrics").status == 404
