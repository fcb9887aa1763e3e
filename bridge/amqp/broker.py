"""How to reach the broker: AMQP URLs, secrets and certificates. All are read again at every connect, so that rotation needs no restart.

Source: RabbitMQ URI specification and URI query parameters; AMQP 0-9-1 section 4.
"""

import json
import os
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING

import pika
from pika.credentials import ExternalCredentials, PlainCredentials

from bridge.amqp.url import BrokerURL
from bridge.sns.egress import default_ca_file
from bridge.sockets import load_certificate
from bridge.version import PRODUCT, VERSION

if TYPE_CHECKING:
    import ssl

SOCKET_TIMEOUT = 4  # seconds for TCP
STACK_TIMEOUT = 8  # seconds for TCP, TLS and AMQP together
MAX_SECRET = 65536  # bytes of a password or token


class BrokerSettings:
    """The settings of the connection: urls (amqp:// or amqps://), files (paths, "" for none) and the heartbeat in seconds."""

    __slots__ = ("ca_file", "cert", "heartbeat", "key", "password_file", "urls")

    def __init__(self, urls: tuple[str, ...], ca_file: str, cert: str, key: str, password_file: str, heartbeat: int) -> None:
        self.urls, self.ca_file, self.cert, self.key = urls, ca_file, cert, key
        self.password_file, self.heartbeat = password_file, heartbeat

    def secret(self) -> str:
        """Return the present content of BRIDGE_AMQP_PASSWORD_FILE without the line's end; "" when it is not set.

        Raises OSError, or ValueError when it is empty, too long or not UTF-8.
        """
        if not self.password_file:
            return ""
        with open(self.password_file, "rb") as file:
            return secret_of(file.read(MAX_SECRET + 3))


def secret_of(content: bytes) -> str:
    """Return the password or token in a file's content, without the line's end.

    Raises ValueError when it is empty, too long or not UTF-8.
    """
    content = content.strip(b"\r\n")
    if not content or len(content) > MAX_SECRET:
        raise ValueError(f"BRIDGE_AMQP_PASSWORD_FILE is empty or holds more than {MAX_SECRET} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:  # its own words would show a byte of the secret
        raise ValueError("BRIDGE_AMQP_PASSWORD_FILE is not UTF-8") from None


def expiry(secret: str) -> float:
    """Return when a JSON Web Token ends, in Unix seconds; 0 when the secret is no token, or names no end.

    Nothing is verified, because the broker does that. Source: RFC 7519 sections 4.1.4 and 7.2, RFC 7515 section 3.1.
    """
    parts = secret.split(".")
    if len(parts) != 3:
        return 0.0
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        end = claims.get("exp") if isinstance(claims, dict) else None
    except (ValueError, RecursionError):
        return 0.0
    return float(end) if isinstance(end, int | float) and 0 < end < 1e12 else 0.0


def parameters(settings: BrokerSettings, url: BrokerURL, secret: str) -> pika.ConnectionParameters:
    """Return pika's parameters; secret is the password file's content. Raises OSError or ValueError when a file can't be used."""
    numbers = url.numbers
    result = pika.ConnectionParameters(url.host, url.port, url.vhost)
    result.connection_attempts = 1
    result.retry_delay = 0
    result.socket_timeout = numbers.get("connection_timeout", SOCKET_TIMEOUT * 1000) / 1000
    result.stack_timeout = result.socket_timeout + STACK_TIMEOUT - SOCKET_TIMEOUT
    result.blocked_connection_timeout = None
    result.heartbeat = numbers.get("heartbeat", settings.heartbeat)
    if "channel_max" in numbers:
        result.channel_max = numbers["channel_max"]
    if "frame_max" in numbers:
        result.frame_max = numbers["frame_max"]
    if url.tls:
        result.ssl_options = pika.SSLOptions(tls_context(settings), url.server_name or url.host)
    if url.mechanism == "external" or (settings.cert and url.user is None and not url.mechanism):
        result.credentials = ExternalCredentials()
    else:
        user = "guest" if url.user is None else url.user
        password = secret or url.password or ("guest" if user == "guest" and url.password is None else "")
        result.credentials = PlainCredentials(user, password, erase_on_connect=True)
    # `rabbitmqctl list_connections client_properties` and the management page show these, to tell one bridge from another
    result.client_properties = {
        "product": PRODUCT,
        "version": VERSION,
        "connection_name": f"{PRODUCT} on {os.uname().nodename}, process {os.getpid()}",
    }
    return result


def tls_context(settings: BrokerSettings) -> "ssl.SSLContext":
    """Return the TLS context for amqps. Raises OSError when a file can't be used."""
    import ssl

    context = ssl.create_default_context(cafile=settings.ca_file or default_ca_file())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert:
        load_certificate(context, settings.cert, settings.key)
    return context


def describe(error: BaseException) -> str:
    """Return one line about pika's error: the broker's own words, else the innermost cause."""
    code, text = getattr(error, "reply_code", None), getattr(error, "reply_text", None)
    if isinstance(text, bytes):  # the broker has cut it at 255 bytes, in the middle of a character; pika hands such a text on as bytes
        text = text.decode("utf-8", "ignore")
    if text:
        return f"{code} {text}"
    for inner in (getattr(error, "exception", None), *error.args):  # pika keeps the failure of a phase of connecting in the first
        if isinstance(inner, BaseException):
            return describe(inner)
    nested = getattr(error, "exceptions", None)
    if nested:
        return describe(nested[-1])
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
