"""The bridge for Prometheus and Grafana: the format, the names, docs/alerts.yaml, docs/grafana-dashboard.json."""

import json
import re
import subprocess

import pytest

from bridge.admin.metrics import metrics
from bridge.commands.serve import failures
from bridge.counters import Counters
from tests.integration.test_processes import admin
from tests.tools.launch import ROOT
from tests.tools.ports import free_port, wait_for
from tests.tools.prometheus import Prometheus, promtool, require

ALERTS = ROOT / "docs/alerts.yaml"
DASHBOARD = json.loads((ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
EXPRESSIONS = sorted({target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]})
METRIC = re.compile(r"\b(?:bridge|process)_[a-z_]+")


@pytest.fixture(scope="module", autouse=True)
def _prometheus():
    require()


def families():
    """The metrics that a bridge exports, with those that belong to a histogram."""
    text = metrics(Counters(1, {error.reason: error.status for error in failures()}))
    return set(re.findall(r"^(?:# TYPE )?([a-z_]+)", text, re.MULTILINE))


def test_promtool_finds_no_fault_with_the_metrics(start_bridge, sns):
    port = free_port()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    assert bridge.deliver(sns.notification()).status == 200
    answer = admin(port, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert promtool("check", "metrics", stdin=answer.body.decode()) == ""


def test_every_metric_that_docs_name_is_exported():
    exported = families()
    for path in (ALERTS, ROOT / "docs/grafana-dashboard.json", ROOT / "docs/monitoring.md"):
        named = set(METRIC.findall(path.read_text(encoding="utf-8")))
        assert named and named <= exported | {"process_died"}, path  # which is an event of the log


def test_every_metric_is_in_the_docs():
    text = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    for name in {re.sub("_(bucket|sum|count)$", "", name) for name in families() if name.startswith("bridge_")}:
        assert re.search(rf"`{name}[`{{]", text), name


# ---- the alerts. Each with the series that call for it; "0+1x60" is a counter that grows by 1 a minute, for an hour

CALLS = {
    "BridgeAbsent": {},
    "BridgeNotReady": {"bridge_processes_ready": "0x60"},
    "BridgeProcessNotReady": {"bridge_processes_ready": "1x60"},
    "BridgeBrokerBlocked": {"bridge_broker_blocked": "1x60"},
    "BridgeBrokerFlaps": {"bridge_broker_connections_total": "2+1x60"},
    "BridgePutsOff": {'bridge_verdicts_total{status="503",reason="nack"}': "0+60x60"},
    "BridgeUnroutable": {"bridge_broker_returns_total": "0+1x60"},
    "BridgeMessageTooLarge": {'bridge_verdicts_total{status="413",reason="body-too-large"}': "0x30 1x30"},
    "BridgeRefuses": {'bridge_verdicts_total{status="403",reason="bad-signature"}': "0x30 1x30"},
    "BridgeBug": {'bridge_verdicts_total{status="500",reason="bug"}': "0x30 1x30"},
    "BridgeConfirmSlow": {'bridge_confirm_duration_seconds_bucket{le="0.5"}': "0x60"},
    "BridgeFull": {"bridge_in_flight": "1700x60"},
    "BridgeCertificateUnavailable": {"bridge_certificate_fetch_failures_total": "0+1x60"},
    "BridgeSubscriptionNotConfirmed": {"bridge_subscription_confirmation_failures_total": "0x30 1x30"},
    "BridgeSQSErrors": {'bridge_sqs_errors_total{kind="access-denied"}': "0+1x60"},
    "BridgeSQSNotPulled": {"bridge_sqs_messages_waiting": "7x60", "bridge_sqs_published_total": "5x60"},
    "BridgeDescriptorsShort": {"process_open_fds": "1900x60"},
    "BridgeLogLost": {"bridge_log_lines_dropped_total": "0x30 1x30"},
}
WELL = {
    'bridge_build_info{version="1"}': "1x60",
    "bridge_processes_ready": "2x60",
    "bridge_processes_running": "2x60",
    "bridge_broker_blocked": "0x60",
    "bridge_broker_connections_total": "2x60",
    'bridge_verdicts_total{status="200",reason="published"}': "0+600x60",
    'bridge_verdicts_total{status="401",reason="unauthorized"}': "0+600x60",
    'bridge_verdicts_total{status="503",reason="nack"}': "0+6x60",
    'bridge_verdicts_total{status="404",reason="not-found"}': "0+1x60",
    'bridge_confirm_duration_seconds_bucket{le="0.5"}': "0+600x60",
    'bridge_confirm_duration_seconds_bucket{le="5.0"}': "0+600x60",
    'bridge_confirm_duration_seconds_bucket{le="+Inf"}': "0+600x60",
    "bridge_in_flight": "900x60",  # of two processes
    'bridge_sqs_errors_total{kind="throttled"}': "0x30 1x30",
    "bridge_sqs_messages_waiting": "100x60",
    "bridge_sqs_published_total": "0+600x60",
    "process_open_fds": "1000x60",
    "process_max_fds": "1024x60",
}


def labelled(series):
    name, _, labels = series.partition("{")
    return f'{name}{{instance="bridge:3001",job="bridge"{"," + labels if labels else "}"}'


def fired(folder, series):
    """The names of the alerts that fire within an hour of these series, as promtool evaluates them."""
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": labelled(name), "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": "40m", "alertname": name, "exp_alerts": []} for name in CALLS],
        }
    ]
    path = folder / "test.yaml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, timeout=60)
    return set(re.findall(r"alertname: ?([A-Za-z]+)", done.stdout + done.stderr)), done.stdout + done.stderr


def test_the_rules_are_well_formed_and_each_is_tried_here():
    promtool("check", "rules", str(ALERTS))
    assert set(re.findall(r"- alert: (\w+)", ALERTS.read_text(encoding="utf-8"))) == set(CALLS)


def test_no_alert_fires_when_all_is_well(tmp_path):
    names, said = fired(tmp_path, WELL)
    assert not names and "SUCCESS" in said, said


@pytest.mark.parametrize("alert", CALLS)
def test_an_alert_fires_when_it_is_called_for_and_no_other(alert, tmp_path):
    series = {} if alert == "BridgeAbsent" else WELL | CALLS[alert]
    names, said = fired(tmp_path, series)
    assert names == {alert}, said


# ---- a real Prometheus


@pytest.mark.rule("published")
def test_prometheus_understands_the_bridge_the_dashboard_and_the_rules(start_bridge, sns):
    port = free_port()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    with Prometheus(port, ALERTS) as prometheus:
        for _ in range(3):
            assert bridge.deliver(sns.notification()).status == 200
        wait_for("the messages", lambda: prometheus.query('bridge_verdicts_total{reason="published"} == 3'), 30)
        wait_for("two samples of them", lambda: prometheus.query("count_over_time(bridge_in_flight[30s]) >= 3"), 30)
        for expression in EXPRESSIONS:
            filled = expression.replace("$__rate_interval", "30s").replace("$instance", ".*")
            assert prometheus.query(filled), filled
        groups = prometheus.get("rules")["groups"]
        assert [rule["name"] for group in groups for rule in group["rules"]] == list(CALLS)
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert prometheus.query('up{job="bridge"}')[0]["value"][1] == "1"
        resident = float(prometheus.query("process_resident_memory_bytes and on (instance, job) bridge_build_info")[0]["value"][1])
        assert 4 << 20 < resident < 200 << 20
