"""amqps: the broker's certificate is verified, client certificates and EXTERNAL, a password file that rotates."""

import tempfile
from pathlib import Path

import pytest

from bridge.simulate.certificates import Authority, replace
from tests.tools.broker import Broker
from tests.tools.keys import encrypt
from tests.tools.ports import wait_for


@pytest.fixture(scope="module")
def secure():
    """(broker, authority): a broker with TLS, and its CA."""
    with tempfile.TemporaryDirectory(prefix="bridge-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        authority = Authority(folder, "amqps")
        with Broker(tls=authority) as broker:
            broker.declare("secure")
            yield broker, authority


def test_a_password_over_tls(start_bridge, secure, sns):
    broker, authority = secure
    bridge = start_bridge(
        BRIDGE_AMQP_URL=broker.tls_url.replace("amqps://", "amqps://guest:guest@"),
        BRIDGE_AMQP_CA_FILE=str(authority.ca_file),
        BRIDGE_ROUTING_KEY="secure",
    )
    broker.purge("secure")
    assert bridge.deliver(sns.notification()).status == 200
    assert broker.count("secure") == 1


@pytest.mark.rule("BRIDGE_AMQP_CERT", "BRIDGE_AMQP_KEY")
def test_a_client_certificate_and_external(start_bridge, secure, sns, folder):
    broker, authority = secure
    files = authority.issue(folder / "client", "bridge-client", common_name="bridge-client")
    broker.add_user("bridge-client", "not used")
    bridge = start_bridge(
        BRIDGE_AMQP_URL=broker.tls_url,
        BRIDGE_AMQP_CA_FILE=str(authority.ca_file),
        BRIDGE_AMQP_CERT=str(files.certificate),
        BRIDGE_AMQP_KEY=str(files.key),
        BRIDGE_ROUTING_KEY="secure",
    )
    assert bridge.deliver(sns.notification()).status == 200
    assert "bridge-client" in broker.ctl("list_connections", "user")


@pytest.mark.rule("BRIDGE_AMQP_KEY")
def test_a_key_with_a_pass_phrase_is_told(start_bridge, secure, folder):
    broker, authority = secure
    files = authority.issue(folder / "encrypted", "bridge-client")
    encrypt(files.key)
    own = {"BRIDGE_AMQP_CERT": str(files.certificate), "BRIDGE_AMQP_KEY": str(files.key)}
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=broker.tls_url, BRIDGE_AMQP_CA_FILE=str(authority.ca_file), **own)
    assert "the key has a pass phrase" in bridge.wait_for("broker_lost")["explanation"]


@pytest.mark.rule("BRIDGE_AMQP_CA_FILE")
def test_another_ca_is_refused(start_bridge, secure, sns, folder):
    broker, _ = secure
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=broker.tls_url, BRIDGE_AMQP_CA_FILE=str(Authority(folder, "other").ca_file))
    assert "[SSL: CERTIFICATE_VERIFY_FAILED]" in bridge.wait_for("broker_lost")["explanation"]
    assert bridge.deliver(sns.notification()).status == 503


def test_another_name_is_refused(start_bridge, secure, sns):
    broker, authority = secure
    url = broker.tls_url.replace("localhost", "127.0.0.2").replace("amqps://", "amqps://guest:guest@")
    bridge = start_bridge(connected=False, BRIDGE_AMQP_URL=url, BRIDGE_AMQP_CA_FILE=str(authority.ca_file))
    bridge.wait_for("broker_lost")
    assert not bridge.events("broker_connected")


@pytest.mark.rule("BRIDGE_AMQP_PASSWORD_FILE")
def test_a_password_from_a_file_is_read_again_at_each_connect(start_bridge, broker, queue, sns, folder):
    path = folder / "password"
    path.write_text("first\n")
    broker.add_user("rotating", "first")
    url = broker.url.replace("guest:guest@", "rotating@")
    bridge = start_bridge(BRIDGE_AMQP_URL=url, BRIDGE_AMQP_PASSWORD_FILE=str(path))
    assert bridge.deliver(sns.notification()).status == 200
    broker.change_password("rotating", "second")
    replace(path, b"second\n")
    broker.ctl("close_all_user_connections", "rotating", "rotation")
    bridge.wait_for("broker_lost")
    bridge.wait_for("broker_connected", more_than=1)
    wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 5, 0.1)
    assert "second" not in str(bridge.log)
    broker.ctl("delete_user", "rotating")
