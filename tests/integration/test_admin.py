"""BRIDGE_ADMIN_LISTEN: liveness, readiness that looks at the broker, metrics, and the default that gives way."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from bridge.simulate.post import Connection, request
from tests.integration.test_processes import admin, children, started, value
from tests.tools.bridge import UNDER_TEST, run
from tests.tools.ports import free_port, listening, wait_for

PUBLISHED = 'bridge_verdicts_total{status="200",reason="published"}'


@pytest.fixture
def port() -> int:
    return free_port()


def number(port: int, name: str) -> float:
    found = re.search(re.escape(name) + r" ([0-9.e+]+)$", admin(port, "/metrics").body.decode(), re.MULTILINE)
    assert found, f"{name} is not in the metrics"
    return float(found[1])


# ---- readiness


@pytest.mark.rule("broker-unavailable")
def test_readiness_follows_the_broker(start_bridge, mortal_broker, port):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    wait_for("ready", lambda: admin(port, "/readyz").status == 200)
    mortal_broker.kill()
    bridge.wait_for("broker_lost")
    answer = admin(port, "/readyz")
    assert (answer.status, answer.body) == (503, b"0 of 1 ready: broker-unavailable\n")
    assert admin(port, "/livez").status == 200
    mortal_broker.start()
    wait_for("ready again", lambda: admin(port, "/readyz").status == 200, 60)
    assert number(port, "bridge_broker_connections_total") == 2


@pytest.mark.rule("broker-blocked")
def test_a_broker_that_blocks_is_not_ready_and_the_time_is_counted(start_bridge, sns, mortal_broker, port):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", BRIDGE_QUEUE="blocked")
    mortal_broker.memory_alarm(True)
    bridge.deliver(sns.notification())  # a broker blocks who publishes
    bridge.wait_for("broker_blocked")
    answer = admin(port, "/readyz")
    assert (answer.status, answer.body) == (503, b"0 of 1 ready: broker-blocked\n")
    wait_for("a second of it", lambda: number(port, "bridge_broker_blocked_seconds_total") >= 1)
    mortal_broker.memory_alarm(False)
    wait_for("ready again", lambda: admin(port, "/readyz").status == 200)


def test_a_bridge_that_drains_is_not_ready(start_bridge, sns, mortal_broker, port):
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", BRIDGE_QUEUE="drain")
    mortal_broker.freeze()
    with bridge.connect() as connection:
        connection.send(request(sns.notification(), connection.host))
        wait_for("the delivery", lambda: number(port, "bridge_in_flight") == 1)
        bridge.send_signal(signal.SIGTERM)
        bridge.wait_for("draining")
        answer = admin(port, "/readyz")
        assert (answer.status, answer.body) == (503, b"0 of 1 ready: draining\n")
        assert admin(port, "/livez").status == 200
        mortal_broker.thaw()
        assert connection.receive().status in (200, 503)
    bridge.stop()


def test_a_process_that_is_gone_is_missed(start_bridge, port):
    bridge = started(start_bridge, 2, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    wait_for("ready", lambda: admin(port, "/readyz").status == 200)
    os.kill(children(bridge)[0], signal.SIGKILL)
    wait_for("the loss", lambda: admin(port, "/readyz").body.startswith(b"1 of 2 ready: "))
    wait_for("the new one", lambda: admin(port, "/readyz").status == 200)


# ---- metrics


def test_every_verdict_is_counted_by_its_reason(start_bridge, sns, port):
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    assert bridge.deliver(sns.notification()).status == 200
    forged = sns.notification()
    assert bridge.deliver(forged._replace(body=forged.body.replace(b"hello", b"hullo"))).status == 403
    with bridge.connect() as connection:
        assert connection.get("/healthy").status == 200
    text = admin(port, "/metrics").body
    for status, reason in ((200, "published"), (403, "bad-signature"), (200, "healthy")):
        assert value(text, f'bridge_verdicts_total{{status="{status}",reason="{reason}"}}') == 1
    for name in ("broker_connections", "certificate_fetches"):
        assert value(text, f"bridge_{name}_total") == 1
    for name in ("publish", "confirm"):
        assert value(text, f"bridge_{name}_duration_seconds_count") == 1
        assert 0 < number(port, f"bridge_{name}_duration_seconds_sum") < 5


def test_returns_and_fetches_that_fail_are_counted(start_bridge, sns, port):
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", BRIDGE_ROUTING_KEY="nobody-is-bound")
    assert bridge.deliver(sns.notification()).status == 503
    assert number(port, "bridge_broker_returns_total") == 1
    sns.signer.certificate_url = f"{sns.endpoint}/SimpleNotificationService-{'0' * 32}.pem"
    assert bridge.deliver(sns.notification()).status == 503
    assert number(port, "bridge_certificate_fetch_failures_total") == 1


def test_the_figures_of_the_process_are_those_of_proc(start_bridge, port):
    begun = time.time()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    proc = Path(f"/proc/{bridge.pid()}")

    def memory_agrees():
        resident = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return abs(number(port, "process_resident_memory_bytes") - resident) < 4 << 20

    def descriptors_agree():
        return abs(number(port, "process_open_fds") - len(os.listdir(proc / "fd"))) <= 2

    wait_for("the same memory", memory_agrees)  # both change while it starts
    wait_for("as many descriptors", descriptors_agree)
    assert 0 < number(port, "process_cpu_seconds_total") < 60
    assert begun - 2 < number(port, "process_start_time_seconds") < time.time() + 2


def test_processor_time_does_not_fall_when_a_process_dies(start_bridge, port):
    bridge = started(start_bridge, 2, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    before = number(port, "process_cpu_seconds_total")
    os.kill(children(bridge)[0], signal.SIGKILL)
    bridge.wait_for("process_died")
    assert number(port, "process_cpu_seconds_total") >= before


def test_what_sns_sends_never_becomes_a_label(start_bridge, sns, port):
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    names = set(re.findall(r"^[a-z_]+(?:\{.*\})?", admin(port, "/metrics").body.decode(), re.MULTILINE))
    for topic in ('x"} 1', "a\nb", "orders"):
        bridge.deliver(sns.notification(topic=f"arn:aws:sns:eu-central-1:123456789012:{topic}", subject='"}\n'))
    assert set(re.findall(r"^[a-z_]+(?:\{.*\})?", admin(port, "/metrics").body.decode(), re.MULTILINE)) == names


# ---- what is there and what is not


@pytest.mark.rule("BRIDGE_ADMIN_LISTEN")
def test_the_admin_listener_takes_no_deliveries(start_bridge, sns, port):
    start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    with Connection("127.0.0.1", port) as connection:
        assert connection.deliver(sns.notification()).status == 405
    assert admin(port, "/healthy").status == 404


def test_the_port_of_deliveries_has_no_metrics(start_bridge):
    bridge = start_bridge()
    with bridge.connect() as connection:
        for path in ("/metrics", "/", "/status.json", "/readyz"):
            assert connection.get(path).status == 404


def test_the_status_tells_of_all_processes(start_bridge, sns, port):
    bridge = started(start_bridge, 2, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    forged = sns.notification(subject="<script>alert(1)</script>")
    for _ in range(20):
        assert bridge.deliver(sns.notification()).status == 200
        assert bridge.deliver(forged._replace(body=forged.body.replace(b"hello", b"hullo"))).status == 403

    def told():
        answer = admin(port, "/status.json")
        assert answer.headers["content-type"] == "application/json"
        status = json.loads(answer.body)
        return status if [topic[:2] for topic in status["topics"]] == [[sns.topic, 20]] and len(status["refusals"]) >= 12 else None

    status = wait_for("what both know", told)
    assert status["states"] == ["ready", "ready"]
    for _when, code, reason, explanation, topic, message_id, client in status["refusals"]:
        assert (code, reason, topic, client) == (403, "bad-signature", sns.topic, "127.0.0.1")
        assert explanation and message_id == forged.message_id
    assert ["bad-signature", 403, 20] in status["verdicts"] and ["published", 200, 20] in status["verdicts"]


# ---- the default address


@pytest.fixture
def default_port():
    """Another bridge on this machine may have it for a while."""
    wait_for("port 3001, which another program has", lambda: not listening(3001), 120, 0.5)


@pytest.mark.usefixtures("default_port")
def test_the_default_gives_way_and_what_was_asked_for_does_not(start_bridge, sns):
    first = start_bridge(BRIDGE_ADMIN_LISTEN="default")
    assert first.events("admin_listening", address="127.0.0.1:3001")
    assert run("healthcheck", BRIDGE_LISTEN=f"127.0.0.1:{first.port}").stdout == "ready: 1 of 1 ready\n"
    second = start_bridge(BRIDGE_ADMIN_LISTEN="default")
    explanation = second.wait_for("admin_unavailable", level="warning")["explanation"]
    assert explanation.startswith("BRIDGE_ADMIN_LISTEN: can't listen on 127.0.0.1:3001: ")
    assert second.deliver(sns.notification()).status == 200
    assert run("healthcheck", BRIDGE_LISTEN=f"127.0.0.1:{second.port}").stdout == "healthy\n"
    done = run(**{**second.settings, "BRIDGE_ADMIN_LISTEN": "127.0.0.1:3001", "BRIDGE_LISTEN": f"127.0.0.1:{free_port()}"})
    assert done.returncode == 2 and "BRIDGE_ADMIN_LISTEN: can't listen on 127.0.0.1:3001" in done.stderr


def test_one_port_of_two_addresses_can_be_had(start_bridge, sns, port):
    bridge = start_bridge(BRIDGE_LISTEN=f"127.0.0.2:{port}", BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    assert bridge.deliver(sns.notification()).status == 200 and admin(port, "/readyz").status == 200


@pytest.mark.usefixtures("default_port")
@pytest.mark.skipif(UNDER_TEST == "image", reason="it needs the default port")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_default_leaves_its_port_to_the_deliveries(start_bridge, sns, processes):
    bridge = start_bridge(BRIDGE_LISTEN="127.0.0.1:3001", BRIDGE_ADMIN_LISTEN="default", BRIDGE_PROCESSES=processes)
    assert bridge.events("admin_unavailable")
    assert bridge.deliver(sns.notification()).status == 200
