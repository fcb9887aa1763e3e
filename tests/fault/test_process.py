"""Faults of the bridge itself: kill -9 at any moment, SIGTERM under load, as PID 1, in several processes."""

import os
import random
import signal
import time

import pytest

from bridge.simulate.post import Connection
from tests.conftest import settings_for
from tests.fault.load import PATIENT, Load
from tests.fault.wrapped import PID_1, Wrapped, processor_seconds
from tests.tools.bridge import UNDER_TEST
from tests.tools.ports import free_port

PROCESSES = pytest.mark.parametrize("processes", ["1", "2"])


def start_and_listen(bridge: Wrapped) -> tuple[float, float]:
    """Start it and wait until it accepts connections; return the seconds it took, by the clock and of processor time."""
    start = time.monotonic()
    bridge.start(wait=False)
    while time.monotonic() < start + 60:
        try:
            Connection("127.0.0.1", bridge.port, timeout=2).close()
        except OSError:
            assert bridge.running(), f"it ended with {bridge.process and bridge.process.returncode}: {bridge.errors()}{bridge.log[-3:]}"
            time.sleep(0.005)
        else:
            return time.monotonic() - start, processor_seconds(bridge.pid())
    raise AssertionError("not listening within 60 s")


@pytest.mark.parametrize("lives", [pytest.param(25, marks=pytest.mark.quick), 500])
def test_kill_9_at_random_moments(lives, broker, queue, sns, record):
    """Each life ends within its first second: while starting, connecting, publishing, waiting for confirms. FAULT_SEED repeats a run."""
    seed = int(os.environ.get("FAULT_SEED", time.time()))
    moments = random.Random(seed)
    bridge = Wrapped(BRIDGE_LISTEN=f"127.0.0.1:{free_port()}", **settings_for(sns, broker.url, queue))
    starts = []
    with Load(sns, bridge.endpoint(), rate=max(5, 1000 / lives), connections=24, policy=PATIENT._replace(numRetries=5000)) as load:
        for _ in range(lives):
            starts.append(start_and_listen(bridge))
            time.sleep(moments.uniform(0, 1))
            bridge.kill()
        bridge.start()
        load.over()
    bridge.stop()
    by_clock = sorted(seconds for seconds, _ in starts)
    median, most = by_clock[lives // 2], by_clock[int(lives * 0.95)]
    print(f"seed {seed}; listening after {median:.2f} s, 95 % within {most:.2f} s, at worst {by_clock[-1]:.2f} s")
    record(f"bridge: kill -9 at {lives} random moments; listening again after {median:.2f} s (median)", load, broker.take(queue))
    # Processor time: how long the clock takes depends on what else the machine does.
    assert max(processor for _, processor in starts) <= 1
    assert load.statuses() <= {0, 200, 403, 503}


@PROCESSES
@pytest.mark.quick
def test_sigterm_under_load(processes, broker, queue, start_bridge, sns, record):
    """What is in flight gets its answer; the next process takes over; exit status 0."""
    address = f"127.0.0.1:{free_port()}"
    bridge = start_bridge(BRIDGE_LISTEN=address, BRIDGE_PROCESSES=processes)
    with Load(sns, bridge.endpoint(), rate=300) as load:
        for _ in range(4):
            load.wait_for_sent(200)
            assert bridge.stop() < 10
            bridge.start()
        load.over()
    record(f"bridge: SIGTERM under load, four times, {processes} process{'es' if processes > '1' else ''}", load, broker.take(queue))
    assert load.statuses() <= {0, 200, 403, 503}


def test_sigterm_while_the_broker_hangs(mortal_broker, start_bridge, sns, record):
    """The drain ends at the deadline, whatever the broker does."""
    mortal_broker.declare("drain")
    mortal_broker.purge("drain")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="drain", BRIDGE_DEADLINE="4s")
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(200)
        mortal_broker.freeze()
        time.sleep(1)
        assert bridge.stop() < 6
        mortal_broker.thaw()
        bridge.start()
        load.over()
    record("bridge: SIGTERM while the broker hangs", load, mortal_broker.take("drain"))


@pytest.mark.skipif(os.geteuid() != 0 or UNDER_TEST == "image", reason="a PID namespace needs root; the image's tests have their own")
@PROCESSES
def test_sigterm_as_pid_1(processes, broker, queue, sns, record):
    address = f"127.0.0.1:{free_port()}"
    bridge = Wrapped(prefix=PID_1, **settings_for(sns, broker.url, queue), BRIDGE_LISTEN=address, BRIDGE_PROCESSES=processes).start()
    with Load(sns, bridge.endpoint()) as load:
        for _ in range(3):
            load.wait_for_sent(200)
            assert bridge.stop(signal.SIGTERM) < 10
            bridge.start()
        load.over()
    bridge.stop()
    record(f"bridge: SIGTERM as PID 1, three times, {processes} process{'es' if processes > '1' else ''}", load, broker.take(queue))


def test_a_process_of_several_killed(broker, queue, start_bridge, sns, record):
    """The others go on, and it comes back."""
    bridge = start_bridge(BRIDGE_PROCESSES="2")
    with Load(sns, bridge.endpoint()) as load:
        for number in range(1, 4):
            load.wait_for_sent(200)
            with open(f"/proc/{bridge.pid()}/task/{bridge.pid()}/children", encoding="ascii") as children:
                os.kill(int(children.read().split()[0]), signal.SIGKILL)
            bridge.wait_for("process_died", more_than=number - 1)
        load.over()
    record("bridge: one of two processes killed, three times", load, broker.take(queue))


def test_the_parent_of_several_killed(broker, queue, sns, record):
    """Its processes see it, finish what is in flight and go; the next ones already listen on the same port."""
    bridge = Wrapped(BRIDGE_LISTEN=f"127.0.0.1:{free_port()}", BRIDGE_PROCESSES="2", **settings_for(sns, broker.url, queue))
    with Load(sns, bridge.endpoint()) as load:
        for _ in range(5):
            bridge.start()
            load.wait_for_sent(150)
            bridge.kill()
        bridge.start()
        load.over()
    bridge.stop()
    record("bridge: the parent of two processes killed, five times", load, broker.take(queue))
    assert load.statuses() <= {0, 200, 403, 503}
