"""The second way in, from an SQS queue to RabbitMQ: a message is deleted only after its confirm."""

import contextlib
import hashlib
import json
import signal
import time
import urllib.request

import pytest

from bridge.bodies.formats import FORMATS
from bridge.simulate.envelope import now
from bridge.simulate.sns import TOPIC
from tests.tools.bridge import run
from tests.tools.ports import free_port, wait_for
from tests.tools.sqs import SQS

DAYS = 86400


@pytest.fixture
def sqs():
    with SQS() as sqs:
        yield sqs


@pytest.fixture
def pulling(sqs, start_bridge):
    """with pulling(**settings) as bridge: it pulls from the queue "orders", until the block ends."""

    @contextlib.contextmanager
    def pulls(**settings):
        own = {"BRIDGE_SQS_QUEUES": sqs.url("orders"), "BRIDGE_SQS_ENDPOINT": sqs.endpoint, **sqs.environment}
        bridge = start_bridge(**{**own, **settings})
        yield bridge
        bridge.stop()

    return pulls


def text(post):
    return post.body.decode()


def confirmed_before_deleted(sqs, stored):
    """Whether each message that was deleted is one of those that are in RabbitMQ."""
    bodies = {message.body for message in stored}
    return all(body.encode() in bodies for body in sqs.deleted())


class TestPublished:
    def test_messages_arrive_byte_for_byte_and_are_deleted(self, sqs, pulling, sns, broker, queue):
        posts = [*sns.notifications(20), sns.notification("x" * 262_144), sns.notification('Größe ✓ 😀 "q" \\ \n \x01', subject="Ünï")]
        sqs.send("orders", *map(text, posts))
        with pulling():
            wait_for("an empty queue", lambda: not sqs.bodies("orders"))
            stored = broker.take(queue)
        assert sorted(message.body for message in stored) == sorted(post.body for post in posts)
        assert confirmed_before_deleted(sqs, stored)

    @pytest.mark.parametrize("body", FORMATS)
    def test_nothing_tells_a_consumer_which_way_it_came(self, sqs, pulling, sns, broker, queue, body):
        attributes = {"kind": ("String", "a"), "n": ("Number", "5"), "traceparent": ("String", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")}
        post = sns.notification("hello", subject="A subject", attributes=attributes)
        with pulling(BRIDGE_BODY=body) as bridge:
            assert bridge.deliver(post).status == 200
            sqs.send("orders", text(post))
            wait_for("an empty queue", lambda: not sqs.bodies("orders"))
        by_post, by_queue = broker.take(queue)
        assert by_queue == by_post

    @pytest.mark.rule("certificate-not-valid")
    def test_dead_letters_of_two_weeks_ago_whose_certificate_has_expired_since(self, sqs, pulling, sns, broker, queue):
        sns.rotate(days=-1)
        posts = [sns.notification("old", timestamp=now(-14 * DAYS)), sns.notification("older than it", timestamp=now(-400 * DAYS))]
        sqs.send("orders", *map(text, posts))
        with pulling() as bridge:
            bridge.wait_for("verdict", reason="certificate-not-valid")
            wait_for("one message", lambda: sqs.bodies("orders") == [text(posts[1])])
        assert [message.body for message in broker.take(queue)] == [posts[0].body]

    def test_without_a_listener(self, sqs, pulling, sns, broker, queue):
        post = sns.notification("hello")
        sqs.send("orders", text(post))
        with pulling(BRIDGE_LISTEN="off", BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{free_port()}") as bridge:
            wait_for("an empty queue", lambda: not sqs.bodies("orders"))
            assert bridge.events("listening")[0]["address"] == "off"
        assert [message.body for message in broker.take(queue)] == [post.body]

    @pytest.mark.rule("BRIDGE_CA_FILE")
    def test_over_tls_by_the_roots_of_the_ca_file(self, sns, broker, queue, start_bridge, folder):
        """The image does it under docker/seccomp.json, as all tests of it."""
        posts = list(sns.notifications(30))
        with SQS(tls=sns.authority.issue(folder / "sqs", "localhost")) as sqs:
            own = {"BRIDGE_SQS_QUEUES": sqs.url("orders"), "BRIDGE_SQS_ENDPOINT": sqs.endpoint, **sqs.environment}
            sqs.send("orders", *map(text, posts))
            ours = {"BRIDGE_TOPICS": TOPIC, "BRIDGE_AMQP_URL": broker.url, "BRIDGE_ROUTING_KEY": queue, "BRIDGE_CA_FILE": str(sns.ca_file)}
            assert "30 messages wait" in run("check", **ours, **own).stdout
            bridge = start_bridge(**own)
            wait_for("an empty queue", lambda: not sqs.bodies("orders"))
            bridge.stop()
        stored = broker.take(queue)
        assert sorted(message.body for message in stored) == sorted(post.body for post in posts)
        assert confirmed_before_deleted(sqs, stored)

    def test_a_subscription_from_another_account_is_confirmed(self, sqs, pulling, sns):
        sqs.send("orders", text(sns.subscription_confirmation()))
        with pulling():
            wait_for("an empty queue", lambda: not sqs.bodies("orders"))
        assert len(sns.confirmed) == 1

    def test_many_are_pulled_by_several_polls_at_once(self, sqs, pulling, sns, broker, queue):
        sqs.send("orders", *map(text, sns.notifications(600)))
        with pulling():
            wait_for("an empty queue", lambda: not sqs.bodies("orders"), 30)
        assert broker.count(queue) == 600

    @pytest.mark.rule("BRIDGE_PROCESSES")
    def test_several_processes_and_queues(self, sqs, pulling, sns, broker, queue):
        sqs.send("orders", *map(text, sns.notifications(100)))
        sqs.url("others")
        sqs.send("others", *map(text, sns.notifications(100)))
        with pulling(BRIDGE_PROCESSES="2", BRIDGE_SQS_QUEUES=f"{sqs.url('orders')},{sqs.url('others')}"):
            wait_for("empty queues", lambda: not sqs.bodies("orders") and not sqs.bodies("others"), 20)
        assert broker.count(queue) == 200


class TestRefused:
    def test_what_is_refused_for_good_stays_out_of_sight(self, sqs, pulling, sns, broker, queue):
        genuine, altered = sns.notification("genuine"), json.loads(sns.notification("altered").body)
        altered["Message"] = "forged"
        foreign = sns.notification("foreign", topic="arn:aws:sns:eu-central-1:999999999999:orders")
        bodies = [json.dumps(altered), text(foreign), "raw", '{"a": 1}', "[" * 2000]
        sqs.send("orders", *bodies, text(genuine))
        with pulling() as bridge:
            wait_for("refusals", lambda: len(bridge.events("verdict", client="sqs:orders")) == 5)
            wait_for("the genuine one's end", lambda: len(sqs.bodies("orders")) == 5)
            wait_for("what is out of sight", lambda: sum(what == "hidden" for _, what, _, _ in sqs.log) == 5)
            assert all(message.visible - time.monotonic() > 3000 for message in sqs.messages("orders"))
            for message in sqs.messages("orders"):
                message.receives = 20
            sqs.show("orders")  # an hour later they come back, and are not judged or logged again
            wait_for("out of sight again", lambda: sum(what == "hidden" for _, what, _, _ in sqs.log) == 10)
            assert all(30_000 < message.visible - time.monotonic() < 43_200 for message in sqs.messages("orders"))
            assert len(bridge.events("verdict")) == 5
        assert sqs.bodies("orders") == bodies and sqs.deleted() == [text(genuine)]
        assert {line["reason"] for line in bridge.events("verdict")} == {"bad-signature", "topic-not-allowed", "malformed-message"}
        assert [message.body for message in broker.take(queue)] == [genuine.body]

    def test_the_signature_decides_and_no_md5(self, sqs, pulling, sns, broker, queue):
        """MD5OfBody is SQS's own sum: who alters a message on the way alters that too, and a wrong one makes no message false."""
        genuine, altered = sns.notification("genuine"), sns.notification("altered")
        sqs.send("orders", text(genuine), text(altered))

        def behave(operation, members):
            if operation != "ReceiveMessage":
                return None
            answer = sqs.ReceiveMessage(members)
            for message in answer.get("Messages", ()):
                message["Body"] = message["Body"].replace('"altered"', '"forged"')
                forged = '"forged"' in message["Body"]
                message["MD5OfBody"] = hashlib.md5(message["Body"].encode()).hexdigest() if forged else "0" * 32
            return 200, answer

        sqs.fault = behave
        with pulling() as bridge:
            bridge.wait_for("verdict", reason="bad-signature")
            wait_for("the genuine one's end", lambda: sqs.bodies("orders") == [text(altered)])
        assert sqs.deleted() == [text(genuine)]
        assert [message.body for message in broker.take(queue)] == [genuine.body]

    @pytest.mark.rule("BRIDGE_MAX_BODY")
    def test_what_is_longer_than_a_body_may_be_is_not_looked_into(self, sqs, pulling, sns, broker, queue):
        long, short = sns.notification("x" * 5000), sns.notification("short")
        sqs.send("orders", text(long), text(short))
        with pulling(BRIDGE_MAX_BODY="4KiB") as bridge:
            bridge.wait_for("verdict", reason="body-too-large", client="sqs:orders")
            wait_for("the other one's end", lambda: sqs.bodies("orders") == [text(long)])
        assert [message.body for message in broker.take(queue)] == [short.body]

    def test_what_the_broker_does_not_route_stays(self, sqs, pulling, sns):
        sqs.send("orders", text(sns.notification("hello")))
        with pulling(BRIDGE_ROUTING_KEY="nowhere") as bridge:
            bridge.wait_for("verdict", reason="unroutable")
        assert len(sqs.bodies("orders")) == 1 and not sqs.deleted()


def drained(sqs):
    """Whether the queue is empty. What is hidden is shown again, because a broker that was killed may take a while for its queues."""
    sqs.show("orders")
    return not sqs.bodies("orders")


def restarted(broker):
    """Start a broker that was killed, with the queue "here": RabbitMQ can forget a queue that was declared a second before the kill."""
    broker.start()
    broker.declare("here")


class TestTheBroker:
    def test_nothing_is_pulled_while_the_broker_is_away(self, sqs, pulling, sns, mortal_broker):
        mortal_broker.declare("here")
        mortal_broker.kill()
        sqs.send("orders", *map(text, sns.notifications(30)))
        with pulling(connected=False, BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="here") as bridge:
            bridge.wait_for("broker_lost")
            time.sleep(1)
            assert "ReceiveMessage" not in sqs.calls
            restarted(mortal_broker)
            wait_for("an empty queue", lambda: drained(sqs), 120, every=1)
        assert mortal_broker.count("here") == 30
        mortal_broker.delete("here")

    def test_a_message_whose_confirm_is_lost_is_published_again(self, sqs, pulling, sns, mortal_broker):
        mortal_broker.declare("here")
        with pulling(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="here") as bridge:
            wait_for("a poll", lambda: "ReceiveMessage" in sqs.calls)
            mortal_broker.freeze()
            sqs.send("orders", *map(text, sns.notifications(5)))
            wait_for("messages in flight", lambda: any(what == "received" for _, what, _, _ in sqs.log))
            time.sleep(0.5)
            assert not sqs.deleted()
            mortal_broker.kill()
            bridge.wait_for("broker_lost")
            restarted(mortal_broker)
            bridge.wait_for("broker_connected", more_than=1, seconds=30)
            assert len(sqs.bodies("orders")) == 5
            wait_for("an empty queue", lambda: drained(sqs), 120, every=1)
            stored = mortal_broker.take("here")
        assert {message.body for message in stored} == {body.encode() for body in sqs.deleted()}
        mortal_broker.delete("here")


class TestSQS:
    def test_a_delete_that_fails_is_tried_again_and_nothing_is_published_twice(self, sqs, pulling, sns, broker, queue):
        failing = [True]
        sqs.entry_fault = lambda operation, entry: "InternalError" if failing[0] and operation == "DeleteMessageBatch" else None
        sqs.send("orders", *map(text, sns.notifications(15)))
        with pulling():
            wait_for("deletes", lambda: sqs.calls.count("DeleteMessageBatch") >= 2)
            sqs.show("orders")  # they come back before they are deleted
            wait_for("second receives", lambda: sum(what == "received" for _, what, _, _ in sqs.log) >= 30)
            failing[0] = False
            wait_for("an empty queue", lambda: not sqs.bodies("orders"), 20)
        assert broker.count(queue) == 15

    def test_errors_are_told_once_and_end(self, sqs, pulling, sns, broker, queue):
        sqs.fault = lambda *_: (400, {"__type": "com.amazon.coral.service#AccessDeniedException", "message": "no"})
        sqs.send("orders", *map(text, sns.notifications(3)))
        with pulling() as bridge:
            line = bridge.wait_for("sqs_error", kind="access-denied", queue="orders", operation="ReceiveMessage")
            assert "queue orders is not allowed" in line["explanation"] and "bridge policy" in line["explanation"]
            wait_for("further tries", lambda: len(sqs.calls) >= 4)
            assert len(bridge.events("sqs_error", operation="ReceiveMessage")) == 1
            sqs.fault = None
            bridge.wait_for("sqs_recovered", queue="orders", operation="ReceiveMessage")
            wait_for("an empty queue", lambda: not sqs.bodies("orders"), 20)
        assert broker.count(queue) == 3

    def test_no_secret_is_logged(self, sqs, pulling):
        sqs.fault = lambda *_: (403, {"__type": "SignatureDoesNotMatch", "message": f"…{sqs.environment['AWS_SECRET_ACCESS_KEY']}…"})
        with pulling(AWS_SESSION_TOKEN="SESSIONTOKENEXAMPLE", BRIDGE_LOG_LEVEL="debug") as bridge:
            bridge.wait_for("sqs_error", kind="no-credentials")
        assert not any(secret in json.dumps(bridge.log) for secret in ("secret/key", "SESSIONTOKEN"))

    def test_what_is_in_flight_is_deleted_before_the_bridge_stops(self, sqs, pulling, sns, broker, queue):
        sqs.send("orders", *map(text, sns.notifications(200)))
        with pulling() as bridge:
            wait_for("a message", lambda: broker.count(queue) > 0)
            bridge.stop(signal.SIGTERM)
        stored = broker.take(queue)
        assert len(stored) == len(sqs.deleted()) == 200 - len(sqs.bodies("orders"))
        assert confirmed_before_deleted(sqs, stored)


class TestCheck:
    """`bridge check` does not receive, because each receive counts."""

    @pytest.fixture
    def check(self, sqs, broker, queue):
        own = {"BRIDGE_SQS_QUEUES": sqs.url("orders"), "BRIDGE_SQS_ENDPOINT": sqs.endpoint, **sqs.environment}
        own |= {"BRIDGE_TOPICS": TOPIC, "BRIDGE_AMQP_URL": broker.url, "BRIDGE_ROUTING_KEY": queue}
        return lambda **settings: run("check", **{**own, **settings})

    def test_all_is_well(self, sqs, check):
        sqs.send("orders", "a", "b")
        done = check()
        assert done.returncode == 0 and not done.stderr
        assert f"queue {sqs.url('orders')}: 2 messages wait, 0 are hidden; messages are kept for 14 days" in done.stdout
        assert "deleting is allowed" in done.stdout and "ReceiveMessage" not in sqs.calls and len(sqs.bodies("orders")) == 2

    @pytest.mark.rule("BRIDGE_SQS_QUEUES")
    def test_there_is_no_such_queue(self, sqs, check):
        done = check(BRIDGE_SQS_QUEUES=sqs.url("orders") + "x")
        assert done.returncode == 1 and "GetQueueAttributes on queue ordersx found no such queue" in done.stdout

    def test_deleting_is_not_allowed(self, sqs, check):
        denied = 400, {"__type": "com.amazon.coral.service#AccessDeniedException", "message": ""}
        sqs.fault = lambda operation, _: denied if operation == "DeleteMessageBatch" else None
        done = check()
        assert done.returncode == 1 and "DeleteMessageBatch on queue orders is not allowed" in done.stdout

    def test_numbers_that_are_none(self, sqs, check):
        numbers = {"ApproximateNumberOfMessages": "\u00b2", "MessageRetentionPeriod": "9" * 5000, "QueueArn": "arn:aws:sqs:x"}
        sqs.fault = lambda operation, _: (200, {"Attributes": numbers}) if operation == "GetQueueAttributes" else None
        done = check()
        assert done.returncode == 0 and not done.stderr
        assert "? messages wait, ? are hidden; messages are kept for ? days" in done.stdout

    def test_no_credentials(self, check):
        done = check(AWS_ACCESS_KEY_ID="", AWS_EC2_METADATA_DISABLED="true")
        assert done.returncode == 1 and "no AWS credentials: set AWS_ACCESS_KEY_ID" in done.stdout


class TestWhatIsShown:
    def test_metrics_and_the_status_page(self, sqs, pulling, sns):
        sqs.send("orders", text(sns.notification("hello")), "raw")
        port = free_port()
        with pulling(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", BRIDGE_LISTEN="off"):
            wait_for("the one that stays", lambda: sqs.bodies("orders") == ["raw"])

            def shown(path):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    return answer.read().decode()

            wait_for("metrics", lambda: "bridge_sqs_deleted_total 1\n" in shown("/metrics"))
            metrics = shown("/metrics")
            status = json.loads(shown("/status.json"))
            own = {"BRIDGE_LISTEN": "off", "BRIDGE_SQS_QUEUES": sqs.url("orders")}
            assert run("healthcheck", BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", **own).returncode == 0
            assert "no admin listener answers" in run("healthcheck", BRIDGE_ADMIN_LISTEN="off", **own).stdout
        lines = "received_total 2", "published_total 1", 'refused_total{reason="malformed-message"} 1', 'errors_total{kind="clock"} 0'
        for line in lines:
            assert f"\nbridge_sqs_{line}\n" in metrics
        assert status["sqs"][:2] == [1, 1] and status["refusals"][0][-1] == "sqs:orders"
