"""BRIDGE_PROCESSES: several loops on one port; one that dies is started again, and all of them stop together."""

import os
import re
import signal
import time

from bridge.simulate.delivery import deliver_all
from bridge.simulate.post import Connection
from tests.tools.ports import free_port, wait_for


def children(bridge) -> list[int]:
    with open(f"/proc/{bridge.pid()}/task/{bridge.pid()}/children") as file:
        return [int(word) for word in file.read().split()]


def admin(port: int, path: str):
    with Connection("127.0.0.1", port) as connection:
        return connection.get(path)


def started(start_bridge, processes: int, **settings: str):
    bridge = start_bridge(BRIDGE_PROCESSES=str(processes), **settings)
    bridge.wait_for("broker_connected", more_than=processes - 1)
    bridge.wait_for("listening", more_than=processes - 1)
    return bridge


def test_both_processes_take_deliveries_from_one_port(start_bridge, sns, broker, queue):
    bridge = started(start_bridge, 2)
    assert len(children(bridge)) == 2
    posts = list(sns.notifications(400))
    outcomes = deliver_all(posts, bridge.endpoint(), connections=32)
    assert all(outcome.delivered for outcome in outcomes)
    assert {stored.properties.message_id for stored in broker.take(queue)} == {post.message_id for post in posts}


def test_a_process_that_dies_is_started_again(start_bridge, sns):
    bridge = started(start_bridge, 2)
    victim, other = children(bridge)
    os.kill(victim, signal.SIGKILL)
    bridge.wait_for("process_died", status=-9)
    bridge.wait_for("broker_connected", more_than=2)
    assert other in children(bridge) and victim not in children(bridge) and len(children(bridge)) == 2
    assert bridge.deliver(sns.notification()).status == 200


def test_no_process_outlives_the_parent(start_bridge, sns):
    bridge = started(start_bridge, 2)
    pids = children(bridge)
    bridge.kill()
    wait_for("the children's end", lambda: not any(os.path.exists(f"/proc/{pid}") and _running(pid) for pid in pids), 10)


def _running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_metrics_and_readiness_cover_all_processes(start_bridge, sns):
    port = free_port()
    bridge = started(start_bridge, 2, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    wait_for("readiness", lambda: admin(port, "/readyz").status == 200)
    assert admin(port, "/readyz").body == b"2 of 2 ready\n"
    outcomes = deliver_all(sns.notifications(200), bridge.endpoint(), connections=16)
    assert all(outcome.delivered for outcome in outcomes)
    published = 'bridge_verdicts_total{status="200",reason="published"}'
    wait_for("every message's count", lambda: value(admin(port, "/metrics").body, published) == 200)
    time.sleep(1)  # by now each process has told of its part
    for _ in range(8):  # whichever process answers
        text = admin(port, "/metrics").body
        assert value(text, published) == value(text, "bridge_confirm_duration_seconds_count") == 200
        assert value(text, "bridge_processes_running") == value(text, "bridge_processes_ready") == 2


def test_a_setting_that_no_process_can_use_ends_them_all_with_2(start_bridge, sns, broker, queue):
    from tests.conftest import settings_for
    from tests.tools.bridge import run

    # without SO_REUSEPORT on the first, nobody else gets the port
    bridge = start_bridge()
    done = run(**settings_for(sns, broker.url, queue), BRIDGE_PROCESSES="2", BRIDGE_LISTEN=f"127.0.0.1:{bridge.port}", timeout=20)
    assert done.returncode == 2
    assert "BRIDGE_LISTEN" in done.stderr


def value(text: bytes, name: str) -> int:
    found = re.search(re.escape(name) + r" (\d+)$", text.decode(), re.MULTILINE)
    assert found, f"{name} is not in the metrics"
    return int(found[1])
