"""SNS messages: genuine ones are read and verify, unless their topic, their time or their headers are others than they should be."""

import base64
import json
import tracemalloc

import pytest

from bridge.errors import (
    BadSignature,
    HeadersDisagree,
    MalformedMessage,
    OutsideWindow,
    SigningCertURLRefused,
    TopicNotAllowed,
)
from bridge.sns.grammar import is_timestamp, is_uuid
from bridge.sns.message import Notification, parse
from bridge.sns.timestamp import MAX_KNOWN, _known_minutes, unix_seconds
from tests.unit.sns.messages import (
    ARN,
    BODIES,
    PLAIN,
    SUBSCRIPTION,
    UNSUBSCRIPTION,
    changed,
    judge,
    member,
)

# ---- genuine messages


@pytest.mark.parametrize("name", BODIES)
def test_genuine(name):
    received = judge(BODIES[name])
    members = json.loads(BODIES[name])
    assert (received.type, received.message_id, received.message.decode()) == (members["Type"], members["MessageId"], members["Message"])
    assert received.signature == base64.b64decode(members["Signature"])


@pytest.mark.parametrize("name", BODIES)
def test_any_changed_byte_of_a_signed_field_is_refused(name):
    members = json.loads(BODIES[name])
    fields = {"Message", "MessageId", "Timestamp", "TopicArn", "Type", "Subject", "Token", "SubscribeURL"} & set(members)
    if members["Type"] == "Notification":
        fields -= {"Token", "SubscribeURL"}
    now = parse(BODIES[name]).timestamp
    for field in fields:
        value = members[field]
        for at in range(len(value)):
            other = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
            with pytest.raises((BadSignature, MalformedMessage, TopicNotAllowed, SigningCertURLRefused)):
                judge(changed(BODIES[name], **{field: other}), topics="arn:aws:sns:*:*:*", now=now)


def test_the_order_of_members_and_white_space_do_not_matter():
    members = json.loads(PLAIN)
    judge(json.dumps(dict(reversed(members.items())), indent=8).encode())
    judge(b" \r\n\t" + PLAIN + b"\n \t\r\n")
    judge(PLAIN.replace(b"This", b"\\u0054his").replace(b'"Message"', b'"\\u004dessage"'))


def test_unknown_members_and_attributes_are_allowed():
    received = judge(changed(PLAIN, New="x", MessageAttributes={"a": {"Type": "String", "Value": "ü"}}))
    assert received.attributes == {"a": ("String", "ü")}


GOOD = {"Type": "String", "Value": "v"}


@pytest.mark.parametrize(
    ("attributes", "left_out"),
    [
        pytest.param(None, 1, id="null"),
        pytest.param([], 1, id="a list"),
        pytest.param("text", 1, id="a string"),
        pytest.param(7, 1, id="a number"),
        pytest.param({"a": "b", "good": GOOD}, 1, id="one is no object"),
        pytest.param({"a": None, "b": [GOOD], "good": GOOD}, 2, id="two are no objects"),
        pytest.param({"a": {"Type": "String"}, "good": GOOD}, 1, id="no Value"),
        pytest.param({"a": {"Value": "x"}, "good": GOOD}, 1, id="no Type"),
        pytest.param({"a": {"Type": "Number", "Value": 1}, "good": GOOD}, 1, id="a number as Value"),
        pytest.param({"a": {"Type": ["String"], "Value": "x"}, "good": GOOD}, 1, id="a list as Type"),
        pytest.param({"a": {}, "good": GOOD}, 1, id="an empty object"),
        pytest.param({"good": GOOD | {"More": {"deep": [1]}}}, 0, id="a further member"),
        pytest.param({"good": {"Type": "", "Value": ""}}, 0, id="empty strings"),
    ],
)
def test_odd_attributes_cost_a_genuine_message_nothing(attributes, left_out):
    received = judge(changed(PLAIN, MessageAttributes=attributes))
    good = {"good"} if isinstance(attributes, dict) else set()
    assert received.left_out == left_out and set(received.attributes) == good


@pytest.mark.parametrize("count", [256, 257, 1000, 4000])
def test_the_number_of_attributes_is_limited_by_their_size_only(count):
    received = judge(changed(PLAIN, MessageAttributes={f"k{number}": GOOD for number in range(count)}))
    assert len(received.attributes) == count and not received.left_out


def test_text_outside_ascii_is_signed_as_utf_8():
    body = changed(PLAIN, Message="Grüße, 世界, 🙂\n\tline\u2028end", Subject="Ü")
    text = parse(body).string_to_sign()
    assert text.startswith("Message\nGrüße, 世界, 🙂\n\tline\u2028end\nMessageId\n".encode()) and "\nSubject\nÜ\n".encode() in text
    assert parse(json.dumps(json.loads(body), ensure_ascii=False).encode()).string_to_sign() == text


def test_strings_to_sign():
    first = "Message\nThis notification has no subject.\nMessageId\nc0e5a280-53c9-5a98-93bb-c0a560b3d192\nTimestamp\n"
    assert parse(PLAIN).string_to_sign().decode() == f"{first}2026-03-06T19:55:38.903Z\nTopicArn\n{ARN}\nType\nNotification\n"
    lines = parse(UNSUBSCRIPTION).string_to_sign().decode().split("\n")
    assert [line for line in lines if line in ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")] == [
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    ]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_what_is_inside_a_string_does_not_count(levels):
    """The Message is often JSON, which may hold JSON in a string again."""
    text = json.dumps([{"key": f"a,b[{number}]", "list": [[], {}, "\\"]} for number in range(12_000 // levels)])
    for _ in range(levels - 1):
        text = json.dumps(text)
    assert parse(changed(PLAIN, Message=text)).message == text.encode()


def test_a_foreign_topic_with_a_valid_signature():
    for topics in (ARN + "2", ARN.replace("131990247566", "131990247567"), "arn:aws:sns:us-east-1:*:*", "arn:aws-cn:sns:*:*:*"):
        with pytest.raises(TopicNotAllowed):
            judge(PLAIN, topics=topics)
        with pytest.raises(TopicNotAllowed):
            judge(SUBSCRIPTION, topics=topics)


@pytest.mark.parametrize("body", [PLAIN, SUBSCRIPTION, UNSUBSCRIPTION], ids=["Notification", "subscription", "unsubscription"])
@pytest.mark.parametrize(("setting", "seconds"), [("2h", 7200), ("10s", 10)])
def test_a_replayed_message(body, setting, seconds):
    then = parse(body).timestamp
    for now in (then - seconds, then, then + seconds):
        judge(body, now=now, MAX_AGE=setting)
    for now in (then - seconds - 1, then + seconds + 1, then + 10 * seconds):
        with pytest.raises(OutsideWindow) as caught:
            judge(body, now=now, MAX_AGE=setting)
        assert caught.value.status == 503  # our clock may be wrong: SNS should try again


def test_headers_that_agree():
    members = json.loads(PLAIN)
    headers = {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": members["MessageId"],
        "x-amz-sns-topic-arn": ARN,
        "x-amz-sns-subscription-arn": ARN + ":x",
    }
    judge(PLAIN, headers)
    for name in headers:
        judge(PLAIN, {name: headers[name]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-sns-message-type", "SubscriptionConfirmation"),
        ("x-amz-sns-message-type", "notification"),
        ("x-amz-sns-message-type", ""),
        ("x-amz-sns-message-id", "00000000-0000-0000-0000-000000000000"),
        ("x-amz-sns-message-id", member(PLAIN, "MessageId").upper()),
        ("x-amz-sns-topic-arn", ARN + "x"),
        ("x-amz-sns-topic-arn", ""),
    ],
)
def test_headers_that_disagree(name, value):
    with pytest.raises(HeadersDisagree):
        judge(PLAIN, {name: value})


# ---- small pieces


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2000-02-29T00:00:00.000Z", 951782400),
        ("2026-03-06T19:55:38.903Z", 1772826938),
        ("2016-12-31T23:59:60.000Z", 1483228800),
        ("2100-03-01T00:00:00.999Z", 4107542400),
        ("9999-12-31T23:59:59.999Z", 253402300799),
    ],
)
def test_unix_seconds(text, seconds):
    assert is_timestamp(text)
    assert unix_seconds(text) == unix_seconds(text) == seconds


def test_many_days_are_not_kept_for_ever():
    for day in range(1, 29):
        for year in range(1970, 2070):
            unix_seconds(f"{year}-01-{day:02}T00:00:00.000Z")

    assert len(_known_minutes) <= MAX_KNOWN


@pytest.mark.parametrize(
    "text", ["", "x", "c0e5a280-53c9-5a98-93bb-c0a560b3d192\n", "c0e5a28053c95a9893bbc0a560b3d192", "c0e5a280-53c9-5a98-93bb-c0a560b3d19g"]
)
def test_what_is_no_uuid(text):
    assert not is_uuid(text)
    assert is_uuid("c0e5a280-53c9-5a98-93bb-c0a560b3d192")


SUBSCRIPTION_ARN = f"{ARN}:00000000-0000-0000-0000-000000000007"
UNSUBSCRIBE = "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn="


@pytest.mark.parametrize("url", [f"{UNSUBSCRIBE}{SUBSCRIPTION_ARN}", f"https://x/?SubscriptionArn={SUBSCRIPTION_ARN}&Action=Unsubscribe"])
def test_the_subscription_is_that_of_the_unsubscribe_url(url):
    """A queue's message has no header that tells it. Members of other names, and what publishers write, tell nothing."""
    decoy = {"UnsubscribeURL": {"Type": "String", "Value": "https://x/?SubscriptionArn=arn:x"}}
    received = parse(changed(PLAIN, UnsubscribeURL=url, Message='"UnsubscribeURL": "x?SubscriptionArn=arn:x"', MessageAttributes=decoy))
    assert isinstance(received, Notification) and received.headers() == {"x-amz-sns-subscription-arn": SUBSCRIPTION_ARN}


@pytest.mark.parametrize(
    "url",
    [
        *(None, 5, ["?SubscriptionArn=arn:x"], "", "SubscriptionArn=arn:x", "https://x/?NoSubscriptionArn=arn:x", f"{UNSUBSCRIBE}x"),
        *(f"{UNSUBSCRIBE}arn:{'x' * 401}", f"{UNSUBSCRIBE}arn:x\n", f"{UNSUBSCRIBE}arn:\u00fc", f"{UNSUBSCRIBE}arn:x#"),
        *("https://x?" + part * (500_000 // len(part)) for part in ("&", "a&", "SubscriptionArn=arn:a", "SubscriptionArn=&", "?", " ")),
    ],
)
def test_an_unsubscribe_url_that_is_none_tells_no_subscription(url):
    """It is not signed, so anything may be in it; looking through it takes no memory."""
    received = parse(changed(PLAIN, UnsubscribeURL=url))
    assert isinstance(received, Notification)
    tracemalloc.start()
    try:
        assert received.headers() == {}
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_a_message_of_two_mebibytes():
    body = changed(PLAIN, Message='\\"\u0000' * 300_000)
    assert len(body) > 2_000_000
    received = parse(body)
    assert isinstance(received, Notification) and received.message == b'\\"\x00' * 300_000
    with pytest.raises(BadSignature):
        judge(body)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("text", ['{"a": }', '{"é": "✓", }', '{"é✓😀" 1}', '{"\\u00e9": "✓", "b"', '{"é": "\n"}'])
def test_where_json_is_wrong_is_told_in_characters(text, encoding):
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(MalformedMessage, match=f"at character {expected.value.pos}\\)"):
        parse(text.encode(), encoding)
