"""For any fields pika reads back the frames that frames.py writes by hand, and pika's own encoder writes the same."""

import base64
import json

import pika
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import frame

from bridge.amqp import frames
from bridge.sns.message import Notification
from bridge.version import PRODUCT

ID = "0f1c2a3b-0000-4000-8000-000000000001"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100)
NUMBER = st.integers(-(10**18) + 1, 10**18 - 1).map(lambda value: ("Number", str(value), value))
BINARY = st.binary(max_size=300).map(lambda value: ("Binary", base64.b64encode(value).decode(), value))
STRING = TEXT.map(lambda value: ("String", value, value))
NAME = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(
    lambda name: name.upper() not in ("CC", "BCC", "TRACEPARENT", "TRACESTATE") and not name.upper().startswith("X-")
)


def decoded(stream):
    found = []
    while stream:
        used, one = frame.decode_frame(stream)
        assert used
        found.append(one)
        stream = stream[used:]
    return found


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=20_000),
    content_type=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=255),
    timestamp=st.integers(0, 2**63),
    subject=st.none() | LINE,
    subscription=st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300),
    attributes=st.dictionaries(NAME, NUMBER | BINARY | STRING, max_size=6),
    frame_max=st.integers(8192, 131072),
)
def test_pika_reads_what_we_write_and_would_write_it_so_itself(body, content_type, timestamp, subject, subscription, attributes, frame_max):
    members = {"Type": "Notification", "MessageId": ID, "TopicArn": "arn", "Message": "", "Timestamp": "2026-03-06T19:55:38.903Z"}
    members |= {"SignatureVersion": "2", "Signature": "", "SigningCertURL": ""}
    members["MessageAttributes"] = {name: {"Type": kind, "Value": text} for name, (kind, text, _) in attributes.items()}
    message = Notification(json.loads(json.dumps(members)))
    fields = (
        frames.topic_fields("arn:aws:sns:a:b:c") + frames.header_fields(ID, subject, subscription) + frames.attribute_fields(message)[0]
    )

    header, *bodies = decoded(frames.publish_frames(b"", 3, body, content_type.encode(), ID.encode(), timestamp, fields, frame_max))

    expected = {"x-sns-topic-arn": "arn:aws:sns:a:b:c", "x-deduplication-header": ID}
    if subject is not None:
        expected["x-sns-subject"] = subject
    if subscription is not None:
        expected["x-sns-subscription-arn"] = subscription
    expected |= {name: value for name, (_, _, value) in attributes.items()}
    properties = pika.BasicProperties(
        content_type=content_type,
        headers=expected,
        delivery_mode=2,
        message_id=ID,
        timestamp=timestamp,
        type="Notification",
        app_id=PRODUCT,
    )
    assert header.properties == properties
    assert header.properties.headers == expected
    by_pika = decoded(frame.Header(3, len(body), properties).marshal())[0]
    assert header.properties == by_pika.properties and header.body_size == by_pika.body_size == len(body)
    assert b"".join(one.fragment for one in bodies) == body
    assert all(len(one.marshal()) <= frame_max and one.channel_number == 3 for one in bodies)


@settings(max_examples=200, deadline=None)
@given(
    channel=st.integers(1, 65535),
    exchange=LINE.filter(lambda text: len(text.encode()) <= 255),
    routing_key=LINE.filter(lambda text: len(text.encode()) <= 255),
)
def test_any_two_names_are_published_to(channel, exchange, routing_key):
    [found] = decoded(frames.publish_method(channel, exchange, routing_key))
    assert (found.channel_number, found.method.exchange, found.method.routing_key, found.method.mandatory) == (
        channel,
        exchange,
        routing_key,
        True,
    )
