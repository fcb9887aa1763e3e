"""When SNS renews its key under the same URL, the certificate is fetched once more before a signature that does not match is refused."""

import pytest

from bridge.sns import certificates as module
from bridge.sns.message import parse
from tests.unit.stand_ins import URL, Bridge, two_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return two_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def bridge(keys):
    """A pipeline that fetched the old key's certificate some time ago."""
    bridge = Bridge()
    old = keys[0].message("first")
    bridge.clock.now = float(parse(old).timestamp)
    answers = bridge.deliver(old)
    assert not answers
    bridge.host.answer(200, keys[0].certificate)
    assert answers == ["published"]
    bridge.broker.published.clear()
    bridge.clock.now += module.FRESH_FOR + 1
    return bridge


def test_a_renewed_key_costs_one_fetch_and_no_message(bridge, keys):
    answers = [bridge.deliver(keys[1].message(f"new {number}")) for number in range(10)]
    assert [url for url, _ in bridge.host.asked] == [URL] and not any(answers)
    bridge.host.answer(200, keys[1].certificate)
    assert answers == [["published"]] * 10
    for number in range(3):
        assert bridge.deliver(keys[1].message(f"later {number}")) == ["published"]
    assert not bridge.host.asked and len(bridge.broker.published) == 13


def test_a_forgery_is_403_once_the_certificate_is_fresh(bridge, keys):
    answers = bridge.deliver(keys[1].message("forged"))
    assert not answers
    bridge.host.answer(200, keys[0].certificate)
    assert answers == ["bad-signature"]
    assert [bridge.deliver(keys[1].message("forged")) for _ in range(100)] == [["bad-signature"]] * 100
    assert not bridge.host.asked and not bridge.broker.published


def test_a_flood_of_forgeries_is_one_fetch_and_delays_nothing_genuine(bridge, keys):
    forged, genuine = keys[1].message("forged"), keys[0].message("genuine")
    flood = []
    for _ in range(20):
        flood += [bridge.deliver(forged) for _ in range(50)]
        assert bridge.deliver(genuine) == ["published"]
    assert len(bridge.host.asked) == 1
    assert flood.count(["overloaded"]) == 1000 - module.MAX_WAITING_FOR_ONE and flood.count([]) == module.MAX_WAITING_FOR_ONE
    bridge.host.answer(200, keys[0].certificate)
    assert flood.count(["bad-signature"]) == module.MAX_WAITING_FOR_ONE and not bridge.host.asked
    assert bridge.deliver(genuine) == ["published"]
    assert set(bridge.broker.published) == {"genuine"} and not len(bridge.requests)


def test_when_the_fetch_fails_nobody_can_tell_so_sns_keeps_the_message(bridge, keys):
    answers = bridge.deliver(keys[1].message("new"))
    bridge.host.answer(500, b"")
    assert answers == ["certificate-unavailable"]
    assert bridge.deliver(keys[1].message("new")) == ["certificate-unavailable"] and not bridge.host.asked
    assert bridge.deliver(keys[0].message("old")) == ["published"], "the one that is kept still serves"
    bridge.clock.now += module.FAILED_FOR + 1
    answers = bridge.deliver(keys[1].message("new"))
    bridge.host.answer(200, keys[1].certificate)
    assert answers == ["published"]


def test_one_whose_time_is_up_waits_no_longer(bridge, keys):
    answers = bridge.deliver(keys[1].message("new"))
    bridge.requests.expire(10.0)
    assert answers == ["deadline"] and bridge.certificates._waiting == 0
    bridge.host.answer(200, keys[1].certificate)
    assert answers == ["deadline"] and not bridge.broker.published


def test_the_old_key_is_refused_from_the_renewal_on(bridge, keys):
    bridge.deliver(keys[1].message("new"))
    assert bridge.deliver(keys[0].message("old")) == ["published"], "until the fetch is done, nothing is known against it"
    bridge.host.answer(200, keys[1].certificate)
    assert bridge.deliver(keys[0].message("old")) == ["bad-signature"]


def test_a_file_of_the_folder_that_was_replaced_is_read_again(bridge, keys, tmp_path):
    path = tmp_path / URL.rpartition("/")[2]
    path.write_bytes(keys[0].certificate)
    bridge.certificates._folder = str(tmp_path)
    bridge.certificates._kept.clear()
    bridge.pipeline._verifier.forget()
    assert bridge.deliver(keys[0].message("old")) == ["published"]
    path.write_bytes(keys[1].certificate)
    assert bridge.deliver(keys[1].message("new")) == ["bad-signature"], "it was read a moment ago"
    bridge.clock.now += module.FRESH_FOR + 1
    assert bridge.deliver(keys[1].message("new")) == ["published"]
    assert not bridge.host.asked
