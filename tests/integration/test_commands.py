"""verify, check, healthcheck, policy, --version, --help."""

import json
import os
import re
import subprocess

import pytest

from bridge.simulate.delivery import Policy
from bridge.simulate.sns import TOPIC
from tests.tools.bridge import ROOT, run
from tests.tools.launch import UNDER_TEST, command, environment
from tests.tools.ports import free_port

VECTORS = ROOT / "tests/data/vectors"
GENUINE = sorted(path for path in VECTORS.glob("*.json") if path.name != "manifest.json")


# ---- verify


def test_every_recorded_message_is_genuine():
    done = run("verify", "--certificates", str(VECTORS), "--at", "message", *map(str, GENUINE))
    assert done.returncode == 0
    for line, path in zip(done.stdout.splitlines(), GENUINE, strict=True):
        fields = json.loads(path.read_bytes())
        assert line == f"{path}: genuine {fields['Type']} v{fields['SignatureVersion']} {fields['MessageId']}"


def test_one_changed_byte_in_any_signed_field_is_refused(folder):
    changed = []
    for path in GENUINE:
        fields = json.loads(path.read_bytes())
        signed = {"Message", "MessageId", "Timestamp", "Type", "TopicArn", "Subject", "Token", "SubscribeURL"} & set(fields)
        for name in signed:
            text = fields[name]
            for at in {0, len(text) // 2, len(text) - 1}:
                other = text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
                out = folder / f"{path.stem}-{name}-{at}.json"
                out.write_text(json.dumps(fields | {name: other}))
                changed.append(str(out))
    done = run("verify", "--certificates", str(VECTORS), "--at", "message", *changed)
    assert done.returncode == 1
    assert len(changed) > 80
    for line, path in zip(done.stdout.splitlines(), changed, strict=True):
        assert re.fullmatch(re.escape(path) + ": refused: [a-z0-9-]+: .+", line)


@pytest.mark.rule("bad-signature")
def test_one_refused_among_genuine_ones_is_exit_1(folder):
    forged = folder / "forged.json"
    forged.write_bytes(GENUINE[0].read_bytes().replace(b'"Message" : "', b'"Message" : "!'))
    done = run("verify", "--certificates", str(VECTORS), "--at", "message", str(GENUINE[0]), str(forged))
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.replace(": refused:", ": refused").splitlines()] == ["genuine", "refused"]
    assert ": refused: bad-signature: " in done.stdout


@pytest.mark.rule("topic-not-allowed")
def test_the_topic_list_and_the_clock_count():
    genuine = str(GENUINE[0])
    done = run("verify", "--topics", TOPIC, "--certificates", str(VECTORS), "--at", "message", genuine)
    assert (done.returncode, ": refused: topic-not-allowed: " in done.stdout) == (1, True)
    done = run("verify", "--certificates", str(VECTORS), "--at", "2031-01-01T00:00:00.000Z", genuine)
    assert (done.returncode, ": refused: " in done.stdout) == (1, True)


def test_a_file_that_is_missing_is_exit_1():
    done = run("verify", "/nowhere/message.json")
    assert done.returncode == 1
    assert done.stdout.startswith("/nowhere/message.json: refused: ")


def test_verify_fetches_the_certificate_when_it_has_none(sns, folder):
    message = folder / "message.json"
    message.write_bytes(sns.notification().body)
    done = run("verify", "--sns-endpoint", sns.endpoint, "--ca-file", str(sns.ca_file), str(message))
    assert (done.returncode, done.stderr) == (0, "")
    assert sns.requests == [sns.certificate_path]


# ---- check


def test_check_is_content_when_all_is_there(broker, queue):
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, BRIDGE_ROUTING_KEY=queue)
    assert done.returncode == 0, done.stdout + done.stderr
    assert queue in done.stdout


@pytest.mark.parametrize("settings", [{"BRIDGE_ROUTING_KEY": "no-such-queue"}, {"BRIDGE_EXCHANGE": "no-such-exchange"}])
def test_check_tells_what_is_missing(broker, settings):
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, **settings)
    assert done.returncode == 1
    assert next(iter(settings.values())) in done.stdout
    assert "NOT_FOUND" in done.stdout


def test_check_looks_only_at_the_queues_that_messages_reach(broker, queue, folder):
    """The default route serves no topic here, because a rule matches the only one."""
    routes = folder / "routes.toml"
    routes.write_text(f'[[route]]\ntopic = "arn:aws:sns:*:*:orders"\nrouting_key = "{queue}"\n')
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, BRIDGE_ROUTES=str(routes))
    assert done.returncode == 0, done.stdout
    assert f"queue '{queue}': exists" in done.stdout


def test_check_tells_that_the_broker_is_not_there():
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=f"amqp://guest:secret@127.0.0.1:{free_port()}/%2F")
    assert done.returncode == 1
    assert "refused" in done.stdout.lower()
    assert "BRIDGE_AMQP_URL" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_check_tells_that_the_password_is_wrong(broker):
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "guest:wrong"))
    assert done.returncode == 1
    assert "ACCESS_REFUSED" in done.stdout or "uthentication" in done.stdout


def test_check_tells_of_a_topic_whose_messages_can_never_be_routed(broker, queue):
    topic = TOPIC.rpartition(":")[0] + ":" + "t" * 200
    done = run(
        "check", BRIDGE_TOPICS=f"{TOPIC},{topic}", BRIDGE_AMQP_URL=broker.url, BRIDGE_QUEUE=queue, BRIDGE_ROUTING_KEY="{topic}.{topic}"
    )
    assert done.returncode == 1
    assert f"topic {topic}: '{{topic}}.{{topic}}' fills to more than 255 bytes" in done.stdout and f"topic {TOPIC}" not in done.stdout


@pytest.mark.parametrize(
    ("setting", "value"),
    [("BRIDGE_LISTEN", "192.0.2.1:3000"), ("BRIDGE_ADMIN_LISTEN", "192.0.2.1:9090"), ("BRIDGE_CA_FILE", "/etc/passwd")],
)
def test_check_tells_what_serve_could_not_use(broker, queue, setting, value):
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, BRIDGE_QUEUE=queue, **{setting: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bridge: {setting}: ") and value in done.stderr


def test_check_is_content_beside_a_bridge_that_listens(broker, queue, start_bridge):
    bridge = start_bridge(BRIDGE_AMQP_URL=broker.url, BRIDGE_QUEUE=queue)
    listen = {"BRIDGE_LISTEN": f"127.0.0.1:{bridge.port}", "BRIDGE_ADMIN_LISTEN": bridge.settings["BRIDGE_ADMIN_LISTEN"]}
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, BRIDGE_QUEUE=queue, **listen)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_refuses_bad_settings():
    assert run("check", BRIDGE_TOPICS="x").returncode == 2


# ---- healthcheck


@pytest.mark.parametrize("name", ["BRIDGE_BASIC_AUTH_FILE", "BRIDGE_TLS_CERT"])
def test_check_reads_the_files_as_serve_does(name, broker, queue, folder):
    """An existing file that can't be used is not "ok"."""
    file = folder / "file"
    file.write_text("sns:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n")
    done = run("check", BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL=broker.url, BRIDGE_QUEUE=queue, **{name: str(file)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bridge: {name}: ") and "HqJ" not in done.stderr


def test_healthcheck(start_bridge):
    bridge = start_bridge()
    assert run("healthcheck", BRIDGE_LISTEN=f"127.0.0.1:{bridge.port}").returncode == 0
    bridge.stop()
    done = run("healthcheck", BRIDGE_LISTEN=f"127.0.0.1:{bridge.port}")
    assert done.returncode == 1
    assert done.stdout


# ---- policy, version, help


def test_policy_prints_what_sns_takes():
    done = run("policy")
    assert done.returncode == 0
    documents = [json.loads(text) for text in re.findall(r"^\{$.*?^\}$", done.stdout, re.MULTILINE | re.DOTALL)]
    policy = Policy.of(next(document for document in documents if "healthyRetryPolicy" in document))
    assert 0 <= policy.numRetries <= 100
    assert 1 <= policy.minDelayTarget <= policy.maxDelayTarget <= 3600
    assert policy.backoffFunction in ("arithmetic", "exponential", "geometric", "linear")
    assert 3000 < sum(policy.delays()) <= 3600  # SNS refuses a policy that lasts longer than an hour
    assert any("deadLetterTargetArn" in document for document in documents)
    assert "aws sns set-subscription-attributes" in done.stdout


def test_version_and_help():
    done = run("--version")
    assert done.returncode == 0
    assert re.match(r"bridge \d+\.\d+", done.stdout)
    assert "CPython" in done.stdout
    assert "OpenSSL" in done.stdout
    done = run("--help")
    assert done.returncode == 0
    assert "--amqp-url" in done.stdout


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman stands between the pipe and the bridge")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["policy"], ["verify", "/nothing/here.json"], ["healthcheck"]], ids=" ".join)
def test_what_is_printed_into_a_pipe_whose_reader_has_gone_ends_without_a_complaint(words):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        told = [*command({}), *words]
        done = subprocess.run(told, env=environment({}), cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, "")
