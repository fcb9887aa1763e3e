"""A machine that is short of something, or that stops one of several processes, does not prevent the answer of a genuine message."""

import contextlib
import fcntl
import os
import signal
import ssl
import threading
import time

import pytest
from cryptography import x509

from bridge.simulate.certificates import Authority
from bridge.simulate.post import request
from tests.conftest import settings_for
from tests.fault.neighbours.crowd import Attack
from tests.fault.neighbours.genuine import Genuine
from tests.fault.neighbours.siege import family
from tests.fault.test_resources import limit_descriptors
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.ports import free_port, wait_for

pytestmark = pytest.mark.skipif(UNDER_TEST == "image", reason="the container's limits and its log are podman's")


def admin():
    return {"BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}


@pytest.mark.shown
@pytest.mark.parametrize("addresses", [0, 1], ids=["", "another address"])
@pytest.mark.parametrize("strangers", [600, 1200])
@pytest.mark.parametrize("stream", ["nothing", "one_byte", "expect_no_body"])
def test_few_descriptors(stream, strangers, addresses, neighbours, sns, broker, queue):
    """ulimit -n 256, and more strangers than that: SNS always finds room."""
    with Wrapped(prefix=("prlimit", "--nofile=256:256"), **settings_for(sns, broker.url, queue), **admin()) as bridge:
        name = f"256 descriptors, {strangers:,} clients ({stream.replace('_', ' ')})"
        attack = Attack(stream, strangers, 6, back=False, addresses=addresses)
        neighbours.play(name + (", from another address" if addresses else ""), attack, bridge=bridge)


@pytest.mark.shown
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("processes", ["1", "2", "4"])
def test_the_reader_of_the_log_stands_still(processes, times, neighbours, sns, broker, queue):
    """Several processes share the pipe: what poll() tells all of them is free, the first takes."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reader, False)
    with Wrapped(log=writer, **settings_for(sns, broker.url, queue), **admin(), BRIDGE_PROCESSES=processes) as bridge:
        wait_for("its processes", lambda: len(family(bridge.pid())) == (int(processes) + 1 if processes != "1" else 1))
        time.sleep(1)
        attack = Attack("long_topic", 8 * times, 6)
        about = f"{processes} processes, long lines by {attack.connections} clients"
        neighbours.play(f"log: now and then read, {about}", attack, bridge=bridge, beside=now_and_then(reader))
        neighbours.play(f"log: its reader stands still, {about}", attack, bridge=bridge)
        with now_and_then(reader):
            bridge.stop()
    os.close(reader)
    os.close(writer)


@contextlib.contextmanager
def now_and_then(reader):
    """Empty the pipe every 0.12 s."""
    stop = threading.Event()

    def read():
        while not stop.wait(0.12):
            with contextlib.suppress(BlockingIOError):
                while os.read(reader, 1 << 20):
                    pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.shown
@pytest.mark.parametrize("hung", [1, 2])
def test_workers_that_are_stopped(hung, neighbours):
    """SIGSTOP: a worker takes its share of the connections and answers none. It is replaced, and then all are answered."""
    processes = 2 * hung
    bridge = neighbours.bridge(BRIDGE_PROCESSES=str(processes))
    wait_for("its workers", lambda: len(family(bridge.pid())) == processes + 1)
    time.sleep(1)
    stopped = family(bridge.pid())[1 : hung + 1]
    for worker in stopped:
        os.kill(worker, signal.SIGSTOP)
    begun = time.monotonic()
    wait_for("their end", lambda: not set(stopped) & set(family(bridge.pid())), 45, 0.2)
    after = time.monotonic() - begun
    wait_for("its workers", lambda: len(family(bridge.pid())) == processes + 1)
    time.sleep(2)
    neighbours.say(f"replaced after {after:.0f} s")
    neighbours.play(f"{hung} of {processes} workers under SIGSTOP, once replaced", None, bridge=bridge, seconds=4)
    assert after < 40


# ---- files that can't be read for a moment


def serial(port):
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port), timeout=5).encode()).serial_number


def written(path):
    return x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number


def unreadable(live, fresh, _bridge):
    """Root writes it for itself alone, and gives it away a moment later, which changes neither mtime nor inode."""
    for path, content in zip(live, fresh, strict=True):
        new = path.with_suffix(".new")
        new.touch(0o600)
        new.write_bytes(content.read_bytes())
        os.replace(new, path)
    time.sleep(0.8)
    for path in live:
        path.chmod(0o644)


def half_written(live, fresh, _bridge):
    """A third of it, and the rest with the same mtime."""
    at = 1_900_000_000_000_000_000
    live[1].write_bytes(fresh[1].read_bytes())
    whole = fresh[0].read_bytes()
    live[0].write_bytes(whole[: len(whole) // 3])
    os.utime(live[0], ns=(at, at))
    time.sleep(0.8)
    live[0].write_bytes(whole)
    os.utime(live[0], ns=(at, at))


def no_descriptors(live, fresh, bridge):
    """It changes while the bridge can open nothing."""
    limit_descriptors(bridge, 3)
    for path, content in zip(live, fresh, strict=True):
        path.write_bytes(content.read_bytes())
    time.sleep(0.8)
    limit_descriptors(bridge, 4096)


@pytest.mark.shown
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("how", [unreadable, half_written, no_descriptors])
def test_a_certificate_that_can_not_be_read_once(how, times, neighbours, sns, broker, queue, folder):
    """It is read again until that works, whatever was wrong with it. While it can't be, the one before is used."""
    authority = Authority(folder / "tls", "listener")
    pairs = [authority.issue(folder / f"pair-{number}", "localhost", "127.0.0.1") for number in range(times + 1)]
    live = folder / "c.pem", folder / "k.pem"
    for path, content in zip(live, pairs[0], strict=True):
        path.write_bytes(content.read_bytes())
        path.chmod(0o644)
    folder.chmod(0o777)
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if how is unreadable else ()
    settings = settings_for(sns, broker.url, queue) | admin() | {"BRIDGE_TLS_CERT": str(live[0]), "BRIDGE_TLS_KEY": str(live[1])}
    bridge = Wrapped(prefix=prefix, **settings)
    bridge.start(wait=False)
    bridge.wait_for("broker_connected")

    def rotate():
        for fresh in pairs[1:]:
            time.sleep(1)
            how(live, fresh, bridge)
            wait_for("the new certificate", lambda: serial(bridge.port) == written(live[0]), 10, 0.2)

    endpoint = bridge.endpoint(ca_file=authority.ca_file)
    try:
        if how is no_descriptors:  # new connections can't be had then
            with Genuine(sns, endpoint, rate=20) as genuine:
                rotate()
            assert not genuine.verdict(broker.take(queue)).faults
        else:
            name = f"a TLS file {how.__name__.replace('_', ' ')} for 0.8 s" + (", twice" if times == 2 else "")
            neighbours.play(name, None, bridge=bridge, endpoint=endpoint, beside=meanwhile(rotate), seconds=0)
        bridge.stop()
    finally:
        bridge.kill()


@contextlib.contextmanager
def meanwhile(step):
    """Do it while genuine messages come."""
    step()
    yield


# ---- /healthy


@pytest.mark.parametrize("most", [10, 20])
def test_healthy_while_full_and_while_stopping(most, neighbours, sns, mortal_broker):
    """It answers 200 as long as the process answers, also at BRIDGE_MAX_IN_FLIGHT and while draining."""
    mortal_broker.declare("healthy")
    bridge = neighbours.bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="healthy", BRIDGE_MAX_IN_FLIGHT=str(most))
    mortal_broker.freeze()
    with contextlib.ExitStack() as stack:
        for _ in range(most):
            connection = stack.enter_context(bridge.connect())
            connection.send(request(sns.notification(), "a"))
        wait_for("full", lambda: bridge.deliver(sns.notification()).body == b"overloaded\n")
        for target in ("/healthy", "/healthy?probe=1"):
            with bridge.connect() as probe:
                assert probe.get(target).status == 200
        half = stack.enter_context(bridge.connect())
        half.send(b"GET /healthy HTTP/1.1\r\nHost: a\r\n")
        time.sleep(0.2)
        bridge.send_signal(signal.SIGTERM)
        bridge.wait_for("draining")
        half.send(b"\r\n")
        assert half.receive().status == 200
        mortal_broker.thaw()
        bridge.stop()
