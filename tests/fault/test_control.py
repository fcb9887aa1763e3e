"""The check can fail: a bridge that does not wait for confirms loses messages, and the check finds them."""

import sys

import pytest

from tests.conftest import settings_for
from tests.fault.load import Load
from tests.fault.wrapped import Wrapped
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for

pytestmark = pytest.mark.quick
CONTROL = (sys.executable, "-m", "tests.fault.control")


@pytest.fixture
def control(broker, queue, sns):
    with FaultProxy(broker.port) as proxy:
        settings = settings_for(sns, f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2F", queue)
        with Wrapped(words=CONTROL, **settings) as bridge:
            bridge.wait_for("broker_connected")
            yield bridge, proxy


def test_without_confirms_a_broken_connection_loses_messages(control, broker, queue, sns):
    bridge, proxy = control
    with Load(sns, bridge.endpoint(), least=300) as load:
        load.wait_for_sent(100)
        proxy.black_hole()
        load.wait_for_sent(100)
        proxy.refuse()
        proxy.heal()
    verdict = load.verdict(broker.take(queue))
    assert len(verdict.lost) >= 50
    assert "answered 200 and not in the queue" in str(verdict)


def test_without_confirms_an_unroutable_message_is_lost(control, broker, queue, sns):
    bridge, _proxy = control
    with Load(sns, bridge.endpoint(), least=200) as load:
        load.wait_for_sent(50)
        broker.delete(queue)
        load.wait_for_sent(50)
        broker.declare(queue)
    assert len(load.verdict(broker.take(queue)).lost) >= 50


def test_without_a_fault_the_control_passes_too(control, broker, queue, sns):
    """Without a fault the check passes, so the losses above come from the fault."""
    bridge, _proxy = control
    with Load(sns, bridge.endpoint(), least=200) as load:
        load.wait_for_sent(100)
    wait_for("what was answered before it was in the queue", lambda: broker.count(queue) >= 200, 30)
    assert not load.verdict(broker.take(queue)).faults
