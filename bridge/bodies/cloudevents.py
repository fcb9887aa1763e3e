"""A message as a CloudEvent 1.0 in structured mode. No sockets here.

Source: CloudEvents 1.0.2, JSON event format section 3, SNS adapter ("Notification") and distributed tracing extension. Unlike the
adapter's, `source` is the TopicArn, because that is signed and the subscription's ARN is not; `data` is the Message, not the envelope.
"""

import base64
import json

from bridge.bodies.tracing import Trace
from bridge.sns.message import Notification

CONTENT_TYPE = b"application/cloudevents+json"
TYPE = "com.amazonaws.sns.Notification"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def of_notification(message: Notification, trace: Trace | None) -> bytes:
    """Return a Notification's event, JSON in UTF-8.

    The Message stays text, even if it is JSON, because as a JSON value it could lose digits of numbers, white space or a duplicate
    member. A Subject that is empty or no CloudEvents string is left out.
    """
    subject = {"subject": message.subject} if message.subject and all(map(_allowed, message.subject)) else {}
    return _event(message.message_id, message.topic_arn, trace, **subject, time=message.timestamp_text, **_text(message.message.decode()))


def of_raw(message_id: str, topic_arn: str, body: bytes, trace: Trace | None) -> bytes:
    """Return the event of a raw delivery's body, JSON in UTF-8; a body that is not UTF-8 becomes `data_base64`."""
    try:
        data = _text(body.decode())
    except UnicodeDecodeError:
        data = {"data_base64": base64.b64encode(body).decode()}
    return _event(message_id, topic_arn, trace, **data)


def _text(data: str) -> dict[str, str]:
    return {"datacontenttype": "text/plain; charset=UTF-8", "data": data}


def _event(message_id: str, topic_arn: str, trace: Trace | None, **members: str) -> bytes:
    traced = {} if trace is None else trace.members()
    return _encode({"specversion": "1.0", "id": message_id, "source": topic_arn, "type": TYPE, **traced, **members}).encode()


def _allowed(character: str) -> bool:
    """Tell whether a CloudEvents string may hold a character (CloudEvents 1.0.2, "Type System", and Unicode section 23.7)."""
    code = ord(character)
    return not (code < 0x20 or 0x7F <= code < 0xA0 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE)
