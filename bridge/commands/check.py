"""`bridge check`: try what the settings say against the broker and the queues, before SNS does."""

from collections.abc import Callable

import pika
import pika.exceptions
from pika.exchange_type import ExchangeType

from bridge.amqp import broker
from bridge.amqp.broker import describe
from bridge.amqp.loop import Loop
from bridge.amqp.url import BrokerURL
from bridge.bodies.routing import Route, find_route
from bridge.config import Config
from bridge.http.basic_auth import Credentials
from bridge.http.tls import ListenerTLS
from bridge.log import Log

PATIENCE = 15.0  # seconds for one broker


def check(config: Config) -> int:
    """Print a line for each thing that was looked at; return 0 when all is well, else 1. Raises SettingError."""
    _read_files(config)
    print("settings: ok")
    wanted = _wanted(config)
    results = [_Look(config, BrokerURL(url), wanted).run() for url in config.broker.urls]
    for route in config.routes:
        if not (route.exchange.of_topic_only and "{" not in route.exchange.text):
            print(f"exchange {route.exchange.text!r}: depends on the message, not looked at")
    if config.sqs_queues:
        from bridge.sqs.check import check_queues

        results.append(check_queues(config))
    return 0 if all(results) else 1


def _read_files(config: Config) -> None:
    """Read the files that `serve` reads at its start. Raises SettingError, as it would."""
    log = Log()
    Credentials(config.basic_auth_file, log)
    if config.listens and config.tls_cert:
        ListenerTLS(config, log, lambda _context: None)


def _wanted(config: Config) -> list[tuple[str, str]]:
    """Return ("exchange", name) and ("queue", name) for all that the settings name outright."""
    found: dict[tuple[str, str], None] = {}
    for route in config.routes:
        exchange, key = route.exchange.text, route.routing_key.text
        if exchange and "{" not in exchange:
            found["exchange", exchange] = None
        if not exchange and key != config.queue:
            for name in _keys(config, route):
                found["queue", name] = None
    return list(found)


def _keys(config: Config, route: Route) -> list[str]:
    """On the default exchange a routing key is a queue's name: those that the listed topics lead to."""
    if "{" not in route.routing_key.text:
        return [route.routing_key.text]
    if not route.routing_key.of_topic_only:
        return []
    from bridge.sns.topic import TopicArn

    topics = [TopicArn(pattern.text) for pattern in config.topics if "*" not in pattern.text]
    return [route.routing_key.fill(topic, None) for topic in topics if find_route(topic, config.routes) is route]


class _Look:
    """One broker, looked at from a loop of its own."""

    def __init__(self, config: Config, url: BrokerURL, wanted: list[tuple[str, str]]) -> None:
        self._settings, self._url, self._wanted = config.broker, url, list(wanted)
        self._loop = Loop()
        self._good = True
        self._over = False

    def run(self) -> bool:
        """Return whether all is there."""
        where = self._url
        try:
            parameters = broker.parameters(self._settings, self._url, self._settings.secret())
        except (OSError, ValueError) as error:
            self._say(False, f"broker {where}: {describe(error)} (BRIDGE_AMQP_PASSWORD_FILE, BRIDGE_AMQP_CERT or BRIDGE_AMQP_CA_FILE)")
            return False
        self._loop.call_later(PATIENCE, lambda: self._end(False, f"broker {where}: no answer within {PATIENCE:g} s"))
        pika.SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=lambda _, error: self._end(False, f"broker {where}: {describe(error)} (BRIDGE_AMQP_URL)"),
            on_close_callback=lambda _, error: self._end(self._good, ""),
            custom_ioloop=self._loop.services,
        )
        self._loop.run()
        return self._good

    def _say(self, good: bool, line: str) -> None:
        self._good = self._good and good
        if line:
            print(line)

    def _end(self, good: bool, line: str) -> None:
        if not self._over:
            self._over = True
            self._say(good, line)
            self._loop.stop()

    def _opened(self, connection: pika.SelectConnection) -> None:
        product = connection.server_properties.get("product", "broker"), connection.server_properties.get("version", "")
        self._say(True, f"broker {self._url}: connected ({' '.join(map(str, product))})")
        self._next(connection)

    def _next(self, connection: pika.SelectConnection) -> None:
        """Each question has a channel of its own, for a no closes it."""
        if not self._wanted:
            connection.close()
            return
        kind, name = self._wanted.pop(0)
        connection.channel(on_open_callback=lambda channel: self._ask(connection, channel, kind, name))

    def _ask(self, connection: pika.SelectConnection, channel: pika.channel.Channel, kind: str, name: str) -> None:
        def answered(text: str) -> Callable[[object], None]:
            def then(frame: object) -> None:
                method = getattr(frame, "method", None)
                self._say(True, text.format(messages=getattr(method, "message_count", 0), consumers=getattr(method, "consumer_count", 0)))
                channel.close()

            return then

        def closed(_channel: object, error: Exception) -> None:
            if not isinstance(error, pika.exceptions.ChannelClosedByClient):
                concerned = "BRIDGE_EXCHANGE" if kind == "exchange" else "BRIDGE_ROUTING_KEY, BRIDGE_QUEUE"
                self._say(False, f"{kind} {name!r}: {describe(error)} ({concerned})")
            self._next(connection)

        channel.add_on_close_callback(closed)
        escaped = repr(name).replace("{", "{{").replace("}", "}}")
        if kind == "exchange":
            channel.exchange_declare(name, ExchangeType.direct, passive=True, callback=answered(f"exchange {escaped}: is there"))
        else:
            channel.queue_declare(
                name, passive=True, callback=answered(f"queue {escaped}: is there, {{messages}} messages, {{consumers}} consumers")
            )
