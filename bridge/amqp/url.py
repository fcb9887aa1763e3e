"""An AMQP URL -> its parts, or a clear error without the URL itself, because it may hold a password. No sockets here.

Source: RabbitMQ "AMQP URI Specification" and "AMQP URI Query Parameters"; RFC 3986 sections 2.1 and 3.
"""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

PORT, TLS_PORT = 5672, 5671
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AUTHORITY_END = re.compile("([/?])")
_NAME = re.compile(r"[a-z_]{1,40}")
_SETTINGS = {  # RabbitMQ's parameters that are settings here, because a secret or file in a URL can't be followed
    "cacertfile": "set BRIDGE_AMQP_CA_FILE",
    "certfile": "set BRIDGE_AMQP_CERT",
    "keyfile": "set BRIDGE_AMQP_KEY",
    "password": "the key in BRIDGE_AMQP_KEY must have no passphrase",
    "fail_if_no_peer_cert": "leave it out, because it is for servers",
    "depth": "leave it out",
}
LARGEST_FRAME = 131072  # bytes: RabbitMQ's limit; no side offers more
_NUMBERS = {  # parameters that are taken, with the least and the greatest value
    "heartbeat": (0, 65535),  # seconds
    "connection_timeout": (1, 60_000),  # milliseconds
    "channel_max": (4, 65535),  # the bridge has up to three channels at a time
    "frame_max": (4096, LARGEST_FRAME),  # bytes; AMQP 0-9-1 section 4.2.3
}
TAKEN = (*_NUMBERS, "auth_mechanism", "server_name_indication", "verify")


class BrokerURL:
    """The parts of `amqp://USER:PASSWORD@HOST:PORT/VHOST?PARAMETERS`, unescaped. user and password are None when the URL has none.

    numbers holds heartbeat (seconds), connection_timeout (milliseconds), channel_max and frame_max (bytes), those that are given;
    mechanism is "", "plain" or "external"; server_name the name to verify instead of host, or "".
    """

    __slots__ = ("host", "mechanism", "numbers", "password", "path", "port", "server_name", "tls", "user", "vhost")

    def __init__(self, url: str) -> None:
        """Raises ValueError, which holds nothing of the URL but the names of parameters."""
        if url[:8].lower().startswith(("amqp://", "amqps://")) and not url.startswith(("amqp://", "amqps://")):
            raise ValueError("the scheme is written in lower case: amqp:// or amqps://")
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("is not amqp://USER@HOST:PORT/VHOST or amqps://… (a comma in a password is written %2C)")
        if "#" in url:
            raise ValueError("holds a #, which is written %23 in a user name, password or virtual host")
        if _BAD_ESCAPE.search(url):
            raise ValueError("holds a % without two hexadecimal digits behind it; a % in a password is written %25")
        self.tls = url.startswith("amqps://")
        authority, mark, rest = (*_AUTHORITY_END.split(url.partition("://")[2], maxsplit=1), "", "")[:3]
        if mark == "/" and "@" in rest.partition("?")[0]:
            raise ValueError("holds an @ behind a /; a / in a user name or password is written %2F, an @ in a virtual host %40")
        if mark == "?" and "@" in rest and "@" not in authority:
            raise ValueError("holds an @ behind a ?; a ? in a user name or password is written %3F")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # its own words could hold a piece of the password
            raise ValueError("holds no HOST:PORT that can be read; a [ or ] in a password is written %5B or %5D") from None
        if not host:
            raise ValueError("names no host: amqp://USER@HOST:PORT/VHOST")
        if "/" in parts.path[1:]:
            raise ValueError("has more than one / behind the host; a / in the virtual host is written %2F")
        if port == TLS_PORT and not self.tls:
            raise ValueError(f"amqp:// is without TLS, and {TLS_PORT} is the port for TLS: write amqps://, or another port")
        self.host, self.port = host, port or (TLS_PORT if self.tls else PORT)
        self.path = parts.path or "/"
        self.vhost = unquote(parts.path[1:]) or "/"
        self.user = None if parts.username is None else unquote(parts.username)
        self.password = None if parts.password is None else unquote(parts.password)
        self.numbers: dict[str, int] = {}
        self.mechanism = self.server_name = ""
        if any(len(part.encode("utf-8", "replace")) > 255 for part in (self.vhost, self.user or "")):
            raise ValueError("has a user name or virtual host of more than 255 bytes")
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        if name in _SETTINGS:
            raise ValueError(f"the parameter {name} is not taken from the URL: {_SETTINGS[name]}")
        if name in _NUMBERS:
            least, greatest = _NUMBERS[name]
            if not (value.isascii() and value.isdigit() and len(value) <= 6 and least <= int(value) <= greatest):
                raise ValueError(f"the parameter {name} is not a whole number from {least} to {greatest}")
            self.numbers[name] = int(value)
        elif name == "verify":
            if value != "verify_peer":
                raise ValueError("the parameter verify can only be verify_peer: BRIDGE_AMQP_CA_FILE names the roots to trust")
        elif name == "auth_mechanism":
            if value.lower() not in ("plain", "external"):
                raise ValueError("the parameter auth_mechanism is neither plain nor external")
            self.mechanism = value.lower()
        elif name == "server_name_indication":
            if not value or value == "disable" or not self.tls:
                raise ValueError("the parameter server_name_indication is a host's name, and needs amqps://")
            self.server_name = value
        else:
            shown = f"the parameter {name}" if _NAME.fullmatch(name) else "a parameter"
            raise ValueError(f"{shown} is not known; known are {', '.join(TAKEN)}")

    def __str__(self) -> str:
        """Return host:port/vhost, fit for a log."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.path}"
