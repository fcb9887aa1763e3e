"""The exchanges that are known: which ones take messages, and which were wrong a moment ago. No sockets here.

Source: AMQP 0-9-1 section 1.8.3.7 and RabbitMQ "Access Control": a publish to an exchange that does not exist (404) or must not be
written to (403) closes the channel, and all else that is in flight there is lost with it.
"""

from bridge.errors import RoutingFailed

REFUSED = 5.0  # seconds for which a wrong exchange is not tried again
CAREFUL = 60.0  # seconds for which each message to an exchange is tried first, after one message was refused for itself
MAX_EXCHANGES = 1000  # templates can make any number of names

UNKNOWN, PROVEN, CHECKED = "unknown", "proven", "checked"


class Exchanges:
    """Exchanges by name. UNKNOWN: not tried on this connection. PROVEN: the broker takes messages.

    CHECKED: the exchange is right, but one message was refused (its routing key or its size); each is tried first for a while.
    """

    def __init__(self) -> None:
        self.proven: set[str] = set()
        self._refused: dict[str, tuple[float, str]] = {}  # until when, and in what words
        self._checked: dict[str, float] = {}  # until when

    def state(self, exchange: str, now: float) -> str:
        """Return the state at monotonic seconds now. Raises RoutingFailed while the exchange is known to be wrong."""
        refused = self._refused.get(exchange)
        if refused is not None:
            if now < refused[0]:
                raise RoutingFailed(refused[1])
            del self._refused[exchange]
        if exchange in self._checked:
            if now < self._checked[exchange]:
                return CHECKED
            del self._checked[exchange]
        return PROVEN if exchange in self.proven else UNKNOWN

    def prove(self, exchange: str) -> None:
        """The broker has taken a message for this exchange."""
        if exchange not in self._checked:
            self._bound(self.proven)
            self.proven.add(exchange)

    def refuse(self, exchange: str, explanation: str, now: float) -> None:
        """The broker takes no message for this exchange; explanation is the text of later RoutingFailed errors, now monotonic seconds."""
        self.proven.discard(exchange)
        self._bound(self._refused)
        self._refused[exchange] = now + REFUSED, explanation

    def check(self, exchange: str, now: float) -> None:
        """The broker has refused one message for this exchange, because of something in the message itself. now is monotonic seconds."""
        self.proven.discard(exchange)
        self._bound(self._checked)
        self._checked[exchange] = now + CAREFUL

    def doubt(self) -> None:
        """A channel has closed, and any of the exchanges may be the cause."""
        self.proven.clear()

    def forget(self) -> None:
        """Forget everything, because another connection or credential may have other rights."""
        self.proven.clear()
        self._refused.clear()
        self._checked.clear()

    @staticmethod
    def _bound(known: "set[str] | dict[str, tuple[float, str]] | dict[str, float]") -> None:
        if len(known) >= MAX_EXCHANGES:
            known.clear()
