"""Publishing to RabbitMQ: which channel a message takes, and what happens to it when a channel closes.

Source: RabbitMQ guides "Consumer Acknowledgements and Publisher Confirms" and "Publishers" (exchanges that do not exist).
"""

from itertools import count
from time import monotonic, time

from pika.exceptions import ChannelClosedByBroker

from bridge.amqp.broker import BrokerSettings, describe
from bridge.amqp.channel import ConfirmChannel, Publish
from bridge.amqp.connection import BrokerLink
from bridge.amqp.exchanges import PROVEN, Exchanges
from bridge.amqp.links import KeptLink
from bridge.amqp.loop import Loop
from bridge.counters import Counters
from bridge.errors import BridgeError, BrokerBlocked, BrokerLost, BrokerUnavailable, RoutingFailed
from bridge.log import Log

FIRST_DOUBT, LONGEST_DOUBT = 2.0, 60.0  # seconds until a channel that nacks is replaced
MAX_WAITING = 1000  # messages to exchanges that are not known yet
MAX_FENCED = 64  # of these, the ones that the broker is asked about at a time
MAX_SENDS = 5  # of one message, when channels close under it


class Publisher(KeptLink):
    """Publishes by one of the link's two channels, and sends again what was in flight when one closes.

    A wrong exchange closes the channel, and all that is in flight there is lost. So the *main* channel takes messages to exchanges that
    are proven on this link, and the *trial* channel all others. What was in flight on a channel that closes is sent again, and answered
    by the second confirm. So a message can be in the queue twice, which SNS's consumers expect; none is answered 200 without a confirm.
    """

    def __init__(self, loop: Loop, settings: BrokerSettings, queue: tuple[str, str, str] | None, log: Log, counters: Counters) -> None:
        """queue, if any, is (name, exchange, binding key): a durable quorum queue to declare and bind."""
        super().__init__(loop, settings, queue, log, counters)
        self._exchanges = Exchanges()
        self._waiting: dict[int, Publish] = {}  # for a trial, or for a channel; in their order
        self._keys = count()
        self._doubt, self._ready_at = FIRST_DOUBT, 0.0

    @property
    def ready(self) -> bool:
        """Whether a publish would be taken now."""
        return not self.trouble and not self.blocked

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the connection."""
        return self._link is not None and self._link.blocked

    def _check(self) -> None:
        """Raises BrokerBlocked or BrokerUnavailable when a publish would not be taken now."""
        if self.trouble and not self._comes_back:
            raise BrokerUnavailable(self.trouble)
        if self.blocked:
            raise BrokerBlocked("the broker has blocked the connection (a memory or disk alarm)")

    def publish(self, publish: Publish) -> None:
        """Send a message; its request is told of confirm, return, nack or loss.

        Raises BrokerBlocked or BrokerUnavailable when it would not be taken now, and RoutingFailed.
        """
        exchange = publish.exchange
        link = self._link
        main = link.main if link is not None and link.ready and not link.blocked else None
        if main is not None and exchange in self._exchanges.proven:
            if main.congested:
                raise BrokerUnavailable("the broker has stopped reading from the connection")
            main.send(publish)
        else:
            self._check()
            self._exchanges.state(exchange, monotonic())
            if len(self._waiting) >= MAX_WAITING:
                raise BrokerUnavailable("too many messages wait for exchanges that are not known yet")
            publish.wait_in(self._waiting, next(self._keys))
            self._try()
        request = publish.request
        if not request.over:
            request.held = publish.leave

    def left_out(self, number: int) -> None:
        """Count message attributes that got no header."""
        self._counters.add("attributes_left_out_total", number)

    def _try(self) -> None:
        """Send what waits, in its order, as far as channels are open and fences are free."""
        link = self._link
        while self._waiting and link is not None and link.ready and not link.blocked:
            publish = next(iter(self._waiting.values()))
            try:
                proven = self._exchanges.state(publish.exchange, monotonic()) == PROVEN
                first = not publish.accepted and (publish.suspect or not proven)
                channel = link.trial if first else link.main
                if channel is None or (first and len(channel.fenced) >= MAX_FENCED):
                    return
                del self._waiting[publish.key]
                channel.send(publish, fence=first)
            except BridgeError as error:
                self._waiting.pop(publish.key, None)
                publish.request.failed(error)

    def accepted(self, link: BrokerLink, publish: Publish) -> None:
        """The broker has taken a message on the trial channel: its exchange is right."""
        if link is self._link:
            self._exchanges.prove(publish.exchange)
            self._try()

    def channel_closed(self, link: BrokerLink, channel: ConfirmChannel, error: Exception) -> None:
        """Fail the message that is to blame, if it is known; send all others again."""
        by_broker = isinstance(error, ChannelClosedByBroker)
        if by_broker:
            self._log.error("channel_closed", broker=self.address, explanation=describe(error))
        fenced = list(channel.fenced)
        again = channel.take()
        if link is not self._link:  # it was replaced
            self.send_again(again, suspect=by_broker)
            return
        if fenced:  # the broker has taken all that was sent before the first of these, and nothing that was sent after it
            self._blame(link, fenced[0], error)
            unread = set(map(id, fenced[1:]))
            for publish in again:
                publish.sends -= id(publish) in unread
        elif by_broker:
            self._exchanges.doubt()
            if _code(error) == 403:
                self._replace()
        self.send_again(again, suspect=by_broker and not fenced)

    def _blame(self, link: BrokerLink, publish: Publish, error: Exception) -> None:
        """Fail the message that has closed the channel: its exchange is wrong, or the message itself."""
        now, code, words = monotonic(), _code(error), describe(error)
        if code == 403 and (self._renewing or publish.request.sent <= self._renewed_at):
            return  # it was refused with a credential that has been renewed since; it is sent again
        refused: BridgeError = RoutingFailed(
            f"the broker refuses messages to exchange {publish.exchange!r}: {words} (BRIDGE_EXCHANGE or BRIDGE_ROUTES)"
        )
        if code == 403 and link.expires and time() > link.expires - 1:
            refused = BrokerUnavailable(f"the token in BRIDGE_AMQP_PASSWORD_FILE has ended: {words}")
            self._file.follow()
            self._replace()
        elif code in (403, 404) and " to topic '" not in words:
            self._exchanges.refuse(publish.exchange, str(refused), now)
        else:
            self._exchanges.check(publish.exchange, now)
        publish.request.failed(refused)

    def send_again(self, publishes: list[Publish], suspect: bool) -> None:
        """Send messages again, before all that waits. Those that were sent MAX_SENDS times are answered."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for publish in publishes:
            if publish.request.over:
                continue
            if publish.sends >= MAX_SENDS:
                publish.request.failed(BrokerLost("the broker closed the channel before the confirm, more than once"))
                continue
            publish.suspect = suspect
            publish.accepted = publish.accepted and not suspect
            publish.wait_in(self._waiting, next(self._keys))
        for publish in waiting:
            publish.wait_in(self._waiting, next(self._keys))
        if self.trouble and not self._comes_back:
            self.give_up(BrokerLost("the connection to the broker was lost before the confirm"))
        self._try()

    def link_in_use(self) -> None:
        """Forget what is known of exchanges, because a new link or credential may have other rights."""
        self._ready_at, self._doubt = monotonic(), FIRST_DOUBT
        self._exchanges.forget()
        self._try()

    def channel_open(self, link: BrokerLink) -> None:
        """Send what waits for this channel."""
        if link is self._link:
            self._try()

    def give_up(self, error: BridgeError) -> None:
        """Fail all that waits with this error."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for publish in waiting:
            publish.request.failed(error)

    def nacked(self, link: BrokerLink) -> None:
        """Replace a channel that nacks, now and then.

        A channel that opened while a quorum queue had no leader can nack without end, because RabbitMQ 3.10 goes on asking the dead
        leader. A full queue nacks on the next channel too.
        """
        if link.main is None or monotonic() < self._ready_at + self._doubt:
            return
        self._ready_at = monotonic()
        self._doubt = min(self._doubt * 2, LONGEST_DOUBT)
        link.replace_main("nacks on this channel, so the next is tried")

    def link_blocked(self, link: BrokerLink, reason: str) -> None:
        """Answer what waits, because a broker with an alarm confirms nothing for a long time."""
        if not reason:
            self._log.info("broker_unblocked", broker=self.address)
            self._try()
            return
        self._log.error("broker_blocked", broker=self.address, explanation=reason)
        blocked = BrokerBlocked("the broker blocked the connection before the confirm")
        link.fail(blocked)
        if link is self._link:
            self.give_up(blocked)


def _code(error: BaseException) -> int:
    return int(getattr(error, "reply_code", 0) or 0)
