"""The steps from a message to its publish: what is counted when the last one fails."""

import json

import pytest

from bridge.errors import BrokerUnavailable
from bridge.sns.message import parse
from tests.unit.stand_ins import Bridge, two_keys


class Broker:
    """The publisher's interface: `away` tells whether nothing can be published."""

    def __init__(self):
        self.away, self.attributes_left_out = True, 0

    def left_out(self, number):
        self.attributes_left_out += number

    def publish(self, publish):
        if self.away:
            raise BrokerUnavailable("the bridge is not connected to the broker")
        publish.request.done("published")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return two_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def bridge():
    bridge = Bridge()
    bridge.pipeline._publisher = bridge.broker = Broker()
    return bridge


def test_an_attribute_that_is_left_out_counts_once_however_often_sns_repeats_the_message(bridge, keys):
    members = json.loads(keys[0].message("hello"))
    body = json.dumps(members | {"MessageAttributes": {"odd": {"Type": "Binary", "Value": "not base64"}}}).encode()
    bridge.clock.now = float(parse(body).timestamp)
    bridge.deliver(body)
    bridge.host.answer(200, keys[0].certificate)
    assert bridge.deliver(body) == ["broker-unavailable"]
    assert bridge.broker.attributes_left_out == 0
    bridge.broker.away = False
    assert bridge.deliver(body) == ["published"]
    assert bridge.broker.attributes_left_out == 1


def test_header_fields_count_as_held_beside_the_body_until_the_message_is_over(bridge, keys):
    """An attribute is unsigned, so anybody who has a genuine message can add one of 1.9 MB, and it is held twice."""
    members = json.loads(keys[0].message("hello"))
    body = json.dumps(members | {"MessageAttributes": {"large": {"Type": "String", "Value": "x" * 1_900_000}}}).encode()
    bridge.clock.now = float(parse(body).timestamp)
    bridge.deliver(body)
    bridge.host.answer(200, keys[0].certificate)
    taken = []
    bridge.broker.publish = taken.append
    bridge.deliver(body)
    assert len(body) + 1_900_000 < bridge.requests.buffered < len(body) + 1_901_000
    taken[0].request.done("published")
    assert bridge.requests.buffered == 0


def test_headers_count_as_held_while_the_message_waits_for_its_certificate(bridge, keys):
    """Forged messages wait too, each with headers as long as a head can be."""
    body = keys[0].message("hello")
    bridge.clock.now = float(parse(body).timestamp)
    bridge.deliver(body, {f"x-{number}": "x" * 150 for number in range(90)})
    assert bridge.requests.waiting == 1 and bridge.requests.buffered > len(body) + 90 * 150
    bridge.host.answer(404, b"")
    assert not bridge.requests.buffered
