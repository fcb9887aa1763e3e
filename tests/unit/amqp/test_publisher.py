"""What can't be provoked in time with a real broker: the order in which the publisher's pauses end."""

import pika.exceptions

from bridge.amqp.broker import BrokerSettings
from bridge.amqp.publisher import Publisher
from bridge.counters import Counters
from bridge.log import Log


class Loop:
    """Keeps what was to be called later."""

    def __init__(self):
        self.later = []

    def call_later(self, _delay, step):
        self.later.append(step)


class Connection:
    """An open connection that counts the channels opened on it."""

    is_open = True

    def __init__(self):
        self.channels = 0

    def channel(self, on_open_callback):
        self.channels += 1


def test_a_channel_is_never_opened_twice_on_one_connection(tmp_path):
    """The channel closed, the connection was lost in the pause after it and came back before its end: the confirms of two
    channels would count the same delivery tags, and one could answer 200 for the other's message."""
    loop, first, second = Loop(), Connection(), Connection()
    with open(tmp_path / "log", "wb") as log:
        settings = BrokerSettings(("amqp://127.0.0.1:9",), "", "", "", "", 10)
        publisher = Publisher(loop, settings, None, Log(fd=log.fileno()), Counters(1, {}))
        publisher.address = "127.0.0.1:9"
        publisher._connection = first
        publisher._channel_closed(None, pika.exceptions.ChannelClosedByBroker(404, "NOT_FOUND"))
        (open_again,) = loop.later
        publisher._connection = second
        open_again()
        assert (first.channels, second.channels) == (0, 0)
        publisher._connection = first
        open_again()
        assert first.channels == 1
