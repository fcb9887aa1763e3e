"""`bridge simulate`: a trial with only this tool. The bridge is the one under test, the tool is that of the source."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bridge.settings import SETTINGS
from bridge.simulate.certificates import Authority
from bridge.simulate.command import TOPIC
from bridge.sns.certificates import check_certificate
from bridge.sns.signature import load_certificate
from bridge.sns.topic import TopicArn
from tests.tools.bridge import ROOT, UNDER_TEST, environment, run
from tests.tools.ports import free_port


def simulate(*arguments, timeout=120):
    """(exit status, what it printed)"""
    command = [sys.executable, "-m", "bridge", "simulate", *map(str, arguments)]
    done = subprocess.run(command, env=environment({}), cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert not done.stderr or done.returncode == 2, done.stderr
    return done.returncode, done.stdout + done.stderr


def printed_settings(output):
    """The settings that it says to start the bridge with."""
    lines = [line.removeprefix("export ").split("   #")[0] for line in output.splitlines() if line.startswith("export ")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def trial(folder, start_bridge):
    """A running bridge with the settings that the tool asks for: (its URL, the tool's options)."""

    def start(*options, **settings):
        options = options or ("--folder", folder / "trial")
        status, output = simulate(*options)
        assert status == 0
        bridge = start_bridge(**{"BRIDGE_SNS_ENDPOINT": None, "BRIDGE_CA_FILE": None} | printed_settings(output) | settings)
        return bridge, ("--to", bridge.endpoint().url, *options)

    return start


def test_every_message_is_taken_and_every_hostile_one_refused(trial, broker, queue):
    bridge, options = trial()
    status, output = simulate(*options, "--count", 60, "--size", 2000, "--hostile")
    assert status == 0, output
    assert "  sent       60," in output and "  200        60\n" in output and "p99" in output
    for reason in ("bad-signature", "topic-not-allowed", "signing-cert-url", "timestamp", "malformed-message", "malformed-request"):
        assert f" {reason} " in output
    stored = [json.loads(message.body) for message in broker.take(queue)]
    assert len(stored) == 60 and all(len(message["Message"].encode()) == 2000 for message in stored)
    assert {message["SignatureVersion"] for message in stored} == {"1", "2"}
    assert {message["TopicArn"] for message in stored} == {TOPIC}
    bridge.stop()


def test_the_whole_way_with_a_subscription(trial, broker, queue):
    bridge, options = trial("--listen", f"127.0.0.1:{free_port()}")
    status, output = simulate(*options, "--count", 5, "--rate", 50, "--versions", "2")
    assert status == 0 and "ConfirmSubscription called back" in output
    assert bridge.events("subscription_confirmed", topic_arn=TOPIC)
    assert {json.loads(message.body)["SignatureVersion"] for message in broker.take(queue)} == {"2"}


@pytest.mark.rule("unauthorized")
def test_over_https_with_basic_auth_as_it_would_be_subscribed(trial, folder):
    authority = Authority(folder)
    files = authority.issue(folder / "server", "localhost", "127.0.0.1")
    users = folder / "users"
    users.write_text("sns:pass word@\n")
    bridge, options = trial(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key), BRIDGE_BASIC_AUTH_FILE=str(users))
    url = f"https://sns:pass%20word%40@localhost:{bridge.port}/"
    options = ("--to", url, *options[2:], "--ca-file", authority.ca_file, "--count", 3)
    assert simulate(*options, "--hostile")[0] == 0
    status, output = simulate(*options, "--to", url.replace("pass", "path"))
    assert status == 1 and "  refused    3  401 unauthorized: 3\n" in output


def test_what_cannot_be_published_is_retried_by_the_policy_and_given_up(trial, folder):
    _, options = trial(BRIDGE_ROUTING_KEY="nowhere")
    policy = folder / "policy.json"
    policy.write_text(json.dumps({"healthyRetryPolicy": {"numRetries": 2, "minDelayTarget": 20, "maxDelayTarget": 20}}))
    status, output = simulate(*options, "--count", 3, "--policy", policy, "--speed", 100)
    assert status == 1
    assert "  retried    6  503 unroutable: 6\n" in output and "  given up   3  503 unroutable: 3\n" in output


def test_what_is_refused_for_good_is_not_retried(trial):
    _, options = trial(BRIDGE_TOPICS="arn:aws:sns:eu-central-1:123456789012:orders")
    status, output = simulate(*options, "--count", 3)
    assert status == 1
    assert "  refused    3  403 topic-not-allowed: 3\n" in output and "  retried    0\n" in output


class _TakesAll(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]) if self.headers["Content-Length"].isdigit() else 0)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_an_endpoint_that_takes_hostile_messages_is_found_out(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), _TakesAll) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, output = simulate(
            "--to", f"http://127.0.0.1:{server.server_port}/", "--folder", folder / "trial", "--count", 1, "--hostile"
        )
        server.shutdown()
    assert status == 1 and output.count("<- TAKEN: it must be refused") > 30


def test_the_certificate_passes_the_bridges_own_checks_and_the_key_stays_with_the_tool(folder):
    def made():
        assert simulate("--folder", folder / "trial")[0] == 0
        (path,) = (folder / "trial/certificates").iterdir()
        return path

    path = made()
    certificate = load_certificate(path.read_bytes())
    check_certificate(certificate, TopicArn(TOPIC), "", certificate.not_after - 1)
    assert certificate.bits >= 2048
    key = folder / "trial/key.pem"
    assert key.stat().st_mode & 0o777 == 0o600 and {entry.name for entry in (folder / "trial").iterdir()} == {"key.pem", "certificates"}
    assert made() == path, "it is used again while it lasts"
    key.unlink()
    assert made() != path, "and made anew with its key"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--topic", "orders"], "--topic: "),
        (["--policy", "/nowhere"], "/nowhere"),
        (["--to", "http://127.0.0.1:1/", "--versions", "3"], "--versions: "),
        (["--policy", "{folder}/empty.json"], "KeyError"),
    ],
)
def test_what_cannot_be_used_is_one_line(folder, options, said):
    (folder / "empty.json").write_text("{}")
    status, output = simulate(*[option.format(folder=folder) for option in options], "--folder", folder / "trial")
    assert status == 2 and said in output and output.startswith("bridge: ") and output.count("\n") == 1


@pytest.mark.skipif(UNDER_TEST == "source", reason="the source has it")
def test_the_image_says_in_one_line_where_it_is_to_be_had():
    done = run("simulate", "--to", "http://localhost/")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "pip install '.[simulate]'" in done.stderr


def test_what_it_prints_are_settings(folder):
    for options in (["--folder", folder / "trial"], ["--listen", f"127.0.0.1:{free_port()}"]):
        assert set(printed_settings(simulate(*options)[1])) <= {setting.variable for setting in SETTINGS}
