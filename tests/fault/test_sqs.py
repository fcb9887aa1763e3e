"""Dead letters in SQS, a fiftieth of them forged, under faults of the broker, of SQS and of the bridge itself.

The one check: every genuine message is in RabbitMQ, byte for byte; no message was deleted before its confirm, which the log of the
simulated SQS and the queue prove together; what is forged is all left. Two controls, which delete too soon, must fail it.
"""

import json
import os
import random
import sys
import time

import pytest

from bridge.simulate.delivery import deliver_all
from tests.fault import letters as table
from tests.fault.letters import QUEUE, Letters
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import Bridge, recommended
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for
from tests.tools.sqs import SQS

LETTERS = int(os.environ.get("LETTERS", "500"))  # before the fault, and as many again in it
KILLS = int(os.environ.get("KILLS", "25"))
DRAINED = 120 + LETTERS / 10  # seconds in which the queue has to be empty, on a machine that others work on too
GIVEN_UP = 50  # messages whose 101 attempts all fail
HOUR_IN = 5.0  # seconds: how fast SNS's hour of retries is played


@pytest.fixture
def sqs():
    with SQS() as sqs:
        yield sqs


@pytest.fixture
def settings(sqs, sns, mortal_broker):
    mortal_broker.declare(QUEUE)
    mortal_broker.purge(QUEUE)
    return {
        "BRIDGE_TOPICS": sns.topic,
        "BRIDGE_SNS_ENDPOINT": sns.endpoint,
        "BRIDGE_CA_FILE": str(sns.ca_file),
        "BRIDGE_AMQP_URL": mortal_broker.url,
        "BRIDGE_ROUTING_KEY": QUEUE,
        "BRIDGE_SQS_QUEUES": sqs.url(QUEUE),
        "BRIDGE_SQS_ENDPOINT": sqs.endpoint,
        "BRIDGE_LISTEN": "off",
        "BRIDGE_DEADLINE": "2s",
        **sqs.environment,
    }


def drain(letters, settings, broker, fault, minute=1.0):
    """Let a bridge drain the queue under a fault; return the bridge, stopped. minute: the seconds that a minute out of sight takes."""
    letters.sqs.minute = minute
    with Bridge(**settings) as bridge:
        wait_for("the first deletes", lambda: letters.sqs.deleted(), 30)
        fault(bridge)
        wait_for("an empty queue", lambda: letters.drained, DRAINED, 0.1)
        letters.sqs.show(QUEUE)
        time.sleep(1)  # and a look at what is forged, once more
    letters.collect(broker, QUEUE)
    return bridge


def check(letters, fault):
    assert letters.faults() == {}
    assert letters.genuine <= letters.stored
    table.keep(table.row(fault, letters))


class TestTheBroker:
    def test_is_killed(self, settings, sqs, sns, mortal_broker):
        letters = Letters(sns, sqs, LETTERS, LETTERS)

        def fault(_bridge):
            mortal_broker.kill()
            letters.send()
            time.sleep(3)
            mortal_broker.start()

        drain(letters, settings, mortal_broker, fault)
        check(letters, "broker: killed, back after 3 s")

    def test_is_frozen(self, settings, sqs, sns, mortal_broker):
        letters = Letters(sns, sqs, LETTERS, LETTERS)

        def fault(_bridge):
            mortal_broker.freeze()
            letters.send()
            time.sleep(6)
            mortal_broker.thaw()

        drain(letters, settings, mortal_broker, fault)
        check(letters, "broker: frozen for 6 s")

    def test_is_partitioned(self, settings, sqs, sns, mortal_broker):
        letters = Letters(sns, sqs, LETTERS, LETTERS)
        with FaultProxy(mortal_broker.port) as proxy:

            def fault(_bridge):
                proxy.black_hole()
                letters.send()
                time.sleep(6)
                proxy.refuse()
                time.sleep(1)
                proxy.heal()

            drain(letters, settings | {"BRIDGE_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2F"}, mortal_broker, fault)
        check(letters, "broker: partitioned for 6 s, then refused")

    @pytest.mark.quick
    def test_is_blocked(self, settings, sqs, sns, mortal_broker):
        letters = Letters(sns, sqs, LETTERS, LETTERS)

        def fault(bridge):
            mortal_broker.memory_alarm(True)
            letters.send()
            bridge.wait_for("broker_blocked")
            time.sleep(1)
            polls = sqs.calls.count("ReceiveMessage")
            time.sleep(2)
            assert sqs.calls.count("ReceiveMessage") == polls, "pulled while the broker takes nothing"
            mortal_broker.mend()

        drain(letters, settings, mortal_broker, fault)
        check(letters, "broker: memory alarm")


class TestAnOutage:
    def test_of_a_day(self, settings, sqs, sns, mortal_broker):
        """SNS's hour by `bridge policy` is played in seconds: it gives up, and what it gave up on lies in its dead-letter queue."""
        letters, policy = Letters(sns, sqs, 0), recommended()
        posts = list(sns.notifications(GIVEN_UP))
        own = {name: value for name, value in settings.items() if name != "BRIDGE_LISTEN"}
        with Bridge(**own) as bridge:
            bridge.wait_for("broker_connected")
            mortal_broker.kill()
            outcomes = deliver_all(posts, bridge.endpoint(), connections=4, policy=policy, scale=HOUR_IN / 3600)
            assert {len(outcome.attempts) for outcome in outcomes} == {policy.numRetries + 1}
            assert {attempt.status for outcome in outcomes for attempt in outcome.attempts} == {503}
            letters.genuine = {post.body.decode() for post in posts}
            polls = sqs.calls.count("ReceiveMessage")
            sqs.send(QUEUE, *letters.genuine)
            time.sleep(2)
            assert sqs.calls.count("ReceiveMessage") <= polls + 1, "pulled while there is no broker"
            mortal_broker.start()
            wait_for("an empty queue", lambda: letters.drained, 60, 0.1)
        letters.collect(mortal_broker, QUEUE)
        check(letters, "broker: away longer than SNS tries, SNS's dead letters pulled")


class TestSQS:
    """Each fault hits calls at random for a while."""

    @pytest.fixture
    def under(self, settings, sqs, sns, mortal_broker):
        def under(behave, what, share=0.3, seconds=4):
            letters, chance = Letters(sns, sqs, LETTERS, LETTERS), random.Random(3)

            def fault(_bridge):
                sqs.fault = lambda operation, members: behave(operation, members) if chance.random() < share else None
                letters.send()
                time.sleep(seconds)
                sqs.fault = None

            drain(letters, settings, mortal_broker, fault)
            check(letters, f"SQS: {what}, {share * 100:.0f} % of the calls")

        return under

    def test_answers_500(self, under):
        under(lambda *_: (500, {"__type": "InternalFailure"}), "500")

    def test_throttles(self, under):
        under(lambda *_: (400, {"__type": "com.amazonaws.sqs#RequestThrottled"}), "throttled")

    def test_says_that_the_token_has_expired(self, under):
        under(lambda *_: (403, {"__type": "com.amazon.coral.service#ExpiredTokenException"}), "expired token")

    def test_hangs(self, under):
        under(lambda *_: lambda _handler: time.sleep(12), "hangs for 12 s", 0.2)

    def test_closes_the_connection(self, under):
        under(lambda *_: lambda handler: handler.connection.close(), "closes the connection")

    def test_does_what_it_is_told_and_answers_500(self, under, sqs):
        """What SQS handed out is lost on the way, and what it deleted may be deleted again."""

        def behave(operation, members):
            getattr(sqs, operation)(members | {"WaitTimeSeconds": 0})
            return 500, {"__type": "InternalFailure"}

        under(behave, "does it and answers 500")

    def test_drips(self, under):
        under(lambda *_: lambda handler: handler.drip(100, 0.1), "drips")

    @pytest.mark.quick
    def test_fails_to_delete_single_entries(self, settings, sqs, sns, mortal_broker):
        letters, chance = Letters(sns, sqs, LETTERS, LETTERS), random.Random(4)

        def fault(_bridge):
            sqs.entry_fault = lambda *_: "InternalError" if chance.random() < 0.3 else None
            letters.send()
            time.sleep(4)
            sqs.entry_fault = None

        drain(letters, settings, mortal_broker, fault)
        check(letters, "SQS: three of ten entries of a delete fail")
        assert letters.copies < 1.1 * len(letters.genuine), "what was published is not published again while its delete is tried"

    def test_shows_messages_again_while_they_are_published(self, settings, sqs, sns, mortal_broker):
        letters = Letters(sns, sqs, 2 * LETTERS)
        drain(letters, settings, mortal_broker, lambda _bridge: None, minute=0.02)
        check(letters, "visibility runs out in mid-publish, each 0.02 s")


class TestTheBridge:
    def test_is_killed_at_random_moments(self, settings, sqs, sns, mortal_broker):
        """At each start some letters more lie there, so that there is always one under way."""
        letters, chance = Letters(sns, sqs, LETTERS), random.Random(5)
        sqs.minute = 0.5
        for _ in range(KILLS):
            letters.add(20)
            bridge = Bridge(**settings).start()
            time.sleep(chance.random() * 0.5)
            bridge.kill()
        with Bridge(**settings):
            wait_for("an empty queue", lambda: letters.drained, DRAINED, 0.1)
        letters.collect(mortal_broker, QUEUE)
        check(letters, f"bridge: kill -9 at random moments; {KILLS} times")

    def test_gets_new_credentials_in_between(self, settings, sqs, sns, mortal_broker, folder):
        letters, file = Letters(sns, sqs, LETTERS, LETTERS), folder / "credentials"

        def write(key, secret):
            file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
            sqs.access = {key: (secret, "")}

        def fault(bridge):
            write("AKIDSECOND", "second/secret")
            letters.send()
            bridge.wait_for("sqs_error", kind="no-credentials")

        write("AKIDFIRST", "first/secret")
        own = {name: value for name, value in settings.items() if not name.startswith("AWS_")}
        bridge = drain(letters, own | {"AWS_SHARED_CREDENTIALS_FILE": str(file)}, mortal_broker, fault)
        check(letters, "credentials expire, new ones in the file")
        assert "second/secret" not in json.dumps(bridge.log)


class TestTheCheckItself:
    """Bridges that delete too soon, under the same fault; the check has to fail them."""

    @pytest.fixture(params=["before-the-confirm", "in-a-finally", ""])
    def faults(self, request, settings, sqs, sns, mortal_broker):
        """What the check finds when the broker hangs and is killed: with a control, and with the bridge itself."""
        letters = Letters(sns, sqs, 100)
        words = (sys.executable, "-m", "tests.fault.control_sqs", request.param) if request.param else (sys.executable, "-m", "bridge")
        own = {name: value for name, value in settings.items() if name != "BRIDGE_LISTEN"}
        sqs.minute = 1.0
        with Wrapped(words=words, **own) as bridge:
            wait_for("the first letters' deletes", lambda: letters.drained, 30)
            mortal_broker.freeze()
            letters.add(100)
            wait_for("receives", lambda: sum(what == "received" for _, what, _, _ in sqs.log) > 150, 30)
            time.sleep(4)
            bridge.kill()
            mortal_broker.kill()
        mortal_broker.start()
        letters.collect(mortal_broker, QUEUE)
        return request.param, letters.faults()

    @pytest.mark.quick
    def test_a_control_is_found_out_and_the_bridge_is_not(self, faults):
        control, found = faults
        assert ("deleted and not in RabbitMQ" in found) is bool(control)
