"""One topic's wrong exchange does not affect others: its messages are answered, and those in flight elsewhere get their 200."""

import secrets
import threading
import time
from collections import Counter

import pytest

from bridge.simulate.delivery import deliver_all
from bridge.simulate.sns import TOPIC
from tests.tools.broker import Broker
from tests.tools.ports import wait_for

BAD = TOPIC.replace("orders", "bad")
SECONDS = 4


class Wrong:
    """Messages of another kind, at a rate, by threads of their own; `answers` counts their answers."""

    def __init__(self, bridge, make, rate):
        self._bridge, self._make, self._going = bridge, make, threading.Event()
        self.answers = Counter()
        workers = max(1, rate // 40)
        self._threads = [threading.Thread(target=self._run, args=(workers / rate,)) for _ in range(workers)]

    def _run(self, pause):
        with self._bridge.connect() as connection:
            at = time.monotonic()
            while not self._going.wait(max(0.0, at - time.monotonic())):
                answer = connection.deliver(self._make())
                self.answers[f"{answer.status} {answer.body.decode()}".strip()] += 1
                at += pause

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._going.set()
        for thread in self._threads:
            thread.join(20)


def healthy(bridge, sns, seconds=SECONDS, connections=4):
    """Deliver messages of the healthy topic all the while; return how many got which answer, and their MessageIds."""
    until = time.monotonic() + seconds
    posts = iter(lambda: (time.sleep(0.004), sns.notification())[1] if time.monotonic() < until else None, None)
    outcomes = deliver_all(posts, bridge.endpoint(), connections=connections)
    return Counter(outcome.status for outcome in outcomes), {outcome.post.message_id for outcome in outcomes if outcome.status == 200}


def all_stored(broker, queue, answered):
    assert answered - set(broker.ids(queue)) == set(), "answered 200 and not in the queue"


@pytest.fixture
def routed(start_bridge, folder, queue):
    """start(exchange, **settings) -> a bridge whose topic BAD goes to that exchange and whose own topic goes to the queue."""

    def start(exchange, key="x", **settings):
        routes = folder / "routes.toml"
        routes.write_text(f"[[route]]\ntopic = '{BAD}'\nexchange = '{exchange}'\nrouting_key = '{key}'\n")
        return start_bridge(BRIDGE_TOPICS=f"{TOPIC},{BAD}", BRIDGE_ROUTES=str(routes), **settings)

    return start


@pytest.fixture
def exchange(broker):
    """The name of a topic exchange with a queue of the same name behind it."""
    name = f"exchange-{secrets.token_hex(4)}"
    with broker.channel() as channel:
        channel.exchange_declare(name, "topic", durable=True)
        channel.queue_declare(name, durable=True)
        channel.queue_bind(name, name, "#")
    yield name
    with broker.channel() as channel:
        channel.exchange_delete(name)
        channel.queue_delete(name)


def deleted(broker, exchange):
    with broker.channel() as channel:
        channel.exchange_delete(exchange)


@pytest.mark.parametrize("rate", [5, 20, 200])
def test_an_exchange_that_does_not_exist(routed, broker, queue, sns, rate):
    bridge = routed("missing")
    with Wrong(bridge, lambda: sns.notification(topic=BAD), rate) as wrong:
        statuses, answered = healthy(bridge, sns)
    assert set(statuses) == {200} and len(answered) > 100
    assert set(wrong.answers) == {"503 routing"} and wrong.answers.total() > rate * SECONDS / 2
    explanation = bridge.wait_for("verdict", reason="routing", topic_arn=BAD)["explanation"]
    assert "'missing'" in explanation and "NOT_FOUND" in explanation and "BRIDGE_ROUTES" in explanation
    assert len(bridge.events("channel_closed")) <= 3, "it is remembered"
    all_stored(broker, queue, answered)


def test_an_exchange_that_must_not_be_written_to(routed, broker, queue, sns, exchange):
    broker.add_user("careful", "secret", write="^(amq\\.default|queue-.*)$")
    bridge = routed(exchange, BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "careful:secret"))
    with Wrong(bridge, lambda: sns.notification(topic=BAD), 50) as wrong:
        statuses, answered = healthy(bridge, sns)
    broker.ctl("delete_user", "careful")
    assert set(statuses) == {200} and set(wrong.answers) == {"503 routing"}
    assert "ACCESS_REFUSED" in bridge.wait_for("verdict", reason="routing")["explanation"]
    all_stored(broker, queue, answered)


def test_names_without_end_from_a_template(routed, broker, queue, sns):
    """Each name is new, so each closes a channel: not the one that the healthy topic's messages go by."""
    bridge = routed("{attribute.exchange}")
    with Wrong(bridge, lambda: sns.notification(topic=BAD, attributes={"exchange": ("String", secrets.token_hex(8))}), 100) as wrong:
        statuses, answered = healthy(bridge, sns)
    assert set(statuses) == {200} and len(answered) > 100
    assert set(wrong.answers) == {"503 routing"} and wrong.answers.total() > 100
    all_stored(broker, queue, answered)


def test_an_exchange_that_is_deleted_while_messages_are_in_flight(routed, broker, queue, sns, exchange):
    bridge = routed(exchange)
    assert bridge.deliver(sns.notification(topic=BAD)).status == 200
    with Wrong(bridge, lambda: sns.notification(topic=BAD), 100) as wrong:
        later = threading.Timer(1, deleted, (broker, exchange))
        later.start()
        statuses, answered = healthy(bridge, sns, connections=32)
        later.join()
    assert set(statuses) == {200} and len(answered) > 100
    assert set(wrong.answers) == {"200", "503 routing"}
    all_stored(broker, queue, answered)
    with broker.channel() as channel:
        channel.exchange_declare(exchange, "topic", durable=True)
        channel.queue_bind(exchange, exchange, "#")
    wait_for("a 200", lambda: bridge.deliver(sns.notification(topic=BAD)).status == 200, 10, 0.2)


@pytest.mark.rule("routing")
def test_a_routing_key_that_is_forbidden_costs_the_other_keys_nothing(routed, broker, queue, sns, exchange):
    broker.add_user("topical", "secret")
    broker.ctl("set_topic_permissions", "-p", "/", "topical", exchange, "^good", ".*")
    bridge = routed(exchange, "{attribute.key}", BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "topical:secret"))

    def keyed(key):
        return sns.notification(topic=BAD, attributes={"key": ("String", key)})

    assert bridge.deliver(keyed("good")).status == 200
    with Wrong(bridge, lambda: keyed("bad"), 50) as wrong, Wrong(bridge, lambda: keyed("good"), 50) as right:
        statuses, answered = healthy(bridge, sns)
    broker.ctl("delete_user", "topical")
    assert set(statuses) == {200} and set(wrong.answers) == {"503 routing"}
    assert {answer[:3] for answer in right.answers} == {"200"}
    all_stored(broker, queue, answered)


def test_a_message_that_the_broker_finds_too_large_costs_the_others_nothing(routed, sns):
    with Broker(settings="max_message_size = 20000") as small:
        small.declare("stored")
        bridge = routed("", "stored", BRIDGE_AMQP_URL=small.url, BRIDGE_ROUTING_KEY="stored")
        assert bridge.deliver(sns.notification()).status == 200
        with Wrong(bridge, lambda: sns.notification("x" * 30_000, topic=BAD), 20) as wrong:
            statuses, answered = healthy(bridge, sns)
        assert set(statuses) == {200} and set(wrong.answers) == {"503 routing"}
        assert "size" in bridge.wait_for("verdict", reason="routing")["explanation"]
        all_stored(small, "stored", answered)


@pytest.mark.rule("nack")
def test_a_full_queue_of_one_topic_costs_the_others_nothing(routed, broker, queue, sns):
    """A channel that nacks is replaced now and then, and all others in flight on it are sent again."""
    full = broker.declare(f"full-{secrets.token_hex(4)}", **{"x-max-length": 1, "x-overflow": "reject-publish"})
    bridge = routed("", full)
    with Wrong(bridge, lambda: sns.notification(topic=BAD), 50) as wrong:
        statuses, answered = healthy(bridge, sns, seconds=7)
    broker.delete(full)
    assert set(statuses) == {200} and "503 nack" in wrong.answers, bridge.events("verdict", topic_arn=TOPIC)[:3]
    all_stored(broker, queue, answered)


def test_a_message_for_an_unknown_exchange_is_answered_when_the_broker_is_lost(routed, mortal_broker, sns):
    mortal_broker.declare("stored")
    bridge = routed("missing", BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="stored")
    mortal_broker.freeze()
    start = time.monotonic()
    killer = threading.Timer(1, mortal_broker.kill)
    killer.start()
    assert bridge.deliver(sns.notification()).status == 503
    assert time.monotonic() - start < 5
    killer.join()
