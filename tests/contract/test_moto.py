"""moto's SNS, driven by boto3, signs version 2: its messages arrive; those with a Subject, which it does not sign, are refused."""

import json
import secrets

import pytest

from tests.tools.bridge import Bridge
from tests.tools.ports import wait_for


@pytest.fixture
def sns(moto, client):
    return client(moto)


@pytest.fixture
def subscribed(sns, front, broker, queue):
    """(topic, bridge): moto delivers the topic's messages to the bridge; it sends no SubscriptionConfirmation."""
    topic = sns.create_topic(Name=f"topic-{secrets.token_hex(4)}", Attributes={"SignatureVersion": "2"})["TopicArn"]
    settings = {"BRIDGE_TOPICS": topic, "BRIDGE_SNS_ENDPOINT": front, "BRIDGE_AMQP_URL": broker.url, "BRIDGE_ROUTING_KEY": queue}
    with Bridge(**settings) as bridge:
        bridge.wait_for("broker_connected")
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{bridge.port}/")
        yield topic, bridge


@pytest.mark.parametrize("text", ["hello", 'Größe ✓ \U0001f600 "quoted" \\ \n', "x" * 262_144], ids=["plain", "non-ASCII", "256 KiB"])
def test_its_messages_arrive(sns, subscribed, broker, queue, text):
    topic, bridge = subscribed
    answer = sns.publish(TopicArn=topic, Message=text)
    wait_for("the message or a verdict", lambda: broker.count(queue) or bridge.events("verdict"))
    (stored,) = broker.take(queue)
    fields = json.loads(stored.body)
    assert (fields["MessageId"], fields["Message"], fields["SignatureVersion"]) == (answer["MessageId"], text, "2")
    assert stored.properties.message_id == answer["MessageId"]


def test_a_subject_that_is_not_signed_is_refused(sns, subscribed, broker, queue):
    """Anybody on the way could put in any Subject."""
    topic, bridge = subscribed
    sns.publish(TopicArn=topic, Message="hello", Subject="not signed")
    bridge.wait_for("verdict", status=403, reason="bad-signature")
    assert broker.count(queue) == 0
