"""BRIDGE_QUEUE with any queue that exists already; and `bridge check`, which never prints ok when `serve` can't get ready."""

import json
import re
import secrets
import time

import pytest

from bridge.simulate.post import Connection
from bridge.simulate.sns import TOPIC
from tests.tools.bridge import run
from tests.tools.ports import free_port, wait_for


@pytest.fixture
def name(broker):
    """A queue's name that nobody has used."""
    name = f"declared-{secrets.token_hex(4)}"
    yield name
    broker.delete(name)


@pytest.fixture
def user(broker):
    """user(configure, write, read) -> the URL of a user with these permissions."""
    broker.add_user("limited", "secret")

    def limited(**permissions):
        given = {"configure": ".*", "write": ".*", "read": ".*"} | permissions
        broker.ctl("set_permissions", "-p", "/", "limited", given["configure"], given["write"], given["read"])
        return broker.url.replace("guest:guest", "limited:secret")

    yield limited
    broker.ctl("delete_user", "limited")


def check(broker, **settings):
    return run("check", **({"BRIDGE_TOPICS": TOPIC, "BRIDGE_AMQP_URL": broker.url, "BRIDGE_ADMIN_LISTEN": "off"} | settings))


FORMS = {
    "classic": ({"durable": True}, "not replicated"),
    "classic with a limit": ({"durable": True, "arguments": {"x-max-length": 9}}, "not replicated"),
    "quorum with a limit": ({"durable": True, "arguments": {"x-queue-type": "quorum", "x-max-length": 9}}, ""),
    "stream": ({"durable": True, "arguments": {"x-queue-type": "stream"}}, ""),
    "auto-delete": ({"durable": True, "auto_delete": True}, "auto-delete"),
}


@pytest.mark.rule("BRIDGE_QUEUE")
@pytest.mark.parametrize("form", FORMS)
def test_a_queue_of_another_form_is_used_as_it_is(start_bridge, broker, name, sns, form):
    declared, warning = FORMS[form]
    with broker.channel() as channel:
        channel.queue_declare(name, **declared)
    bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
    assert bridge.deliver(sns.notification()).status == 200
    warned = [line["explanation"] for line in bridge.events("queue_at_risk")]
    assert bool(warned) == bool(warning) and all(warning in line and name in line for line in warned)
    done = check(broker, BRIDGE_QUEUE=name)
    assert done.returncode == 0, done.stdout
    assert ("warning: " + warned[0] if warned else name) in done.stdout


def test_a_queue_that_is_not_durable_is_used_with_a_warning(start_bridge, broker, sns):
    name = f"transient-{secrets.token_hex(4)}"
    with broker.channel() as channel:
        try:
            channel.queue_declare(name, durable=False)
        except Exception as error:  # newer brokers refuse such a queue
            assert "transient_nonexcl_queues" in str(error)
            return
        bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
        assert bridge.deliver(sns.notification()).status == 200
        assert "not durable" in bridge.wait_for("queue_at_risk")["explanation"]
        assert "not durable" in check(broker, BRIDGE_QUEUE=name).stdout
        channel.queue_delete(name)


def test_a_queue_that_is_there_is_bound(start_bridge, broker, name, sns):
    exchange = f"exchange-{name}"
    with broker.channel() as channel:
        channel.queue_declare(name, durable=True)
        channel.exchange_declare(exchange, "topic", durable=True)
    bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_EXCHANGE=exchange, BRIDGE_ROUTING_KEY="orders.new")
    assert bridge.deliver(sns.notification()).status == 200
    assert broker.count(name) == 1
    done = check(broker, BRIDGE_QUEUE=name, BRIDGE_EXCHANGE=exchange, BRIDGE_ROUTING_KEY="orders.new")
    assert done.returncode == 0 and f"exchange '{exchange}': exists, and the bridge may write to it" in done.stdout
    assert broker.count(name) == 1, "check has published nothing"


def test_without_permission_to_declare_a_queue_that_is_there_is_used(start_bridge, broker, name, user, sns):
    broker.declare(name, kind="quorum")
    bridge = start_bridge(BRIDGE_AMQP_URL=user(configure="^$"), BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
    assert bridge.deliver(sns.notification()).status == 200


def said(bridge, sns, admin):
    """The texts of answer, log and status page about a bridge that can't get ready."""
    answer = bridge.deliver(sns.notification())
    assert (answer.status, answer.body) == (503, b"broker-unavailable\n")
    yield bridge.wait_for("verdict", reason="broker-unavailable")["explanation"]
    yield bridge.wait_for("queue_unusable")["explanation"]

    def shown():
        with Connection("127.0.0.1", admin) as connection:
            return json.loads(connection.exchange(b"GET /status.json HTTP/1.1\r\nHost: a\r\n\r\n").body)["troubles"]

    yield wait_for("trouble on the status page", shown)[0]


@pytest.mark.parametrize("case", ["amq.", "no permission", "no exchange"])
def test_what_cannot_be_declared_says_so_everywhere(start_bridge, broker, user, sns, case):
    name = f"never-{secrets.token_hex(4)}"
    settings, words = {
        "amq.": ({"BRIDGE_QUEUE": "amq.orders"}, ("amq.orders", "reserved prefix")),
        "no permission": ({"BRIDGE_QUEUE": name, "BRIDGE_AMQP_URL": user(configure="^$")}, (name, "ACCESS_REFUSED")),
        "no exchange": ({"BRIDGE_QUEUE": "bound", "BRIDGE_EXCHANGE": "missing"}, ("bound", "missing", "NOT_FOUND")),
    }[case]
    admin = free_port()
    bridge = start_bridge(connected=False, **({"BRIDGE_ROUTING_KEY": None, "BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{admin}"} | settings))
    bridge.wait_for("queue_unusable")
    for text in said(bridge, sns, admin):
        assert all(word in text for word in (*words, "BRIDGE_QUEUE")), text
    assert len(bridge.events("queue_unusable")) == 1, "once, not at each try"
    done = check(broker, **settings)
    assert done.returncode == 1 and all(word in done.stdout for word in (*words, "BRIDGE_QUEUE")), done.stdout
    if case == "no exchange":
        broker.delete("bound")


def test_it_gets_ready_when_the_permission_comes(start_bridge, broker, name, user, sns):
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=user(configure="^$"), BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
    bridge.wait_for("queue_unusable")
    user()
    bridge.wait_for("broker_connected", seconds=10)
    give_up = time.monotonic() + 5
    while bridge.deliver(sns.notification()).status != 200:
        assert time.monotonic() < give_up


# ---- check alone


def test_check_sees_that_an_exchange_must_not_be_written_to(broker, user):
    done = check(broker, BRIDGE_AMQP_URL=user(write="^$"), BRIDGE_EXCHANGE="amq.topic", BRIDGE_ROUTING_KEY="k")
    assert done.returncode == 1 and "exchange 'amq.topic'" in done.stdout and "ACCESS_REFUSED" in done.stdout
    done = check(broker, BRIDGE_AMQP_URL=user(), BRIDGE_EXCHANGE="amq.topic", BRIDGE_ROUTING_KEY="k")
    assert done.returncode == 0, done.stdout


def test_check_sees_every_route_that_the_settings_name(broker, queue, folder):
    routes = folder / "routes.toml"
    routes.write_text(
        '[[route]]\ntopic = "arn:aws:sns:*:*:orders"\nexchange = "{topic}-missing"\n'
        '[[route]]\ntopic = "arn:aws:sns:*:*:other"\nexchange = "other-missing"\nrouting_key = "{subject}"\n'
        '[[route]]\ntopic = "arn:aws:sns:*:*:bills"\nexchange = "{attribute.exchange}"\n'
    )
    topics = f"{TOPIC},{TOPIC.replace('orders', 'bills')}"
    done = check(broker, BRIDGE_TOPICS=topics, BRIDGE_ROUTES=str(routes), BRIDGE_ROUTING_KEY=queue)
    assert done.returncode == 1
    assert "'orders-missing': 404" in done.stdout and "'other-missing': 404" in done.stdout
    assert "exchange '{attribute.exchange}', routing key" in done.stdout and "depends on the message" in done.stdout


def test_check_warns_of_the_delivery_limit_where_the_broker_has_one(broker, name):
    done = check(broker, BRIDGE_QUEUE=name)
    assert done.returncode == 0, done.stdout
    assert ("21st delivery" in done.stdout) == (broker.rabbitmq.series >= "4")


@pytest.mark.parametrize("policy", [False, True])
def test_the_policy_that_is_printed_keeps_a_message_beyond_its_21st_delivery(start_bridge, broker, name, sns, policy):
    bridge = start_bridge(BRIDGE_QUEUE=name, BRIDGE_ROUTING_KEY=None)
    if policy:
        if broker.rabbitmq.series < "4":
            return  # it has no limit that a policy could take away
        printed = run("policy").stdout.partition("set_policy --apply-to queues bridge-delivery-limit ")[2]
        pattern, definition = re.match(r"'(.*)' \\\n  '(.*)'", printed).groups()
        broker.ctl("set_policy", "--apply-to", "queues", "bridge-delivery-limit", pattern.replace("orders", name), definition)
        wait_for("the policy", lambda: "bridge-delivery-limit" in broker.ctl("list_queues", "name", "policy"))
    assert bridge.deliver(sns.notification()).status == 200
    with broker.channel() as channel:
        deliveries = 0
        give_up = time.monotonic() + 20
        while deliveries < 30 and time.monotonic() < give_up:
            method, _, _ = channel.basic_get(name)
            if method is not None:
                deliveries += 1
                channel.basic_reject(method.delivery_tag, requeue=True)
            elif deliveries >= 20 and not broker.count(name):
                break
    if policy:
        broker.ctl("clear_policy", "bridge-delivery-limit")
    assert deliveries == (30 if policy or broker.rabbitmq.series < "4" else 21)
