"""Passwords and certificates change while messages come in: the new ones are picked up without a restart, and no delivery is dropped."""

import socket
import ssl
import time

from bridge.simulate.certificates import Authority, Files, replace
from bridge.simulate.post import basic
from tests.fault.load import Load
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker
from tests.tools.ports import wait_for

USER = "rotated"


def test_the_broker_password(broker, queue, start_bridge, sns, folder, record):
    """First in its file, then at the broker, then the broker closes what was opened with the old one."""
    broker.add_user(USER, "old")
    password = folder / "password"
    password.write_text("old\n")
    bridge = start_bridge(BRIDGE_AMQP_URL=broker.url.replace("guest:guest", USER), BRIDGE_AMQP_PASSWORD_FILE=str(password))
    with Load(sns, bridge.endpoint()) as load:
        for number, fresh in enumerate(("new", "newer"), 1):
            load.wait_for_sent(200)
            broker.change_password(USER, fresh)
            replace(password, f"{fresh}\n".encode())
            broker.ctl("close_all_connections", "the password has changed")
            bridge.wait_for("broker_connected", more_than=number)
        load.over()
    record("broker's password rotated in its file, twice", load, broker.take(queue))
    assert load.statuses() <= {200, 403, 503}
    broker.ctl("delete_user", USER)


def test_the_broker_password_changed_too_late_in_its_file(broker, queue, start_bridge, sns, folder, record):
    """The broker refuses the old password for a while: 503, and back as soon as the file is right."""
    broker.add_user(USER, "old")
    password = folder / "password"
    password.write_text("old\n")
    bridge = start_bridge(BRIDGE_AMQP_URL=broker.url.replace("guest:guest", USER), BRIDGE_AMQP_PASSWORD_FILE=str(password))
    with Load(sns, bridge.endpoint()) as load:
        load.wait_for_sent(200)
        broker.change_password(USER, "new")
        broker.ctl("close_all_connections", "the password has changed")
        bridge.wait_for("verdict", status=503, reason="broker-unavailable")
        time.sleep(2)
        replace(password, b"new\n")
        load.over()
    row = record("broker's password changed, its file 2 s later", load, broker.take(queue))
    assert row["recovers within"] <= 6
    broker.ctl("delete_user", USER)


def test_every_certificate_between_bridge_and_broker(start_bridge, sns, folder, record):
    """The broker's certificate, the client's, and the CA of both: a new CA is trusted beside the old one before the leaves change."""
    old, new = Authority(folder / "old", "old"), Authority(folder / "new", "new")
    both = folder / "both.pem"
    both.write_bytes(old.ca_file.read_bytes())

    class Trusted:
        ca_file = both
        issue = old.issue

    client = old.issue(folder / "client", USER)
    with Broker(tls=Trusted, require_client_certificate=True) as broker:
        broker.add_user(USER, "unused")
        broker.declare("tls")
        bridge = start_bridge(
            BRIDGE_AMQP_URL=broker.tls_url,
            BRIDGE_ROUTING_KEY="tls",
            BRIDGE_AMQP_CA_FILE=str(both),
            BRIDGE_AMQP_CERT=str(client.certificate),
            BRIDGE_AMQP_KEY=str(client.key),
        )
        with Load(sns, bridge.endpoint()) as load:
            for number, step in enumerate(
                (
                    lambda: replace(both, old.ca_file.read_bytes() + new.ca_file.read_bytes()),
                    lambda: new.issue(broker.folder / "tls", "localhost", "127.0.0.1"),
                    lambda: new.issue(folder / "client", USER),
                    lambda: replace(both, new.ca_file.read_bytes()),
                ),
                1,
            ):
                load.wait_for_sent(200)
                step()
                broker.ctl("eval", "ssl:clear_pem_cache().")
                broker.ctl("close_all_connections", "certificates have changed")
                bridge.wait_for("broker_connected", 20, more_than=number)
            load.over()
        record("broker's, client's and CA's certificates rotated", load, broker.take("tls"))
        assert load.statuses() <= {200, 403, 503}
        assert not speaks(broker.tls_port, old)


def speaks(port: int, authority: Authority) -> bool:
    """Whether the certificate shown there is of this authority."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    try:
        with socket.create_connection(("localhost", port), timeout=5) as sock, context.wrap_socket(sock, server_hostname="localhost"):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_the_listener_certificate(broker, queue, start_bridge, sns, folder, record):
    """SNS trusts both CAs; connections that are open go on, new ones get the new certificate; the old one is not needed any more."""
    old, new = Authority(folder / "old", "old"), Authority(folder / "new", "new")
    files: Files = old.issue(folder / "listener", "localhost", "127.0.0.1")
    both = folder / "both.pem"
    both.write_bytes(old.ca_file.read_bytes() + new.ca_file.read_bytes())
    bridge = start_bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key))
    with Load(sns, bridge.endpoint(ca_file=both)) as load:
        for number, authority in enumerate((old, new, old, new)):
            load.wait_for_sent(200)
            authority.issue(folder / "listener", "localhost", "127.0.0.1")
            bridge.wait_for("tls_certificate_read", more_than=number)
        load.over()
        with bridge.endpoint(ca_file=new.ca_file).connect() as connection:
            assert connection.get("/healthy").status == 200
    record("listener's certificate rotated, four times", load, broker.take(queue))
    assert load.statuses() == {200, 403}, "a delivery was dropped"


def test_basic_credentials(broker, queue, start_bridge, sns, folder, record):
    """Both passwords are in the file while SNS changes from one to the other: nothing is answered 401 for good."""
    users = folder / "users"
    users.write_text("sns:old\n")
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    with Load(sns, bridge.endpoint("sns:old")) as load:
        load.wait_for_sent(300)
        replace(users, b"sns:old\nsns:new\n")
        wait_for("the new password", lambda: accepted(bridge, "sns:new"), 10, 0.1)
        load.over()
    replace(users, b"sns:new\n")
    wait_for("the old password's end", lambda: not accepted(bridge, "sns:old"), 10, 0.1)
    record("Basic credentials rotated", load, broker.take(queue))
    assert load.statuses() == {200, 403}


def accepted(bridge: Bridge, credentials: str) -> bool:
    with bridge.connect() as connection:
        return (
            connection.exchange(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                + "".join(f"{k}: {v}\r\n" for k, v in basic(credentials).items()).encode()
                + b"\r\n"
            ).status
            != 401
        )
