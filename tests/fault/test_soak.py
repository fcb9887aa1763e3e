"""Half the maximum rate and a fault every 20 s, for SOAK seconds (60 by default): nothing lost, memory and descriptors flat."""

import itertools
import os
import statistics
import threading
import time

from bridge.simulate.delivery import deliver_all
from tests.fault.load import Load
from tests.fault.test_certificate_host import memory
from tests.fault.wrapped import descriptors
from tests.tools.broker import Broker
from tests.tools.fault_proxy import FaultProxy

SECONDS = float(os.environ.get("SOAK") or 60)
EVERY = 20


def briefly(start, seconds, end):
    start()
    time.sleep(seconds)
    end()


def restart(broker: Broker) -> None:
    broker.kill()
    broker.start()


def faults(broker: Broker, proxy: FaultProxy):
    """One fault after the other, without end; each is over when it returns."""
    return itertools.cycle(
        (
            lambda: briefly(lambda: proxy.reset_publish(3), 2, proxy.heal),
            lambda: briefly(broker.freeze, 3, broker.thaw),
            lambda: briefly(proxy.refuse, 2, proxy.heal),
            lambda: briefly(lambda: broker.memory_alarm(True), 2, lambda: broker.memory_alarm(False)),
            lambda: restart(broker),
            lambda: briefly(proxy.black_hole, 5, proxy.heal),
            lambda: briefly(lambda: proxy.reset_frame(3), 2, proxy.heal),
            lambda: briefly(lambda: proxy.delay(0.3), 4, proxy.heal),
        )
    )


class Gauge:
    """Looks at the bridge's memory and descriptors every second."""

    def __init__(self, bridge) -> None:
        self.memory: list[int] = []
        self.descriptors: list[int] = []
        self._bridge, self._over = bridge, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(1):
            self.memory.append(memory(self._bridge, "VmRSS"))
            self.descriptors.append(descriptors(self._bridge))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(5)

    def flat(self, values: list[int], slack: float) -> tuple[float, float]:
        """The medians of the second and of the last quarter; fails when the last is more than slack above."""
        quarter = max(1, len(values) // 4)
        early, late = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
        assert late <= early + slack, f"grew from {early} to {late}"
        return early, late


def test_soak(mortal_broker, start_bridge, sns, record):
    mortal_broker.declare("soak")
    mortal_broker.purge("soak")
    stored = []
    with FaultProxy(mortal_broker.port) as proxy:
        bridge = start_bridge(BRIDGE_AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2F", BRIDGE_ROUTING_KEY="soak")
        posts = list(sns.notifications(2000))
        start = time.monotonic()
        assert [outcome.attempts for outcome in deliver_all(posts, bridge.endpoint(), connections=48) if not outcome.delivered] == []
        rate = min(2000 / (time.monotonic() - start) / 2, 400)
        mortal_broker.purge("soak")
        happened = 0
        with Load(sns, bridge.endpoint(), rate=rate) as load, Gauge(bridge) as gauge:
            end = time.monotonic() + SECONDS
            for fault in faults(mortal_broker, proxy):
                due = time.monotonic() + EVERY
                if due > end:
                    break
                time.sleep(EVERY / 4)
                fault()
                happened += 1
                stored += mortal_broker.take("soak")
                time.sleep(max(0.0, due - time.monotonic()))
            load.over()
        stored += mortal_broker.take("soak")
    early, late = gauge.flat(gauge.memory, 4096 + 0.1 * gauge.memory[0])
    gauge.flat(gauge.descriptors, 8)
    what = f"soak: {SECONDS / 60:.0f} min at {rate:.0f} a second, {happened} faults; memory {early / 1024:.1f} then {late / 1024:.1f} MiB"
    record(what, load, stored)
    assert load.statuses() <= {0, 200, 403, 503}
