"""Cases that are hard to provoke with a real broker: which message is blamed when a channel ends, and that nothing is kept or lost."""

from collections import deque
from time import monotonic

import pika.exceptions
import pytest

from bridge.amqp.broker import BrokerSettings
from bridge.amqp.channel import Publish
from bridge.amqp.connection import BrokerLink
from bridge.amqp.publisher import MAX_FENCED, MAX_SENDS, MAX_WAITING, Publisher
from bridge.amqp.url import BrokerURL
from bridge.counters import Counters
from bridge.errors import BrokerUnavailable, RoutingFailed
from bridge.log import Log

NOT_FOUND = pika.exceptions.ChannelClosedByBroker(404, "NOT_FOUND - no exchange")
TOO_LARGE = pika.exceptions.ChannelClosedByBroker(406, "PRECONDITION_FAILED - message size")
REFUSED = pika.exceptions.ChannelClosedByBroker(403, "ACCESS_REFUSED - Provided JWT token has expired")
ASKED = pika.exceptions.ChannelClosedByClient(200, "nacks")


class Request:
    """Replaces PendingRequest."""

    def __init__(self, message_id="id"):
        self.message_id, self.over, self.held, self.error = message_id, False, None, None
        self.sent = 0.0

    def failed(self, error):
        self.error = error
        self.end()

    def end(self):
        self.over = True
        if self.held is not None:
            self.held(self)


class Channel:
    """Replaces ConfirmChannel; a message gets no outcome until the test gives it one."""

    congested = False

    def __init__(self):
        self.pending, self.fenced, self.sent = {}, deque(), []

    def send(self, publish, fence=False):
        publish.wait_in(self.pending, len(self.sent))
        self.sent.append(publish)
        publish.request.sent = monotonic()
        if fence:
            self.fenced.append(publish)

    def take(self):
        taken = list(self.pending.values())
        self.pending.clear()
        for publish in taken:
            publish.sends += 1
        return taken


class Link:
    """Replaces BrokerLink."""

    ready, blocked, expires = True, False, 0.0
    queue = None

    def __init__(self):
        self.main, self.trial = Channel(), Channel()

    def take(self):
        return self.main.take() + self.trial.take()

    def fail(self, error):
        for publish in self.take():
            publish.request.failed(error)


class Loop:
    """Keeps the calls for later."""

    services = None

    def __init__(self):
        self.later = []

    def call_later(self, _delay, step):
        self.later.append(step)


@pytest.fixture
def log(tmp_path):
    with open(tmp_path / "log", "wb") as file:
        yield Log(fd=file.fileno())


@pytest.fixture
def publisher(log):
    publisher = Publisher(Loop(), BrokerSettings(("amqp://127.0.0.1:9",), "", "", "", "", 10), None, log, Counters(1, {}))
    publisher._link = Link()
    publisher.link_ready(publisher._link)
    return publisher


def publish(publisher, exchange="shop", key="k"):
    request = Request()
    publisher.publish(Publish(request, exchange, key, b"body", b"text/plain", 0, b"", True))
    return request


def accept(publisher, link):
    """The broker answers the oldest fence."""
    accepted = link.trial.fenced.popleft()
    accepted.accepted, accepted.suspect = True, False
    publisher.accepted(link, accepted)


def close(publisher, link, channel, error):
    """A channel ends, and another one opens in its place."""
    new = Channel()
    if channel is link.main:
        link.main = new
    else:
        link.trial = new
    publisher.channel_closed(link, channel, error)
    publisher.channel_open(link)
    return new


def proven(publisher, *exchanges):
    for exchange in exchanges:
        publish(publisher, exchange)
        accept(publisher, publisher._link)


def test_the_first_message_to_an_exchange_is_tried_and_the_next_ones_are_not(publisher):
    link = publisher._link
    publish(publisher)
    assert len(link.trial.sent) == 1 and not link.main.sent
    accept(publisher, link)
    publish(publisher)
    assert len(link.trial.sent) == 1 and len(link.main.sent) == 1


def test_a_link_that_is_not_ready_takes_nothing_though_its_main_channel_is_open(publisher):
    """What was proven on the link before it need not be true on this one."""
    proven(publisher, "shop")
    publisher.trouble = "not connected"
    publisher._link = link = Link()
    link.ready = False
    with pytest.raises(BrokerUnavailable):
        publish(publisher)
    assert not link.main.sent and not link.trial.sent


def test_the_message_without_an_answer_is_to_blame_and_what_was_sent_behind_it_is_sent_again(publisher):
    link = publisher._link
    first, wrong, behind = publish(publisher, "shop"), publish(publisher, "missing"), publish(publisher, "other")
    accept(publisher, link)
    new = close(publisher, link, link.trial, NOT_FOUND)
    assert isinstance(wrong.error, RoutingFailed) and "'missing'" in str(wrong.error)
    assert not first.over and not behind.over
    assert [one.request for one in link.main.sent] == [first], "accepted, so it can't close the main channel"
    assert [one.request for one in new.sent] == [behind]


def test_more_messages_to_the_wrong_exchange_are_answered_without_the_broker(publisher):
    link = publisher._link
    same = [publish(publisher, "missing") for _ in range(5)]
    new = close(publisher, link, link.trial, NOT_FOUND)
    assert all(isinstance(request.error, RoutingFailed) for request in same) and not new.sent
    with pytest.raises(RoutingFailed):
        publish(publisher, "missing")


def test_after_the_main_channels_end_each_message_that_was_in_flight_is_tried(publisher):
    link = publisher._link
    proven(publisher, "shop", "other")
    requests = [publish(publisher, exchange) for exchange in ("shop", "other", "shop")]
    tried = len(link.trial.sent)
    close(publisher, link, link.main, NOT_FOUND)
    assert [one.request for one in link.trial.sent[tried:]] == requests and not any(request.over for request in requests)
    new = publish(publisher, "shop")
    assert link.trial.sent[-1].request is new, "any exchange may be the one that has gone"


def test_one_message_that_is_refused_does_not_speak_for_its_exchange(publisher):
    link = publisher._link
    large, small = publish(publisher, "shop"), publish(publisher, "shop")
    new = close(publisher, link, link.trial, TOO_LARGE)
    assert isinstance(large.error, RoutingFailed) and not small.over
    accept(publisher, link)
    publish(publisher, "shop")
    assert len(new.sent) == 2 and not link.main.sent, "for a while each is tried first"


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_refusal_of_the_former_token_costs_a_message_of_the_renewed_one_nothing(publisher, answered_first):
    """RabbitMQ answers connection.update-secret by one process, and refuses a message by another: either answer can come first."""
    link = publisher._link
    request = publish(publisher)
    publisher._renewing = True  # connection.update-secret is on its way
    if answered_first:
        publisher._renewed(link)
    new = close(publisher, link, link.trial, REFUSED)
    if not answered_first:
        publisher._renewed(link)
    assert [one.request for one in new.sent] == [request] and request.error is None
    later = publish(publisher)
    accept(publisher, link)
    assert later.error is None, "the exchange is not taken for a wrong one"


def test_a_refusal_after_the_renewal_counts(publisher):
    link = publisher._link
    publisher._renewed(link)
    request = publish(publisher)
    close(publisher, link, link.trial, REFUSED)
    assert isinstance(request.error, RoutingFailed)
    with pytest.raises(RoutingFailed):
        publish(publisher)


def test_a_channel_that_the_publisher_replaces_blames_nobody(publisher):
    link = publisher._link
    proven(publisher, "shop")
    request = publish(publisher)
    new = close(publisher, link, link.main, ASKED)
    assert [one.request for one in new.sent] == [request] and "shop" in publisher._exchanges.proven


@pytest.mark.rule("broker-lost")
def test_a_message_under_which_channels_close_again_and_again_is_answered(publisher):
    link = publisher._link
    proven(publisher, "shop")
    request = publish(publisher)
    for _ in range(MAX_SENDS):
        assert not request.over
        close(publisher, link, link.main, ASKED)
    assert request.error.reason == "broker-lost"


def test_a_request_that_is_over_leaves_every_table_with_its_bytes(publisher):
    link = publisher._link
    proven(publisher, "shop")
    sent, tried = publish(publisher, "shop"), publish(publisher, "other")
    link.trial = None
    waits = publish(publisher, "third")
    publishes = [one for one in link.main.pending.values() if one.request is sent] + list(publisher._waiting.values())
    for request in (sent, tried, waits):
        request.end()
    assert not link.main.pending and not publisher._waiting
    assert all(one.body == one.fields == b"" for one in publishes)


def test_what_waits_is_bounded(publisher):
    link = publisher._link
    for number in range(MAX_FENCED + MAX_WAITING):
        publish(publisher, f"exchange{number}")
    assert len(link.trial.sent) == MAX_FENCED and len(publisher._waiting) == MAX_WAITING
    with pytest.raises(BrokerUnavailable):
        publish(publisher, "one more")
    accept(publisher, link)
    assert len(link.trial.sent) == MAX_FENCED + 1


def test_no_link_is_a_clear_word_with_the_cause(publisher):
    link = publisher._link
    waiting = publish(publisher)
    publisher.link_lost(link, ConnectionResetError("reset by peer"))
    assert waiting.error.reason == "broker-lost"
    with pytest.raises(BrokerUnavailable, match=r"BRIDGE_AMQP_URL.*reset by peer"):
        publish(publisher)
    assert len(publisher._loop.later) == 1


def test_what_is_in_flight_on_a_link_that_was_replaced_is_sent_again_on_the_new_one(publisher):
    old = publisher._link
    proven(publisher, "shop")
    request = publish(publisher)
    publisher._next = new = Link()
    old.idle = old.ended = False
    publisher.link_ready(new)
    assert publisher._link is new and not request.over and publisher._loop.later, "it is looked whether the old one can be closed"
    publisher.link_lost(old, ConnectionResetError("reset by peer"))
    assert request in [one.request for one in new.trial.sent] and not request.over


def test_channels_are_never_opened_twice_on_one_connection():
    """BRIDGE_QUEUE could not be declared, and the connection was lost in the pause after that. The confirms of two channels would count
    the same delivery tags, and one could answer 200 for the other's message."""

    class Connection:
        is_open, channels = True, 0

        def channel(self, on_open_callback):
            Connection.channels += 1

    link = BrokerLink(Publisher, Loop(), None, BrokerURL("amqp://h"), None, Counters(1, {}))
    link.connection = Connection()
    link.set_up()
    assert Connection.channels == 2
    link.connection = None
    link.set_up()
    assert Connection.channels == 2


def test_a_publish_leaves_only_its_own_place():
    table = {}
    first, second = (Publish(Request(), "", "", b"b", b"", 0, b"f", True) for _ in range(2))
    first.wait_in(table, 1)
    table[1] = second
    first.leave(first.request)
    assert table == {1: second}


def test_nothing_is_sent_on_a_channel_that_was_asked_to_close(publisher, monkeypatch):
    """RabbitMQ closes the whole connection for it: 504 CHANNEL_ERROR, expected 'channel.open'."""
    link = publisher._link
    proven(publisher, "shop")
    first = publish(publisher)
    real = BrokerLink(publisher, publisher._loop, None, BrokerURL("amqp://h"), None, Counters(1, {}))
    real.ready, real.main, real.trial = True, link.main, link.trial
    closes = []
    link.main.channel = type("Raw", (), {"is_open": True, "close": lambda _self, reply_text: closes.append(reply_text)})()
    publisher._link = real
    publisher._ready_at = -1000.0
    publisher.nacked(real)
    assert len(closes) == 1 and real.main is None
    old = link.main
    behind = publish(publisher)
    assert [one.request for one in old.sent] == [first] and not behind.over, "it waits for the next channel"
    publisher.nacked(real)
    assert len(closes) == 1 and [one.request for one in real.take()][:1] == [first]


def test_messages_that_wait_for_a_trial_hold_up_no_others(publisher):
    link = publisher._link
    proven(publisher, "shop")
    link.trial = None
    waits = publish(publisher, "unknown")
    request = publish(publisher, "shop")
    assert [one.request for one in link.main.sent] == [request] and not waits.over
