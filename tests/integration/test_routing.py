"""Where a message goes: exchange and routing key are templates, rules per topic stand in a TOML file, BRIDGE_QUEUE declares a queue."""

import secrets

import pytest

from bridge.simulate.sns import TOPIC


@pytest.fixture
def exchange(broker, queue):
    """A topic exchange from which `queue` gets everything."""
    name = f"exchange-{secrets.token_hex(4)}"
    with broker.channel() as channel:
        channel.exchange_declare(name, "topic", durable=True)
        channel.queue_bind(queue, name, "#")
    yield name
    with broker.channel() as channel:
        channel.exchange_delete(name)


@pytest.mark.rule("BRIDGE_ROUTING_KEY")
@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{topic}", "orders"),
        ("sns.{account}.{region}.{topic}", "sns.123456789012.eu-central-1.orders"),
        ("{topic_arn}", TOPIC),
        ("{subject}", "Order placed"),
        ("to.{attribute.tenant}", "to.t1"),
        ("fixed", "fixed"),
    ],
)
def test_routing_key_templates(start_bridge, broker, queue, exchange, sns, template, key):
    bridge = start_bridge(BRIDGE_EXCHANGE=exchange, BRIDGE_ROUTING_KEY=template)
    assert bridge.deliver(sns.notification(subject="Order placed", attributes={"tenant": ("String", "t1")})).status == 200
    (stored,) = broker.take(queue)
    assert (stored.exchange, stored.routing_key) == (exchange, key)


def test_the_exchange_is_a_template_too(start_bridge, broker, queue, exchange, sns):
    bridge = start_bridge(BRIDGE_EXCHANGE="{attribute.exchange}", BRIDGE_ROUTING_KEY="x")
    assert bridge.deliver(sns.notification(attributes={"exchange": ("String", exchange)})).status == 200
    assert broker.take(queue)[0].exchange == exchange


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("{subject}", {}),
        ("{attribute.tenant}", {"subject": "x"}),
        ("{attribute.tenant}", {"attributes": {"tenant": ("String", "t" * 256)}}),
    ],
    ids=["no Subject", "no attribute", "256 bytes"],
)
def test_a_key_that_cannot_be_made_is_a_clear_verdict(start_bridge, broker, queue, exchange, sns, template, fields):
    bridge = start_bridge(BRIDGE_EXCHANGE=exchange, BRIDGE_ROUTING_KEY=template)
    answer = bridge.deliver(sns.notification(**fields))
    assert (answer.status, answer.body) == (503, b"routing\n")
    assert (
        "BRIDGE_ROUTING_KEY" in bridge.wait_for("verdict", reason="routing")["explanation"]
        or template[1:-1] in bridge.log[-1]["explanation"]
    )
    assert bridge.deliver(sns.notification(subject="ok", attributes={"tenant": ("String", "ok")})).status == 200
    assert len(broker.take(queue)) == 1


def test_rules_per_topic(start_bridge, broker, queue, exchange, sns, folder):
    routes = folder / "routes.toml"
    routes.write_text(f'''
[[route]]
topic = "arn:aws:sns:*:123456789012:orders"
exchange = "{exchange}"
routing_key = "orders.{{region}}"
body = "message"

[[route]]
topic = "arn:aws:sns:*:*:invoices"
exchange = "{exchange}"
routing_key = "invoices"
''')
    bridge = start_bridge(BRIDGE_ROUTES=str(routes), BRIDGE_TOPICS="arn:aws:sns:*:123456789012:*")
    arn = "arn:aws:sns:eu-central-1:123456789012:"
    for topic in ("orders", "invoices", "others"):
        assert bridge.deliver(sns.notification("text", topic=arn + topic)).status == 200
    stored = {message.routing_key: message for message in broker.take(queue)}
    assert set(stored) == {"orders.eu-central-1", "invoices", queue}
    assert stored["orders.eu-central-1"].body == b"text"
    assert stored["invoices"].body.startswith(b"{")
    assert stored[queue].exchange == ""


@pytest.mark.rule("BRIDGE_TOPICS")
def test_a_list_of_topics_with_stars(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_TOPICS="arn:aws:sns:eu-central-1:123456789012:orders, arn:aws:sns:*:210987654321:*")
    statuses = [
        bridge.deliver(sns.notification(topic=topic)).status
        for topic in (
            "arn:aws:sns:eu-central-1:123456789012:orders",
            "arn:aws:sns:us-east-1:210987654321:anything",
            "arn:aws:sns:eu-central-1:123456789012:orders2",
            "arn:aws:sns:us-east-1:123456789012:orders",
        )
    ]
    assert statuses == [200, 200, 403, 403]


def test_queue_declares_a_durable_quorum_queue(start_bridge, broker, sns):
    name = f"declared-{secrets.token_hex(4)}"
    bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
    assert bridge.deliver(sns.notification()).status == 200
    with broker.channel() as channel:
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})  # raises when it is not just that
    assert broker.count(name) == 1
    broker.delete(name)


def test_queue_is_bound_when_there_is_an_exchange(start_bridge, broker, queue, exchange, sns):
    name = f"declared-{secrets.token_hex(4)}"
    bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_EXCHANGE=exchange, BRIDGE_ROUTING_KEY="{topic}")
    assert bridge.deliver(sns.notification()).status == 200
    assert broker.count(name) == 1
    broker.delete(name)


def test_without_queue_nothing_is_declared(start_bridge, broker, sns):
    bridge = start_bridge(BRIDGE_ROUTING_KEY="never-declared")
    assert bridge.deliver(sns.notification()).status == 503
    assert "never-declared" not in broker.ctl("list_queues", "name")
