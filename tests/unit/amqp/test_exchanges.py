"""What is remembered of exchanges: for how long, how many, and each only for itself."""

import pytest

from bridge.amqp.exchanges import CAREFUL, CHECKED, MAX_EXCHANGES, PROVEN, REFUSED, UNKNOWN, Exchanges
from bridge.errors import RoutingFailed


@pytest.fixture
def known():
    return Exchanges()


def test_an_exchange_is_unknown_until_the_broker_has_taken_a_message_for_it(known):
    assert known.state("shop", 0) == UNKNOWN
    known.prove("shop")
    assert (known.state("shop", 0), known.state("", 0)) == (PROVEN, UNKNOWN)


def test_a_wrong_one_is_refused_for_some_seconds_in_the_brokers_words_and_then_tried_again(known):
    known.refuse("missing", "404 NOT_FOUND", 100)
    with pytest.raises(RoutingFailed, match="404 NOT_FOUND") as caught:
        known.state("missing", 100 + REFUSED - 0.01)
    assert caught.value.status == 503
    assert known.state("missing", 100 + REFUSED) == UNKNOWN
    known.prove("missing")
    assert known.state("missing", 100 + REFUSED) == PROVEN


def test_one_that_was_right_and_is_wrong_now_is_no_longer_proven(known):
    known.prove("shop")
    known.refuse("shop", "404", 0)
    assert "shop" not in known.proven


def test_one_that_refused_a_single_message_has_each_message_tried_for_a_while(known):
    known.prove("shop")
    known.check("shop", 100)
    known.prove("shop")
    assert known.state("shop", 100 + CAREFUL - 0.01) == CHECKED
    assert known.state("shop", 100 + CAREFUL) == UNKNOWN


def test_after_a_channel_closed_every_exchange_is_tried_again_and_the_wrong_ones_stay_refused(known):
    known.prove("shop")
    known.refuse("missing", "404", 0)
    known.doubt()
    assert known.state("shop", 0) == UNKNOWN
    with pytest.raises(RoutingFailed):
        known.state("missing", 0)


def test_another_connection_may_be_told_otherwise(known):
    known.prove("shop")
    known.refuse("missing", "404", 0)
    known.check("topics", 0)
    known.forget()
    assert {known.state(name, 0) for name in ("shop", "missing", "topics")} == {UNKNOWN}


def test_however_many_names_a_template_makes_only_some_are_remembered(known):
    for number in range(5 * MAX_EXCHANGES):
        known.prove(f"right{number}")
        known.refuse(f"wrong{number}", "404", 0)
        known.check(f"careful{number}", 0)
        assert max(len(known.proven), len(known._refused), len(known._checked)) <= MAX_EXCHANGES
