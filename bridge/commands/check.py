"""`bridge check`: try the settings against the broker and the queues, before SNS does.

It connects and declares BRIDGE_QUEUE by the code of `serve` (BrokerLink). To learn whether an exchange would take a message, it
publishes one whose expiration is no number: RabbitMQ refuses it only after it has checked everything else. Source: rabbit_channel's
basic.publish in RabbitMQ 3.10 to 4.3.
"""

from typing import Any

import pika
from pika import spec

from bridge.amqp import frames
from bridge.amqp.broker import describe
from bridge.amqp.channel import ConfirmChannel
from bridge.amqp.connection import BrokerLink, LinkOwner
from bridge.amqp.loop import Loop
from bridge.amqp.queue import ask
from bridge.amqp.url import BrokerURL
from bridge.bodies.routing import Template, find_route
from bridge.config import Config
from bridge.console import say
from bridge.counters import Counters
from bridge.errors import RoutingFailed, SettingError
from bridge.http.basic_auth import Credentials
from bridge.http.listener import look_at
from bridge.http.tls import ListenerTLS
from bridge.log import Log
from bridge.sns.origin import tls_context
from bridge.sns.topic import TopicArn

PATIENCE = 15.0  # seconds for one broker
Destination = tuple[str, str | None]  # exchange and routing key; None for a key that depends on the message


def check(config: Config) -> int:
    """Print a line for each broker, queue and exchange that was looked at; return 0 when all is well, else 1. Raises SettingError."""
    _look_at_settings(config)
    print("settings: ok")
    destinations, unseen, failing = _destinations(config)
    for line in failing:
        print(line)
    results = [not failing, *(_BrokerCheck(config, BrokerURL(url), destinations).run() for url in config.broker.urls)]
    for route in unseen:
        print(f"{route}: depends on the message, not looked at")
    if config.sqs_queues:
        from bridge.sqs.check import check_queues

        results.append(check_queues(config))
    return 0 if all(results) else 1


def _look_at_settings(config: Config) -> None:
    """Read the files that `serve` reads, and look at the addresses that it listens on. Raises SettingError, as `serve` does."""
    log = Log()
    Credentials(config.basic_auth_file, log)
    if config.listens:
        look_at(config.listen, "BRIDGE_LISTEN")
        if config.tls_cert:
            ListenerTLS(config, log, lambda _context: None)
    if config.admin_listen is not None and config.admin_given:
        look_at(config.admin_listen, "BRIDGE_ADMIN_LISTEN")
    if config.ca_file:
        try:
            tls_context(config.ca_file)
        except OSError:  # ssl.SSLError is one
            raise SettingError("BRIDGE_CA_FILE", f"{config.ca_file} holds no certificates (PEM) that can be trusted") from None


def _destinations(config: Config) -> tuple[list[Destination], list[str], list[str]]:
    """Return the destinations of the topics that the settings name, and in words the routes whose destination depends on the message, and
    the topics whose messages have none.
    """
    listed = [TopicArn(pattern.text) for pattern in config.topics if "*" not in pattern.text]
    found: dict[Destination, None] = {}
    unseen: dict[str, None] = {}
    failing: list[str] = []
    for route in config.routes:
        topics: list[TopicArn | None] = [topic for topic in listed if find_route(topic, config.routes) is route]
        for topic in topics or [None]:
            try:
                exchange, key = _filled(route.exchange, topic), _filled(route.routing_key, topic)
            except RoutingFailed as error:
                failing.append(f"topic {topic and topic.arn}: {error}")
                continue
            if exchange is not None and (exchange or key is not None):
                found[exchange, key] = None
            elif topic is not None or len(listed) < len(config.topics):
                unseen[f"exchange {route.exchange.text!r}, routing key {route.routing_key.text!r}"] = None
    return list(found), list(unseen), failing


def _filled(template: Template, topic: TopicArn | None) -> str | None:
    """Return a template filled for a topic (None: any); None when the result depends on the message. Raises RoutingFailed."""
    if "{" not in template.text:
        return template.text
    if topic is None or not template.of_topic_only:
        return None
    return template.fill(topic, None)


class _BrokerCheck(LinkOwner):
    """The check of one broker, on a loop of its own."""

    def __init__(self, config: Config, url: BrokerURL, destinations: list[Destination]) -> None:
        self._config, self._url, self._destinations = config, url, list(destinations)
        self._loop = Loop()
        self._loop.on_bug = lambda error: self._end(f"broker {url}: {describe(error)}")
        self._link = BrokerLink(self, self._loop, config.broker, url, config.queue_to_declare(), Counters(1, {}))
        self._good = True
        self._over = False

    def run(self) -> bool:
        """Print what was found; return whether all is well."""
        try:
            secret = self._config.broker.secret()
        except (OSError, ValueError) as error:
            self._say(False, f"broker {self._url}: {describe(error)} (BRIDGE_AMQP_PASSWORD_FILE)")
            return False
        self._loop.call_later(0, lambda: self._link.connect(secret))
        self._loop.call_later(PATIENCE, lambda: self._end(f"broker {self._url}: no answer within {PATIENCE:g} s (BRIDGE_AMQP_URL)"))
        self._loop.run()
        return self._good

    def _say(self, good: bool, line: str) -> None:
        if not self._over:
            self._good = self._good and good
            say(line)

    def _end(self, problem: str = "") -> None:
        if problem:
            self._say(False, problem)
        self._over = True
        self._loop.stop()

    # ---- what the link tells

    def link_lost(self, link: BrokerLink, error: BaseException) -> None:
        """The connection could not be made, or ended before all was seen."""
        concerned = "BRIDGE_AMQP_URL, BRIDGE_AMQP_PASSWORD_FILE, BRIDGE_AMQP_CERT, BRIDGE_AMQP_CA_FILE"
        self._end("" if link.closing else f"broker {self._url}: {describe(error)} ({concerned})")

    def link_unusable(self, link: BrokerLink, problem: str) -> None:
        """BRIDGE_QUEUE can't be declared or bound, so `serve` would not get ready."""
        self._connected(link)
        self._end(problem)

    def link_blocked(self, _link: BrokerLink, reason: str) -> None:
        """The broker has an alarm, so `serve` would answer 503."""
        if reason:
            self._end(f"broker {self._url}: has blocked the connection: {reason} (a memory or disk alarm)")

    def channel_closed(self, _link: BrokerLink, _channel: ConfirmChannel, error: Exception) -> None:
        """One of the link's channels has closed, though nothing was published on it."""
        self._end(f"broker {self._url}: {describe(error)}")

    def link_ready(self, link: BrokerLink) -> None:
        """`serve` would be ready now; look at the queue, then at the destinations."""
        self._connected(link)
        queue, name, declared = link.queue, self._config.queue, self._config.queue_to_declare()
        if queue is not None and declared is not None:
            exchange = declared[1]
            bound = f", bound to exchange {exchange!r}" if exchange else ""
            self._say(True, f"queue {name!r}: exists{bound}")
            for warning in queue.warnings:
                self._say(True, f"warning: {warning}")
            if queue.quorum and self._version(link) >= (4,) and not {"x-delivery-limit", "x-dead-letter-exchange"} & set(queue.arguments):
                self._say(
                    True,
                    f"warning: queue {name!r}: a quorum queue of RabbitMQ 4 drops a message at its 21st delivery, unless a policy gives "
                    "it a delivery limit or a dead-letter exchange; `bridge policy` prints one",
                )
        self._next()

    def _connected(self, link: BrokerLink) -> None:
        assert link.connection is not None
        properties = link.connection.server_properties
        self._say(True, f"broker {self._url}: connected ({properties.get('product', 'broker')} {properties.get('version', '')})")

    @staticmethod
    def _version(link: BrokerLink) -> tuple[int, ...]:
        assert link.connection is not None
        parts = str(link.connection.server_properties.get("version", "")).split(".")
        return tuple(int(part) for part in parts[:2] if part.isdecimal())

    # ---- exchanges and the queues behind the default one

    def _next(self) -> None:
        if not self._destinations:
            self._link.close()
            return
        exchange, key = self._destinations.pop(0)
        self._look_at_exchange(exchange, key)

    def _look_at_exchange(self, exchange: str, key: str | None) -> None:
        connection = self._link.connection
        assert connection is not None
        rabbitmq = connection.server_properties.get("product") == "RabbitMQ"
        shown = f"exchange {exchange!r}" if exchange else "the default exchange"

        def question(channel: "pika.channel.Channel", answered: Any) -> None:
            number = channel.channel_number
            channel.callbacks.add(number, spec.Basic.QosOk, answered)  # the fence's answer: nothing was refused
            if rabbitmq:
                connection.transport.write(frames.refused_publish(number, exchange, key or "") + frames.fence(number))
            elif exchange:
                channel.exchange_declare(exchange, passive=True, callback=answered)
            else:
                connection.transport.write(frames.fence(number))

        def then(reply: Any, error: Exception) -> None:
            if reply is not None:
                self._say(True, f"{shown}: exists; this broker does not show whether the bridge may write to it")
            elif getattr(error, "reply_code", 0) == 406 and "expiration" in describe(error):
                self._say(True, f"{shown}: exists, and the bridge may write to it")
            else:
                self._say(False, f"{shown}: {describe(error)} (BRIDGE_EXCHANGE or BRIDGE_ROUTES)")
            if exchange or key is None or key == self._config.queue:
                self._next()
            else:
                self._look_at_queue(key)

        ask(connection, question, then)

    def _look_at_queue(self, name: str) -> None:
        """Look at a queue, because on the default exchange a routing key is a queue's name."""
        connection = self._link.connection
        assert connection is not None

        def then(reply: Any, error: Exception) -> None:
            if reply is None:
                self._say(False, f"queue {name!r}: {describe(error)} (BRIDGE_ROUTING_KEY, BRIDGE_ROUTES or BRIDGE_QUEUE)")
            else:
                found = reply.method
                self._say(True, f"queue {name!r}: exists, {found.message_count} messages, {found.consumer_count} consumers")
            self._next()

        ask(connection, lambda channel, answered: channel.queue_declare(name, passive=True, callback=answered), then)
