"""How to reach the broker: AMQP URLs and their secrets and certificates, read anew at every connect so that rotation needs no restart.

Source: RabbitMQ URI specification and URI query parameters; AMQP 0-9-1 section 4.
"""

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pika
from pika.credentials import ExternalCredentials, PlainCredentials

from bridge.sns.fetch import default_ca_file

if TYPE_CHECKING:
    import ssl

SOCKET_TIMEOUT = 4  # seconds for TCP
STACK_TIMEOUT = 8  # seconds for TCP, TLS and AMQP together


class BrokerSettings:
    """urls (amqp:// or amqps://), files (paths, "" for none) and the heartbeat in seconds."""

    __slots__ = ("ca_file", "cert", "heartbeat", "key", "password_file", "urls")

    def __init__(self, urls: tuple[str, ...], ca_file: str, cert: str, key: str, password_file: str, heartbeat: int) -> None:
        self.urls, self.ca_file, self.cert, self.key = urls, ca_file, cert, key
        self.password_file, self.heartbeat = password_file, heartbeat


def check_url(url: str) -> None:
    """Raises ValueError, without the URL itself (a password may be in there), when it is not an AMQP URL."""
    if not url.startswith(("amqp://", "amqps://")):
        raise ValueError("is not amqp://USER@HOST:PORT/VHOST or amqps://…")
    try:
        if not urlsplit(url).hostname:
            raise ValueError
        pika.URLParameters(_whole(url))
    except Exception:
        raise ValueError("can't be read as an AMQP URL; a / in the virtual host is written %2F") from None


def _whole(url: str) -> str:
    """pika wants a password where there is a user; the one of `guest` is known."""
    parts = urlsplit(url)
    if parts.username is None or parts.password is not None:
        return url
    password = "guest" if parts.username == "guest" else ""
    return url.replace("@", f":{password}@", 1)


def where(url: str) -> str:
    """Return an AMQP URL as host:port/vhost, fit for a log."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}{parts.path or '/'}"


def parameters(settings: BrokerSettings, url: str) -> pika.URLParameters:
    """Return pika's connection parameters. Raises OSError or ValueError when a file can't be used."""
    parts = urlsplit(url)
    result = pika.URLParameters(_whole(url))
    result.connection_attempts = 1
    result.retry_delay = 0
    result.socket_timeout = SOCKET_TIMEOUT
    result.stack_timeout = STACK_TIMEOUT
    result.blocked_connection_timeout = None
    if "heartbeat=" not in parts.query:
        result.heartbeat = settings.heartbeat
    if parts.scheme == "amqps":
        result.ssl_options = pika.SSLOptions(tls_context(settings), parts.hostname)
    user = unquote(parts.username or "guest")
    if settings.cert and not parts.username:
        result.credentials = ExternalCredentials()
    elif settings.password_file:
        with open(settings.password_file, encoding="utf-8") as file:
            result.credentials = PlainCredentials(user, file.read().strip("\r\n"), erase_on_connect=True)
    result.client_properties = {"product": "sns-to-rabbitmq", "connection_name": "sns-to-rabbitmq"}
    return result


def tls_context(settings: BrokerSettings) -> "ssl.SSLContext":
    """Return the TLS context for amqps. Raises OSError when a file can't be used."""
    import ssl

    context = ssl.create_default_context(cafile=settings.ca_file or default_ca_file())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert:
        context.load_cert_chain(settings.cert, settings.key or None)
    return context
