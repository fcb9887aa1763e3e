"""A setting that can't be used leads to one clear line that names it and to exit status 2, and nothing starts."""

import pytest

from bridge.simulate.certificates import Authority
from bridge.simulate.sns import TOPIC
from tests.tools.bridge import run
from tests.tools.keys import encrypt
from tests.tools.ports import free_port, listening

GOOD = {"BRIDGE_TOPICS": TOPIC, "BRIDGE_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/%2F"}


def refused(**settings):
    """The one line that `serve` says of settings that it can't use."""
    done = run(**(GOOD | {"BRIDGE_LISTEN": f"127.0.0.1:{free_port()}"} | settings), timeout=10)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRIDGE_TOPICS", ""),
        ("BRIDGE_TOPICS", "orders"),
        ("BRIDGE_TOPICS", "arn:aws:sns:eu-central-1:1234:orders"),
        ("BRIDGE_TOPICS", TOPIC + ".fifo"),
        ("BRIDGE_TOPIC", TOPIC),
        ("BRIDGE_AMQP_URLS", "amqp://x"),
        ("BRIDGE_AMQP_URL", "http://broker"),
        ("BRIDGE_AMQP_URL", ""),
        ("BRIDGE_LISTEN", "3000x"),
        ("BRIDGE_LISTEN", "::1:3000"),
        ("BRIDGE_LISTEN", "127.0.0.1:99999"),
        ("BRIDGE_LISTEN", "203.0.113.1:3000"),
        ("BRIDGE_MAX_AGE", "soon"),
        ("BRIDGE_DEADLINE", "60s"),
        ("BRIDGE_DEADLINE", "0"),
        ("BRIDGE_MAX_BODY", "-1"),
        ("BRIDGE_MAX_CONNECTIONS", "0"),
        ("BRIDGE_BODY", "both"),
        ("BRIDGE_RAW", "on"),
        ("BRIDGE_RAW", "yes"),
        ("BRIDGE_LOG_LEVEL", "loud"),
        ("BRIDGE_LOG_FORMAT", "xml"),
        ("BRIDGE_ROUTING_KEY", "{unknown}"),
        ("BRIDGE_EXCHANGE", "{topic"),
        ("BRIDGE_ROUTES", "/nowhere/routes.toml"),
        ("BRIDGE_CA_FILE", "/nowhere/ca.pem"),
        ("BRIDGE_CERTIFICATES", "/nowhere"),
        ("BRIDGE_TLS_CERT", "/nowhere/cert.pem"),
        ("BRIDGE_TLS_KEY", "/etc/hostname"),
        ("BRIDGE_BASIC_AUTH_FILE", "/nowhere/users"),
        ("BRIDGE_SNS_ENDPOINT", "localhost:4566"),
        ("BRIDGE_SNS_ENDPOINT", "https://x/path"),
        ("BRIDGE_PATH", "sns"),
        ("BRIDGE_PROCESSES", "0"),
    ],
)
def test_one_line_that_names_the_setting_and_exit_2(name, value):
    said = refused(**{name: value})
    named = "BRIDGE_TLS_CERT" if name == "BRIDGE_TLS_KEY" else name
    assert named in said
    assert len(said) > len(named) + 15


@pytest.mark.rule("BRIDGE_TLS_CERT", "BRIDGE_TLS_KEY")
def test_a_key_of_another_certificate_is_named_as_openssl_names_it(folder):
    authority = Authority(folder, "listener")
    one, other = authority.issue(folder / "one", "localhost"), authority.issue(folder / "other", "localhost")
    said = refused(BRIDGE_TLS_CERT=str(one.certificate), BRIDGE_TLS_KEY=str(other.key))
    assert "BRIDGE_TLS_CERT" in said and "[X509: KEY_VALUES_MISMATCH]" in said


@pytest.mark.rule("BRIDGE_TLS_KEY")
def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(folder):
    files = Authority(folder, "listener").issue(folder / "one", "localhost")
    encrypt(files.key)
    said = refused(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key))
    assert said == "bridge: BRIDGE_TLS_CERT: certificate or key can't be used: the key has a pass phrase; store it without one"


@pytest.mark.rule("BRIDGE_ROUTES")
@pytest.mark.parametrize(
    "content",
    [
        "[[route]]\n",
        "route = 1\n",
        "[[route]]\ntopic = 'x'\n",
        "[[route]]\ntopic = 'arn:aws:sns:*:*:*'\nkey = 'x'\n",
        "not toml",
        "[[route]]\ntopic = 'arn:aws:sns:*:*:*'\nbody = 'half'\n",
        "\xff",
    ],
)
def test_a_routes_file_that_cannot_be_used(folder, content):
    path = folder / "routes.toml"
    path.write_bytes(content.encode("latin-1"))
    assert "BRIDGE_ROUTES" in refused(BRIDGE_ROUTES=str(path))


def test_files_that_are_no_certificates(folder):
    garbage = folder / "garbage.pem"
    garbage.write_text("garbage")
    assert "BRIDGE_TLS_CERT" in refused(BRIDGE_TLS_CERT=str(garbage))


def test_an_address_in_use(start_bridge):
    bridge = start_bridge()
    said = refused(BRIDGE_LISTEN=f"127.0.0.1:{bridge.port}")
    assert "BRIDGE_LISTEN" in said and "in use" in said


def test_nothing_listens_after_a_settings_error():
    port = free_port()
    assert run(BRIDGE_LISTEN=f"127.0.0.1:{port}", timeout=10).returncode == 2
    assert not listening(port)


def test_a_password_never_stands_in_an_error():
    done = run(**(GOOD | {"BRIDGE_AMQP_URL": "amqp://user:hunter2@host:port/x/y"}), timeout=10)
    assert done.returncode == 2
    assert "hunter2" not in done.stderr + done.stdout


def test_flags_are_the_same_settings_and_come_first(start_bridge, sns):
    port = free_port()
    bridge = start_bridge("--listen", f"127.0.0.1:{port}", "--log-level=debug", BRIDGE_LISTEN=f"127.0.0.1:{port}", BRIDGE_LOG_LEVEL="error")
    assert bridge.deliver(sns.notification()).status == 200
    bridge.wait_for("verdict", status=200, level="debug")


def test_an_unknown_flag_and_an_unknown_command():
    assert run("--topic", TOPIC, timeout=10).returncode == 2
    done = run("server", timeout=10)
    assert done.returncode == 2
    assert "serve" in done.stderr
