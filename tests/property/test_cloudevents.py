"""For any message the official SDK accepts the published body as a CloudEvent 1.0, and reads the message back from it."""

import base64
import json
from datetime import datetime

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.bodies import cloudevents
from bridge.bodies.tracing import Trace
from bridge.sns.message import MAX_SUBJECT, parse

ID = "0f1c2a3b-0000-4000-8000-000000000001"
ARN = "arn:aws:sns:eu-central-1:123456789012:orders"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(st.none() | st.floats() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))
SUBJECT = st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: not (c < " " or c == "\x7f")), max_size=MAX_SUBJECT)


def notification(message="text", **more):
    members = {"Type": "Notification", "MessageId": ID, "TopicArn": ARN, "Message": message, "Timestamp": "2026-03-06T19:55:38.903Z"}
    return parse(json.dumps(members | {"SignatureVersion": "2", "Signature": "", "SigningCertURL": ""} | more).encode())


def read(event):
    """The event as the SDK reads a RabbitMQ message with this body."""
    found = from_rabbitmq(RabbitMQMessage({}, cloudevents.CONTENT_TYPE.decode(), event), JSONFormat())
    assert type(found) is CloudEvent and found.get_specversion() == "1.0"
    return found


@settings(max_examples=300, deadline=None)
@given(
    message=TEXT | JSON.map(json.dumps),
    subject=st.none() | SUBJECT,
    at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)),
    name=st.from_regex(r"[A-Za-z0-9_-]{1,256}", fullmatch=True),
    trace=st.none() | st.sampled_from([Trace(PARENT, ""), Trace(PARENT, "a=1,b=2")]),
)
def test_every_notification_comes_back_from_its_event(message, subject, at, name, trace):
    arn = ARN.replace("orders", name)
    stamp = f"{at.isoformat(timespec='milliseconds')}Z"
    more = {} if subject is None else {"Subject": subject}
    event = read(cloudevents.of_notification(notification(message, TopicArn=arn, Timestamp=stamp, **more), trace))
    assert event.get_data() == message
    assert (event.get_id(), event.get_source(), event.get_type()) == (ID, arn, "com.amazonaws.sns.Notification")
    assert event.get_time().isoformat(timespec="milliseconds") == stamp.replace("Z", "+00:00")
    assert event.get_subject() in (subject, None)
    assert event.get_extension("traceparent") == (trace and trace.parent)
    assert event.get_extension("tracestate") == ((trace and trace.state) or None)


@settings(max_examples=300, deadline=None)
@given(st.binary() | TEXT.map(str.encode))
def test_every_raw_body_comes_back_from_its_event(body):
    encoded = cloudevents.of_raw(ID, ARN, body, None)
    event, members = read(encoded), json.loads(encoded)
    assert (event.get_id(), event.get_source()) == (ID, ARN) and "time" not in members
    if "data" in members:
        assert event.get_data().encode() == body
    else:
        assert event.get_data() == body == base64.b64decode(members["data_base64"])
        assert "datacontenttype" not in members, "no assumption about bytes"


@pytest.mark.parametrize("subject", ["", "a\x80b", "a\x9f", "\ufdd0", "\ufdef", "\ufffe", "\U0001ffff", "\U0010fffe"])
def test_a_subject_that_no_cloudevents_string_can_hold_is_left_out(subject):
    assert read(cloudevents.of_notification(notification(Subject=subject), None)).get_subject() is None


@pytest.mark.parametrize("subject", ["A subject", "ä ✓ 👋", "\u00a0", "\ufdcf\ufdf0\ufffd", '"\\'])
def test_every_other_subject_is_the_events(subject):
    assert read(cloudevents.of_notification(notification(Subject=subject), None)).get_subject() == subject


def test_a_message_that_is_json_stays_the_text_that_it_was():
    message = '{ "a": 1.10, "a": 12345678901234567890123, "b": NaN }'
    encoded = cloudevents.of_notification(notification(message), None)
    assert json.loads(encoded)["data"] == message and json.loads(encoded)["datacontenttype"] == "text/plain; charset=UTF-8"
