"""LocalStack's SNS subscribes the bridge, is confirmed, and delivers Notifications that it signed: they arrive byte-equal."""

import json
import secrets

import pytest

from tests.tools.ports import wait_for

TEXTS = {
    "plain": "hello",
    "non-ASCII": 'Größe ✓ 日本語 \U0001f600 "quoted" \\ \n\ttab',
    "JSON": json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "key": "päth/ä"}]}, ensure_ascii=False),
    "256 KiB": "x" * 262_144,
}


@pytest.fixture
def sns(localstack, client):
    """LocalStack's SNS by boto3, in place of our own simulation."""
    return client(localstack)


@pytest.fixture
def start(localstack, broker, queue):
    """Start a bridge for a topic of this SNS."""
    from tests.tools.bridge import Bridge

    bridges = []

    def start_for(topic, **settings):
        settings = {
            "BRIDGE_TOPICS": topic,
            "BRIDGE_SNS_ENDPOINT": localstack,
            "BRIDGE_AMQP_URL": broker.url,
            "BRIDGE_ROUTING_KEY": queue,
        } | settings
        bridge = Bridge(**settings).start()
        bridges.append(bridge)
        bridge.wait_for("broker_connected")
        return bridge

    yield start_for
    for bridge in bridges:
        bridge.stop()


def subscribed(sns, bridge, topic, path="/"):
    """Subscribe the bridge and wait until SNS says that it is confirmed."""
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{bridge.port}{path}")
    bridge.wait_for("subscription_confirmed", topic_arn=topic, seconds=20)
    (subscription,) = wait_for("the subscription", lambda: sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"])
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    assert attributes["PendingConfirmation"] == "false"
    return subscription["SubscriptionArn"]


@pytest.fixture(params=["1", "2"], ids=["v1", "v2"])
def topic(sns, request):
    arn = sns.create_topic(Name=f"topic-{secrets.token_hex(4)}", Attributes={"SignatureVersion": request.param})["TopicArn"]
    yield arn, request.param
    sns.delete_topic(TopicArn=arn)


def test_a_subscription_is_confirmed_and_its_notifications_arrive(sns, start, broker, queue, topic):
    arn, version = topic
    bridge = start(arn)
    subscription = subscribed(sns, bridge, arn)
    sent = {}
    for name, text in TEXTS.items():
        subject = {"Subject": f"About {name}"} if name != "plain" else {}
        attributes = {"kind": {"DataType": "String", "StringValue": name}, "size": {"DataType": "Number", "StringValue": str(len(text))}}
        # at most 256 KiB in all, so the largest goes without
        answer = sns.publish(TopicArn=arn, Message=text, **({} if name == "256 KiB" else subject | {"MessageAttributes": attributes}))
        sent[answer["MessageId"]] = name
    wait_for("the messages", lambda: broker.count(queue) == len(TEXTS), 20)
    assert not bridge.events("verdict")
    for stored in broker.take(queue):
        name = sent.pop(stored.properties.message_id)
        fields = json.loads(stored.body)
        assert fields["Message"] == TEXTS[name]
        assert fields["SignatureVersion"] == version
        assert fields["TopicArn"] == arn
        assert stored.properties.headers["x-sns-subscription-arn"] == subscription
        assert fields.get("Subject") == (None if name in ("plain", "256 KiB") else f"About {name}")
        if name != "256 KiB":
            assert (stored.properties.headers["kind"], stored.properties.headers["size"]) == (name, len(TEXTS[name]))
    assert not sent


def test_a_batch_arrives(sns, start, broker, queue, topic):
    arn, _ = topic
    bridge = start(arn)
    subscribed(sns, bridge, arn)
    entries = [{"Id": str(number), "Message": f"message {number}"} for number in range(10)]
    ids = {entry["MessageId"] for entry in sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)["Successful"]}
    wait_for("the messages", lambda: broker.count(queue) == 10)
    assert set(broker.ids(queue)) == ids


def test_a_subscription_to_a_foreign_topic_is_refused(sns, start, broker, queue, topic):
    arn, _ = topic
    bridge = start(arn + "-other")
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.1:{bridge.port}/")
    bridge.wait_for("verdict", status=403, reason="topic-not-allowed")
    assert not bridge.events("subscription_confirmed")


def test_an_unsubscription_is_noted(sns, start, broker, queue, topic):
    arn, _ = topic
    bridge = start(arn)
    subscription = subscribed(sns, bridge, arn)
    sns.unsubscribe(SubscriptionArn=subscription)
    bridge.wait_for("unsubscribed", topic_arn=arn)


def test_basic_auth_as_it_is_subscribed(sns, start, broker, queue, topic, folder):
    """LocalStack sends the credentials of the endpoint's URL."""
    arn, _ = topic
    users = folder / "users"
    users.write_text("sns:secret\n")
    bridge = start(arn, BRIDGE_BASIC_AUTH_FILE=str(users))
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"http://sns:secret@127.0.0.1:{bridge.port}/")
    bridge.wait_for("subscription_confirmed", seconds=20)
    answer = sns.publish(TopicArn=arn, Message="x")
    wait_for("the message", lambda: broker.count(queue) == 1)
    assert broker.ids(queue) == [answer["MessageId"]]


def test_with_snss_own_host_in_the_certificates_url(named, client, start, broker, queue):
    """SNS_CERT_URL_HOST is for verifiers that accept Amazon's host alone; the certificate still lies at LocalStack's, under its path."""
    sns = client(named)
    arn = sns.create_topic(Name=f"topic-{secrets.token_hex(4)}")["TopicArn"]
    bridge = start(arn, BRIDGE_SNS_ENDPOINT=named)
    subscribed(sns, bridge, arn)
    answer = sns.publish(TopicArn=arn, Message="hello")
    wait_for("the message", lambda: broker.count(queue) == 1)
    (stored,) = broker.take(queue)
    fields = json.loads(stored.body)
    assert fields["SigningCertURL"].startswith("https://sns.us-east-1.amazonaws.com/_aws/sns/SimpleNotificationService-")
    assert fields["MessageId"] == answer["MessageId"]
