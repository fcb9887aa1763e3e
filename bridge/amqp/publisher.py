"""The AMQP connection: publish, confirms, returns, connection.blocked, and coming back for ever.

Source: RabbitMQ guides "Consumer Acknowledgements and Publisher Confirms", "Publishers" (mandatory), "Blocked Connection
Notifications"; AMQP 0-9-1.
"""

import os
from itertools import takewhile
from time import monotonic
from typing import TYPE_CHECKING

import pika
from pika import spec

from bridge.amqp import broker, frames
from bridge.amqp.loop import Loop
from bridge.amqp.url import BrokerURL
from bridge.counters import Counters
from bridge.errors import BridgeError, BrokerBlocked, BrokerLost, BrokerUnavailable, Nacked, Unroutable
from bridge.log import Log

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 4.5  # seconds before a reconnect: back within five of the broker
FIRST_DOUBT, LONGEST_DOUBT = 2.0, 60.0  # seconds until a channel that nacks is replaced


if TYPE_CHECKING:
    from bridge.pending import PendingRequest


class Publisher:
    """One connection with one channel in confirm mode; what is in flight is known by its delivery tag."""

    def __init__(
        self, loop: Loop, settings: broker.BrokerSettings, queue: tuple[str, str, str] | None, log: Log, counters: Counters
    ) -> None:
        """queue, if any, is (name, exchange, binding key): a durable quorum queue to declare and bind."""
        self._counters = counters
        self._loop, self._settings, self._queue, self._log = loop, settings, queue, log
        self._connection: pika.SelectConnection | None = None
        self._channel: pika.channel.Channel | None = None  # only while it takes publishes
        self._number = 0
        self._frame_max = 0
        self._pending: dict[int, PendingRequest] = {}
        self._last_tag = 0  # of the publishes on this channel
        self._methods: dict[tuple[str, str], bytes] = {}
        self._tries = 0
        self._now = 0.0  # monotonic seconds
        self.address = ""
        self._pause = FIRST_PAUSE
        self._doubt = FIRST_DOUBT
        self._ready_at = 0.0
        self._closing = False
        self.blocked = False

    # ---- the way up: connection, channel, queue, confirm mode

    def connect(self) -> None:
        """Start to connect to the next of the brokers."""
        url = BrokerURL(self._settings.urls[self._tries % len(self._settings.urls)])
        self._tries += 1
        self.address = str(url)
        try:
            parameters = broker.parameters(self._settings, url, self._settings.secret())
            self._connection = pika.SelectConnection(
                parameters,
                on_open_callback=self._opened,
                on_open_error_callback=lambda _connection, error: self._lost(error),
                on_close_callback=lambda _connection, error: self._lost(error),
                custom_ioloop=self._loop.services,
            )
        except Exception as error:  # a file that can't be read now may be there at the next try
            self._connection = None
            self._lost(error)

    def _opened(self, connection: pika.SelectConnection) -> None:
        self.blocked = False
        self._doubt = FIRST_DOUBT
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel(connection)

    def _open_channel(self, connection: pika.SelectConnection) -> None:
        # a pause may outlast its connection; a second channel on the next one would mix up two series of delivery tags
        outlasted = connection is not self._connection
        if connection.is_open and not outlasted and not self._closing:
            connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: pika.channel.Channel) -> None:
        channel.add_on_close_callback(self._channel_closed)
        if self._queue is None:
            self._select_confirms(channel)
            return
        name, exchange, key = self._queue
        after = (lambda _: channel.queue_bind(name, exchange, key, callback=lambda _: self._select_confirms(channel))) if exchange else (
            lambda _: self._select_confirms(channel)
        )  # fmt: skip
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"}, callback=after)

    def _select_confirms(self, channel: pika.channel.Channel) -> None:
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._ready(channel))

    def _ready(self, channel: pika.channel.Channel) -> None:
        assert self._connection is not None
        self._channel = channel
        self._number = channel.channel_number
        self._frame_max = self._connection.params.frame_max
        self._pending, self._last_tag = {}, 0
        self._methods.clear()
        self._pause = FIRST_PAUSE
        self._ready_at = monotonic()
        self._counters.add("broker_connections_total")
        self._log.info("broker_connected", broker=self.address)

    # ---- the way down

    def _channel_closed(self, _channel: pika.channel.Channel, error: Exception) -> None:
        if self._connection is None or not self._connection.is_open or self._closing:
            return  # the connection's own end follows, or was asked for
        self._log.error("channel_closed", broker=self.address, explanation=broker.describe(error))
        self._give_up(BrokerLost("the broker closed the channel before the confirm"))
        connection = self._connection
        self._later(lambda: self._open_channel(connection))

    def _lost(self, error: BaseException) -> None:
        self._connection = None
        self.blocked = False
        self._give_up(BrokerLost("the connection to the broker was lost before the confirm"))
        if self._closing:
            return
        self._log.error("broker_lost", broker=self.address, explanation=broker.describe(error))
        self._later(self.connect)

    def _later(self, step: object) -> None:
        """Take a step after a pause that doubles, with jitter so that many bridges do not come back at once."""
        jitter = 0.5 + os.urandom(1)[0] / 510
        self._loop.call_later(self._pause * jitter, step)  # type: ignore[arg-type]
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _give_up(self, error: BridgeError) -> None:
        self._channel = None
        pending, self._pending = self._pending, {}
        for delivery in pending.values():
            delivery.failed(error)

    # ---- publishing

    @property
    def ready(self) -> bool:
        """Whether a publish would be taken now."""
        return self._channel is not None and not self.blocked

    def check(self) -> None:
        """Raises BrokerBlocked or BrokerUnavailable when a publish would not be taken now."""
        if self.blocked:
            raise BrokerBlocked("the broker has blocked the connection (a memory or disk alarm)")
        if self._channel is None:
            raise BrokerUnavailable("there is no connection to the broker (BRIDGE_AMQP_URL)")

    def publish(
        self,
        delivery: "PendingRequest",
        exchange: str,
        routing_key: str,
        body: bytes,
        content_type: bytes,
        timestamp: int,
        fields: bytes,
        envelope: bool,
    ) -> None:
        """Send a message; `delivery` hears of its confirm, return, nack or loss. Raises as `check`, or RoutingFailed.

        fields are the header fields, the needed ones first; when the body is the envelope, which has them all, those that do not
        fit in a frame are left out and counted.
        """
        self.check()
        transport = self._loop.services.transport
        if transport is None:
            raise BrokerUnavailable("the connection to the broker has just ended")
        if transport.congested:
            raise BrokerUnavailable("the broker does not read what it is sent")
        method = self._methods.get((exchange, routing_key))
        if method is None:
            if len(self._methods) >= 1000:
                self._methods.clear()
            method = self._methods[exchange, routing_key] = frames.publish_method(self._number, exchange, routing_key)
        message_id = delivery.message_id.encode()
        if envelope and len(fields) > (room := frames.room_for_fields(self._frame_max, content_type, message_id)):
            fields, left_out = frames.fitting(fields, room)
            self.left_out(left_out)
        content = frames.content_frames(self._number, body, content_type, message_id, timestamp, fields, self._frame_max)
        transport.write(method)
        transport.write(content)
        self._last_tag += 1
        delivery.tag = self._last_tag
        delivery.held = self._forget
        self._pending[self._last_tag] = delivery
        if transport.turned:  # one look at the clock serves a whole turn
            transport.turned, self._now = False, monotonic()
        delivery.sent = self._now

    def _forget(self, delivery: "PendingRequest") -> None:
        """A request is over, whatever its confirm will say."""
        if self._pending.get(delivery.tag) is delivery:
            del self._pending[delivery.tag]

    def left_out(self, number: int) -> None:
        """Count headers that stay in the envelope alone."""
        if number:
            self._counters.add("attributes_left_out_total", number)

    def _on_confirm(self, frame: "pika.frame.Method[spec.Basic.Ack | spec.Basic.Nack]") -> None:
        method = frame.method
        last = method.delivery_tag
        acked = type(method) is spec.Basic.Ack
        pending = self._pending
        tags = [last]
        now = monotonic()
        if method.multiple:  # tags only grow, and a dict keeps their order; 0 means all
            tags = list(pending) if last == 0 else list(takewhile(last.__ge__, pending))
        for tag in tags:
            delivery = pending.pop(tag, None)
            if delivery is None:
                continue
            if acked:
                self._counters.confirm_times.append(now - delivery.sent)
                delivery.confirmed(now)
            else:
                delivery.failed(Nacked("the broker refused the message (basic.nack)"))
        if not acked:
            self._doubt_channel()

    def _doubt_channel(self) -> None:
        """Replace a channel that nacks, now and then. One that opened while a quorum queue had no leader can nack for ever:
        RabbitMQ 3.10's goes on asking the dead one. A queue that is full nacks on the next channel just the same.
        """
        channel = self._channel
        if channel is None or not channel.is_open or monotonic() < self._ready_at + self._doubt:
            return
        self._doubt = min(self._doubt * 2, LONGEST_DOUBT)
        self._give_up(BrokerLost("the channel is replaced, for the broker nacks on it"))
        channel.close(reply_text="nacks on this channel, so the next is tried")

    def _on_return(self, _channel: pika.channel.Channel, method: spec.Basic.Return, properties: pika.BasicProperties, _body: bytes) -> None:
        """An unroutable message comes back, and then its ack, which proves nothing.

        A return has no delivery tag. If the same MessageId is in flight twice, neither of the two is believed.
        """
        self._counters.add("returns_total")
        error = Unroutable(f"no queue is bound for exchange {method.exchange!r} and routing key {method.routing_key!r}")
        for delivery in [one for one in self._pending.values() if one.message_id == properties.message_id]:
            delivery.failed(error)

    def _on_blocked(self, _connection: object, frame: "pika.frame.Method[spec.Connection.Blocked]") -> None:
        self.blocked = True
        self._log.error("broker_blocked", broker=self.address, explanation=str(frame.method.reason))
        for delivery in list(self._pending.values()):
            delivery.failed(BrokerBlocked("the broker blocked the connection before the confirm"))

    def _on_unblocked(self, _connection: object, _frame: object) -> None:
        self.blocked = False
        self._log.info("broker_unblocked", broker=self.address)

    def close(self) -> None:
        """Close the connection in AMQP's own way, as far as the loop still turns."""
        self._closing = True
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether nothing is left of the connection."""
        return self._connection is None
