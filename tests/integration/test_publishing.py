"""200 means: RabbitMQ has confirmed the message, and it lies in a queue, byte for byte, with its properties."""

import calendar
import json
import time
import uuid

import pytest

from bridge.bodies.formats import FORMATS
from bridge.simulate.delivery import deliver_all
from bridge.simulate.envelope import layout, now, post
from bridge.simulate.post import Connection
from bridge.simulate.sns import TOPIC
from tests.tools.ports import free_port


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_notification_is_published_byte_for_byte(shared, broker, version):
    bridge, sns, queue = shared
    sent = sns.notification('Größe ✓ "quoted" \\ \u2028 \n\ttab', subject="A subject", version=version)
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    assert stored.body == sent.body


def test_the_answer_is_empty_and_keeps_the_connection(shared, broker):
    bridge, sns, queue = shared
    with bridge.connect() as connection:
        for _ in range(3):
            answer = connection.deliver(sns.notification())
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers.get("connection", "keep-alive").lower() != "close"
    assert broker.count(queue) == 3


def test_properties_and_headers_of_a_message(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    sent_at = now()
    sent = sns.notification(
        "text",
        subject="Sübject",
        timestamp=sent_at,
        version="2",
        attributes={
            "tenant": ("String", "t1"),
            "priority": ("Number", "5"),
            "price": ("Number", "1.5"),
            "colours": ("String.Array", '["red","blue"]'),
            "raw": ("Binary", "AAECAw=="),
        },
    )
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    properties = stored.properties
    assert properties.content_type == "text/plain; charset=UTF-8"
    assert properties.delivery_mode == 2
    assert properties.message_id == sent.message_id
    assert properties.timestamp == calendar.timegm(time.strptime(sent_at[:19], "%Y-%m-%dT%H:%M:%S"))
    assert properties.type == "Notification"
    assert properties.app_id
    assert properties.headers == {
        "x-sns-topic-arn": TOPIC,
        "x-sns-subject": "Sübject",
        "x-sns-subscription-arn": sent.headers["x-amz-sns-subscription-arn"],
        "x-deduplication-header": sent.message_id,
        "tenant": "t1",
        "priority": 5,
        "price": "1.5",
        "colours": '["red","blue"]',
        "raw": b"\x00\x01\x02\x03",
    }


def test_content_type_is_what_sns_sent(shared, broker):
    bridge, sns, queue = shared
    sent = sns.notification()
    sent.headers["Content-Type"] = "application/json"
    assert bridge.deliver(sent).status == 200
    assert broker.take(queue)[0].properties.content_type == "application/json"


def test_attributes_never_take_on_a_meaning_for_the_broker(start_bridge, broker, queue, sns):
    """CC and BCC would route the message to further queues; x-... are RabbitMQ's and ours. They are not signed."""
    other = broker.declare(f"other-{uuid.uuid4().hex[:8]}")
    bridge = start_bridge()
    sent = sns.notification(
        attributes={"CC": ("String", other), "BCC": ("String", other), "x-delay": ("Number", "5"), "x-sns-topic-arn": ("String", "forged")}
    )
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    assert stored.properties.headers["x-sns-topic-arn"] == TOPIC
    assert not {"CC", "BCC", "x-delay"} & set(stored.properties.headers)
    assert broker.count(other) == 0
    broker.delete(other)


@pytest.mark.rule("BRIDGE_BODY")
def test_body_message_publishes_the_message_alone(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_BODY="message")
    sent = sns.notification("Größe ✓", subject="S")
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    assert stored.body == "Größe ✓".encode()
    assert stored.properties.headers["x-sns-subject"] == "S"
    assert stored.properties.message_id == sent.message_id


@pytest.mark.parametrize(
    "text", ["", "x" * 262_144, '"' * 262_144, "\U0001f600" * 65_536], ids=["empty", "256 KiB", "256 KiB of quotes", "256 KiB of emoji"]
)
def test_messages_of_any_size_that_sns_takes(shared, broker, text):
    bridge, sns, queue = shared
    sent = sns.notification(text)
    assert bridge.deliver(sent).status == 200
    assert broker.take(queue)[0].body == sent.body


def test_json_escapes_are_read_as_json_and_published_as_sent(shared, broker):
    """A sender may write every character as \\uXXXX; the signature is over the characters, the queue gets the bytes."""
    bridge, sns, queue = shared
    fields = json.loads(sns.notification("Größe \U0001f600").body)
    sent = post(fields)._replace(body=json.dumps(fields).encode())
    assert sent.body != layout(fields)
    assert bridge.deliver(sent).status == 200
    assert broker.take(queue)[0].body == sent.body


def test_the_same_message_twice_is_published_twice_under_one_id(shared, broker):
    """A retry of SNS carries the same MessageId: consumers deduplicate on it."""
    bridge, sns, queue = shared
    sent = sns.notification()
    assert [bridge.deliver(sent).status for _ in range(2)] == [200, 200]
    assert broker.ids(queue) == [sent.message_id] * 2


def test_one_certificate_fetch_serves_all_messages(start_bridge, broker, queue, sns):
    bridge = start_bridge()
    outcomes = deliver_all(list(sns.notifications(200)), bridge.endpoint(), connections=32)
    assert [outcome.status for outcome in outcomes] == [200] * 200
    assert sns.requests == [sns.certificate_path]


def test_a_new_signing_certificate_is_fetched_when_sns_rotates(shared, broker):
    bridge, sns, queue = shared
    assert bridge.deliver(sns.notification()).status == 200
    sns.rotate()
    sns.requests.clear()
    assert bridge.deliver(sns.notification()).status == 200
    assert sns.requests == [sns.certificate_path]
    assert broker.count(queue) == 2


@pytest.mark.rule("BRIDGE_CERTIFICATES")
def test_certificates_from_a_folder_need_no_network(start_bridge, broker, queue, sns, folder):
    certificates = folder / "certificates"
    certificates.mkdir()
    (certificates / sns.certificate_path[1:]).write_bytes(sns.certificate)
    bridge = start_bridge(BRIDGE_CERTIFICATES=str(certificates))
    assert bridge.deliver(sns.notification()).status == 200
    assert sns.requests == []


def test_20_000_messages_over_64_connections(start_bridge, broker, queue, sns):
    """Every id that was answered 200 is in the queue, once, persistent; every other id is not."""
    bridge = start_bridge()
    posts = list(sns.notifications(20_000))
    start = time.monotonic()
    outcomes = deliver_all(posts, bridge.endpoint(), connections=64)
    print(f"{len(outcomes) / (time.monotonic() - start):,.0f} messages a second")
    assert [outcome.status for outcome in outcomes].count(200) == 20_000
    stored = broker.take(queue)
    assert len(stored) == 20_000
    bodies = {sent.message_id: sent.body for sent in posts}
    assert {message.properties.message_id: message.body for message in stored} == bodies
    assert all(message.properties.delivery_mode == 2 and message.properties.timestamp for message in stored)
    assert all(message.properties.headers["x-deduplication-header"] == message.properties.message_id for message in stored)


def test_attributes_that_do_not_fit_in_a_frame_stay_in_the_envelope_and_are_counted(start_bridge, broker, queue, sns):
    admin = free_port()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{admin}")
    sent = sns.notification(attributes={f"large{number}": ("String", "x" * 50_000) for number in range(4)})
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    assert stored.body == sent.body
    assert {name for name in stored.properties.headers if name.startswith("large")} == {"large0", "large1"}
    with Connection("127.0.0.1", admin) as connection:
        text = connection.exchange(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body
    assert b"\nbridge_attributes_left_out_total 2\n" in text


ODD = {
    "no object": "text",
    "no value": {"Type": "String"},
    "number": {"Type": "Number", "Value": 1},
    "not base64": {"Type": "Binary", "Value": "@@"},
    "surrogate": {"Type": "String", "Value": "\ud800"},
    "n" * 256: {"Type": "String", "Value": "a long name"},
}


def with_attributes(sns, attributes):
    """A genuine message: attributes are not signed."""
    fields = sns.signer.notification(sns.topic, "hello")
    return post(fields)._replace(body=json.dumps(fields | {"MessageAttributes": attributes}).encode())


@pytest.mark.parametrize("body", FORMATS)
def test_odd_attributes_never_cost_a_message_its_200(start_bridge, broker, queue, sns, body):
    admin = free_port()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{admin}", BRIDGE_BODY=body)
    sent = [with_attributes(sns, one) for one in (ODD | {"good": {"Type": "String", "Value": "v"}}, None, [], "text")]
    assert [bridge.deliver(one).status for one in sent] == [200] * 4
    stored = broker.take(queue)
    if body == "envelope":
        assert [one.body for one in stored] == [one.body for one in sent]
    assert stored[0].properties.headers["good"] == "v"
    assert not set(ODD) & set(stored[0].properties.headers)
    with Connection("127.0.0.1", admin) as connection:
        text = connection.exchange(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body
    assert b"\nbridge_attributes_left_out_total %d\n" % (len(ODD) + 3) in text


def test_an_odd_attribute_is_none_to_route_by(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_ROUTING_KEY="{attribute.tenant}")
    for odd in ({"Type": "String"}, {"Type": "String", "Value": 7}, "text", {"Type": "String", "Value": "\ud800"}):
        answer = bridge.deliver(with_attributes(sns, {"tenant": odd}))
        assert (answer.status, answer.body) == (503, b"routing\n")
    assert broker.count(queue) == 0


def test_257_attributes_and_a_thousand_are_headers(shared, broker):
    bridge, sns, queue = shared
    for number in (257, 1000):
        assert bridge.deliver(sns.notification(attributes={f"k{at}": ("String", "v") for at in range(number)})).status == 200
        (stored,) = broker.take(queue)
        assert sum(name.startswith("k") for name in stored.properties.headers) == number


def test_numbers_as_sns_sends_them(shared, broker):
    bridge, sns, queue = shared
    whole = {"a": 999999999999999999, "b": 1234567890123456789, "c": 9223372036854775807, "d": -9223372036854775808}
    text = {"e": "9223372036854775808", "f": "-9223372036854775809", "g": "1.0", "h": "1" + "0" * 38}
    attributes = {name: ("Number", str(value)) for name, value in (whole | text).items()}
    assert bridge.deliver(sns.notification(attributes=attributes)).status == 200
    (stored,) = broker.take(queue)
    assert {name: stored.properties.headers[name] for name in whole | text} == whole | text


def test_the_bound_of_headers_is_the_frame_max_that_was_agreed(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=f"{broker.url}?frame_max=8192")
    sent = sns.notification(subject="Größe", attributes={"large": ("String", "x" * 10_000), "small": ("String", "y")})
    assert bridge.deliver(sent).status == 200
    (stored,) = broker.take(queue)
    assert stored.body == sent.body
    assert stored.properties.headers["small"] == "y" and "large" not in stored.properties.headers
    assert stored.properties.headers["x-sns-subject"] == "Größe"


@pytest.mark.parametrize("body", [name for name, form in FORMATS.items() if not form.has_attributes])
def test_without_the_envelope_nothing_is_left_out_in_silence(start_bridge, broker, queue, sns, body):
    bridge = start_bridge(BRIDGE_AMQP_URL=f"{broker.url}?frame_max=8192", BRIDGE_BODY=body)
    answer = bridge.deliver(sns.notification(attributes={"large": ("String", "x" * 10_000)}))
    assert (answer.status, answer.body) == (503, b"routing\n")
    assert "frame_max" in bridge.wait_for("verdict", status=503)["explanation"]
    assert bridge.deliver(sns.notification(attributes={"large": ("String", "x" * 1_000)})).status == 200
