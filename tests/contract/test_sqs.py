"""SNS -> SQS -> bridge -> RabbitMQ, driven by boto3: moto and LocalStack are the queues, and the SNS that puts signed messages there."""

import json
import secrets

import pytest

from tests.contract.conftest import REGION
from tests.tools.bridge import Bridge, run
from tests.tools.ports import wait_for

TEXTS = {"plain": "hello", "non-ASCII": 'Größe ✓ \U0001f600 "quoted" \\ \n', "256 KiB": "x" * 250_000}
ATTRIBUTES = {"kind": {"DataType": "String", "StringValue": "a"}, "n": {"DataType": "Number", "StringValue": "5"}}
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}


@pytest.fixture
def service(request):
    """(the origin of this test's AWS, the origin that the bridge asks for certificates)."""
    origin = request.getfixturevalue(request.param)
    return origin, request.getfixturevalue("front") if request.param == "moto" else origin


@pytest.fixture
def queues(client, service):
    """A boto3 client of SQS, and the URL of a new queue."""
    sqs = client(service[0], "sqs")
    return sqs, sqs.create_queue(QueueName=f"queue-{secrets.token_hex(4)}")["QueueUrl"]


def waiting(queues):
    found = queues[0].get_queue_attributes(QueueUrl=queues[1], AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@pytest.mark.parametrize(("service", "version"), [("moto", "2"), ("localstack", "1"), ("localstack", "2")], indirect=["service"])
def test_what_sns_puts_into_a_queue_arrives(client, service, queues, broker, queue, version):
    origin, certificates = service
    sns = client(origin)
    sqs, url = queues
    topic = sns.create_topic(Name=f"topic-{secrets.token_hex(4)}", Attributes={"SignatureVersion": version})["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    ids = {name: sns.publish(TopicArn=topic, Message=text, MessageAttributes=ATTRIBUTES)["MessageId"] for name, text in TEXTS.items()}
    settings = {"BRIDGE_TOPICS": topic, "BRIDGE_SNS_ENDPOINT": certificates, "BRIDGE_AMQP_URL": broker.url, "BRIDGE_ROUTING_KEY": queue}
    settings |= {"BRIDGE_SQS_QUEUES": url, "BRIDGE_SQS_ENDPOINT": origin, "BRIDGE_LISTEN": "off", **AWS}
    assert run("check", **settings).returncode == 0
    with Bridge(**settings) as bridge:
        wait_for("the messages or a verdict", lambda: broker.count(queue) == 3 or bridge.events("verdict"), 20)
        wait_for("an empty queue", lambda: waiting(queues) == 0)
    stored = {message.properties.message_id: message for message in broker.take(queue)}
    for name, text in TEXTS.items():
        message = stored[ids[name]]
        fields = json.loads(message.body)
        assert (fields["Message"], fields["SignatureVersion"], fields["TopicArn"]) == (text, version, topic)
        assert (message.properties.headers["kind"], message.properties.headers["n"]) == ("a", 5)


@pytest.mark.parametrize("service", ["moto", "localstack"], indirect=True)
def test_every_form_of_envelope_arrives_byte_for_byte(client, service, queues, sns, broker, queue):
    """Signed by the simulated SNS, both versions: put there by boto3, they come out of RabbitMQ as they were."""
    sqs, url = queues
    posts = [*sns.notifications(30), sns.notification("x" * 250_000), sns.notification(TEXTS["non-ASCII"], subject="Ünï", version="2")]
    refused = json.loads(posts[0].body)
    refused["Message"] = "forged"
    for body in [*(post.body.decode() for post in posts), json.dumps(refused), "raw"]:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    settings = {"BRIDGE_TOPICS": sns.topic, "BRIDGE_SNS_ENDPOINT": sns.endpoint, "BRIDGE_CA_FILE": str(sns.ca_file)}
    settings |= {"BRIDGE_AMQP_URL": broker.url, "BRIDGE_ROUTING_KEY": queue}
    settings |= {"BRIDGE_SQS_QUEUES": url, "BRIDGE_SQS_ENDPOINT": service[0], **AWS}
    with Bridge(**settings) as bridge:
        wait_for("two refusals", lambda: len(bridge.events("verdict", client=f"sqs:{url.rpartition('/')[2]}")) == 2, 20)
        wait_for("what stays", lambda: waiting(queues) == 2, 20)
    assert sorted(message.body for message in broker.take(queue)) == sorted(post.body for post in posts)
