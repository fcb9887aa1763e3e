"""Clients that hold on, drip, or stop half-way: genuine deliveries are still answered, 99 of 100 within a second."""

import contextlib
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Iterator

import pytest

from bridge.simulate.certificates import Authority
from bridge.simulate.post import SNS_TIMEOUT
from tests.fault.load import Load
from tests.tools.bridge import Bridge

CROWD = 1000
SOON = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # a second, on a machine that is not shared with more work than it has cores
SLOW = {
    "slow headers": ["-H", "-i", "2", "-x", "24"],
    "slow body": ["-B", "-i", "2", "-s", "65536", "-x", "10"],
    "range headers": ["-R", "-a", "10", "-b", "3000"],
    "slow read": ["-X", "-w", "1", "-y", "10", "-n", "2", "-z", "5", "-k", "3"],
}


def judge(load: Load) -> None:
    """Every answer came soon, and few of SNS's connections were cut."""
    answered = sorted(attempt.seconds for attempt in load.attempts() if attempt.status)
    assert statistics.quantiles(answered, n=100)[98] < SOON
    assert load.statuses() <= {0, 200, 403}
    unanswered = sum(not attempt.status for attempt in load.attempts())
    assert unanswered <= len(answered) / 100, f"{unanswered} without an answer"


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is missing: apt-get install slowhttptest")
@pytest.mark.parametrize("mode", SLOW)
def test_slowhttptest(mode, broker, queue, start_bridge, sns, record):
    bridge = start_bridge()
    words = ["slowhttptest", *SLOW[mode], "-c", str(CROWD), "-r", "200", "-l", "15", "-p", "3", "-u", f"http://127.0.0.1:{bridge.port}/"]
    with Load(sns, bridge.endpoint(), timeout=SNS_TIMEOUT) as load:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        load.over()
    record(f"slowhttptest: {mode}, {CROWD:,} connections", load, broker.take(queue))
    assert "initializing" in done.stdout + done.stderr, done.stdout[-500:]
    judge(load)


# ---- TLS


@pytest.fixture
def tls_bridge(start_bridge, folder) -> tuple[Bridge, Authority]:
    authority = Authority(folder / "tls", "listener")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1")
    return start_bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key)), authority


def idle(bridge: Bridge, context: ssl.SSLContext, stack: contextlib.ExitStack) -> None:
    """A handshake, and then nothing."""
    sock = stack.enter_context(socket.create_connection((bridge.host, bridge.port), timeout=15))
    stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))


def silent(bridge: Bridge, _context: ssl.SSLContext, stack: contextlib.ExitStack) -> None:
    """Not even a handshake."""
    stack.enter_context(socket.create_connection((bridge.host, bridge.port), timeout=15))


def half_hello(bridge: Bridge, context: ssl.SSLContext, stack: contextlib.ExitStack) -> None:
    """Half of a ClientHello."""
    sock = stack.enter_context(socket.create_connection((bridge.host, bridge.port), timeout=15))
    sock.sendall(first_flight(context)[:100])


def half_handshake(bridge: Bridge, context: ssl.SSLContext, stack: contextlib.ExitStack) -> None:
    """A ClientHello, and no answer to what comes back."""
    sock = stack.enter_context(socket.create_connection((bridge.host, bridge.port), timeout=15))
    sock.sendall(first_flight(context))


def garbage(bridge: Bridge, _context: ssl.SSLContext, stack: contextlib.ExitStack) -> None:
    """Plain HTTP on the TLS port."""
    sock = stack.enter_context(socket.create_connection((bridge.host, bridge.port), timeout=15))
    sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")


def first_flight(context: ssl.SSLContext) -> bytes:
    """A client's first bytes."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(received, sent, server_hostname="localhost").do_handshake()
    return sent.read()


CLIENTS = {
    "idle after the handshake": idle,
    "silent": silent,
    "half a ClientHello": half_hello,
    "half a handshake": half_handshake,
    "no TLS at all": garbage,
}


@contextlib.contextmanager
def crowd(kind: str, bridge: Bridge, authority: Authority, count: int) -> Iterator[None]:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            with contextlib.suppress(ConnectionError):
                CLIENTS[kind](bridge, context, stack)
        yield


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.quick) if kind == "half a ClientHello" else kind for kind in CLIENTS]
)
def test_tls_clients_that_stop(kind, tls_bridge, broker, queue, sns, record):
    bridge, authority = tls_bridge
    threads = bridge.threads()
    with Load(sns, bridge.endpoint(ca_file=authority.ca_file)) as load:
        load.wait_for_sent(100)
        with crowd(kind, bridge, authority, CROWD):
            load.wait_for_sent(500)
            assert bridge.threads() <= threads + 1
        load.over()
    record(f"TLS: 1,000 clients, {kind}", load, broker.take(queue))
    judge(load)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is missing: apt-get install openssl")
def test_renegotiation(tls_bridge, broker, queue, sns, record):
    """A client that asks for renegotiation gets none, and costs nobody else anything."""
    bridge, authority = tls_bridge
    words = ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{bridge.port}", "-CAfile", str(authority.ca_file)]
    with Load(sns, bridge.endpoint(ca_file=authority.ca_file)) as load:
        for _ in range(20):
            with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
                assert client.stdin is not None
                time.sleep(0.3)
                client.stdin.write("R\n")
                client.stdin.flush()
                time.sleep(0.3)
                client.stdin.close()
                assert client.stdout is not None
                said = client.stdout.read()
            assert "RENEGOTIATING" in said
            assert "no renegotiation" in said, said[-500:]
        load.over()
    record("TLS: renegotiation asked for twenty times", load, broker.take(queue))
    judge(load)
