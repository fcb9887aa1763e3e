"""A message's trace goes from SNS into the AMQP headers and the log; a CloudEvent carries it too."""

import json

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq
from cloudevents.core.formats.json import JSONFormat

from bridge.simulate.envelope import post

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OTHER = f"00-{'a' * 32}-{'b' * 16}-00"


def traced(traceparent=PARENT, tracestate="congo=t61rcWkgMzE"):
    return {"traceparent": ("String", traceparent), "tracestate": ("String", tracestate)}


def test_the_trace_of_the_request_or_of_the_publisher_is_published(shared, broker):
    bridge, sns, queue = shared
    sent = {"traceparent": OTHER, "tracestate": "rojo=1"}
    posts = [
        (sns.notification(attributes=traced()), sent, (PARENT, "congo=t61rcWkgMzE")),
        (sns.notification(attributes=traced("hostile")), sent, (OTHER, "rojo=1")),
        (sns.notification(), sent, (OTHER, "rojo=1")),
        (sns.notification(attributes={"kind": ("String", "a")}), sent | {"tracestate": "HOSTILE"}, (OTHER, None)),
        (sns.notification(attributes=traced("hostile")), {"traceparent": PARENT + ", " + PARENT}, (None, None)),
        (sns.notification(), {}, (None, None)),
    ]
    for one, extra, _ in posts:
        assert bridge.deliver(one, extra=extra).status == 200
    stored = {message.properties.message_id: message.properties.headers for message in broker.take(queue)}
    for one, _, expected in posts:
        headers = stored[one.message_id]
        assert (headers.get("traceparent"), headers.get("tracestate")) == expected


def test_the_log_tells_the_trace_of_what_was_refused(shared):
    bridge, sns, _ = shared
    fields = sns.signer.notification(sns.topic, "text", attributes=traced())
    assert bridge.deliver(post(fields | {"Message": "forged"})).status == 403
    assert bridge.wait_for("verdict", message_id=fields["MessageId"])["trace_id"] == TRACE_ID
    assert bridge.deliver(sns.notification(topic="arn:aws:sns:eu-central-1:210987654321:x"), extra={"traceparent": OTHER}).status == 403
    assert bridge.wait_for("verdict", reason="topic-not-allowed")["trace_id"] == "a" * 32
    plain = post(sns.signer.notification(sns.topic, "text") | {"Message": "forged"})
    assert bridge.deliver(plain, extra={"traceparent": "hostile"}).status == 403
    assert "trace_id" not in bridge.wait_for("verdict", message_id=plain.message_id)


@pytest.mark.rule("BRIDGE_TRACE_ATTRIBUTE")
def test_at_debug_the_log_tells_the_trace_of_what_was_published(start_bridge, sns):
    bridge = start_bridge(BRIDGE_LOG_LEVEL="debug", BRIDGE_TRACE_ATTRIBUTE="context")
    one = sns.notification(attributes={"context": ("String", PARENT)})
    assert bridge.deliver(one, extra={"traceparent": OTHER}).status == 200
    assert bridge.wait_for("verdict", message_id=one.message_id) | {"trace_id": TRACE_ID, "status": 200} == bridge.log[-1]


# ---- CloudEvents


def event(stored):
    """The CloudEvent that the official SDK finds in a message."""
    return from_rabbitmq(RabbitMQMessage(stored.properties.headers, stored.properties.content_type, stored.body), JSONFormat())


def test_messages_are_published_as_cloudevents(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_BODY="cloudevents")
    text = '{"price": 1.10, "name": "ä ✓ \\u0000"}\n' + "x" * 200_000
    one = sns.notification(text, subject="Order placed", attributes=traced())
    for each in (one, sns.notification("", version="2")):
        assert bridge.deliver(each).status == 200
    first, second = broker.take(queue)
    assert first.properties.content_type == "application/cloudevents+json" and first.properties.message_id == one.message_id
    found = event(first)
    assert (found.get_id(), found.get_source(), found.get_subject()) == (one.message_id, sns.topic, "Order placed")
    assert found.get_data() == text
    assert found.get_time().isoformat(timespec="milliseconds").replace("+00:00", "Z") == json.loads(one.body)["Timestamp"]
    assert (found.get_extension("traceparent"), first.properties.headers["traceparent"]) == (PARENT, PARENT)
    assert event(second).get_data() == "" and event(second).get_subject() is None


def test_a_route_chooses_cloudevents(start_bridge, broker, queue, sns, folder):
    routes = folder / "routes.toml"
    routes.write_text(f'[[route]]\ntopic = "{sns.topic}"\nbody = "cloudevents"\n')
    assert start_bridge(BRIDGE_ROUTES=str(routes)).deliver(sns.notification("text")).status == 200
    (stored,) = broker.take(queue)
    assert event(stored).get_data() == "text"


@pytest.mark.rule("BRIDGE_RAW")
@pytest.mark.parametrize(("body", "read"), [(b"text", "text"), ("ä ✓".encode(), "ä ✓"), (b"\x00\xff", b"\x00\xff")])
def test_a_raw_delivery_is_a_cloudevent_too(start_bridge, broker, queue, sns, folder, body, read):
    users = folder / "users"
    users.write_text("sns:secret\n")
    bridge = start_bridge(BRIDGE_BODY="cloudevents", BRIDGE_RAW="on", BRIDGE_BASIC_AUTH_FILE=str(users))
    raw = sns.notification()._replace(body=body)
    raw.headers.update({"x-amz-sns-rawdelivery": "true", "traceparent": PARENT, "Authorization": "Basic c25zOnNlY3JldA=="})
    assert bridge.deliver(raw).status == 200
    (stored,) = broker.take(queue)
    found = event(stored)
    assert (found.get_id(), found.get_source(), found.get_extension("traceparent")) == (raw.message_id, sns.topic, PARENT)
    assert found.get_data() == read
    assert stored.properties.headers["traceparent"] == PARENT
