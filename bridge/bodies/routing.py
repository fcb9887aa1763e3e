"""Where a message goes: exchange and routing key, from templates over its fields, and its body format. No sockets here."""

import re

from bridge.bodies.formats import FORMATS
from bridge.errors import RoutingFailed
from bridge.settings import without_control
from bridge.sns.message import Notification
from bridge.sns.topic import TopicArn, TopicPattern

MAX_SHORT_STRING = 255  # bytes of an exchange's or routing key's name (AMQP 0-9-1 section 4.2.5.3)

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")  # no control character, no lone surrogate
_OF_TOPIC = ("topic", "account", "region", "topic_arn")
_ROUTE_KEYS = {"topic", "exchange", "routing_key", "body"}


class Template:
    """A text with {topic}, {account}, {region}, {topic_arn}, {subject} (all signed) and {attribute.NAME} (unsigned)."""

    __slots__ = ("_parts", "of_topic_only", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with what is wrong."""
        self.text = without_control(text)
        self._parts = _PLACEHOLDER.split(text)  # literal, name, literal, name, ..., literal
        if any("{" in part or "}" in part for part in self._parts[::2]):
            raise ValueError(f"{text!r} has a brace without its partner")
        if len("".join(self._parts[::2]).encode()) > MAX_SHORT_STRING:
            raise ValueError(f"{text!r} has more than {MAX_SHORT_STRING} bytes")
        names = self._parts[1::2]
        for name in names:
            if name not in (*_OF_TOPIC, "subject") and not re.fullmatch(r"attribute\.[A-Za-z0-9_.-]{1,256}", name):
                raise ValueError(
                    f"{text!r}: {{{name}}} is none of {{topic}} {{account}} {{region}} {{topic_arn}} {{subject}} {{attribute.NAME}}"
                )
        self.of_topic_only = all(name in _OF_TOPIC for name in names)

    def fill(self, topic: TopicArn, message: Notification | None) -> str:
        """Return the text with its fields filled in (at most 255 bytes of UTF-8). Raises RoutingFailed."""
        parts = list(self._parts)
        for at in range(1, len(parts), 2):
            parts[at] = _field(parts[at], topic, message)
        filled = "".join(parts)
        if len(filled.encode()) > MAX_SHORT_STRING:
            raise RoutingFailed(
                f"{self.text!r} fills to more than {MAX_SHORT_STRING} bytes (BRIDGE_EXCHANGE, BRIDGE_ROUTING_KEY or BRIDGE_ROUTES)"
            )
        return filled


def _field(name: str, topic: TopicArn, message: Notification | None) -> str:
    if name == "topic":
        return topic.name
    if name == "topic_arn":
        return topic.arn
    if name == "account":
        return topic.account
    if name == "region":
        return topic.region
    value: str | None = None
    if message is not None:
        value = message.subject if name == "subject" else message.attributes.get(name[10:], (None, None))[1]
    if value is None or not _TEXT.fullmatch(value):
        raise RoutingFailed(f"the message has no usable {{{name}}}, which the routing settings ask for")
    return value


class Route:
    """One rule: the pattern of its topics (None: all), the two templates, and the name of the body format (formats.py)."""

    __slots__ = ("body", "exchange", "pattern", "routing_key")

    def __init__(self, pattern: TopicPattern | None, exchange: str, routing_key: str, body: str) -> None:
        """Raises ValueError with what is wrong."""
        if body not in FORMATS:
            raise ValueError(f"body {body!r} is none of {', '.join(FORMATS)}")
        self.pattern = pattern
        self.exchange = Template(exchange)
        self.routing_key = Template(routing_key)
        self.body = body


def parse_routes(text: str, default: Route) -> list[Route]:
    """Return the rules of a BRIDGE_ROUTES file (TOML, `[[route]]` tables) in their order. What a rule leaves out comes from default.

    Raises ValueError with what is wrong and where.
    """
    import tomllib  # not at the top, because most bridges have no such file

    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise ValueError("the file is nested too deeply") from None
    tables = document.get("route")
    if set(document) != {"route"} or not isinstance(tables, list):
        raise ValueError("the file may hold [[route]] tables only")
    return [_route(number, table, default) for number, table in enumerate(tables, 1)]


def _route(number: int, table: object, default: Route) -> Route:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f"route {number}: a value is not a string")
    unknown = set(table) - _ROUTE_KEYS
    if unknown:
        raise ValueError(f"route {number}: {', '.join(sorted(unknown))} is none of topic, exchange, routing_key, body")
    if "topic" not in table:
        raise ValueError(f"route {number}: names no topic")
    try:
        return Route(
            TopicPattern(table["topic"]),
            table.get("exchange", default.exchange.text),
            table.get("routing_key", default.routing_key.text),
            table.get("body", default.body),
        )
    except ValueError as error:
        raise ValueError(f"route {number}: {error}") from None


def find_route(topic: TopicArn, routes: list[Route]) -> Route:
    """Return the first route whose pattern matches; the default is the last and matches all. Raises RoutingFailed when none does."""
    for route in routes:
        if route.pattern is None or route.pattern.matches(topic):
            return route
    raise RoutingFailed("no route is for this topic")
