"""A broker that is away for two minutes, and SNS with the delivery policy that `bridge policy` recommends: every message arrives."""

import time

from tests.fault.load import Load
from tests.tools.bridge import recommended

OUTAGE = 120


def test_two_minutes_without_a_broker(mortal_broker, start_bridge, sns, record):
    mortal_broker.declare("outage")
    mortal_broker.purge("outage")
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ROUTING_KEY="outage")
    with Load(sns, bridge.endpoint(), rate=15, policy=recommended()) as load:
        load.wait_for_sent(100)
        mortal_broker.kill()
        time.sleep(OUTAGE)
        mortal_broker.start()
        load.over()
    record(f"broker away for {OUTAGE} s, SNS retries by `bridge policy`", load, mortal_broker.take("outage"))
    tries = max(len(outcome.attempts) for outcome in load.outcomes)
    assert tries > 10, "nobody had to wait"
    assert load.statuses() <= {200, 403, 503}
