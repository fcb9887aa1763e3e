"""sd_notify(3): datagrams to a socket that the environment names, and silence where it names none."""

import os
import socket

import pytest

from bridge.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def heard(request, tmp_path):
    """(environment, a function that returns the datagrams since its last call)."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@bridge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0", 1))
        systemd.setblocking(False)

        def said():
            words = []
            try:
                while True:
                    words.append(systemd.recv(100))
            except BlockingIOError:
                return words

        yield {"NOTIFY_SOCKET": address}, said


def test_each_state_is_one_datagram(heard):
    environment, said = heard
    systemd = Systemd(environment)
    systemd.ready()
    systemd.alive()
    systemd.stopping()
    assert said() == [b"READY=1", b"STOPPING=1"], "there is no watchdog"


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({"WATCHDOG_USEC": "30000000"}, True),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, False),
        ({"WATCHDOG_USEC": ""}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({"WATCHDOG_USEC": "-1"}, False),
        ({"WATCHDOG_USEC": "\u00b2"}, False),
    ],
)
def test_the_watchdog_hears_a_sign_of_life_three_times_in_its_time(heard, monkeypatch, more, sent):
    environment, said = heard
    systemd = Systemd(environment | more)
    now = 1000.0
    monkeypatch.setattr("bridge.systemd.monotonic", lambda: now)
    for second in range(60):
        now = 1000.0 + second
        systemd.alive()
    assert said() == ([b"WATCHDOG=1"] * 6 if sent else [])


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "vsock:2:1234"])
def test_where_nobody_listens_nothing_happens(address):
    systemd = Systemd({"WATCHDOG_USEC": "30000000"} | ({} if address is None else {"NOTIFY_SOCKET": address}))
    systemd.ready()
    systemd.alive()
    systemd.stopping()


def test_a_systemd_that_does_not_read_holds_nothing_up(heard):
    environment, said = heard
    systemd = Systemd(environment)
    for _ in range(10_000):
        systemd.ready()
    assert 0 < len(said()) < 10_000
