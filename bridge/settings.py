"""Every setting, once: its name, default, form and meaning. The README's table and `bridge --help` are made from this table."""

import re
from collections.abc import Callable

from bridge.bodies.formats import FORMATS, MEANINGS


class Setting:
    """One setting: BRIDGE_<NAME> in the environment, --<name> on the command line (dashes for underscores)."""

    __slots__ = ("default", "meaning", "metavar", "name", "parse")

    def __init__(self, name: str, default: str, form: "tuple[str, Callable[[str], object]]", meaning: str) -> None:
        """form is the word for the value in `bridge --help`, and a function that returns the value of a text or raises ValueError."""
        self.name, self.default, self.meaning = name, default, meaning
        self.metavar, self.parse = form

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return "BRIDGE_" + self.name

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.lower().replace("_", "-")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "B": 1, "K": 1024, "KIB": 1024, "M": 1 << 20, "MIB": 1 << 20}
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def _is_number(text: str) -> bool:
    """Tell whether a text is a number of up to 9 digits. int() alone would take "+3", "1_0" and digits without end."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def without_control(text: str) -> str:
    """Return the text. Raises ValueError when it holds a control character, such as the line's end that `echo` adds to a secret."""
    if _CONTROL.search(text):
        raise ValueError("holds a line's end or another control character (write a secret with printf, because echo adds a line's end)")
    return text


def without_quotes(text: str) -> str:
    """Return the text. Raises ValueError when it stands in quotes, which a shell removes but `docker run --env-file` does not."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValueError("is in quotes, which are not removed here (`docker run --env-file` keeps them): write it without")
    return text


def duration(text: str) -> float:
    """Return seconds for "10s", "2h", "500ms", "1d" or "0". Raises ValueError."""
    digits = text.rstrip("smhd")
    if text == "0":
        return 0.0
    if not _is_number(digits) or text[len(digits) :] not in _UNITS:
        raise ValueError(f"{text!r} is not a time such as 10s, 5m or 2h")
    return int(digits) * _UNITS[text[len(digits) :]]


def size(text: str) -> int:
    """Return bytes for "65536", "64KiB" or "2MiB". Raises ValueError."""
    digits = text.rstrip("KMIBkmib")
    unit = text[len(digits) :].upper()
    if not _is_number(digits) or unit not in _SIZES or not int(digits):
        raise ValueError(f"{text!r} is not a size such as 65536, 64KiB or 2MiB")
    return int(digits) * _SIZES[unit]


def count(text: str) -> int:
    """Return a whole number from 1 to 1,000,000. Raises ValueError."""
    if not _is_number(text) or not 1 <= int(text) <= 1_000_000:
        raise ValueError(f"{text!r} is not a whole number from 1 to 1000000")
    return int(text)


def switch(text: str) -> bool:
    """Return whether "on" or "off" is on. Raises ValueError."""
    if text not in ("on", "off"):
        raise ValueError(f"{text!r} is neither on nor off")
    return text == "on"


def address(text: str) -> tuple[str, int] | None:
    """Return (host, port) for "127.0.0.1:3000", "[::1]:3000" or ":3000" (all addresses); None for "". Raises ValueError."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, [::1]:3000")
    if not colon or not _is_number(port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, [IPV6]:PORT or :PORT")
    return host, int(port)


def address_or_off(text: str) -> tuple[str, int] | None:
    """Return (host, port) as `address` does; None for "off" and "". Raises ValueError."""
    return None if text == "off" else address(text)


def listen(text: str) -> tuple[str, int] | None:
    """Return (host, port) as `address` does; None for "off". Raises ValueError."""
    if not text:
        raise ValueError("is empty; the default is :3000")
    return address_or_off(text)


def origin(text: str) -> str:
    """Return an http(s) origin without a slash at its end; "" for none. Raises ValueError."""
    text = text.rstrip("/")
    if text and not _ORIGIN.fullmatch(text):
        raise ValueError("is not an origin such as https://vpce-1234.sns.eu-central-1.vpce.amazonaws.com")
    return text


def path(text: str) -> str:
    """Return a URL path; "" for any. Raises ValueError."""
    if not re.fullmatch(r"(?:/[!\"$->@-~]*)?", text):
        raise ValueError(f"{text!r} is not a path such as /sns")
    return text


def name(text: str) -> str:
    """Return a name that AMQP can carry: at most 255 bytes of UTF-8. Raises ValueError."""
    if len(text.encode("utf-8", "replace")) > 255 or not text.isprintable():
        raise ValueError(f"{text!r} is not a name of at most 255 bytes")
    return text


def one_of(*words: str) -> tuple[str, Callable[[str], object]]:
    """Return the form of a setting that takes one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return "|".join(words), parse


TEXT = "TEXT", str
FILE = "FILE", str
DURATION = "TIME", duration
SIZE = "SIZE", size
COUNT = "N", count

SETTINGS = (
    Setting(
        "TOPICS",
        "",
        ("ARN,…", str),
        "**Required.** The TopicArns that are accepted, comma separated. `*` stands for any whole part: `arn:aws:sns:*:123456789012:*`.",
    ),
    Setting(
        "AMQP_URL",
        "amqp://guest@localhost:5672/%2F",
        ("URL,…", str),
        "The broker, `amqp://USER@HOST:PORT/VHOST` or `amqps://…`. Several URLs, comma separated, are tried in turn.",
    ),
    Setting(
        "AMQP_PASSWORD_FILE",
        "",
        FILE,
        "File with the broker user's password or token. New contents renew the open connection. Without the file the password comes from the URL, or is `guest`.",
    ),
    Setting("AMQP_CA_FILE", "", FILE, "Root certificates (PEM) for `amqps://`. The default is certifi's; in the image it is Amazon's."),
    Setting("AMQP_CERT", "", FILE, "Client certificate (PEM) for `amqps://`. When the URL names no user, the mechanism is EXTERNAL."),
    Setting("AMQP_KEY", "", FILE, "Key (PEM) of `BRIDGE_AMQP_CERT`, when it is not in the same file."),
    Setting(
        "AMQP_HEARTBEAT",
        "10s",
        DURATION,
        "Interval of heartbeats with the broker. A dead connection is noticed within about three of them.",
    ),
    Setting("EXCHANGE", "", TEXT, "Exchange to publish to; empty is the default exchange. A template (README, Routing)."),
    Setting(
        "ROUTING_KEY",
        "",
        TEXT,
        "Routing key of each message; a template. When empty: `BRIDGE_QUEUE` on the default exchange, else `{topic}`.",
    ),
    Setting("ROUTES", "", FILE, "TOML file of rules per topic (README, Routing). It is read again when it changes."),
    Setting(
        "QUEUE",
        "",
        ("NAME", name),
        "Durable quorum queue to declare, and to bind when an exchange is set. A queue that exists in another form is used as it is. Without this setting nothing is declared.",
    ),
    Setting("BODY", "envelope", one_of(*FORMATS), f"What is published: {MEANINGS}."),
    Setting(
        "TRACE_ATTRIBUTE",
        "traceparent",
        ("NAME", name),
        "Message attribute with a message's W3C trace context. The request's header `traceparent` is used where the attribute is missing. When empty, only the header is used.",
    ),
    Setting(
        "RAW",
        "off",
        ("on|off", switch),
        "Whether raw message delivery, which is unsigned, is accepted. It needs Basic auth or TLS client certificates.",
    ),
    Setting(
        "LISTEN",
        ":3000",
        ("HOST:PORT|off", listen),
        "Address that SNS's requests come to. An empty host means all addresses, IPv6 and IPv4. `off` is for a bridge that only pulls from `BRIDGE_SQS_QUEUES`.",
    ),
    Setting("PATH", "", ("/PATH", path), "The only URL path that is accepted; empty accepts any."),
    Setting(
        "TLS_CERT", "", FILE, "Certificate chain (PEM) of the listener, which then speaks HTTPS. It is read again when the file changes."
    ),
    Setting("TLS_KEY", "", FILE, "Key (PEM) of `BRIDGE_TLS_CERT`, when it is not in the same file."),
    Setting("TLS_CLIENT_CA_FILE", "", FILE, "Root certificates (PEM). Clients must show a certificate from one of them."),
    Setting(
        "BASIC_AUTH_FILE",
        "",
        FILE,
        "File with lines of `user:password`, each ended by a newline. Any of them is accepted. The file is read again when it changes.",
    ),
    Setting("MAX_AGE", "2h", DURATION, "Largest difference between a message's Timestamp and this machine's clock; 0 accepts any."),
    Setting("DEADLINE", "10s", DURATION, "Time limit for a delivery, from its first byte to the answer. SNS itself gives up after 15 s."),
    Setting(
        "MAX_BODY",
        "2MiB",
        SIZE,
        "Largest body of a request or of a queue's message. An SNS message has at most 256 KiB, and JSON's escapes can make it several times longer.",
    ),
    Setting(
        "MAX_BUFFERED",
        "64MiB",
        SIZE,
        "Total size of what is held at once: requests that are being received, bodies that have no answer yet, a queue's messages, TLS's buffers. Above it, the client that holds most for the longest time gets 503.",
    ),
    Setting(
        "MAX_CONNECTIONS",
        "1000",
        COUNT,
        "Number of open connections. Above it, one of the client address that has most is closed; those that delivered a genuine message are the last.",
    ),
    Setting("MAX_IN_FLIGHT", "1000", COUNT, "Number of deliveries that wait for their confirm. Above it, deliveries get 503."),
    Setting(
        "CERTIFICATES",
        "",
        ("FOLDER", str),
        "Folder with signing certificates under their own file names. The bridge looks there before it asks the network, so a host without egress can verify.",
    ),
    Setting("CA_FILE", "", FILE, "Root certificates (PEM) for AWS's own hosts. The default is certifi's; in the image it is Amazon's."),
    Setting(
        "SNS_ENDPOINT",
        "",
        ("ORIGIN", origin),
        "Origin to use instead of `https://sns.<region>.<suffix>`: a VPC endpoint, LocalStack, a test.",
    ),
    Setting(
        "SQS_QUEUES",
        "",
        ("URL,…", str),
        "URLs of SQS queues to pull from, comma separated: a subscription's dead-letter queue, or a queue that is subscribed to a topic.",
    ),
    Setting(
        "SQS_ENDPOINT",
        "",
        ("ORIGIN", origin),
        "Origin to use instead of the queues' own `https://sqs.<region>.<suffix>`: a VPC endpoint, LocalStack, a test.",
    ),
    Setting(
        "ADMIN_LISTEN",
        "127.0.0.1:3001",
        ("HOST:PORT|off", address_or_off),
        "Address of a second listener with a status page, `/livez`, `/readyz` and `/metrics`. If the default port is in use, the bridge runs without it.",
    ),
    Setting(
        "PROCESSES",
        "1",
        COUNT,
        "Number of processes that share the port. Each uses one core at most, and has the limits `BRIDGE_MAX_…` for itself alone.",
    ),
    Setting(
        "LOG_LEVEL",
        "info",
        one_of("debug", "info", "warning", "error"),
        "Least severe level that is logged. `debug` also logs every delivery that was answered 200.",
    ),
    Setting("LOG_FORMAT", "json", one_of("json", "text"), "Format of the log: one line per event, on standard output."),
)
