"""The machine runs short of descriptors, memory, connections: 503 or refused, never a 200 without a confirm; and well again by itself."""

import contextlib
import os
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.load import Load
from tests.fault.test_certificate_host import memory
from tests.fault.wrapped import descriptors
from tests.tools.bridge import UNDER_TEST, Bridge
from tests.tools.ports import wait_for

HOLD = 10_000


def limit_descriptors(bridge: Bridge, soft: int) -> None:
    hard = resource.prlimit(bridge.pid(), resource.RLIMIT_NOFILE)[1]
    resource.prlimit(bridge.pid(), resource.RLIMIT_NOFILE, (min(soft, hard), hard))


@contextlib.contextmanager
def held(bridge: Bridge, count: int, host: str = "") -> Iterator[list[socket.socket]]:
    """So many connections that say nothing."""
    sockets = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((host or bridge.host, bridge.port))
            sockets.append(sock)
            if len(sockets) % 500 == 0:
                time.sleep(0.05)  # the backlog has 1,024 places
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def still_open(sockets: list[socket.socket]) -> int:
    """How many of the connections the bridge has not closed."""
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ)
        return len(sockets) - len(selector.select(0))


@pytest.mark.skipif(UNDER_TEST == "image", reason="the container's limits are podman's")
def test_no_descriptors_left(broker, queue, start_bridge, sns, record):
    """And in the middle of it the broker closes the connection: to come back, the bridge needs a descriptor too."""
    bridge = start_bridge()
    with Load(sns, bridge.endpoint(), connections=64) as load:
        load.wait_for_sent(300)
        limit_descriptors(bridge, 40)
        with held(bridge, 200):
            bridge.wait_for("cannot_accept")
            broker.ctl("close_all_connections", "a test")
            bridge.wait_for("broker_lost")
            time.sleep(3)
        limit_descriptors(bridge, 4096)
        load.over()
    record("descriptors exhausted, broker connection lost meanwhile", load, broker.take(queue))
    assert load.statuses() <= {0, 200, 403, 503}


def test_ten_thousand_connections(broker, queue, start_bridge, sns, record):
    """Above BRIDGE_MAX_CONNECTIONS the one that is idle longest goes, so that SNS gets in."""
    bridge = start_bridge()
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(200)
        with held(bridge, HOLD) as sockets:
            load.wait_for_sent(300)
            assert still_open(sockets) <= HOLD - 1000, "nothing was evicted"
            assert descriptors(bridge) <= 1100
        load.over()
    record("10,000 connections, 1,000 allowed", load, broker.take(queue))
    assert load.statuses() <= {0, 200, 403, 503}


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < HOLD + 2000, reason="the limit on open files is too low: ulimit -n 20000"
)
@pytest.mark.skipif(UNDER_TEST == "image", reason="the container's limits are podman's")
def test_ten_thousand_connections_that_are_allowed(broker, queue, start_bridge, sns, record):
    """Each costs a buffer, no thread; genuine deliveries go on."""
    bridge = start_bridge(BRIDGE_MAX_CONNECTIONS="12000")
    threads, before = bridge.threads(), memory(bridge, "VmRSS")
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(200)
        with held(bridge, HOLD) as sockets:
            wait_for("10,000 connections", lambda: descriptors(bridge) >= HOLD, 30, 0.2)
            load.wait_for_sent(300)
            assert still_open(sockets) == HOLD
            assert bridge.threads() <= threads + 1
            assert memory(bridge, "VmRSS") - before < 100 * 1024
        load.over()
    record("10,000 connections, all allowed", load, broker.take(queue))
    assert load.statuses() == {200, 403}


# ---- memory, threads


def make_group(controller: str) -> Path | None:
    """A cgroup (v1) of this controller below our own, if one can be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            group = Path("/sys/fs/cgroup") / controller / path.strip("/") / f"fault-{os.getpid()}"
            with contextlib.suppress(OSError):
                group.mkdir()
                return group
    return None


@pytest.fixture
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    path = make_group(request.param)
    if path is None:
        pytest.skip(f"no cgroup (v1) of {request.param} can be made here")
    yield path
    wait_for("an empty cgroup", lambda: not (path / "cgroup.procs").read_text().strip())
    path.rmdir()


def big(sns, number):
    return sns.notification(f"{number} " + "x" * 200_000)


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman's own memory limit is the image tests' matter")
@pytest.mark.parametrize("group", ["memory"], indirect=True)
def test_a_memory_limit(group, mortal_broker, start_bridge, sns, record):
    """64 MiB, large messages on many connections, and a broker that stops reading. BRIDGE_MAX_BUFFERED keeps the bridge within it."""
    mortal_broker.declare("memory")
    mortal_broker.purge("memory")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="memory", BRIDGE_MAX_BUFFERED="8MiB")
    (group / "memory.limit_in_bytes").write_text("64M")
    (group / "cgroup.procs").write_text(str(bridge.pid()))
    with Load(sns, bridge.endpoint(), connections=100, rate=150, make=lambda number: big(sns, number)) as load:
        load.wait_for_sent(200)
        mortal_broker.freeze()
        bridge.wait_for("verdict", 15, status=503, reason="overloaded")
        time.sleep(5)
        mortal_broker.thaw()
        load.over()
    record("memory limit of 64 MiB, 200 KB messages, a frozen broker", load, mortal_broker.take("memory"))
    assert bridge.running()
    assert load.statuses() <= {0, 200, 403, 503}
    bridge.stop()


@pytest.mark.quick
@pytest.mark.skipif(UNDER_TEST == "image", reason="the container's limits are podman's")
@pytest.mark.parametrize("group", ["pids"], indirect=True)
def test_no_thread_can_be_started(group, broker, queue, start_bridge, sns, record):
    """The certificate is fetched in a thread. Without one it is 503, however often; with one again, all is well."""
    bridge = start_bridge()
    (group / "cgroup.procs").write_text(str(bridge.pid()))
    (group / "pids.max").write_text(str(bridge.threads()))
    with Load(sns, bridge.endpoint(), rate=100) as load:
        for number in range(20):
            bridge.wait_for("verdict", status=503, reason="certificate-unavailable", more_than=20 * number)
        time.sleep(4)
        (group / "pids.max").write_text("max")
        load.over()
    record("no thread can be started for the certificate", load, broker.take(queue))
    assert load.statuses() <= {200, 403, 503}
    bridge.stop()
