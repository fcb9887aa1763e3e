"""What is published, read again by pika: properties, headers, and frames of the size that the broker agreed to."""

import base64
import json
import struct
import time

import pika
import pytest
from pika import frame, spec

from bridge.amqp import frames
from bridge.errors import RoutingFailed
from bridge.sns.message import Notification
from bridge.version import PRODUCT

ID = "0f1c2a3b-0000-4000-8000-000000000001"
ARN = "arn:aws:sns:eu-central-1:123456789012:orders"
FRAME_MAX = 131072


def notification(attributes=None):
    members = {"Type": "Notification", "MessageId": ID, "TopicArn": ARN, "Message": "text", "Timestamp": "2026-03-06T19:55:38.903Z"}
    members |= {"SignatureVersion": "2", "Signature": "", "SigningCertURL": ""}
    members["MessageAttributes"] = {name: {"Type": kind, "Value": value} for name, (kind, value) in (attributes or {}).items()}
    return Notification(json.loads(json.dumps(members)))


def of_attributes(attributes):
    """The header fields of attributes of which none is left out."""
    fields, left_out = frames.attribute_fields(notification(attributes))
    assert not left_out
    return fields


def read_frames(encoded):
    """pika's reading of a stream of frames."""
    read = []
    while encoded:
        used, one = frame.decode_frame(encoded)
        assert used, "half a frame"
        read.append((used, one))
        encoded = encoded[used:]
    return read


def published(body=b"body", fields=b"", content_type=b"text/plain; charset=UTF-8", timestamp=1772826938, frame_max=FRAME_MAX):
    """(properties, body, the sizes of the frames), as pika reads them."""
    read = read_frames(frames.publish_frames(b"", 1, body, content_type, ID.encode(), timestamp, fields, frame_max))
    header = read[0][1]
    assert type(header) is frame.Header and header.body_size == len(body)
    assert all(type(one) is frame.Body and one.channel_number == header.channel_number == 1 for _, one in read[1:])
    return header.properties, b"".join(one.fragment for _, one in read[1:]), [used for used, _ in read]


def headers(fields):
    return published(fields=fields)[0].headers


def test_the_publish_is_mandatory():
    [(_, method)] = read_frames(frames.publish_method(7, "shop", "orders.new"))
    assert method.channel_number == 7 and type(method.method) is spec.Basic.Publish
    assert (method.method.exchange, method.method.routing_key, method.method.mandatory, method.method.immediate) == (
        "shop",
        "orders.new",
        True,
        False,
    )


def test_names_of_255_bytes_fit():
    [(_, method)] = read_frames(frames.publish_method(1, "x" * 255, "ä" * 127))
    assert (method.method.exchange, method.method.routing_key) == ("x" * 255, "ä" * 127)


def test_the_properties_are_those_that_are_promised_and_no_others():
    properties, body, _ = published()
    assert body == b"body"
    assert properties.content_type == "text/plain; charset=UTF-8"
    assert properties.delivery_mode == 2
    assert properties.message_id == ID
    assert properties.timestamp == 1772826938
    assert properties.type == "Notification"
    assert properties.app_id == PRODUCT
    for name in ("content_encoding", "priority", "correlation_id", "reply_to", "expiration", "user_id", "cluster_id"):
        assert getattr(properties, name) is None


def test_pikas_encoder_makes_the_same_bytes():
    fields = frames.topic_fields(ARN) + frames.header_fields(ID, "Hällo", "arn:aws:sns:s")
    fields += of_attributes({"text": ("String", "ß"), "big": ("Number", str(10**17)), "raw": ("Binary", "AAH/")})
    made = frames.publish_frames(b"", 1, b"body", b"text/plain", ID.encode(), 5, fields, FRAME_MAX)
    properties = pika.BasicProperties(
        content_type="text/plain",
        delivery_mode=2,
        message_id=ID,
        timestamp=5,
        type="Notification",
        app_id=PRODUCT,
        headers={
            "x-sns-topic-arn": ARN,
            "x-deduplication-header": ID,
            "x-sns-subject": "Hällo",
            "x-sns-subscription-arn": "arn:aws:sns:s",
            "text": "ß",
            "big": 10**17,
            "raw": b"\x00\x01\xff",
        },
    )
    by_pika = frame.Header(1, 4, properties).marshal() + frame.Body(1, b"body").marshal()
    assert read_frames(made)[0][1].properties == properties
    assert made == by_pika


def test_headers_tell_topic_id_subject_and_subscription():
    fields = frames.topic_fields(ARN) + frames.header_fields(ID, "Hällo 👋", "arn:aws:sns:x:y:z:0b5b")
    assert headers(fields) == {
        "x-sns-topic-arn": ARN,
        "x-deduplication-header": ID,
        "x-sns-subject": "Hällo 👋",
        "x-sns-subscription-arn": "arn:aws:sns:x:y:z:0b5b",
    }


def test_what_is_not_there_is_no_header():
    assert headers(frames.header_fields(ID, None, None)) == {"x-deduplication-header": ID}
    assert headers(frames.header_fields(ID, "", None)) == {"x-deduplication-header": ID, "x-sns-subject": ""}


@pytest.mark.parametrize("arn", ["arn:\xff", "a" * 1025])
def test_a_subscription_that_is_no_text_or_far_too_long_is_no_header(arn):
    assert headers(frames.header_fields(ID, None, arn)) == {"x-deduplication-header": ID}


@pytest.mark.parametrize(
    ("header", "published"),
    [
        (None, b"text/plain; charset=UTF-8"),
        ("", b"text/plain; charset=UTF-8"),
        ("application/json", b"application/json"),
        ("x" * 255, b"x" * 255),
        ("x" * 256, b"text/plain; charset=UTF-8"),
        ("text/\xff", b"text/plain; charset=UTF-8"),
    ],
)
def test_the_content_type_is_the_requests_if_every_consumer_can_read_it(header, published):
    assert frames.content_type(header) == published


@pytest.mark.parametrize(
    ("kind", "value", "header"),
    [
        ("String", "text", "text"),
        ("String", "", ""),
        ("String", "12", "12"),
        ("String", "ß👋", "ß👋"),
        ("String.Array", '["a", 1, null]', '["a", 1, null]'),
        ("Number", "12", 12),
        ("Number", "0", 0),
        ("Number", "-12", -12),
        ("Number", "007", 7),
        ("Number", "9" * 18, 10**18 - 1),
        ("Number", "-" + "9" * 18, 1 - 10**18),
        ("Number", "1234567890123456789", 1234567890123456789),
        ("Number", str((1 << 63) - 1), (1 << 63) - 1),
        ("Number", str(-(1 << 63)), -(1 << 63)),
        ("Number", str(1 << 63), str(1 << 63)),
        ("Number", str(-(1 << 63) - 1), str(-(1 << 63) - 1)),
        ("Number", "9" * 19, "9" * 19),
        ("Number", "1" + "0" * 38, "1" + "0" * 38),
        ("Number", "0" * 19, 0),
        ("Number", "-0", 0),
        ("Number", "1.0", "1.0"),
        ("Number", "1E+2", "1E+2"),
        ("Number", "1.5", "1.5"),
        ("Number", "1e3", "1e3"),
        ("Number", "+1", "+1"),
        ("Number", "1_0", "1_0"),
        ("Number", " 1", " 1"),
        ("Number", "\u0661", "\u0661"),
        ("Number", "x", "x"),
        ("Binary", "AAH/", b"\x00\x01\xff"),
        ("Binary", "", b""),
        ("Unknown", "text", "text"),
    ],
)
def test_an_attribute_keeps_its_type(kind, value, header):
    found = headers(of_attributes({"name": (kind, value)}))["name"]
    assert found == header and isinstance(found, type(header))  # pika has an int of its own


@pytest.mark.parametrize(
    "name",
    [
        "CC",
        "BCC",
        "cc",
        "Bcc",
        "x-",
        "x-match",
        "X-Delay",
        "x-death",
        "x-sns-subject",
        "x-sns-topic-arn",
        "x-deduplication-header",
        "x-a\nb",
        "traceparent",
        "TraceState",
    ],
)
def test_a_reserved_name_stays_in_the_envelope(name):
    assert headers(of_attributes({name: ("String", "evil"), "good": ("String", "a")})) == {"good": "a"}


@pytest.mark.parametrize("name", ["CCC", "xcc", "CC ", "x", "max-x-y", "count", "ß"])
def test_a_name_that_is_only_similar_is_a_header(name):
    assert headers(of_attributes({name: ("String", "a")})) == {name: "a"}


def test_a_name_of_255_bytes_is_a_header_and_a_longer_one_stays_in_the_envelope():
    attributes = {"n" * 255: ("String", "a"), "n" * 256: ("String", "b"), "ä" * 128: ("String", "c")}
    fields, left_out = frames.attribute_fields(notification(attributes))
    assert headers(fields) == {"n" * 255: "a"} and left_out == 2


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("a", "String", "\ud800"),
        ("\ud800", "String", "a"),
        ("a", "Binary", "not base64!"),
        ("a", "Binary", "AA"),
        ("a", "Binary", "ß"),
        ("a", "Binary", "AA==\n"),
    ],
)
def test_an_attribute_that_is_neither_text_nor_base64_stays_in_the_envelope(name, kind, value):
    """An attribute is neither signed nor needed, so it must not prevent the message's 200."""
    fields, left_out = frames.attribute_fields(notification({name: (kind, value), "good": ("String", "v")}))
    assert headers(fields) == {"good": "v"} and left_out == 1


def test_odd_attributes_of_the_message_are_counted_too():
    message = notification({"good": ("String", "v"), "bad": ("Binary", "!")})
    message.left_out = 2
    assert frames.attribute_fields(message)[1] == 3


def test_thousands_of_attributes_take_no_time():
    message = notification({f"attribute{number}": ("String", "v") for number in range(10_000)})
    began = time.process_time()
    fields, left_out = frames.attribute_fields(message)
    assert len(fields) > 150_000 and not left_out
    assert time.process_time() - began < 0.5


# ---- frames


@pytest.mark.parametrize("frame_max", [4096, 8192, FRAME_MAX])
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("times", [1, 3])
def test_a_body_is_split_at_frame_max(frame_max, more, times):
    body = bytes(range(256)) * (times * frame_max // 256)
    body = body[: times * (frame_max - 8) + more]
    _, read, sizes = published(body, frame_max=frame_max)
    assert read == body
    assert max(sizes) <= frame_max
    assert len(sizes) == 1 + -(-len(body) // (frame_max - 8)), "no more frames than needed"


def test_an_empty_body_has_no_frame():
    made = frames.publish_frames(b"", 1, b"", b"text/plain; charset=UTF-8", ID.encode(), 0, b"", FRAME_MAX)
    assert published(b"")[1:] == (b"", [len(made)])


def test_two_mebibytes_arrive_whole():
    body = struct.pack(">262144Q", *range(262144))
    assert published(body)[1] == body


def test_headers_that_fill_one_frame_fit_and_one_byte_more_is_a_clear_503():
    def made(length):
        return published(fields=frames.long_string(b"name", b"v" * length), frame_max=4096)

    fits = 4096 - made(0)[2][0]
    assert made(fits)[2][0] == 4096
    with pytest.raises(RoutingFailed, match="4096") as caught:
        made(fits + 1)
    assert caught.value.status == 503


def test_a_large_attribute_that_the_broker_could_not_take_is_a_clear_503():
    value = base64.b64encode(bytes(FRAME_MAX)).decode()
    with pytest.raises(RoutingFailed, match=r"frame.*BRIDGE_BODY=envelope"):
        published(fields=of_attributes({"name": ("Binary", value)}))


NEEDED = frames.topic_fields(ARN) + frames.header_fields(ID, None, None)
LARGE = {"first": ("String", "a"), "large": ("String", "v" * 10000), "count": ("Number", "7"), "raw": ("Binary", "AAH/")}


@pytest.mark.parametrize("content_type", [b"", b"x" * 255])
@pytest.mark.parametrize("frame_max", [4096, 8192])
def test_what_does_not_fit_beside_an_envelope_is_left_out_and_the_rest_is_there(frame_max, content_type):
    fields = NEEDED + of_attributes(LARGE)
    kept, left_out = frames.fitting(fields, frames.room_for_fields(frame_max, content_type))
    assert left_out == 1
    found = published(fields=kept, content_type=content_type, frame_max=frame_max)[0].headers
    assert found == {"x-sns-topic-arn": ARN, "x-deduplication-header": ID, "first": "a", "count": 7, "raw": b"\x00\x01\xff"}


def test_a_subject_that_no_frame_holds_is_left_out():
    fields = frames.topic_fields(ARN) + frames.header_fields(ID, "👋" * 1024, "arn:aws:sns:s")
    kept, left_out = frames.fitting(fields, frames.room_for_fields(4096, b"text/plain"))
    assert left_out == 1 and set(headers(kept)) == {"x-sns-topic-arn", "x-deduplication-header", "x-sns-subscription-arn"}


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_room_is_what_one_frame_has(more):
    room = frames.room_for_fields(4096, b"text/plain")
    fields = frames.long_string(b"n", b"v" * (room - 7 + more))
    assert frames.fitting(fields, room) == ((fields, 0) if more <= 0 else (b"", 1))
    if more <= 0:
        assert published(fields=fields, content_type=b"text/plain", frame_max=4096)[2][0] == 4096 + more


def test_nothing_is_left_out_of_what_fits():
    fields = NEEDED + of_attributes({f"n{at}": ("Number", str(at)) for at in range(256)})
    assert frames.fitting(fields, len(fields)) == (fields, 0) and frames.fitting(b"", 0) == (b"", 0)


def test_the_publish_that_is_refused_differs_in_its_expiration_alone():
    (_, method), (_, header) = read_frames(frames.refused_publish(3, "shop", "k"))
    assert (method.method.exchange, method.method.routing_key, method.method.mandatory) == ("shop", "k", True)
    assert header.body_size == 0 and header.properties == pika.BasicProperties(expiration="bridge check")


def test_the_fence_is_a_method_that_is_answered():
    [(_, fence)] = read_frames(frames.fence(3))
    assert fence.channel_number == 3 and type(fence.method) is spec.Basic.Qos and spec.Basic.Qos.synchronous
