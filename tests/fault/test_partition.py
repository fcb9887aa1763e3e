"""A network partition: the bridge lives in a network namespace with two cables, one to SNS and one to the broker; the second is pulled.

No RST, no FIN, no ICMP: only the deadline and the heartbeat can notice.
"""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import settings_for
from tests.fault.load import Load
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.broker import Broker
from tests.tools.ports import free_port

NAME = f"bridge{os.getpid() % 10000}"
SNS_SIDE, BROKER_SIDE = ("10.213.1.1", "10.213.1.2"), ("10.213.2.1", "10.213.2.2")  # ours, the bridge's
NEWNET = 0x40000000


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    if os.geteuid() or UNDER_TEST == "image":
        pytest.skip("a network namespace needs root, and a bridge that is no container")
    try:
        ip("netns", "add", NAME)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        for number, (ours, theirs) in enumerate((SNS_SIDE, BROKER_SIDE)):
            ip("link", "add", f"{NAME}-{number}", "type", "veth", "peer", "name", f"up{number}", "netns", NAME)
            ip("address", "add", f"{ours}/30", "dev", f"{NAME}-{number}")
            ip("link", "set", f"{NAME}-{number}", "up")
            ip("-n", NAME, "address", "add", f"{theirs}/30", "dev", f"up{number}")
            ip("-n", NAME, "link", "set", f"up{number}", "up")
        ip("-n", NAME, "link", "set", "lo", "up")
        yield NAME
    finally:
        ip("netns", "delete", NAME)  # its ends of the cables go with it, and so do ours


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What this thread starts now, lives in the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        if libc.setns(there.fileno(), NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), NEWNET)


def start_inside(namespace: str, bridge: Wrapped) -> None:
    with inside(namespace):
        bridge.start(wait=False)
    bridge.wait_for("listening", 30)
    bridge.wait_for("broker_connected", 20)


@pytest.mark.parametrize("seconds", [4, 30])
def test_a_partition(seconds, namespace, sns, folder, record):
    certificates = folder / "certificates"
    certificates.mkdir()
    (certificates / sns.certificate_path[1:]).write_bytes(sns.certificate)
    port = free_port()
    with Broker(settings=f"listeners.tcp.7 = {BROKER_SIDE[0]}:{port}") as broker:
        broker.declare("partition")
        settings = settings_for(sns, f"amqp://guest:guest@{BROKER_SIDE[0]}:{port}/%2F", "partition")
        bridge = Wrapped(**settings, BRIDGE_CERTIFICATES=str(certificates), BRIDGE_LISTEN=f"{SNS_SIDE[1]}:{free_port()}")
        start_inside(namespace, bridge)
        with Load(sns, bridge.endpoint(), connections=200, rate=60) as load:
            load.wait_for_sent(300)
            ip("link", "set", f"{NAME}-1", "down")
            try:
                if seconds > 10:
                    bridge.wait_for("verdict", 15, status=503, reason="deadline")
                    bridge.wait_for("broker_lost", 30)  # the heartbeat
                time.sleep(seconds - 20 if seconds > 20 else seconds)
            finally:
                ip("link", "set", f"{NAME}-1", "up")
            load.over()
        row = record(f"network partition of {'about ' if seconds > 10 else ''}{seconds} s (namespaces)", load, broker.take("partition"))
        assert row["worst answer"] <= 10.5
        assert row["recovers within"] <= 15
        assert load.statuses() <= {200, 403, 503}
        bridge.stop()
