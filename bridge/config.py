"""Settings as given -> one frozen Config, or one clear line about the first that can't be used."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.amqp.broker import BrokerSettings
from bridge.amqp.url import BrokerURL
from bridge.bodies.routing import Route, Template, parse_routes
from bridge.errors import SettingError
from bridge.files import content
from bridge.settings import SETTINGS, Setting, without_control, without_quotes
from bridge.sns.topic import TopicPattern, parse_patterns
from bridge.sqs.queue_url import QueueURL, default_region, parse_queue_urls

_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_BY_FLAG = {setting.flag: setting for setting in SETTINGS}
# Kubernetes puts these into every container when a Service is named "bridge" or "bridge-…". They are not the operator's mistake.
_OF_KUBERNETES = re.compile(
    r"BRIDGE_(?:[A-Z0-9_]+_)?(?:(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)?)=.*|PORT=(?:tcp|udp|sctp)://.*)",
    re.DOTALL,
)


class Config:
    """The settings in the form that the code uses; each attribute is a setting's name in lower case, unless said otherwise."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.topics: list[TopicPattern] = values["TOPICS"]
        self.routes: list[Route] = values["ROUTES"]  # the last one is the default
        self.routes_file: str = values["ROUTES_FILE"]
        self.broker: BrokerSettings = values["BROKER"]
        self.queue: str = values["QUEUE"]
        self.trace_attribute: str = values["TRACE_ATTRIBUTE"]
        self.raw: bool = values["RAW"]
        self.listens: bool = values["LISTEN"] is not None  # BRIDGE_LISTEN is not off
        self.listen: tuple[str, int] = values["LISTEN"] or ("", 0)
        self.admin_listen: tuple[str, int] | None = values["ADMIN_LISTEN"]
        self.admin_given: bool = values["ADMIN_GIVEN"]  # whether it is not the default
        self.path: str = values["PATH"]
        self.tls_cert: str = values["TLS_CERT"]
        self.tls_key: str = values["TLS_KEY"]
        self.tls_client_ca_file: str = values["TLS_CLIENT_CA_FILE"]
        self.basic_auth_file: str = values["BASIC_AUTH_FILE"]
        self.max_age: float = values["MAX_AGE"]
        self.deadline: float = values["DEADLINE"]
        self.max_body: int = values["MAX_BODY"]
        self.max_buffered: int = values["MAX_BUFFERED"]
        self.max_connections: int = values["MAX_CONNECTIONS"]
        self.max_in_flight: int = values["MAX_IN_FLIGHT"]
        self.certificates: str = values["CERTIFICATES"]
        self.ca_file: str = values["CA_FILE"]
        self.sns_endpoint: str = values["SNS_ENDPOINT"]
        self.sqs_queues: list[QueueURL] = values["SQS_QUEUES"]
        self.sqs_endpoint: str = values["SQS_ENDPOINT"]
        self.processes: int = values["PROCESSES"]
        self.log_level: str = values["LOG_LEVEL"]
        self.log_format: str = values["LOG_FORMAT"]

    def queue_to_declare(self) -> tuple[str, str, str] | None:
        """Return (queue, exchange, binding key) for BRIDGE_QUEUE, None when it is not set. A template as key is bound as `#`, the wildcard
        of a topic exchange.
        """
        if not self.queue:
            return None
        default = self.routes[-1]
        exchange, key = default.exchange.text, default.routing_key.text
        return self.queue, exchange, "#" if "{" in key else key


def given(environment: Mapping[str, str], arguments: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the settings that were given, by name, and the arguments that are no flags. A flag wins over the environment.

    Raises SettingError for a name that is no setting, a flag without a value, and a password in a flag.
    """
    texts = {}
    for variable, text in environment.items():
        if variable in _BY_VARIABLE:
            texts[_BY_VARIABLE[variable].name] = text
        elif variable.startswith("BRIDGE_") and not _OF_KUBERNETES.fullmatch(f"{variable}={text}"):
            raise SettingError(variable, "is not a setting; `bridge --help` lists them")
    rest = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("--"):
            rest.append(word)
            continue
        flag, equals, text = word.partition("=")
        if flag not in _BY_FLAG:
            raise SettingError(flag, "is not a setting; `bridge --help` lists them")
        if not equals:
            text = next(words, "--")
            if text.startswith("--"):
                raise SettingError(flag, "has no value (an empty one is written " + flag + "=)")
        texts[_BY_FLAG[flag].name] = text
        if flag == "--amqp-url" and any(":" in url.partition("://")[2].rpartition("@")[0] for url in text.split(",")):
            raise SettingError(
                flag, "holds a password, which the process list would show; use BRIDGE_AMQP_PASSWORD_FILE or the environment"
            )
    return texts, rest


def load(texts: dict[str, str], need_topics: bool = True) -> Config:
    """Return the Config for settings as texts, by their names without BRIDGE_. Raises SettingError for the first one that can't be used.

    need_topics tells whether BRIDGE_TOPICS is required.
    """
    values = _parsed(SETTINGS, texts)
    values["ADMIN_GIVEN"] = "ADMIN_LISTEN" in texts
    _topics_and_queues(values, need_topics, default_region(os.environ))
    _check_files(values)
    _routes(values)
    _broker(values)
    _check_together(values)
    return Config(values)


def topics_and_queues(texts: dict[str, str], region: str) -> tuple[list[TopicPattern], list[QueueURL]]:
    """Return BRIDGE_TOPICS and BRIDGE_SQS_QUEUES alone, both as `load` reads them; neither is required. Raises SettingError.

    region is used for a queue's URL that names none.
    """
    values = _parsed((_BY_VARIABLE["BRIDGE_TOPICS"], _BY_VARIABLE["BRIDGE_SQS_QUEUES"]), texts)
    _topics_and_queues(values, False, region)
    return values["TOPICS"] or [], values["SQS_QUEUES"]


def _parsed(settings: Iterable[Setting], texts: dict[str, str]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        try:
            values[setting.name] = setting.parse(without_quotes(without_control(texts.get(setting.name, setting.default))))
        except ValueError as error:
            raise SettingError(setting.variable, str(error)) from None
    return values


def _topics_and_queues(values: dict[str, Any], need_topics: bool, region: str) -> None:
    if need_topics or values["TOPICS"]:
        _convert(values, "TOPICS", parse_patterns, "name the topics to accept, e.g. arn:aws:sns:eu-central-1:123456789012:orders")
    _convert(values, "SQS_QUEUES", lambda text: parse_queue_urls(text, region))


def _convert(values: dict[str, Any], name: str, parse: Any, hint: str = "") -> None:
    try:
        values[name] = parse(values[name])
    except ValueError as error:
        raise SettingError("BRIDGE_" + name, f"{error}" + (f"; {hint}" if hint else "")) from None


def _check_files(values: dict[str, Any]) -> None:
    for setting in SETTINGS:
        path = values[setting.name]
        if setting.metavar == "FILE" and path:
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise SettingError(setting.variable, f"{path} can't be read: {error.strerror}") from None
        if setting.metavar == "FOLDER" and path and not os.path.isdir(path):
            raise SettingError(setting.variable, f"{path} is not a folder")


def _routes(values: dict[str, Any]) -> None:
    exchange = values["EXCHANGE"]
    key = values["ROUTING_KEY"] or (values["QUEUE"] if values["QUEUE"] and not exchange else "{topic}")
    for name, text in (("EXCHANGE", exchange), ("ROUTING_KEY", key)):
        values[name] = text
        _convert(values, name, Template)
    default = Route(None, exchange, key, values["BODY"])
    path = values["ROUTES_FILE"] = values["ROUTES"]
    values["ROUTES"] = [default]
    if path:
        values["ROUTES"] = routes_of(content("BRIDGE_ROUTES", path), path, default)


def routes_of(rules: bytes, path: str, default: Route) -> list[Route]:
    """Return the rules of a BRIDGE_ROUTES file (UTF-8), with default as the last one. Raises SettingError, naming path."""
    try:
        return [*parse_routes(rules.decode(), default), default]
    except ValueError as error:
        raise SettingError("BRIDGE_ROUTES", f"{path}: {error}") from None


def _broker(values: dict[str, Any]) -> None:
    urls = tuple(url.strip() for url in values["AMQP_URL"].split(",") if url.strip())
    for url in urls:
        try:
            BrokerURL(url)
        except ValueError as error:
            raise SettingError("BRIDGE_AMQP_URL", str(error)) from None
    if not urls:
        raise SettingError("BRIDGE_AMQP_URL", "names no broker")
    values["BROKER"] = BrokerSettings(
        urls, values["AMQP_CA_FILE"], values["AMQP_CERT"], values["AMQP_KEY"], values["AMQP_PASSWORD_FILE"], int(values["AMQP_HEARTBEAT"])
    )


def _check_together(values: dict[str, Any]) -> None:
    if values["RAW"] and not (values["BASIC_AUTH_FILE"] or values["TLS_CLIENT_CA_FILE"]):
        raise SettingError("BRIDGE_RAW", "raw messages carry no signature: set BRIDGE_BASIC_AUTH_FILE or BRIDGE_TLS_CLIENT_CA_FILE too")
    if (values["TLS_KEY"] or values["TLS_CLIENT_CA_FILE"]) and not values["TLS_CERT"]:
        raise SettingError("BRIDGE_TLS_CERT", "is missing beside BRIDGE_TLS_KEY or BRIDGE_TLS_CLIENT_CA_FILE")
    if values["PROCESSES"] > 1 and values["LISTEN"] is not None and not values["LISTEN"][1]:
        raise SettingError("BRIDGE_PROCESSES", "more than one process can't share port 0 (BRIDGE_LISTEN)")
    if values["LISTEN"] is None and not values["SQS_QUEUES"]:
        raise SettingError("BRIDGE_LISTEN", "off is for a bridge that pulls: set BRIDGE_SQS_QUEUES too")
    if values["AMQP_HEARTBEAT"] and not 1 <= values["AMQP_HEARTBEAT"] <= 65535:
        raise SettingError("BRIDGE_AMQP_HEARTBEAT", "must be from 1s to 65535s, or 0 for none")
    if values["MAX_BUFFERED"] < values["MAX_BODY"]:
        raise SettingError("BRIDGE_MAX_BUFFERED", "must not be less than BRIDGE_MAX_BODY, or the largest messages are never taken")
    if not 1 <= values["DEADLINE"] <= 14:
        raise SettingError("BRIDGE_DEADLINE", "must be from 1s to 14s, because SNS gives up after 15 s")
