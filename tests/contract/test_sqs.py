"""SNS -> SQS -> bridge -> RabbitMQ, driven by boto3: moto and LocalStack are the queues, and the SNS that puts signed messages there."""

import json
import secrets
import sys

import boto3
import pytest

from bridge.sqs.credentials import CredentialChain, ask
from bridge.sqs.queue import SQSError
from bridge.sqs.queue_url import QueueURL
from tests.contract.conftest import REGION, running
from tests.tools.blocking_queue import BlockingQueue
from tests.tools.bridge import Bridge, run
from tests.tools.ports import free_port, wait_for

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


class TestAuthentication:
    """moto computes each signature by itself here, and asks IAM. Its refusals are XML."""

    @pytest.fixture
    def guarded(self):
        """(origin, the environment of a user who may receive and send, and delete nothing)."""
        port = free_port()
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        origin = f"http://127.0.0.1:{port}"
        with running(words, f"{origin}/moto-api/", {"INITIAL_NO_AUTH_ACTION_COUNT": "3"}):
            iam = boto3.client("iam", endpoint_url=origin, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
            iam.create_user(UserName="bridge")
            actions = ["sqs:CreateQueue", "sqs:SendMessage", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
            policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
            iam.put_user_policy(UserName="bridge", PolicyName="own", PolicyDocument=json.dumps(policy))
            key = iam.create_access_key(UserName="bridge")["AccessKey"]
            yield origin, {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    @pytest.fixture
    def queue_of(self, guarded):
        """queue_of(a secret key of another) -> the bridge's queue, with one message in it."""
        origin, own = guarded
        key = {"aws_access_key_id": own["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": own["AWS_SECRET_ACCESS_KEY"]}
        sqs = boto3.client("sqs", endpoint_url=origin, region_name=REGION, **key)
        url = sqs.create_queue(QueueName=f"queue-{secrets.token_hex(4)}")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="hello")

        def opened(**other):
            return BlockingQueue(QueueURL(url, REGION), origin, CredentialChain(own | other, REGION, ask("")), "")

        return opened

    def test_a_signature_is_accepted(self, queue_of):
        assert [message.body for message in queue_of().receive(1, 0, 30)] == [b"hello"]

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret key does not belong to the access key"),
            ({"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "AWS does not know the access key"),
        ],
    )
    def test_a_wrong_secret_key_and_an_unknown_access_key_are_refused(self, queue_of, wrong, words):
        with pytest.raises(SQSError, match=words) as caught:
            queue_of(**wrong).receive(1, 0, 30)
        assert caught.value.kind == "no-credentials"

    def test_an_action_that_iam_does_not_allow_is_an_error(self, queue_of):
        queue = queue_of()
        [message] = queue.receive(1, 0, 30)
        with pytest.raises(SQSError, match=r"DeleteMessageBatch on queue .* is not allowed") as caught:
            queue.delete([message.receipt])
        assert caught.value.kind == "access-denied"
