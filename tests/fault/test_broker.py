"""The broker dies, freezes, raises an alarm or loses a queue while messages come in. Nothing is lost, and nothing needs a restart."""

import time
from collections.abc import Callable

import pytest

from tests.fault.load import Load
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker
from tests.tools.cluster import Cluster
from tests.tools.ports import wait_for

EXCHANGE = "faults"
QUEUE = "faults"
BOUND = {"BRIDGE_EXCHANGE": EXCHANGE, "BRIDGE_ROUTING_KEY": QUEUE}


class Scene:
    """The bridge under load, its broker, and the actions of a fault on them."""

    def __init__(self, bridge: Bridge, broker: Broker, load: Load) -> None:
        self.bridge, self.broker, self.load = bridge, broker, load

    def refused(self, reason: str = "", seconds: float = 15) -> None:
        """Wait until a genuine message was answered 503 (for this reason): the fault has arrived."""
        self.bridge.wait_for(
            "verdict",
            seconds,
            more_than=len(self.bridge.events("verdict", status=503)) if not reason else 0,
            status=503,
            **({"reason": reason} if reason else {}),
        )


def killed(scene: Scene) -> None:
    scene.broker.kill()
    scene.refused("broker-unavailable")
    time.sleep(1)
    scene.broker.start()
    scene.load.over()


def frozen(scene: Scene) -> None:
    scene.broker.freeze()
    time.sleep(20)
    scene.broker.thaw()
    scene.load.over()
    assert scene.bridge.events("verdict", status=503, reason="deadline")


def memory(scene: Scene) -> None:
    scene.broker.memory_alarm(True)
    scene.refused("broker-blocked")
    time.sleep(2)
    scene.broker.memory_alarm(False)
    scene.load.over()


def disk(scene: Scene) -> None:
    scene.broker.disk_alarm(True)
    scene.refused("broker-blocked", 30)
    time.sleep(2)
    scene.broker.disk_alarm(False)
    scene.load.over()


def unbound(scene: Scene) -> None:
    with scene.broker.channel() as channel:
        channel.queue_unbind(QUEUE, EXCHANGE, QUEUE)
        scene.refused("unroutable")
        time.sleep(1)
        channel.queue_bind(QUEUE, EXCHANGE, QUEUE)
    scene.load.over()


def exchange_deleted(scene: Scene) -> None:
    with scene.broker.channel() as channel:
        channel.exchange_delete(EXCHANGE)
        scene.refused("routing")
        time.sleep(2)
        scene.broker.declare(QUEUE, exchange=EXCHANGE)
    scene.load.over()


def permission_taken(scene: Scene) -> None:
    scene.broker.ctl("set_permissions", "-p", "/", "guest", ".*", "^$", ".*")
    scene.broker.ctl("close_all_connections", "permissions have changed")  # a busy channel keeps the permissions it began with
    try:
        scene.bridge.wait_for("channel_closed")
        scene.refused("routing")
        time.sleep(2)
    finally:
        scene.broker.ctl("set_permissions", "-p", "/", "guest", ".*", ".*", ".*")
    scene.load.over()


FAULTS: dict[str, tuple[Callable[[Scene], None], dict[str, int]]] = {
    "broker: kill -9 and restart": (killed, {}),
    "broker: SIGSTOP for 20 s": (frozen, {"connections": 200, "rate": 100}),
    "broker: memory alarm": (memory, {}),
    "broker: disk alarm": (disk, {}),
    "queue unbound, bound again": (unbound, {}),
    "exchange deleted, declared again": (exchange_deleted, {}),
    "permission to write revoked, granted again": (permission_taken, {}),
}
WITHIN = {"broker: kill -9 and restart": 5.0}
QUICK = {"broker: kill -9 and restart", "exchange deleted, declared again"}


@pytest.mark.parametrize("fault", [pytest.param(name, marks=pytest.mark.quick) if name in QUICK else name for name in FAULTS])
def test_a_broker_in_trouble(fault, mortal_broker, start_bridge, sns, record):
    mortal_broker.declare(QUEUE, exchange=EXCHANGE)
    mortal_broker.purge(QUEUE)
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, **BOUND)
    cause, options = FAULTS[fault]
    with Load(sns, bridge.endpoint(), **options) as load:
        load.wait_for_sent(300)
        cause(Scene(bridge, mortal_broker, load))
    row = record(fault, load, mortal_broker.take(QUEUE))
    assert row["worst answer"] <= 10.5
    assert row["recovers within"] <= WITHIN.get(fault, 10)
    assert load.statuses() <= {200, 403, 503}


def test_a_deleted_queue(mortal_broker, start_bridge, sns, record):
    """The operator deletes the queue with its messages, so they are taken out first, and count."""
    mortal_broker.declare(QUEUE, exchange=EXCHANGE)
    mortal_broker.purge(QUEUE)
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, **BOUND)
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(300)
        with mortal_broker.channel() as channel:
            channel.queue_unbind(QUEUE, EXCHANGE, QUEUE)  # so that nothing comes in between taking and deleting
        bridge.wait_for("verdict", status=503, reason="unroutable")
        taken = mortal_broker.take(QUEUE)
        mortal_broker.delete(QUEUE)
        time.sleep(1)
        mortal_broker.declare(QUEUE, exchange=EXCHANGE)
        load.over()
    record("queue deleted, declared again", load, taken + mortal_broker.take(QUEUE))
    assert load.statuses() <= {200, 403, 503}


def test_a_full_queue_that_rejects(mortal_broker, start_bridge, sns, record):
    mortal_broker.declare("full")
    mortal_broker.ctl("set_policy", "full", "^full$", '{"max-length": 200, "overflow": "reject-publish"}')
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="full")
    taken = []
    with Load(sns, bridge.endpoint()) as load:
        for number in range(4):
            wait_for("a full queue", lambda: mortal_broker.count("full") >= 200)
            bridge.wait_for("verdict", status=503, reason="nack", more_than=number)
            taken += mortal_broker.take("full")
        mortal_broker.ctl("clear_policy", "full")
        load.over()
    record("queue full with reject-publish, emptied by steps", load, taken + mortal_broker.take("full"))
    mortal_broker.delete("full")
    assert load.statuses() <= {200, 403, 503}


def test_the_leader_of_a_quorum_queue_killed(start_bridge, sns, record):
    with Cluster() as cluster:
        cluster.nodes[0].declare(QUEUE, kind="quorum", **{"x-quorum-initial-group-size": 3})
        leader = cluster.leader(QUEUE)
        others = [node for node in cluster.nodes if node is not leader]
        bridge = start_bridge(BRIDGE_AMQP_URL=",".join(node.url for node in (leader, *others)), BRIDGE_ROUTING_KEY=QUEUE)
        with Load(sns, bridge.endpoint()) as load:
            load.wait_for_sent(300)
            leader.kill()
            load.over()
            bridge.wait_for("broker_connected", 30, more_than=1)
            load.wait_for_sent(300)
        row = record("cluster of three: the quorum queue's leader killed", load, others[0].take(QUEUE))
        assert row["recovers within"] <= 10
    assert load.statuses() <= {200, 403, 503}
