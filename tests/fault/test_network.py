"""Faults of the network between bridge and broker: no 200 without an ack, whatever the network does."""

import time
from collections.abc import Callable

import pytest

from tests.fault.load import Load
from tests.tools.bridge import Bridge
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for


def refused(proxy: FaultProxy, bridge: Bridge) -> None:
    proxy.refuse()
    bridge.wait_for("verdict", status=503, reason="broker-unavailable")
    time.sleep(2)


def black_hole(proxy: FaultProxy, bridge: Bridge) -> None:
    """Long enough for the deadline and for the heartbeat: the bridge must give up both the deliveries and the connection."""
    proxy.black_hole()
    bridge.wait_for("verdict", 15, status=503, reason="deadline")
    bridge.wait_for("broker_lost", 35)
    time.sleep(2)


def short_black_hole(proxy: FaultProxy, bridge: Bridge) -> None:
    """Too short for anybody to notice: what was on its way arrives late."""
    proxy.black_hole()
    time.sleep(4)


def half_open(proxy: FaultProxy, bridge: Bridge) -> None:
    proxy.half_open()
    bridge.wait_for("verdict", 15, status=503, reason="deadline")
    bridge.wait_for("broker_lost", 35)


def latency(proxy: FaultProxy, _bridge: Bridge) -> None:
    proxy.delay(0.3)
    time.sleep(5)


def slow(proxy: FaultProxy, bridge: Bridge) -> None:
    proxy.throttle(20_000)
    bridge.wait_for("verdict", 20, status=503)
    time.sleep(10)


def rst_after_publish(proxy: FaultProxy, bridge: Bridge) -> None:
    proxy.reset_publish(10)
    wait_for("ten resets", lambda: not proxy.shots_left, 60)
    bridge.wait_for("verdict", status=503, reason="broker-lost")


def rst_in_a_frame(proxy: FaultProxy, bridge: Bridge) -> None:
    proxy.reset_frame(10)
    wait_for("ten resets", lambda: not proxy.shots_left, 60)
    bridge.wait_for("verdict", status=503, reason="broker-lost")


FAULTS: dict[str, tuple[Callable[[FaultProxy, Bridge], None], dict[str, int]]] = {
    "network: connections refused": (refused, {}),
    "network: black hole": (black_hole, {"connections": 200, "rate": 60}),
    "network: black hole for 4 s": (short_black_hole, {"connections": 200}),
    "network: half-open": (half_open, {"connections": 200, "rate": 60}),
    "network: 300 ms latency each way": (latency, {"connections": 200}),
    "network: 20 KB/s": (slow, {"connections": 200, "rate": 100}),
    "network: RST after publish, before the ack, ten times": (rst_after_publish, {}),
    "network: RST in the middle of a frame, ten times": (rst_in_a_frame, {}),
}
QUICK = {"network: RST after publish, before the ack, ten times", "network: black hole for 4 s"}


@pytest.mark.parametrize("fault", [pytest.param(name, marks=pytest.mark.quick) if name in QUICK else name for name in FAULTS])
def test_a_network_in_trouble(fault, broker, queue, start_bridge, sns, record):
    cause, options = FAULTS[fault]
    with FaultProxy(broker.port) as proxy:
        bridge = start_bridge(BRIDGE_AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2F")
        with Load(sns, bridge.endpoint(), **options) as load:
            load.wait_for_sent(300)
            cause(proxy, bridge)
            proxy.heal()
            load.over()
        row = record(fault, load, broker.take(queue))
        assert row["worst answer"] <= 10.5
        assert row["recovers within"] <= 12
        assert load.statuses() <= {200, 403, 503}
        assert bridge.stop() < 12
