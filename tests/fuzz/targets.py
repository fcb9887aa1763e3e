"""The targets of the fuzzing, a function each. It takes bytes; every exception is a finding."""

import json
import re
from urllib.parse import urlsplit

from bridge.amqp.frames import attribute_fields, header_fields
from bridge.bodies.routing import Route, Template, find_route, parse_routes
from bridge.errors import BridgeError, MalformedMessage, RoutingFailed, SigningCertURLRefused, TopicNotAllowed
from bridge.sns import rsa
from bridge.sns.certificates import certificate_source
from bridge.sns.message import Notification, check_headers, parse
from bridge.sns.signature import BadCertificate, load_certificate
from bridge.sns.topic import TopicArn
from tests.fuzz.oracles import check_against_oracles, read

try:
    from bridge.sns._rsa import Key as NativeKey
except ImportError:
    NativeKey = rsa.Key

TOPIC = TopicArn("arn:aws:sns:us-west-2:131990247566:dongie-standard-topic")
DEFAULT = Route(None, "", "{topic}", "envelope")
TEMPLATE = Template("{topic}.{subject}.{attribute.a}")


def framing(data: bytes) -> None:
    """The first byte says how the rest is cut; every cut gives the same requests, and two oracles agree with them."""
    if not data:
        return
    step, stream = data[0] % 17 + 1, data[1:]
    whole = read([stream])
    pieces = read([stream[at : at + step] for at in range(0, len(stream), step)])
    assert whole == pieces, (whole, pieces)
    check_against_oracles(stream, whole)


def message(data: bytes) -> None:
    """Either refused, or read as the json module reads it, with a string to sign that can be taken apart again."""
    try:
        found = parse(data)
        signed = found.string_to_sign().decode()
        TopicArn(found.topic_arn)
    except (MalformedMessage, TopicNotAllowed):
        return
    members = json.loads(data)
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if members["Type"] == "Notification":
        names = ["Message", "MessageId", *(["Subject"] if "Subject" in members else []), "Timestamp", "TopicArn", "Type"]
    assert signed == "".join(f"{name}\n{members[name]}\n" for name in names)
    assert signed.removeprefix(f"Message\n{found.message.decode()}\n").count("\n") == 2 * len(names) - 2
    check_headers({}, found)
    if isinstance(found, Notification):
        header_fields(found.message_id, found.subject, None)
        attribute_fields(found)
        try:
            TEMPLATE.fill(TOPIC, found)
        except RoutingFailed:
            pass


def certificate(data: bytes) -> None:
    """Either refused, or read; both verifiers give the same."""

    def reading(key: type) -> object:
        try:
            found = load_certificate(data, key)
        except BadCertificate as error:
            return str(error)
        verdict = found.verify(data[-(found.bits + 7) // 8 :], data, "sha256")
        assert 2048 <= found.bits <= 4096
        return found.not_before, found.not_after, found.names, found.bits, verdict

    assert reading(NativeKey) == reading(rsa.Key)


def url(data: bytes) -> None:
    """A SigningCertURL: refused, or exactly SNS's own."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        source, name = certificate_source(text, TOPIC, "")
    except SigningCertURLRefused:
        return
    parts = urlsplit(text)
    assert source == text and parts.scheme == "https" and parts.netloc == "sns.us-west-2.amazonaws.com"
    assert parts.path == f"/{name}" and not parts.query and not parts.fragment
    assert re.fullmatch(r"SimpleNotificationService-[0-9a-f]{32}\.pem", name)


def routes(data: bytes) -> None:
    """A BRIDGE_ROUTES file: refused with a ValueError, or usable."""
    try:
        found = parse_routes(data.decode(), DEFAULT)
    except ValueError as error:
        assert str(error)
        return
    route = find_route(TOPIC, [*found, DEFAULT])
    for template in (route.exchange, route.routing_key):
        try:
            assert len(template.fill(TOPIC, None).encode()) <= 255
        except RoutingFailed:
            pass


TARGETS = {target.__name__: target for target in (framing, message, certificate, url, routes)}
assert issubclass(RoutingFailed, BridgeError)
