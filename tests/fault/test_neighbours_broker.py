"""A fault of one topic's exchange, or of the broker, does not affect messages of other topics."""

import contextlib
import os
import subprocess
import threading
import time

import pytest

from bridge.bodies.formats import FORMATS
from tests.conftest import settings_for
from tests.fault.neighbours.genuine import Genuine
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.broker import Broker
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for

NOBODY = 65531


def bad_topic(sns):
    return sns.topic.replace("orders", "bad")


def routes(folder, *rules):
    path = folder / "routes.toml"
    path.write_text("\n".join(f'[[route]]\ntopic = "{topic}"\nexchange = "{exchange}"\nrouting_key = "x"\n' for topic, exchange in rules))
    return str(path)


@pytest.mark.shown
@pytest.mark.parametrize("rate", [1, 5, pytest.param(20, marks=pytest.mark.quick), 200, 400])
def test_an_exchange_that_is_missing(rate, neighbours, sns, folder):
    bad = bad_topic(sns)
    bridge = neighbours.bridge(BRIDGE_TOPICS=f"{sns.topic},{bad}", BRIDGE_ROUTES=routes(folder, (bad, "missing")))
    beside = Genuine(sns, bridge.endpoint(), rate=rate, large=0, topic=bad)
    neighbours.play(f"a route to a missing exchange, {rate} messages a second", None, bridge=bridge, beside=beside)
    assert {delivery.status for delivery in beside.deliveries} == {503}


@pytest.mark.shown
@pytest.mark.parametrize("rate", [5, 200])
def test_an_exchange_that_may_not_be_written(rate, neighbours, sns, folder, broker, queue):
    bad = bad_topic(sns)
    with broker.channel() as channel:
        channel.exchange_declare("forbidden", "direct")
    broker.add_user("narrow", "narrow", write="^$|amq.default")
    bridge = neighbours.bridge(
        BRIDGE_AMQP_URL=broker.url.replace("guest:guest", "narrow:narrow"),
        BRIDGE_TOPICS=f"{sns.topic},{bad}",
        BRIDGE_ROUTES=routes(folder, (bad, "forbidden")),
    )
    beside = Genuine(sns, bridge.endpoint(), rate=rate, large=0, topic=bad)
    neighbours.play(f"a route to a forbidden exchange, {rate} messages a second", None, bridge=bridge, beside=beside)
    assert {delivery.status for delivery in beside.deliveries} == {503}
    broker.ctl("delete_user", "narrow")


@pytest.mark.shown
def test_fifty_missing_exchanges(neighbours, sns, folder):
    """Each topic has an exchange of its own, by a template, and none of them exists."""
    bad = [sns.topic.replace("orders", f"bad-{number}") for number in range(50)]
    rules = routes(folder, *((topic, "{topic}") for topic in bad))
    bridge = neighbours.bridge(BRIDGE_TOPICS=",".join([sns.topic, *bad]), BRIDGE_ROUTES=rules)
    stop = threading.Event()
    answers = set()

    def badly():
        number = 0
        with bridge.connect() as connection:
            while not stop.is_set():
                number += 1
                answers.add(connection.deliver(sns.notification(topic=bad[number % 50])).status)
                stop.wait(0.02)

    @contextlib.contextmanager
    def beside():
        thread = threading.Thread(target=badly, daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join()

    neighbours.play("routes to 50 missing exchanges, 50 messages a second", None, bridge=bridge, beside=beside())
    assert answers == {503}


# ---- no thread


@pytest.mark.skipif(UNDER_TEST == "image" or os.geteuid() != 0, reason="a limit for another user's processes is set by root")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_no_thread_at_a_reconnect(host, broker, queue, sns, neighbours):
    """The broker's name is resolved in a thread, and none can be started for a while: the bridge goes on, and comes back."""
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    settings = settings_for(sns, broker.url, queue)
    with FaultProxy(broker.port) as relay:
        settings["BRIDGE_AMQP_URL"] = f"amqp://guest:guest@{host}:{relay.port}/%2F"
        with Wrapped(prefix=prefix, **settings) as bridge:
            bridge.wait_for("broker_connected")
            assert bridge.deliver(sns.notification()).status == 200
            limit_processes(bridge.pid(), 1)
            relay.cut_all()
            bridge.wait_for("broker_lost")
            for _ in range(30):
                assert bridge.deliver(sns.notification()).status in (200, 503)
                time.sleep(0.1)
            limit_processes(bridge.pid(), 500)
            wait_for("a 200", lambda: bridge.deliver(sns.notification()).status == 200, 15, 0.2)


def limit_processes(pid, most):
    words = [*("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")]
    subprocess.run([*words, "prlimit", f"--pid={pid}", f"--nproc={most}:"], check=True)


# ---- small frames


def test_small_frames(sns, neighbours, queue, folder, start_bridge):
    """A broker whose frame_max is 8192: headers that do not fit in a frame are left out, and every message gets its 200."""
    with Broker(settings="frame_max = 8192") as small:
        for body, form in FORMATS.items():
            small.declare(body)
            bridge = start_bridge(BRIDGE_AMQP_URL=small.url, BRIDGE_ROUTING_KEY=body, BRIDGE_BODY=body)
            sizes = (7000, 9000, 90_000, 130_000) if form.has_attributes else (7000,)
            for size in sizes:
                post = sns.notification("x", attributes={"a": ("String", "v" * size)})
                assert bridge.deliver(post).status == 200, (body, size, bridge.log[-1])
            subject = sns.notification("x", subject="\U0001f600" * 1024)
            assert bridge.deliver(subject).status == 200, (body, bridge.log[-1])
            assert len(small.take(body)) == len(sizes) + 1
