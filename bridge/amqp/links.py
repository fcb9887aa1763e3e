"""Keeps the link to the broker up: it reconnects without end, replaces a link before it ends, and follows the password's file.

Source: RabbitMQ guides "Connections", "Blocked Connection Notifications" and "OAuth 2" (token expiration, connection.update-secret).
"""

import os
from collections.abc import Callable
from time import monotonic, time

from bridge.amqp.broker import BrokerSettings, describe, expiry, secret_of
from bridge.amqp.channel import Publish
from bridge.amqp.connection import BrokerLink, LinkOwner
from bridge.amqp.loop import Loop
from bridge.amqp.url import BrokerURL
from bridge.counters import Counters
from bridge.errors import BridgeError, BrokerLost, BrokerUnavailable, SettingError
from bridge.files import FollowedFiles
from bridge.log import Log

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 4.5  # seconds before a reconnect, so that it comes within 5 s of the broker's return
FIRST_RETRY, LONGEST_RETRY = 0.2, 60.0  # seconds until another connection is tried, because this one's credential is refused
RENEWAL = 5.0  # seconds in which the broker has to answer connection.update-secret
DRAIN = 15.0  # seconds for the last confirms on a connection that another one has replaced; no request lives longer
MAX_TOLD = 20  # warnings that are remembered


class KeptLink(LinkOwner):
    """One link to a broker, and at times a second one that will replace it. The base class of Publisher.

    `trouble` says why nothing can be published, or is "".
    """

    def __init__(self, loop: Loop, settings: BrokerSettings, queue: tuple[str, str, str] | None, log: Log, counters: Counters) -> None:
        """queue, if any, is (name, exchange, binding key): a durable quorum queue to declare and bind."""
        self._loop, self._settings, self._queue, self._log, self._counters = loop, settings, queue, log, counters
        self._link: BrokerLink | None = None
        self._next: BrokerLink | None = None  # opens, to replace the link
        self._tries = 0
        self.address = ""
        self.trouble = "the bridge is not connected to the broker yet (BRIDGE_AMQP_URL)"
        self._pause, self._retry, self._retry_at = FIRST_PAUSE, FIRST_RETRY, 0.0
        self._told: set[str] = set()  # warnings that were logged
        self._closing = self._renewing = False
        self._renewed_at = 0.0  # when the broker took the link's newest secret, in monotonic seconds
        self._comes_back = False  # a lost link is replaced at once, and what was in flight waits for that
        self._takes_secrets = True  # until a broker has closed the connection because of connection.update-secret
        self._secret = ""  # what BRIDGE_AMQP_PASSWORD_FILE held last
        self._file = FollowedFiles("amqp_password", {"BRIDGE_AMQP_PASSWORD_FILE": settings.password_file}, self._use_secret, log)

    # ---- what the subclass that publishes is told

    def link_in_use(self) -> None:
        """The link, or its credential, is new."""

    def send_again(self, publishes: list[Publish], suspect: bool) -> None:
        """These were in flight on a link or channel that has ended; suspect tells whether one of them may be the cause."""

    def give_up(self, error: BridgeError) -> None:
        """Nothing that waits can be sent; fail it with this error."""

    # ---- the link: up, down, and replaced

    def connect(self) -> None:
        """Start to connect to the next broker of BRIDGE_AMQP_URL."""
        url = BrokerURL(self._settings.urls[self._tries % len(self._settings.urls)])
        self._tries += 1
        self.address = str(url)
        self._link = BrokerLink(self, self._loop, self._settings, url, self._queue, self._counters)
        self._connect(self._link)

    def _connect(self, link: BrokerLink) -> None:
        try:
            self._file.read()
        except SettingError as error:
            if not self._secret:
                link.lost(error)
                return
            self._file.follow()  # logs it; the secret that was read last may still work
        link.connect(self._secret)

    def link_ready(self, link: BrokerLink) -> None:
        """Publish by this link from now on; the former one is closed when its last confirm has come."""
        if link is self._next:
            old, self._link, self._next = self._link, link, None
            if old is not None:
                self._drain(old, monotonic() + DRAIN)
        self._told.discard(self.trouble)
        self.trouble, self._comes_back = "", False
        self._pause, self._renewing = FIRST_PAUSE, False
        self._counters.add("broker_connections_total")
        self._log.info("broker_connected", broker=self.address)
        for warning in link.queue.warnings if link.queue is not None else ():
            if self._new(warning):
                self._log.warning("queue_at_risk", broker=self.address, explanation=warning)
        self.link_in_use()

    def link_unusable(self, link: BrokerLink, problem: str) -> None:
        """Log what is wrong with BRIDGE_QUEUE, and try again later."""
        if self._new(problem):
            self._log.error("queue_unusable", broker=self.address, explanation=problem)
        if link is self._next:
            self._next = None
            link.close()
            return
        self.trouble, self._comes_back = problem, False
        self.give_up(BrokerUnavailable(problem))
        self._later(link.set_up)

    def link_lost(self, link: BrokerLink, error: BaseException) -> None:
        """Connect again. If that can be done at once, keep what waits for its confirm, else answer it."""
        if link is self._next:
            self._next = None
            self._log.warning("broker_not_replaced", broker=self.address, explanation=describe(error))
            return
        if link is not self._link:  # it was replaced, and its last confirms will not come
            self.send_again(link.take(), suspect=False)
            return
        newer = self._has_newer_secret(link)
        self._link = None
        self.trouble = f"the bridge is not connected to the broker (BRIDGE_AMQP_URL): {describe(error)}"
        if not self._closing:
            self._log.error("broker_lost", broker=self.address, explanation=describe(error))
        # at once, with all that was in flight, when its credential has ended or was refused and another one is known
        self._comes_back = not self._closing and not self._comes_back and (self._renewing or self._next is not None or newer)
        self._takes_secrets = self._takes_secrets and not self._renewing
        self._renewing = False
        if self._comes_back:
            self.send_again(link.take(), suspect=False)
            if self._next is not None:
                self._link, self._next = self._next, None
            else:
                self._tries -= 1
                self.connect()
            return
        lost = BrokerLost("the connection to the broker was lost before the confirm")
        link.fail(lost)
        self.give_up(lost)
        if not self._closing:
            self._later(self._reconnect)

    def _reconnect(self) -> None:
        """Connect, unless that was done during the pause."""
        if self._link is None and not self._closing:
            self.connect()

    def _later(self, step: Callable[[], None]) -> None:
        """Take a step after a pause that doubles, with jitter so that many bridges do not come back at once."""
        jitter = 0.5 + os.urandom(1)[0] / 510
        self._loop.call_later(self._pause * jitter, step)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _replace(self) -> None:
        """Make another connection. This one goes on until the other is ready, so nothing in flight is lost."""
        link, now = self._link, monotonic()
        if link is None or not link.ready or self._next is not None or self._closing or now < self._retry_at:
            return
        if now > self._retry_at + 2 * LONGEST_RETRY:  # the last retry was long ago
            self._retry = FIRST_RETRY
        self._retry_at = now + self._retry
        self._retry = min(self._retry * 2, LONGEST_RETRY)
        self._next = BrokerLink(self, self._loop, self._settings, link.url, self._queue, self._counters)
        self._connect(self._next)

    def _drain(self, link: BrokerLink, until: float) -> None:
        """Close a link that was replaced when its last confirm has come, or at monotonic seconds until."""
        if link.idle or link.ended or monotonic() >= until:
            link.close()
        else:
            self._loop.call_later(0.05, lambda: self._drain(link, until))

    def _new(self, explanation: str) -> bool:
        """Tell whether a warning is new, because the same one comes with each link."""
        if explanation in self._told:
            return False
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(explanation)
        return True

    # ---- the credential

    def follow(self) -> None:
        """Read BRIDGE_AMQP_PASSWORD_FILE again if it has changed, and log when the token of the connection has ended."""
        self._file.follow()
        link = self._link
        if link is not None and link.expires and time() > link.expires:
            ended = f"the token in BRIDGE_AMQP_PASSWORD_FILE ended at {link.expires:.0f} (Unix time), and the file holds no newer one"
            if self._new(ended):
                self._log.error("credential_expired", broker=self.address, explanation=ended)

    def _use_secret(self, contents: dict[str, bytes]) -> None:
        """Renew the open connection with the file's new content. Raises SettingError when that is no password."""
        try:
            secret = secret_of(contents["BRIDGE_AMQP_PASSWORD_FILE"])
        except ValueError as error:
            raise SettingError("BRIDGE_AMQP_PASSWORD_FILE", str(error)) from None
        if expiry(self._secret) > time() and not expiry(secret):  # the file may be half-written
            raise SettingError("BRIDGE_AMQP_PASSWORD_FILE", "held a token, and now holds something else; the token stays in use")
        self._secret = secret
        link = self._link
        if link is None:  # the broker may take this one, so the pause ends
            self._pause = FIRST_PAUSE
            self._reconnect()
            return
        if not link.ready or link.secret == secret:
            return
        self._retry, self._retry_at = FIRST_RETRY, 0.0
        if not self._takes_secrets:
            self._replace()
            return
        self._renewing = True
        link.renew(secret, lambda: self._renewed(link))
        self._loop.call_later(RENEWAL, lambda: self._not_renewed(link, secret))

    def _renewed(self, link: BrokerLink) -> None:
        self._renewing, self._renewed_at = False, monotonic()
        self._log.info("credential_renewed", broker=self.address)
        self.link_in_use()

    def _not_renewed(self, link: BrokerLink, secret: str) -> None:
        """The broker has not answered: replace the connection."""
        if self._renewing and link is self._link and link.secret == secret:
            self._renewing = self._takes_secrets = False
            self._replace()

    def _has_newer_secret(self, link: BrokerLink) -> bool:
        """Tell whether the link's token has ended, or nearly, and the file holds another one."""
        self._file.follow()
        return bool(link.expires) and time() > link.expires - RENEWAL and self._secret != link.secret

    # ---- its end

    def broken(self, error: Exception) -> None:
        """A callback of pika's has raised: give the connection up, because its state is unknown."""
        link = self._link
        if link is not None:
            link.abort(error)

    def close(self) -> None:
        """Close the connections in AMQP's own way, as far as the loop still turns."""
        self._closing = True
        for link in (self._link, self._next):
            if link is not None:
                link.close()

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._link is None or self._link.connection is None
