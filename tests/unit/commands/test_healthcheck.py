"""`bridge healthcheck` against a bridge that runs here, in each form in which it can listen."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from bridge.commands.healthcheck import healthcheck
from bridge.config import load
from bridge.simulate.certificates import Authority
from tests.tools.ports import free_port, wait_for
from tests.unit.test_cli import PATIENCE, serving


def check(**settings):
    return healthcheck(load({"ADMIN_LISTEN": "off", **settings}, need_topics=False))


@contextlib.contextmanager
def bridge(port, **settings):
    settings = {"ADMIN_LISTEN": "off", **settings}
    own = {f"BRIDGE_{name}": value for name, value in settings.items()}
    with tempfile.TemporaryFile() as log, serving(port, own, stdout=log) as process:
        try:  # it takes connections a moment before it takes SIGTERM; the line comes after both
            wait_for("the line of the log", lambda: b'"event": "listening"' in os.pread(log.fileno(), 65536, 0), PATIENCE)
            yield
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    return authority.issue(tmp_path_factory.mktemp("server"), "localhost")


def test_every_address_and_plain_http(capsys):
    port = free_port()
    with bridge(port, LISTEN=f":{port}"):
        for host in ("", "127.0.0.1", "0.0.0.0", "localhost"):
            assert check(LISTEN=f"{host}:{port}") == 0
    assert capsys.readouterr().out == "healthy\n" * 4


def test_https_with_a_certificate_of_any_name(files, capsys):
    port = free_port()
    tls = {"TLS_CERT": str(files.certificate), "TLS_KEY": str(files.key)}
    with bridge(port, **tls):
        assert check(LISTEN=f"127.0.0.1:{port}", **tls) == 0
    assert capsys.readouterr().out == "healthy\n"


def test_a_bridge_that_wants_client_certificates_of_another_authority_is_healthy(files, tmp_path, capsys):
    port = free_port()
    clients = Authority(tmp_path, "clients")
    tls = {"TLS_CERT": str(files.certificate), "TLS_KEY": str(files.key), "TLS_CLIENT_CA_FILE": str(clients.ca_file)}
    with bridge(port, **tls):
        assert check(LISTEN=f"127.0.0.1:{port}", **tls) == 0
    assert capsys.readouterr().out.startswith("healthy: the listener requires a client certificate")


def answering(server, answer, clients):
    """A thread that gives this answer to a number of clients, whatever they ask."""

    def serve():
        for _ in range(clients):
            with server.accept()[0] as client:
                client.recv(4096)
                client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_whoever_else_listens_there_is_not_healthy(answer, files, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = answering(server, answer, clients=2)
        assert check(LISTEN=f"127.0.0.1:{port}") == 1
        assert check(LISTEN=f"127.0.0.1:{port}", TLS_CERT=str(files.certificate), TLS_CLIENT_CA_FILE=str(files.certificate)) == 1
        thread.join(PATIENCE)
    assert capsys.readouterr().out.startswith(f"unhealthy: 127.0.0.1:{port} (BRIDGE_LISTEN) answers ")


# ---- with an admin listener


def test_a_bridge_without_its_broker_is_not_ready(capsys):
    port, admin = free_port(), f"127.0.0.1:{free_port()}"
    with bridge(port, ADMIN_LISTEN=admin, AMQP_URL="amqp://127.0.0.1:9"):
        assert check(LISTEN=f":{port}", ADMIN_LISTEN=admin) == 1
    assert capsys.readouterr().out == "not ready: 0 of 1 ready: broker-unavailable\n"


def test_an_admin_listener_that_is_set_must_answer(capsys):
    port, admin = free_port(), f"127.0.0.1:{free_port()}"
    with bridge(port):
        assert check(LISTEN=f":{port}", ADMIN_LISTEN=admin) == 1
    assert capsys.readouterr().out == f"unhealthy: no answer from {admin} (BRIDGE_ADMIN_LISTEN): Connection refused\n"


def test_the_admin_listener_of_another_bridge_is_not_believed(capsys):
    """Of two bridges on a machine the second serves without the default listener, and a check of it reaches the first."""
    first, second, admin = free_port(), free_port(), f"127.0.0.1:{free_port()}"
    with bridge(first, ADMIN_LISTEN=admin), bridge(second):
        config = load({"LISTEN": f":{second}", "ADMIN_LISTEN": admin}, need_topics=False)
        assert healthcheck(config) == 1
        config.admin_given = False
        assert healthcheck(config) == 0
    assert capsys.readouterr().out == "not ready: not-found\nhealthy\n"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 500 Oh\r\n\r\n"])
def test_whoever_else_listens_at_the_admin_address_is_not_a_ready_bridge(answer, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = answering(server, answer, clients=1)
        assert check(ADMIN_LISTEN=f"127.0.0.1:{server.getsockname()[1]}") == 1
        thread.join(PATIENCE)
    assert capsys.readouterr().out.startswith("not ready: ")


def test_it_works_as_a_command():
    port = free_port()
    with bridge(port):
        words = [sys.executable, "-m", "bridge", "healthcheck", "--admin-listen=off", "--listen", f":{port}"]
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"healthy\n", b"")
