"""One connection to one broker, from its start to two channels that take publishes, and to its end.

Source: AMQP 0-9-1 section 1.4 (connection); RabbitMQ guides "Connections", "Blocked Connection Notifications", "OAuth 2" (update-secret).
"""

from collections.abc import Callable
from typing import Any

import pika
from pika.exceptions import InvalidFrameError

from bridge.amqp import broker
from bridge.amqp.channel import ConfirmChannel, Publish
from bridge.amqp.frames import leading_confirms
from bridge.amqp.loop import Loop
from bridge.amqp.queue import DeclaredQueue, declare
from bridge.amqp.transport import Transport
from bridge.amqp.url import LARGEST_FRAME, BrokerURL
from bridge.counters import Counters
from bridge.errors import BridgeError

ANSWER = 20.0  # seconds in which a broker has to declare the queue, or to open a channel; its heartbeats do not tell that it still does


class LinkOwner:
    """The calls of a link to its owner; each gets the link as its first argument."""

    def link_ready(self, link: "BrokerLink") -> None:
        """Both channels take publishes."""

    def link_unusable(self, link: "BrokerLink", problem: str) -> None:
        """BRIDGE_QUEUE can't be used; `BrokerLink.set_up` tries again."""

    def link_lost(self, link: "BrokerLink", error: BaseException) -> None:
        """The connection has ended, or could not be made. No other call follows."""

    def link_blocked(self, link: "BrokerLink", reason: str) -> None:
        """The broker takes no publishes for a while; reason is "" when it does again."""

    def channel_closed(self, link: "BrokerLink", channel: ConfirmChannel, error: Exception) -> None:
        """A channel that took publishes has closed. It opens again at once."""

    def channel_open(self, link: "BrokerLink") -> None:
        """A channel that had closed is open again and takes publishes."""

    def accepted(self, link: "BrokerLink", publish: Publish) -> None:
        """The broker has accepted a message on the trial channel; its confirm is still to come."""

    def nacked(self, link: "BrokerLink") -> None:
        """The main channel has had a nack."""


class _Connection(pika.SelectConnection):  # type: ignore[misc,unused-ignore]
    def __init__(self, *arguments: Any, **named: Any) -> None:
        """See `pika.SelectConnection`."""
        self.confirming: dict[int, ConfirmChannel] = {}  # channels by number; their confirms do not take the way through pika
        super().__init__(*arguments, **named)

    @property
    def transport(self) -> Transport:
        """The transport that `Services.adopt` has made for it."""
        transport = self._transport
        assert isinstance(transport, Transport)
        return transport

    def _on_data_available(self, data_in: bytes) -> None:
        """Raises InvalidFrameError when a frame is longer than any that may come (AMQP 0-9-1 section 4.2.3). pika would keep it all."""
        if not self._frame_buffer:
            confirms, length = leading_confirms(data_in)
            for number, tag, multiple, acked in confirms:
                channel = self.confirming.get(number)
                if channel is not None:
                    channel.confirm(tag, multiple, acked)
            self.bytes_received += length  # pika's heartbeat looks at it
            if length == len(data_in):
                return
            data_in = data_in[length:]
        super()._on_data_available(data_in)
        if len(self._frame_buffer) > LARGEST_FRAME:
            raise InvalidFrameError(f"the broker has sent a frame of more than {LARGEST_FRAME} bytes")


class BrokerLink:
    """A connection with its two channels.

    `main` takes messages to exchanges that are proven, `trial` all others; each is None while it is not open. `queue` tells how
    BRIDGE_QUEUE was declared. `secret` is the one that it was opened or renewed with; it ends at `expires` (Unix seconds, 0 for never).
    """

    def __init__(
        self,
        owner: LinkOwner,
        loop: Loop,
        settings: broker.BrokerSettings,
        url: BrokerURL,
        queue: tuple[str, str, str] | None,
        counters: Counters,
    ) -> None:
        """queue, if any, is (name, exchange, binding key). Nothing happens before `connect`."""
        self._owner, self._loop, self._settings, self._counters = owner, loop, settings, counters
        self.url, self._to_declare = url, queue
        self.connection: _Connection | None = None
        self.main: ConfirmChannel | None = None
        self.trial: ConfirmChannel | None = None
        self._leaving: ConfirmChannel | None = None  # a main channel that is asked to close
        self.queue: DeclaredQueue | None = None
        self.secret, self.expires = "", 0.0
        self.blocked = self.ready = self.ended = self.closing = False

    def connect(self, secret: str) -> None:
        """Start to connect; secret is the password file's content. The owner is told of the outcome, also when a file can't be read."""
        self.secret, self.expires = secret, broker.expiry(secret)
        try:
            parameters = broker.parameters(self._settings, self.url, secret)
            self.connection = _Connection(
                parameters,
                on_open_callback=self._opened,
                on_open_error_callback=lambda _connection, error: self.lost(error),
                on_close_callback=lambda _connection, error: self.lost(error),
                custom_ioloop=self._loop.services,
            )
        except Exception as error:  # a file that can't be read now may be readable at the next try
            self.lost(error)

    def lost(self, error: BaseException) -> None:
        """End with an error; the owner is told once."""
        if not self.ended:
            self.ended, self.ready = True, False
            self.connection = None
            self._owner.link_lost(self, error)

    def _opened(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(lambda _connection, frame: self._blocked(str(frame.method.reason) or "no reason"))
        connection.add_on_connection_unblocked_callback(lambda _connection, _frame: self._blocked(""))
        self.set_up()

    def _blocked(self, reason: str) -> None:
        self.blocked = bool(reason)
        self._owner.link_blocked(self, reason)

    # ---- the queue and the channels

    def set_up(self) -> None:
        """Declare BRIDGE_QUEUE and open both channels."""
        if self.connection is None or not self.connection.is_open or self.closing:
            return
        if self._to_declare is None:
            self._open_channels(DeclaredQueue())
        else:
            declare(self.connection, self._to_declare, self._in_time(self._open_channels))

    def _in_time(self, then: Callable[..., None]) -> Callable[..., None]:
        """Return a callback that calls then(…). When the broker does not bring about its call in time, the connection is given up."""

        def late() -> None:
            if not self.ended and not self.closing:
                self.abort(TimeoutError("the broker does not answer"))

        timer = self._loop.call_later(ANSWER, late)

        def in_time(*arguments: Any) -> None:
            self._loop.cancel(timer)
            then(*arguments)

        return in_time

    def _open_channels(self, queue: DeclaredQueue) -> None:
        self.queue = queue
        if queue.problem:
            self._owner.link_unusable(self, queue.problem)
            return
        self._open(True)
        self._open(False)

    def _open(self, main: bool) -> None:
        """Open the main channel or the trial channel (again)."""
        connection = self.connection
        if connection is None or not connection.is_open or self.closing:
            return

        def opened(raw: "pika.channel.Channel") -> None:
            on_nack: Callable[[], None] = (lambda: self._owner.nacked(self)) if main else (lambda: None)
            channel = ConfirmChannel(raw, connection.transport, connection.params.frame_max, self._counters, on_nack)
            raw.add_on_close_callback(lambda _channel, error: self._channel_closed(channel, error))
            connection.confirming[raw.channel_number] = channel
            channel.select_confirms(lambda: in_use(channel, main))

        in_use = self._in_time(self._use)
        connection.channel(on_open_callback=opened)

    def _use(self, channel: ConfirmChannel, main: bool) -> None:
        if main:
            self.main = channel
        else:
            self.trial = channel
            channel.on_accepted = lambda publish: self._owner.accepted(self, publish)
        if self.ready:
            self._owner.channel_open(self)
        elif self.main is not None and self.trial is not None:
            self.ready = True
            self._owner.link_ready(self)

    def _channel_closed(self, channel: ConfirmChannel, error: Exception) -> None:
        connection = self.connection
        if connection is None or not connection.is_open or self.closing:
            return  # the connection's own end follows, or the bridge closes it
        main = channel in (self.main, self._leaving)
        if main:
            self.main = self._leaving = None
        elif channel is self.trial:
            self.trial = None
        else:  # it closed before it was used, and another one would too
            self.close()
            self.lost(error)
            return
        self._open(main)
        self._owner.channel_closed(self, channel, error)

    def replace_main(self, why: str) -> None:
        """Close the main channel and open another one. The broker would close the connection if more were sent on the old one."""
        if self.main is not None and self.main.channel.is_open:
            self._leaving, self.main = self.main, None
            self._leaving.channel.close(reply_text=why)

    # ---- its credential, and its end

    def renew(self, secret: str, then: Callable[[], None]) -> None:
        """Send the broker a new password or token (connection.update-secret); then() is called when it has taken it.

        A broker that does not take it closes the connection.
        """
        if self.connection is not None and self.connection.is_open:
            self.secret, self.expires = secret, broker.expiry(secret)
            self.connection.update_secret(secret, "BRIDGE_AMQP_PASSWORD_FILE has changed", lambda _frame: then())

    def take(self) -> list[Publish]:
        """Return all publishes that have no confirm yet, and forget them."""
        return [publish for channel in (self._leaving, self.main, self.trial) if channel is not None for publish in channel.take()]

    def fail(self, error: BridgeError) -> None:
        """Fail all requests that have no confirm yet with this error."""
        for publish in self.take():
            publish.request.failed(error)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a confirm."""
        return not any(channel is not None and channel.pending for channel in (self._leaving, self.main, self.trial))

    def abort(self, error: BaseException) -> None:
        """Give up a connection that is in an unknown state."""
        if self.connection is not None and self.connection.is_open:
            self.connection.transport.abort()
        self.lost(error)

    def close(self, why: str = "Normal shutdown") -> None:
        """Close the connection in AMQP's own way, as far as the loop still turns."""
        self.closing = True
        if self.connection is not None and self.connection.is_open:
            self.connection.close(reply_text=why[:100])
