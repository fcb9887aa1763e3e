"""A queue's messages come out of SQS's answer byte for byte, however its JSON is written: characters as UTF-8, as escapes, or mixed."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.sns.message import Notification, parse
from bridge.sns.steps import drive
from bridge.sqs.queue import Queue
from bridge.sqs.queue_url import QueueURL
from bridge.sqs.signing import Credentials
from tests.unit.sns.messages import PLAIN

EDGES = '\\"/\b\n\x00\x7f\x80\xa0\xad\xe9\xff\u0100\u2028\u2713\ud7ff\uffff\U0001f600'
texts = st.text(st.sampled_from(EDGES) | st.characters(exclude_categories=["Cs"]), max_size=30)
SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\b": "\\b", "/": "\\/"}


class Origin:
    """SQS, with one answer."""

    def __init__(self, answer):
        self.answer = answer

    def steps(self, *_request, expect, **_seconds):
        assert expect(len(self.answer))
        return 200, self.answer
        yield


class Chain:
    def at_hand(self):
        return Credentials("AKIDEXAMPLE", "example")


def received(answer):
    """What a queue gives of an answer."""
    queue = Queue(QueueURL("https://sqs.us-east-1.amazonaws.com/123456789012/orders"), "", Chain(), "")
    queue._origin = Origin(answer)
    return drive(queue.receive(10, 0, 30))


def written(text, escaped):
    """A JSON string in which the characters of `escaped` are \\uXXXX, and those that need not be escaped are as they are."""
    parts = []
    for one in text:
        if one in escaped:
            units = one.encode("utf-16-be")
            parts += (f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        else:
            parts.append(SHORT.get(one) or (one if one >= " " else f"\\u{ord(one):04x}"))
    return f'"{"".join(parts)}"'


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=3), st.sets(st.sampled_from(EDGES + "&<>")))
@example([("i", "r", "\xc3\xa9 \u2713")], {"\xc3", "\xa9"})  # whose escapes, as bytes, would be another character in UTF-8
@example([("i", "r", "\\u00e9 \u2713")], set())  # no escape, but a backslash
def test_body_receipt_and_message_id(members, escaped):
    each = (
        f'{{"MessageId":{written(one, escaped)},"ReceiptHandle":{written(two, escaped)},"Body":{written(three, escaped)}}}'
        for one, two, three in members
    )
    batch = received(f'{{"Messages":[{",".join(each)}]}}'.encode())
    assert [(message.message_id, message.receipt, message.body.decode()) for message in batch] == members


ESCAPABLE = st.sets(st.sampled_from(EDGES + "&<>u0c5e9"))


@settings(max_examples=500, deadline=None)
@given(message=texts | st.sampled_from(["\\u00e9 ✓", "Ã© ✓", "é ✓"]), attribute=texts, inner=ESCAPABLE, outer=ESCAPABLE)
@example(message="é ✓", attribute="é", inner=set(), outer=set())
@example(message="Ã© ✓", attribute="Ã©", inner={"Ã", "©"}, outer=set())  # whose escapes, as bytes, would be another character in UTF-8
@example(message="Ã© ✓", attribute="Ã©", inner={"Ã", "©"}, outer={"\\"})  # the body's escapes are not to be seen in the answer
@example(message="Ã© ✓", attribute="Ã©", inner={"Ã", "©"}, outer={"u"})
@example(message="Ã© ✓", attribute="Ã©", inner={"Ã", "©"}, outer={"0"})
@example(message="✓ \x00", attribute="\x1f", inner=set(), outer=set())
def test_a_notification_is_the_same_in_whatever_encoding_its_body_is_read(message, attribute, inner, outer):
    members = ['"MessageAttributes": {"a": {"Type": "String", "Value": ' + written(attribute, inner) + "}}"]
    members += [f'"{name}": {written(message if name == "Message" else value, inner)}' for name, value in json.loads(PLAIN).items()]
    body = "{" + ", ".join(members) + "}"
    [one] = received(f'{{"Messages":[{{"MessageId":"i","ReceiptHandle":"r","Body":{written(body, outer)}}}]}}'.encode())
    assert one.body == body.encode()
    found, expected = parse(one.body, one.encoding), parse(one.body)
    assert isinstance(found, Notification) and isinstance(expected, Notification)
    assert (found.message.decode(), found.attributes) == (message, {"a": ("String", attribute)})
    assert found.string_to_sign() == expected.string_to_sign()


def test_a_body_with_an_emoji_is_not_made_text():
    [message] = received('{"Messages":[{"MessageId":"i","ReceiptHandle":"r","Body":"\\"✓ 😀\\n\\u0007\\""}]}'.encode())
    assert (message.body.decode(), message.encoding) == ('"✓ 😀\n\x07"', "latin-1")


@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_is_no_utf_8_or_no_text_stays_so(ascii_only):
    """Such a body is refused later; it must not become another one on the way."""
    lone = json.dumps("\ud83d" if ascii_only else "x")
    raw = b"" if ascii_only else b"\xc3"
    [message] = received(b'{"Messages":[{"MessageId":"i","ReceiptHandle":"r","Body":%s}]}' % (lone[:-1].encode() + raw + b'"'))
    with pytest.raises(UnicodeDecodeError):
        message.body.decode()
