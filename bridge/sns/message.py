"""An SNS message: body bytes in, a checked Notification or confirmation out, and its string to sign. No sockets here.

Source: SNS developer guide, "Parsing Amazon SNS message formats" and "Verifying the signatures of Amazon SNS messages".
"""

import binascii
import json
import re
from operator import itemgetter

from bridge.errors import HeadersDisagree, MalformedMessage
from bridge.sns.grammar import is_timestamp, is_uuid
from bridge.sns.timestamp import unix_seconds

# The string to sign is "Name\nValue\n" for each field, so a newline inside a field could pretend to be another field.
# A strict grammar for every field but Message closes that.
_TOKEN = re.compile(r"[0-9a-fA-F]{1,2048}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SUBSCRIPTION = re.compile(r"(?<=[?&])SubscriptionArn=(arn:[A-Za-z0-9:_-]{1,400})(?:&|\Z)")
MAX_SUBJECT = 1024  # characters; SNS itself stops at 100
MAX_DEPTH = 100  # of nested JSON; SNS's own has three levels, and unknown members may come
# The strings, brackets and commas of a body: each becomes objects of up to 300 bytes. SNS's own JSON has some forty, and eight more for
# each message attribute. The inside of a string does not count, because the Message is often JSON itself.
MAX_PARTS = 40_000
# The parts of a body are not counted if it has no more brackets (also inside strings) and bytes than these, because it never takes 12 MiB.
MAX_BRACKETS = 10_000
MAX_UNCOUNTED = 280_000  # above 256 KiB, SNS's own limit, in an envelope

_common = itemgetter("MessageId", "Timestamp", "Message", "TopicArn", "SignatureVersion", "SigningCertURL", "Signature")


class Message:
    """The members that all three types have. Every value is as in the JSON; `message` is bytes (UTF-8), `timestamp` Unix seconds, and
    `signature` is decoded.
    """

    __slots__ = ("message", "message_id", "signature", "signature_version", "signing_cert_url", "timestamp", "timestamp_text", "topic_arn")
    type = ""

    def __init__(self, members: dict[str, object], encoding: str = "utf-8") -> None:
        """members is the JSON object of the body, which was read in this encoding (see `parse`). Raises MalformedMessage."""
        try:
            values = _common(members)
        except KeyError as error:
            raise MalformedMessage(f"{error.args[0]} is missing or not a string") from None
        message_id, timestamp, text, arn, version, url, signature = values
        if not (type(message_id) is type(timestamp) is type(text) is type(arn) is type(version) is type(url) is type(signature) is str):
            raise MalformedMessage("a member that must be a string is not one")
        self.message_id, self.timestamp_text, self.topic_arn = message_id, timestamp, arn if arn.isascii() else text_of(arn, encoding)
        self.signature_version, self.signing_cert_url = version, url
        if not (is_uuid(message_id) and is_timestamp(timestamp)):
            raise MalformedMessage("MessageId is not a UUID, or Timestamp is not YYYY-MM-DDThh:mm:ss.sssZ")
        self.timestamp = unix_seconds(timestamp)
        try:
            self.signature = binascii.a2b_base64(signature, strict_mode=True)
        except ValueError:
            raise MalformedMessage("Signature is not base64") from None
        self.message = _encoded(text, encoding)

    def string_to_sign(self) -> bytes:
        """Return the bytes that the signature covers. Raises MalformedMessage when a field holds a lone surrogate."""
        raise NotImplementedError


class Notification(Message):
    """A message published to the topic. `subject` is None when there is none; `attributes` (unsigned) maps names to (type, value);
    `unsubscribe_url` (unsigned) is whatever the JSON has.

    `left_out` is the number of attributes that are not of this form. Attributes are optional, so a malformed one is no error.
    """

    __slots__ = ("attributes", "left_out", "subject", "unsubscribe_url")
    type = "Notification"

    def __init__(self, members: dict[str, object], encoding: str = "utf-8") -> None:
        """Raises MalformedMessage."""
        super().__init__(members, encoding)
        self.subject: str | None = None
        if "Subject" in members:
            self.subject = _text(members, "Subject", encoding)
            if len(self.subject) > MAX_SUBJECT or _CONTROL.search(self.subject):
                raise MalformedMessage("Subject is too long or holds a control character")
        self.attributes: dict[str, tuple[str, str]] = {}
        self.left_out = 0
        if "MessageAttributes" in members:
            self.attributes, self.left_out = _attributes(members["MessageAttributes"], encoding)
        self.unsubscribe_url = members.get("UnsubscribeURL")

    def headers(self) -> dict[str, str]:
        """Return the one header of a POST that the body tells too: the SubscriptionArn, which is unsigned in a POST as well."""
        url = self.unsubscribe_url
        found = _SUBSCRIPTION.match(url, url.rfind("SubscriptionArn=")) if type(url) is str else None
        return {"x-amz-sns-subscription-arn": found[1]} if found else {}

    def string_to_sign(self) -> bytes:
        """See `Message.string_to_sign`."""
        subject = "" if self.subject is None else f"Subject\n{self.subject}\n"
        return _signed(
            self.message,
            f"\nMessageId\n{self.message_id}\n{subject}Timestamp\n{self.timestamp_text}\nTopicArn\n{self.topic_arn}\nType\nNotification\n",
        )


class _Confirmation(Message):
    """Both confirmations carry a Token and a SubscribeURL, and sign them."""

    __slots__ = ("subscribe_url", "token")

    def __init__(self, members: dict[str, object], encoding: str = "utf-8") -> None:
        """Raises MalformedMessage."""
        super().__init__(members, encoding)
        self.token = _text(members, "Token", encoding)
        if not _TOKEN.fullmatch(self.token):
            raise MalformedMessage("Token is not hexadecimal")
        self.subscribe_url = _text(members, "SubscribeURL", encoding)
        if _CONTROL.search(self.subscribe_url):
            raise MalformedMessage("SubscribeURL holds a control character")

    def string_to_sign(self) -> bytes:
        """See `Message.string_to_sign`."""
        return _signed(
            self.message,
            f"\nMessageId\n{self.message_id}\nSubscribeURL\n{self.subscribe_url}\n"
            f"Timestamp\n{self.timestamp_text}\nToken\n{self.token}\nTopicArn\n{self.topic_arn}\nType\n{self.type}\n",
        )


class SubscriptionConfirmation(_Confirmation):
    """SNS asks to confirm a subscription of this endpoint."""

    __slots__ = ()
    type = "SubscriptionConfirmation"


class UnsubscribeConfirmation(_Confirmation):
    """SNS tells that the subscription was deleted. Its SubscribeURL is not visited, because that would subscribe again."""

    __slots__ = ()
    type = "UnsubscribeConfirmation"


_TYPES: dict[str, type[Notification] | type[_Confirmation]] = {
    "Notification": Notification,
    "SubscriptionConfirmation": SubscriptionConfirmation,
    "UnsubscribeConfirmation": UnsubscribeConfirmation,
}


def parse(body: bytes, encoding: str = "utf-8") -> Message:
    """Return the Notification, SubscriptionConfirmation or UnsubscribeConfirmation of a body (UTF-8 JSON).

    encoding: "latin-1" when no escape in the body is known to stand for a character that is not ASCII. Then strings are read as the bytes
    that they are, because making text of those takes longer.
    Raises MalformedMessage. The type decides which fields are required and signed, never what happens to be present.
    """
    marks = check_parts(body)
    text = ""
    try:
        text = body.decode()
        if encoding != "utf-8":  # it was looked at, because it has to be UTF-8
            del text
            text = body.decode(encoding)
        members, end = _scan(text, 0 if text[:1] == "{" else len(text) - len(text.lstrip(_SPACE)))
    except (ValueError, RecursionError, StopIteration) as error:
        raise MalformedMessage(f"the body is not JSON in UTF-8 ({_why(error, text, encoding)})") from None
    if end != len(text) and text[end:].strip(_SPACE):
        raise MalformedMessage("the body holds more than one JSON value")
    del text  # one of 2 MiB with an emoji in it takes 8
    if type(members) is not dict:
        raise MalformedMessage("the body is not a JSON object")
    if marks >= MAX_DEPTH and _nested_too_deeply(members):
        raise MalformedMessage(f"the body is nested deeper than {MAX_DEPTH} levels")
    kind = members.get("Type")
    cls = _TYPES.get(kind) if type(kind) is str else None
    if cls is None:
        raise MalformedMessage("Type is not one that SNS sends")
    return cls(members, encoding)


def check_headers(headers: dict[str, str], message: Message) -> None:
    """Compare those x-amz-sns-* headers that a request has with the body; names are in lower case. Raises HeadersDisagree."""
    get = headers.get
    if (
        get("x-amz-sns-message-type", message.type) != message.type
        or get("x-amz-sns-message-id", message.message_id) != message.message_id
        or get("x-amz-sns-topic-arn", message.topic_arn) != message.topic_arn
    ):
        raise HeadersDisagree("x-amz-sns-message-type, -message-id or -topic-arn differs from the body")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse duplicate members: parsers differ in which of the two they take, so a consumer could read what was not verified."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedMessage("a JSON member occurs twice")
    return members


def check_parts(body: bytes) -> int:
    """Return a number that the opening brackets of JSON (UTF-8) are not more than. Raises MalformedMessage when it would become too many
    objects: it has more than MAX_PARTS strings, brackets and commas.
    """
    large = len(body) > MAX_UNCOUNTED
    marks = _count(body) if large else _brackets(body)
    if marks > (MAX_PARTS if large else MAX_BRACKETS) and _too_many_parts(body):
        raise MalformedMessage(f"the body has more than {MAX_PARTS} strings, brackets and commas")
    return marks


def _brackets(body: bytes) -> int:
    """Return how many brackets open, also inside strings. replace() finds them by memchr; count() goes byte by byte, 3 us a message."""
    return 2 * len(body) - len(body.replace(b"[", b"")) - len(body.replace(b"{", b""))


def _too_many_parts(body: bytes) -> bool:
    """Tell whether a body has more than MAX_PARTS strings, brackets and commas, without making an object for each."""
    if body.count(b'"') - body.count(rb"\"") > 2 * MAX_PARTS:  # at least so many begin or end a string; this needs no copy of the body
        return True
    # without escapes, every second piece between quotation marks is inside a string
    pieces = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', 2 * MAX_PARTS)
    return len(pieces) // 2 + _count(b"".join(pieces[::2])) > MAX_PARTS


def _count(body: bytes) -> int:
    """Return how many quotation marks, opening brackets and commas a body has; by pieces, because the allocator keeps a copy of 2 MiB."""
    found = 0
    for at in range(0, len(body), 65536):
        piece = body[at : at + 65536]
        found += len(piece) - len(piece.translate(None, b'"[{,'))
    return found


def _nested_too_deeply(value: object) -> bool:
    """Look level by level, because versions of Python differ in how deep they go before they raise RecursionError."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict | list):
                inner += one.values() if isinstance(one, dict) else one
        if not inner:
            return False
        level = inner
    return True


def _no_constant(name: str) -> object:
    raise MalformedMessage(f"{name} is not JSON")


# The scanner that JSONDecoder.decode() calls; decode() itself would search for white space with two regular expressions.
_scan = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]
_SPACE = " \t\n\r"


def _why(error: Exception, text: str, encoding: str) -> str:
    """Return the decoder's own words, without a piece of the body, which it has as this text."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {len(text_of(text[: error.pos], encoding))}"
    if isinstance(error, StopIteration):
        return f"no value at character {len(text_of(text[: error.value], encoding))}"
    return "nested too deeply" if isinstance(error, RecursionError) else "not UTF-8, or a number too long"


def text_of(value: str, encoding: str) -> str:
    """Return the text of a string of JSON that was read in this encoding. Bytes that are not UTF-8 become U+FFFD."""
    return value if value.isascii() or encoding == "utf-8" else value.encode(encoding).decode("utf-8", "replace")


def _text(members: dict[str, object], name: str, encoding: str) -> str:
    value = members.get(name)
    if type(value) is not str:
        raise MalformedMessage(f"{name} is missing or not a string")
    return text_of(value, encoding)


def _signed(message: bytes, rest: str) -> bytes:
    """Return the string to sign; rest follows the Message."""
    return b"".join((b"Message\n", message, _encoded(rest, "utf-8")))


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise MalformedMessage("a lone surrogate is not text") from None


def _attributes(value: object, encoding: str) -> tuple[dict[str, tuple[str, str]], int]:
    """Return the attributes of a JSON value, and how many are malformed."""
    if type(value) is not dict:
        return {}, 1
    attributes = {}
    for name, attribute in value.items():
        if type(attribute) is dict:
            kind, text = attribute.get("Type"), attribute.get("Value")
            if type(kind) is str and type(text) is str:
                if encoding != "utf-8":
                    name, kind, text = text_of(name, encoding), text_of(kind, encoding), text_of(text, encoding)
                attributes[name] = kind, text
    return attributes, len(value) - len(attributes)
