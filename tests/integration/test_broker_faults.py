"""While the broker can't confirm, answers are 503; every id that was answered 200 is in the queue; the bridge needs no restart."""

import threading
import time

import pytest

from bridge.simulate.delivery import deliver_all
from tests.tools.ports import wait_for


@pytest.fixture
def stored(mortal_broker):
    """A durable queue on the broker that will be broken."""
    mortal_broker.declare("stored")
    mortal_broker.purge("stored")
    return "stored"


class Load:
    """Notifications, sent until told to stop, by a thread of its own."""

    def __init__(self, bridge, sns, connections=16):
        self._going = threading.Event()
        self._going.set()
        self._outcomes = []
        posts = self._until_stopped(list(sns.notifications(2000)), sns)
        self._thread = threading.Thread(
            target=lambda: self._outcomes.extend(deliver_all(posts, bridge.endpoint(), connections=connections))
        )
        self._thread.start()

    def _until_stopped(self, ready, sns):
        while self._going.is_set():
            time.sleep(0.005)
            yield ready.pop() if ready else sns.notification("more")

    def stop(self):
        self._going.clear()
        self._thread.join(60)
        return self._outcomes


def nothing_lost(outcomes, broker, queue):
    """A is in Q, Q is in A or U: each message in the queue was answered 200 or 503, or got no answer."""
    answered = {outcome.post.message_id for outcome in outcomes if outcome.status == 200}
    unknown = {outcome.post.message_id for outcome in outcomes if outcome.status in (0, 503)}
    in_queue = broker.ids(queue)
    assert len(outcomes) == len({outcome.post.message_id for outcome in outcomes})
    assert answered - set(in_queue) == set()
    assert set(in_queue) - answered - unknown == set()
    assert {outcome.status for outcome in outcomes} <= {200, 503}
    assert max(outcome.attempts[-1].seconds for outcome in outcomes) <= 10.5
    return answered


def test_kill_9_and_restart_under_load(start_bridge, mortal_broker, stored, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored)
    load = Load(bridge, sns)
    time.sleep(2)
    mortal_broker.kill()
    bridge.wait_for("broker_lost")
    mortal_broker.start()
    up = time.monotonic()
    bridge.wait_for("broker_connected", more_than=1)
    time.sleep(3)
    outcomes = load.stop()
    assert len(nothing_lost(outcomes, mortal_broker, stored)) > 500
    assert [outcome for outcome in outcomes if outcome.status == 503]
    back = min(
        attempt.at + attempt.seconds for outcome in outcomes for attempt in outcome.attempts if attempt.status == 200 and attempt.at > up
    )
    assert back - up < 5


def test_an_orderly_restart_under_load(start_bridge, mortal_broker, stored, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored)
    load = Load(bridge, sns)
    time.sleep(1)
    mortal_broker.stop()
    mortal_broker.start()
    bridge.wait_for("broker_connected", more_than=1, seconds=10)
    time.sleep(1)
    nothing_lost(load.stop(), mortal_broker, stored)


@pytest.mark.rule("deadline")
def test_a_frozen_broker_is_503_within_the_deadline(start_bridge, mortal_broker, stored, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored, BRIDGE_DEADLINE="3s")
    assert bridge.deliver(sns.notification()).status == 200
    mortal_broker.freeze()
    start = time.monotonic()
    answer = bridge.deliver(sns.notification())
    assert (answer.status, answer.body) == (503, b"deadline\n")
    assert time.monotonic() - start <= 3.2
    mortal_broker.thaw()
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 10, 0.1)


@pytest.mark.rule("BRIDGE_AMQP_HEARTBEAT")
def test_heartbeats_notice_a_frozen_broker(start_bridge, mortal_broker, stored, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored, BRIDGE_AMQP_HEARTBEAT="2s")
    mortal_broker.freeze()
    bridge.wait_for("broker_lost", seconds=20)  # pika looks every heartbeat + 5 s whether anything has come
    start = time.monotonic()
    assert bridge.deliver(sns.notification()).status == 503
    assert time.monotonic() - start < 1
    mortal_broker.thaw()
    bridge.wait_for("broker_connected", more_than=1, seconds=15)
    assert bridge.deliver(sns.notification()).status == 200


@pytest.mark.parametrize("alarm", ["memory_alarm", "disk_alarm"])
def test_an_alarm_is_503_at_once_and_clears_by_itself(start_bridge, mortal_broker, stored, sns, alarm):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored)
    assert bridge.deliver(sns.notification()).status == 200
    getattr(mortal_broker, alarm)(True)
    bridge.deliver(sns.notification())  # RabbitMQ tells connection.blocked to those who publish
    bridge.wait_for("broker_blocked")
    start = time.monotonic()
    answer = bridge.deliver(sns.notification())
    assert (answer.status, answer.body) == (503, b"broker-blocked\n")
    assert time.monotonic() - start < 1
    getattr(mortal_broker, alarm)(False)
    bridge.wait_for("broker_unblocked")
    assert bridge.deliver(sns.notification()).status == 200


def test_the_first_delivery_into_an_alarm_is_503_within_a_second(start_bridge, mortal_broker, stored, sns):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored)
    assert bridge.deliver(sns.notification()).status == 200
    mortal_broker.memory_alarm(True)
    start = time.monotonic()
    assert bridge.deliver(sns.notification()).status == 503
    assert time.monotonic() - start < 1


def test_permission_taken_away_is_503_and_given_back_is_200(start_bridge, mortal_broker, stored, sns):
    mortal_broker.add_user("writer", "secret")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url.replace("guest:guest", "writer:secret"), BRIDGE_ROUTING_KEY=stored)
    assert bridge.deliver(sns.notification()).status == 200
    mortal_broker.ctl("set_permissions", "-p", "/", "writer", "", "", "")
    mortal_broker.ctl("close_all_connections", "permissions have changed")  # RabbitMQ's channels keep those that they began with while busy
    wait_for("the loss of the connection", lambda: bridge.events("broker_lost"))
    bridge.wait_for("broker_connected", more_than=1)
    wait_for("503", lambda: bridge.deliver(sns.notification()).status == 503)
    mortal_broker.ctl("set_permissions", "-p", "/", "writer", ".*", ".*", ".*")
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 30, 0.2)
    mortal_broker.ctl("delete_user", "writer")


def test_the_next_broker_in_the_list_takes_over(start_bridge, broker, queue, mortal_broker, sns):
    mortal_broker.declare(queue)
    bridge = start_bridge(BRIDGE_AMQP_URL=f"{mortal_broker.url},{broker.url}")
    assert bridge.deliver(sns.notification()).status == 200
    assert mortal_broker.count(queue) == 1
    mortal_broker.kill()
    bridge.wait_for("broker_connected", more_than=1, seconds=10)
    assert bridge.deliver(sns.notification()).status == 200
    assert broker.count(queue) == 1


def test_a_broker_that_comes_later_than_the_bridge(start_bridge, mortal_broker, stored, sns):
    mortal_broker.stop()
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY=stored)
    bridge.wait_for("broker_lost")
    assert bridge.deliver(sns.notification()).status == 503
    mortal_broker.start()
    bridge.wait_for("broker_connected", seconds=10)
    assert bridge.deliver(sns.notification()).status == 200


def test_wrong_credentials_are_named_in_the_log_and_retried(start_bridge, broker, sns):
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "guest:wrong-password"))
    line = bridge.wait_for("broker_lost", more_than=1, seconds=20)
    assert "wrong-password" not in str(bridge.log)
    assert "ACCESS_REFUSED" in line["explanation"] or "uthentication" in line["explanation"]
    assert bridge.deliver(sns.notification()).status == 503
