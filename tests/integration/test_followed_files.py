"""Files that change while the bridge runs and can't be used for a moment are used as soon as they can."""

import os
import resource
import socket
import ssl
import time

import pytest

from bridge.simulate.certificates import Authority, replace
from bridge.simulate.post import basic
from tests.tools.ports import wait_for


def rewrite(path, content):
    """In place, as `cp` does."""
    path.write_bytes(content)


@pytest.fixture
def https(start_bridge, folder):
    """A bridge with a certificate, and the content of its successor: (bridge, files, certificate, key, shown)."""
    authority = Authority(folder, "listener")
    fresh = authority.issue(folder / "fresh", "localhost", "127.0.0.1")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1")
    bridge = start_bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key))

    def shown():
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        plain = socket.create_connection((bridge.host, bridge.port), 5)
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)).encode()

    return bridge, files, fresh.certificate.read_bytes(), fresh.key.read_bytes(), shown


def test_a_certificate_half_of_which_was_there_at_first_is_used_though_its_time_stays(https):
    bridge, files, certificate, key, shown = https
    then = time.time_ns() + 10**15
    rewrite(files.key, key)
    rewrite(files.certificate, certificate[: len(certificate) // 3])
    os.utime(files.certificate, ns=(then, then))
    bridge.wait_for("tls_certificate_unusable")
    assert shown() != certificate
    rewrite(files.certificate, certificate)
    os.utime(files.certificate, ns=(then, then))
    wait_for("the new certificate", lambda: certificate.startswith(shown()), 5, 0.1)
    assert len(bridge.events("tls_certificate_read")) == 1


def test_a_certificate_that_changed_while_there_was_no_descriptor_is_used_once_there_is_one(https):
    bridge, files, certificate, key, shown = https
    before = resource.prlimit(bridge.pid(), resource.RLIMIT_NOFILE)
    resource.prlimit(bridge.pid(), resource.RLIMIT_NOFILE, (3, before[1]))
    rewrite(files.key, key)
    rewrite(files.certificate, certificate)
    bridge.wait_for("tls_certificate_unusable")
    resource.prlimit(bridge.pid(), resource.RLIMIT_NOFILE, before)
    wait_for("the new certificate", lambda: certificate.startswith(shown()), 5, 0.1)
    assert len(bridge.events("tls_certificate_unusable")) == 1, "it is complained about once"


def test_a_credentials_file_that_is_being_written_lets_nobody_in_with_a_part_of_a_password(start_bridge, sns, folder):
    users = folder / "users"
    users.write_text("sns:a-long-password\n")
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))

    def status(credentials):
        return bridge.deliver(sns.notification(), extra=basic(credentials)).status

    with open(users, "w") as file:
        for number, part in enumerate(("sns:", "another")):
            file.write(part)
            file.flush()
            if not number:
                bridge.wait_for("credentials_unusable")
            time.sleep(0.6)  # more than two looks at the file
            assert (status("sns:"), status("sns:another"), status("sns:a-long-password")) == (401, 401, 200)
        file.write("-password\n")
    wait_for("the new password", lambda: status("sns:another-password") == 200, 5, 0.1)
    assert (status("sns:"), status("sns:another"), status("sns:a-long-password")) == (401, 401, 401)
    assert len(bridge.events("credentials_unusable")) == 1
    assert "password" not in str(bridge.log).replace("user:password", "")


def test_new_rules_of_routing_are_used_for_the_next_message(start_bridge, broker, queue, sns, folder):
    other = broker.declare(queue + "-other")
    routes = folder / "routes.toml"

    def rules(key):
        return f'[[route]]\ntopic = "{sns.topic}"\nrouting_key = "{key}"\n'.encode()

    try:
        rewrite(routes, rules(queue))
        bridge = start_bridge(BRIDGE_ROUTES=str(routes))
        assert bridge.deliver(sns.notification()).status == 200
        replace(routes, b"[[route]]\ntopic = \n")
        assert "BRIDGE_ROUTES" in bridge.wait_for("routes_unusable")["explanation"]
        assert bridge.deliver(sns.notification()).status == 200
        assert (broker.count(queue), broker.count(other)) == (2, 0)
        replace(routes, rules(other))
        bridge.wait_for("routes_read")
        assert bridge.deliver(sns.notification()).status == 200
        assert (broker.count(queue), broker.count(other)) == (2, 1)
    finally:
        broker.delete(other)
