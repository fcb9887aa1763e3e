"""The command line: what it prints, where, and with which exit status."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge import cli
from bridge.settings import SETTINGS
from bridge.sns.signature import RSA_ENGINE
from bridge.version import VERSION
from tests.tools.ports import free_port

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
GENUINE = sorted(VECTORS.glob("java2-*.json"))
TOPICS = "arn:aws:sns:eu-central-1:123456789012:orders"
SECRET = "s3cr3t-pa55w0rd"
PATIENCE = 20  # seconds


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def bridge(monkeypatch, capsys):
    """bridge("verify", ..., BRIDGE_X="...") -> (exit status, standard output, standard error)"""

    def run(*arguments, **environment):
        monkeypatch.setattr(sys, "argv", ["bridge", *map(str, arguments)])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        status = cli.main()
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--version"], ["--help", "--version"]])
def test_version_tells_all_that_matters(bridge, arguments):
    status, out, err = bridge(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith(f"bridge {VERSION} (") and "OpenSSL" in out and RSA_ENGINE in out and out.count("\n") == 1
    assert f"CPython {sys.version.split()[0]}" in out


@pytest.mark.parametrize("missing", ["bridge.simulate.command", "trustme"])
def test_simulate_says_in_one_line_what_it_needs(bridge, monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("bridge.simulate")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    status, out, err = bridge("simulate", "--to", "http://localhost/")
    assert (status, out) == (2, "")
    assert err == f"bridge: simulate: needs {missing}: in a checkout of the source, pip install '.[simulate]'\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["verify", "--help"]])
def test_help_names_every_command_and_every_setting_with_its_default(bridge, arguments):
    status, out, err = bridge(*arguments)
    assert (status, err) == (0, "")
    for command in ("serve", "verify", "check", "healthcheck", "policy", "simulate"):
        assert f"\n  {command} " in out
    for setting in SETTINGS:
        assert f"\n  {setting.flag} {setting.metavar}\n" in out
        assert not setting.default or f"[{setting.default}]" in out
    assert "`" not in out and "**" not in out


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "BRIDGE_TOPICS: "),
        (["serve"], {}, "BRIDGE_TOPICS: "),
        (["check"], {}, "BRIDGE_TOPICS: "),
        (["run"], {}, "run: is not a command; the commands are serve, verify, check, healthcheck, policy, simulate"),
        (["serve", "serve"], {"BRIDGE_TOPICS": TOPICS}, "serve: is one argument too many"),
        (["--listen", ":1", "check"], {"BRIDGE_TOPICS": TOPICS}, "check: is one argument too many"),
        ([], {"BRIDGE_TOPIC": TOPICS}, "BRIDGE_TOPIC: is not a setting"),
        (["--lissen", ":3000"], {}, "--lissen: is not a setting"),
        (["--listen"], {}, "--listen: has no value"),
        ([], {"BRIDGE_TOPICS": TOPICS, "BRIDGE_RAW": "on"}, "BRIDGE_RAW: "),
        (["--amqp-url", f"amqp://u:{SECRET}@h"], {"BRIDGE_TOPICS": TOPICS}, "--amqp-url: "),
        (["healthcheck"], {"BRIDGE_LISTEN": "3000"}, "BRIDGE_LISTEN: "),
        (["healthcheck", "now"], {}, "now: "),
        (["policy", "now"], {}, "now: "),
        (["policy"], {"BRIDGE_TOPICS": f"orders, {TOPICS}"}, "BRIDGE_TOPICS: 'orders' is not an SNS topic's ARN"),
        (["policy"], {"BRIDGE_TOPICS": TOPICS.replace("orders", "o'rders")}, "BRIDGE_TOPICS: "),
        (["policy"], {"BRIDGE_TOPICS": TOPICS + ".fifo"}, "BRIDGE_TOPICS: "),
        (["policy"], {"BRIDGE_TOPICS": f'"{TOPICS}"'}, "BRIDGE_TOPICS: is in quotes"),
        (["policy", "--topics", TOPICS + "\n"], {}, "BRIDGE_TOPICS: holds a line's end"),
        (["policy"], {"BRIDGE_SQS_QUEUES": "orders"}, "BRIDGE_SQS_QUEUES: 'orders' is not a queue's URL"),
        (["verify"], {}, "verify: names no file"),
        (["verify", "--at"], {}, "--at: "),
        (["verify", "--at", "yesterday", "file"], {}, "--at: "),
        (["verify", "--topics", "orders", "file"], {}, "BRIDGE_TOPICS: "),
    ],
)
def test_what_cant_be_used_is_exit_2_and_one_line_that_names_it(bridge, arguments, environment, said):
    status, out, err = bridge(*arguments, **environment)
    assert (status, out) == (2, "")
    assert err.startswith(f"bridge: {said}") and err.count("\n") == 1 and SECRET not in err


def test_an_address_that_is_taken_is_exit_2_and_nothing_is_started(bridge):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = bridge("--listen", f"127.0.0.1:{port}", "--topics", TOPICS)
    assert status == 2 and err == f"bridge: BRIDGE_LISTEN: can't listen on 127.0.0.1:{port}: Address already in use\n"


def test_policy_is_exit_0(bridge):
    status, out, err = bridge("policy")
    assert (status, err) == (0, "") and "healthyRetryPolicy" in out


def test_policy_reads_nothing_but_the_topics_and_the_queues(bridge, monkeypatch):
    """Whoever may administer AWS often has neither the bridge's files nor a region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    queue = "http://localhost:4566/000000000000/orders"
    status, out, err = bridge("policy", BRIDGE_TOPICS=TOPICS, BRIDGE_SQS_QUEUES=queue, BRIDGE_TLS_CERT="/nowhere")
    assert (status, err) == (0, "") and TOPICS in out and "arn:aws:sqs:REGION:000000000000:orders" in out


def test_a_health_check_without_a_bridge_is_exit_1(bridge):
    port = free_port()
    status, out, err = bridge("healthcheck", BRIDGE_LISTEN=f"127.0.0.1:{port}")
    assert (status, err) == (1, "") and out.startswith(f"unhealthy: no answer from 127.0.0.1:{port}")


# ---- verify: the genuine messages


def test_genuine_messages_are_genuine_at_their_time(bridge):
    status, out, err = bridge("verify", "--certificates", VECTORS, "--at", "message", *GENUINE)
    assert (status, err) == (0, "")
    for path, line in zip(GENUINE, out.splitlines(), strict=True):
        members = json.loads(path.read_bytes())
        assert line == f"{path}: genuine {members['Type']} v{members['SignatureVersion']} {members['MessageId']}"


def test_today_they_are_too_old(bridge):
    status, out, _ = bridge("verify", "--certificates", VECTORS, *GENUINE)
    assert status == 1 and len(out.splitlines()) == len(GENUINE)
    assert all(": refused: timestamp: " in line or ": refused: certificate-not-valid: " in line for line in out.splitlines())


def test_a_time_of_ones_own_and_an_age_of_ones_own(bridge):
    path = VECTORS / "java2-notification-v1.json"
    arguments = ["verify", "--certificates", VECTORS, "--at", "2026-03-06T21:55:38.000Z"]
    assert bridge(*arguments, path)[0] == 0
    assert ": refused: timestamp: " in bridge(*arguments, "--max-age", "1h", path)[1]
    assert bridge(*arguments, "--max-age", "0", path)[0] == 0


def test_one_that_is_not_genuine_is_exit_1_and_the_others_are_told_too(bridge, tmp_path):
    forged = tmp_path / "forged.json"
    forged.write_bytes(GENUINE[0].read_bytes().replace(b'"Message" : "', b'"Message" : "x'))
    status, out, _ = bridge("verify", "--certificates", VECTORS, "--at", "message", forged, GENUINE[0], tmp_path / "none")
    lines = out.splitlines()
    assert status == 1
    assert lines[0] == f"{forged}: refused: bad-signature: the signature does not match the message"
    assert lines[1].startswith(f"{GENUINE[0]}: genuine ")
    assert lines[2] == f"{tmp_path / 'none'}: refused: unreadable: No such file or directory"


def test_a_genuine_message_of_a_foreign_topic_is_refused(bridge):
    status, out, _ = bridge("verify", "--certificates", VECTORS, "--at", "message", "--topics", TOPICS, GENUINE[0])
    assert status == 1 and ": refused: topic-not-allowed: " in out


# ---- as a process


def environment(**settings):
    return {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | settings


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "bridge"], [str(Path(sys.executable).with_name("bridge"))]], ids=["module", "installed"]
)
def test_both_ways_to_call_it_behave_alike(command):
    done = subprocess.run([*command, "--version"], capture_output=True, env=environment(), check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.decode().startswith(f"bridge {VERSION} (")
    done = subprocess.run(command, capture_output=True, env=environment(), check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, b"") and done.stderr.startswith(b"bridge: BRIDGE_TOPICS: ")


def serving(port, more=None, **options):
    settings = environment(BRIDGE_TOPICS=TOPICS, BRIDGE_LISTEN=f"127.0.0.1:{port}", BRIDGE_AMQP_URL=f"amqp://127.0.0.1:{free_port()}")
    settings |= {"BRIDGE_ADMIN_LISTEN": "off"} | (more or {})
    return subprocess.Popen([sys.executable, "-m", "bridge"], env=settings, **options)


def wait_until_it_listens(port):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


def healthy(port):
    """The answer to GET /healthy, once somebody listens."""
    wait_until_it_listens(port)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(b"GET /healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
        return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_exit_0_even_without_a_broker(number):
    port = free_port()
    with serving(port, stdout=subprocess.PIPE) as process:
        try:
            assert healthy(port).startswith(b"HTTP/1.1 200 ")
            process.send_signal(number)
            out, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events[-2:] == ["draining", "stopped"] and "listening" in events


def test_a_closed_standard_output_never_ends_up_in_a_socket():
    port = free_port()
    with serving(port, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.close(1)) as process:
        try:
            assert healthy(port).startswith(b"HTTP/1.1 200 ")
            assert os.readlink(f"/proc/{process.pid}/fd/1") == "/dev/null"
            for _ in range(20):
                answer = healthy(port)
                assert answer.startswith(b"HTTP/1.1 200 ") and b"event" not in answer
            process.terminate()
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0


def test_standard_output_to_a_full_disk_stops_nothing():
    port = free_port()
    with open("/dev/full", "wb") as full, serving(port, stdout=full) as process:
        try:
            assert healthy(port).startswith(b"HTTP/1.1 200 ")
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_a_signal_to_the_whole_group_still_drains(tmp_path):
    """systemd and a terminal tell every process of a group; the parent tells its children once more."""
    port = free_port()
    message = {
        "Type": "Notification",
        "MessageId": "0f1c2a3b-0000-4000-8000-000000000001",
        "TopicArn": TOPICS,
        "Message": "text",
        "Timestamp": "2026-03-06T19:55:38.903Z",
        "SignatureVersion": "2",
        "Signature": "AAAA",
    }
    with socket.create_server(("127.0.0.1", 0)) as sns, open(tmp_path / "log", "wb") as log, contextlib.ExitStack() as sockets:
        sns.settimeout(PATIENCE)
        endpoint = f"http://127.0.0.1:{sns.getsockname()[1]}"
        message["SigningCertURL"] = f"{endpoint}/SimpleNotificationService-{'0' * 32}.pem"
        body = json.dumps(message).encode()
        more = {"BRIDGE_PROCESSES": "2", "BRIDGE_SNS_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        with serving(port, more, stdout=log, start_new_session=True) as process:
            try:
                healthy(port)
                client = sockets.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                fetching = sockets.enter_context(sns.accept()[0])
                assert fetching.recv(4096).startswith(b"GET /SimpleNotificationService-")
                os.killpg(process.pid, signal.SIGTERM)
                until = time.monotonic() + PATIENCE
                while (tmp_path / "log").read_bytes().count(b'"draining"') < 2:
                    assert time.monotonic() < until
                    time.sleep(0.02)
                time.sleep(0.3)  # for the parent's own signal
                fetching.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                answer = b""
                while piece := client.recv(4096):
                    answer += piece
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
    assert answer.startswith(b"HTTP/1.1 503 ") and answer.endswith(b"certificate-unavailable\n")
