"""SIGTERM, SIGINT and SIGQUIT: stop accepting, answer what is in flight, close AMQP cleanly, exit 0; as PID 1 too."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from bridge.simulate.delivery import deliver_all
from bridge.simulate.post import Closed, Connection, request
from tests.conftest import settings_for
from tests.tools.bridge import ROOT, UNDER_TEST, command, environment
from tests.tools.ports import free_port, listening, wait_for


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=["SIGTERM", "SIGINT", "SIGQUIT"])
def test_an_idle_bridge_stops_at_once_with_exit_0(start_bridge, number):
    bridge = start_bridge()
    assert bridge.stop(number) < 3
    assert bridge.log[-1]["event"] == "stopped"


def test_amqp_is_closed_cleanly(start_bridge, broker, queue, sns):
    """No line about a client that went away unexpectedly in the broker's log."""
    bridge = start_bridge()
    assert bridge.deliver(sns.notification()).status == 200
    before = broker.log_text().count("client unexpectedly closed TCP connection")
    bridge.stop()
    time.sleep(0.3)
    assert broker.log_text().count("client unexpectedly closed TCP connection") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["SIGTERM", "SIGQUIT"])
def test_what_is_in_flight_gets_its_answer(start_bridge, mortal_broker, sns, number):
    """The confirm comes while the bridge drains: the delivery is answered 200."""
    mortal_broker.declare("draining")
    mortal_broker.purge("draining")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="draining")
    assert bridge.deliver(sns.notification()).status == 200
    with bridge.connect() as connection:
        mortal_broker.freeze()
        connection.send(request(sns.notification(), connection.host))
        time.sleep(0.3)
        bridge.send_signal(number)
        bridge.wait_for("draining")
        mortal_broker.thaw()
        answer = connection.receive()
        assert (answer.status, answer.headers["connection"].lower()) == (200, "close")
    bridge.stop()
    assert mortal_broker.count("draining") == 2


@pytest.mark.skipif(UNDER_TEST == "image", reason="the processes of a container are seen by other numbers")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_that_means_nothing_to_it_costs_no_delivery(start_bridge, mortal_broker, sns, processes):
    """SIGHUP when a terminal closes, SIGUSR1 for logs, timers: to each process, while a delivery waits for its confirm."""
    mortal_broker.declare("draining")
    mortal_broker.purge("draining")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="draining", BRIDGE_PROCESSES=str(processes))
    bridge.wait_for("broker_connected", more_than=processes - 1)
    parent = bridge.pid()
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        everybody = [parent, *map(int, file.read().split())]
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR)
    with bridge.connect() as connection:
        assert connection.deliver(sns.notification()).status == 200
        mortal_broker.freeze()
        connection.send(request(sns.notification(), connection.host))
        time.sleep(0.3)
        for number in (*numbers, signal.SIGPIPE, signal.SIGRTMIN + 3):
            for pid in everybody:
                os.kill(pid, number)
        for number in numbers:
            bridge.wait_for("signal_ignored", signal=number, more_than=len(everybody) - 1)
        mortal_broker.thaw()
        assert connection.receive().status == 200
    assert not bridge.events("process_died") and not bridge.events("draining")
    bridge.stop()


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman talks to systemd itself")
@pytest.mark.parametrize("processes", [1, 2])
def test_systemd_hears_that_it_is_ready_and_alive_and_stopping(start_bridge, folder, processes):
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.settimeout(10)

        def hear(state):
            while not heard or heard[-1] != state:
                heard.append(systemd.recv(100).decode())

        bridge = start_bridge(NOTIFY_SOCKET=str(folder / "notify"), WATCHDOG_USEC="600000", BRIDGE_PROCESSES=str(processes))
        hear("READY=1")
        for _ in range(3):
            heard.clear()
            hear("WATCHDOG=1")
        bridge.send_signal(signal.SIGSTOP)  # what hangs says nothing
        systemd.settimeout(1.5)
        with pytest.raises(TimeoutError):
            while True:
                systemd.recv(100)
        bridge.send_signal(signal.SIGCONT)
        bridge.send_signal(signal.SIGTERM)
        systemd.settimeout(10)
        hear("STOPPING=1")


def test_a_drain_ends_at_the_deadline(start_bridge, mortal_broker, sns):
    mortal_broker.declare("draining")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="draining", BRIDGE_DEADLINE="2s")
    assert bridge.deliver(sns.notification()).status == 200
    with bridge.connect() as connection:
        mortal_broker.freeze()
        connection.send(request(sns.notification(), connection.host))
        time.sleep(0.2)
        assert bridge.stop() < 4.5
        assert connection.receive().status == 503
    mortal_broker.thaw()


@pytest.mark.rule("draining")
def test_new_connections_are_refused_while_draining(start_bridge, mortal_broker, sns):
    mortal_broker.declare("draining")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="draining", BRIDGE_DEADLINE="3s")
    assert bridge.deliver(sns.notification()).status == 200
    with bridge.connect() as busy:
        mortal_broker.freeze()
        busy.send(request(sns.notification(), busy.host))
        time.sleep(0.2)
        bridge.send_signal(signal.SIGTERM)
        bridge.wait_for("draining")
        assert not listening(bridge.port)
        mortal_broker.thaw()
        assert busy.receive().status == 200


def test_stopped_under_load_nothing_is_lost(start_bridge, broker, queue, sns):
    """Every message that was answered 200 is in the queue; the others got 503 or no answer, so SNS keeps them."""
    bridge = start_bridge()
    posts = list(sns.notifications(3000))
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.extend(deliver_all(posts, bridge.endpoint(), connections=32)))
    thread.start()
    wait_for("the load", lambda: broker.count(queue) > 300)
    bridge.stop()
    thread.join()
    answered = {outcome.post.message_id for outcome in outcomes if outcome.status == 200}
    unknown = {outcome.post.message_id for outcome in outcomes if outcome.status == 0}
    assert 300 < len(answered) < 3000
    assert {outcome.status for outcome in outcomes} <= {0, 200, 503}
    in_queue = set(broker.ids(queue))
    assert answered <= in_queue <= answered | unknown


def test_idle_connections_end_at_once(start_bridge, sns):
    bridge = start_bridge()
    with bridge.connect() as idle:
        assert idle.deliver(sns.notification()).status == 200
        bridge.send_signal(signal.SIGTERM)
        with pytest.raises(Closed):
            idle.receive()


def test_asked_twice_it_stops_at_once_and_still_exits_0(start_bridge, mortal_broker, sns):
    mortal_broker.declare("draining")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="draining")
    assert bridge.deliver(sns.notification()).status == 200
    with bridge.connect() as connection:
        mortal_broker.freeze()
        connection.send(request(sns.notification(), connection.host))
        time.sleep(0.2)
        bridge.send_signal(signal.SIGTERM)
        bridge.wait_for("draining")
        for _ in range(200):  # at whatever moment they come, up to the very end of the process
            if not bridge.running():
                break
            bridge.send_signal(signal.SIGTERM)
            time.sleep(0.002)
        assert bridge.stop() < 2


def test_started_again_on_the_same_port_at_once(start_bridge, sns):
    bridge = start_bridge()
    with bridge.connect() as connection:
        assert connection.deliver(sns.notification()).status == 200
        bridge.stop()
    bridge.start()
    bridge.wait_for("broker_connected")
    assert bridge.deliver(sns.notification()).status == 200


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or UNDER_TEST == "image",
    reason="a PID namespace needs root; a container is one by itself",
)
def test_as_pid_1_it_stops_on_sigterm(sns, broker, queue):
    """PID 1 has no default action for a signal, so a program that does not catch it is never stopped."""
    port = free_port()
    settings = settings_for(sns, broker.url, queue) | {"BRIDGE_LISTEN": f"127.0.0.1:{port}"}
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *command(settings)], env=environment(settings), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        wait_for("the bridge", lambda: listening(port))
        with Connection("127.0.0.1", port) as connection:
            assert connection.deliver(sns.notification()).status in (200, 503)
        (child,) = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
