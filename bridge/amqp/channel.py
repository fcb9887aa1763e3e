"""A channel in confirm mode: each publish is mandatory, and waits for its confirm, its return or the channel's end.

Source: RabbitMQ guides "Consumer Acknowledgements and Publisher Confirms" and "Publishers" (mandatory); AMQP 0-9-1 section 1.8.3.
"""

from collections import deque
from collections.abc import Callable
from itertools import takewhile
from time import monotonic
from typing import TYPE_CHECKING

from pika import spec

from bridge.amqp import frames
from bridge.amqp.transport import Transport
from bridge.counters import Counters
from bridge.errors import Nacked, Unroutable

if TYPE_CHECKING:
    import pika

    from bridge.pending import PendingRequest

SMALL = 3000  # bytes of header fields that fit in any frame: frame_max is 4096 at least (AMQP 0-9-1 section 4.2.3)
MAX_METHODS = 1000  # encoded Basic.Publish methods that are remembered


class Publish:
    """A message on its way to the broker: all that is needed to send it, also again, and the request that waits for the outcome.

    It is *suspect* when a channel closed while it was in flight, because it may be the cause. It is *accepted* when the broker has taken
    it: exchange, permission and size were right when it was sent.
    """

    __slots__ = (
        *("accepted", "body", "content_type", "envelope", "exchange", "fields", "key", "request", "routing_key", "sends"),
        *("suspect", "table", "timestamp"),
    )

    def __init__(
        self,
        request: "PendingRequest",
        exchange: str,
        routing_key: str,
        body: bytes,
        content_type: bytes,
        timestamp: int,
        fields: bytes,
        envelope: bool,
    ) -> None:
        """exchange and routing_key are text of at most 255 bytes in UTF-8; body is bytes; content_type at most 255 bytes;
        timestamp in Unix seconds.

        fields are the header fields, encoded, the needed ones first. envelope: the body is the envelope, which has them all, so those that
        do not fit in a frame are left out and counted.
        """
        self.request, self.exchange, self.routing_key, self.body = request, exchange, routing_key, body
        self.content_type, self.timestamp, self.fields, self.envelope = content_type, timestamp, fields, envelope
        self.sends = 0  # those whose channel ended before the confirm
        self.suspect = self.accepted = False
        self.table: dict[int, Publish]  # it waits here, under `key`
        self.key: int

    def wait_in(self, table: "dict[int, Publish]", key: int) -> None:
        """Wait in a table, under key, until the request is over or the table's owner takes it out."""
        self.table, self.key = table, key
        table[key] = self

    def leave(self, _request: "PendingRequest") -> None:
        """Leave the table, and drop the bytes, because the request is over."""
        if self.table.get(self.key) is self:
            del self.table[self.key]
        self.body = self.fields = b""


class ConfirmChannel:
    """One channel with its publishes by delivery tag.

    A publish may have a *fence* behind it: a Basic.Qos, which changes nothing without consumers. The answers to fences come in their
    order and tell which publishes the broker has accepted. A wrong exchange closes the channel, so the first publish whose fence has
    no answer is to blame.
    """

    def __init__(
        self, channel: "pika.channel.Channel", transport: Transport, frame_max: int, counters: Counters, on_nack: Callable[[], None]
    ) -> None:
        """channel is open; frame_max in bytes; on_nack() is called after a nack has failed its requests."""
        self.channel, self._transport, self._frame_max, self._counters, self._on_nack = channel, transport, frame_max, counters, on_nack
        self._number = channel.channel_number
        self.pending: dict[int, Publish] = {}
        self.fenced: deque[Publish] = deque()  # sent with a fence that has no answer yet
        self.on_accepted: Callable[[Publish], None] = lambda _publish: None
        self._last_tag = 0
        self._now = 0.0  # monotonic seconds
        self._methods: dict[tuple[str, str], bytes] = {}
        self._fence = frames.fence(self._number)
        channel.add_on_return_callback(self._on_return)
        channel.callbacks.add(self._number, spec.Basic.QosOk, self._on_fence, one_shot=False)

    def select_confirms(self, then: Callable[[], None]) -> None:
        """Ask for confirm mode; then() is called when the channel can be used."""
        self.channel.confirm_delivery(self._on_confirm, callback=lambda _frame: then())

    def send(self, publish: Publish, fence: bool = False) -> None:
        """Send a message, with a fence behind it if asked to; its request is told of confirm, return or nack.

        Raises RoutingFailed when its headers do not fit in one frame.
        """
        request = publish.request
        method = self._methods.get((publish.exchange, publish.routing_key))
        if method is None:
            if len(self._methods) >= MAX_METHODS:
                self._methods.clear()
            method = frames.publish_method(self._number, publish.exchange, publish.routing_key)
            self._methods[publish.exchange, publish.routing_key] = method
        message_id = request.message_id.encode()
        fields = publish.fields
        if len(fields) > SMALL and publish.envelope:
            room = frames.room_for_fields(self._frame_max, publish.content_type)
            if len(fields) > room:
                fields, left_out = frames.fitting(fields, room)
                publish.fields = fields
                self._counters.add("attributes_left_out_total", left_out)
        transport = self._transport
        transport.write(
            frames.publish_frames(
                method, self._number, publish.body, publish.content_type, message_id, publish.timestamp, fields, self._frame_max
            )
        )
        tag = publish.key = self._last_tag = self._last_tag + 1
        publish.table = pending = self.pending  # as wait_in() does it, without another call
        pending[tag] = publish
        if fence:
            transport.write(self._fence)
            self.fenced.append(publish)
        if transport.turned:  # one look at the clock serves a whole turn
            transport.turned, self._now = False, monotonic()
        request.sent = self._now

    def take(self) -> list[Publish]:
        """Return all publishes that have no confirm yet, in their order, and forget them."""
        taken = list(self.pending.values())
        self.pending.clear()
        for publish in taken:
            publish.sends += 1
        return taken

    @property
    def congested(self) -> bool:
        """Whether the broker has stopped reading, and too many bytes wait for it."""
        return self._transport.congested

    def _on_fence(self, _frame: object) -> None:
        if self.fenced:
            publish = self.fenced.popleft()
            publish.accepted, publish.suspect = True, False
            self.on_accepted(publish)

    def _on_confirm(self, frame: "pika.frame.Method[spec.Basic.Ack | spec.Basic.Nack]") -> None:
        method = frame.method
        self.confirm(method.delivery_tag, method.multiple, type(method) is spec.Basic.Ack)

    def confirm(self, last: int, multiple: bool, acked: bool) -> None:
        """The broker has confirmed the delivery tag `last`, or refused it (a nack); multiple: all up to it, or all if it is 0."""
        pending, confirm_times = self.pending, self._counters.confirm_times
        tags = [last]
        now = monotonic()
        if multiple:  # tags only grow, and a dict keeps their order
            tags = list(pending) if last == 0 else list(takewhile(last.__ge__, pending))
        for tag in tags:
            publish = pending.pop(tag, None)
            if publish is None:
                continue
            request = publish.request
            if acked:
                confirm_times.append(now - request.sent)
                if not self.fenced:
                    request.held = None  # it has just left the table
                request.confirmed(now)
            else:
                request.failed(Nacked("the broker refused the message (basic.nack)"))
        if not acked:
            self._on_nack()

    def _on_return(
        self, _channel: "pika.channel.Channel", method: spec.Basic.Return, properties: "pika.BasicProperties", _body: bytes
    ) -> None:
        """Fail the request of a message that came back as unroutable. Its ack, which follows, is ignored.

        A return has no delivery tag. If the same MessageId is in flight twice, both requests fail.
        """
        self._counters.add("returns_total")
        error = Unroutable(f"no queue is bound for exchange {method.exchange!r} and routing key {method.routing_key!r}")
        for publish in [one for one in self.pending.values() if one.request.message_id == properties.message_id]:
            publish.request.failed(error)
