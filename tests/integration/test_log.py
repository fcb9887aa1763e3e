"""The log: one line an event, fixed field names, levels, two formats; and no secret in it or anywhere else."""

import re
from pathlib import Path

import pytest

from bridge.simulate.post import Connection, basic
from tests.tools.ports import free_port, wait_for


def test_every_line_has_time_level_and_event(start_bridge, sns):
    bridge = start_bridge(BRIDGE_LOG_LEVEL="debug")
    assert bridge.deliver(sns.notification()).status == 200
    assert bridge.deliver(sns.notification()._replace(body=b"")).status == 400
    bridge.stop()
    assert [line["event"] for line in bridge.log] == ["listening", "broker_connected", "verdict", "verdict", "draining", "stopped"]
    for line in bridge.log:
        assert list(line)[:3] == ["time", "level", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("debug", "info", "warning", "error")
    published, refused = bridge.events("verdict")
    assert (published["status"], published["reason"], published["topic_arn"]) == (200, "published", sns.topic)
    assert (refused["status"], refused["reason"], refused["client"]) == (400, "malformed-message", "127.0.0.1")


def test_a_published_message_is_no_line_at_the_default_level(start_bridge, sns):
    bridge = start_bridge()
    before = len(bridge.log)
    assert [bridge.deliver(sns.notification()).status for _ in range(5)] == [200] * 5
    assert len(bridge.log) == before


@pytest.mark.rule("BRIDGE_LOG_LEVEL")
def test_the_level_error_leaves_warnings_out(start_bridge, sns):
    port = free_port()
    bridge = start_bridge(connected=False, wait=False, BRIDGE_LISTEN=f"127.0.0.1:{port}", BRIDGE_LOG_LEVEL="error")
    wait_for("a 400", lambda: status_of(bridge, sns) == 400)
    bridge.stop()
    assert bridge.log == []


def status_of(bridge, sns):
    try:
        return bridge.deliver(sns.notification()._replace(body=b"")).status
    except OSError:
        return 0


@pytest.mark.rule("BRIDGE_LOG_FORMAT")
def test_the_text_format_is_one_line_an_event(start_bridge, sns):
    bridge = start_bridge(connected=False, wait=False, BRIDGE_LOG_FORMAT="text")
    wait_for("a 400", lambda: status_of(bridge, sns) == 400)
    bridge.stop()
    assert bridge.log == []
    assert len(bridge.not_json) >= 4
    for line in bridge.not_json:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z (debug|info|warning|error) +[a-z_]+( [a-z_]+=.*)?\n", line)


@pytest.mark.parametrize(
    "hostile",
    ["\r\nforged: line", '"}\n{"event":"forged"', "\x1b[31m", "\u2028", "x" * 10_000],
    ids=["CRLF", "JSON", "escape", "U+2028", "long"],
)
def test_no_client_can_forge_a_line(start_bridge, sns, hostile):
    bridge = start_bridge()
    sent = sns.notification()
    forged = sent._replace(body=sent.body.replace(sns.topic.encode(), hostile.encode("unicode_escape")))
    assert bridge.deliver(forged).status in (400, 403)
    bridge.stop()
    assert {line["event"] for line in bridge.log} == {"listening", "broker_connected", "verdict", "draining", "stopped"}


def test_no_secret_is_in_log_metrics_or_command_line(start_bridge, broker, queue, sns, folder):
    broker.add_user("secretive", "hunter2-amqp")
    users = folder / "users"
    users.write_text("sns:hunter2-basic\n")
    admin = free_port()
    bridge = start_bridge(
        BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "secretive:hunter2-amqp"),
        BRIDGE_BASIC_AUTH_FILE=str(users),
        BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        BRIDGE_LOG_LEVEL="debug",
    )
    sent = sns.notification("hunter2-message", subject="S")
    for credentials in ("sns:hunter2-wrong", "sns:hunter2-basic"):
        bridge.deliver(sent, extra=basic(credentials))
    bridge.deliver(sent._replace(body=sent.body + b"hunter2-trailing"), extra=basic("sns:hunter2-basic"))
    with Connection("127.0.0.1", admin) as connection:
        metrics = "".join(connection.get(path).body.decode() for path in ("/metrics", "/status.json"))
    command_line = Path(f"/proc/{bridge.pid()}/cmdline").read_bytes().decode()
    assert broker.count(queue) == 1
    broker.ctl("change_password", "secretive", "another")
    broker.ctl("close_all_user_connections", "secretive", "test")
    bridge.wait_for("broker_lost", more_than=1, seconds=20)
    broker.ctl("delete_user", "secretive")
    bridge.stop()
    for text in (str(bridge.log), metrics, command_line, bridge.errors()):
        assert "hunter2" not in text
