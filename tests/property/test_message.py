"""A message's text is the same however its JSON is written: in UTF-8, in escapes, or in both."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.sns.message import Notification, parse
from tests.property.test_sqs_answers import written
from tests.unit.sns.messages import ARN, PLAIN

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(["é", "Ã©", "\x80", "ÿ", "✓", "😀", "\\u00e9"])
names = texts.filter(lambda name: name not in ("Type", "Value"))
MEMBERS = json.loads(PLAIN)


@settings(max_examples=300, deadline=None)
@given(
    message=texts,
    subject=st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40),
    attributes=st.dictionaries(names, st.tuples(texts, texts), max_size=3),
    ways=st.lists(st.sampled_from(["UTF-8", "ASCII", "escapes"]), min_size=1, max_size=7),
)
@example(message="✓", subject="é", attributes={"ñ": ("String", "ü")}, ways=["UTF-8"])
@example(message="✓", subject="é", attributes={"ñ": ("String", "Ã©")}, ways=["UTF-8", "escapes"])
@example(message="✓ \x00", subject=None, attributes={}, ways=["UTF-8"])
def test_text_is_the_same_however_it_is_written(message, subject, attributes, ways):
    turns = iter(ways * 100)

    def of(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{of(name)}: {of(inner)}" for name, inner in value.items()) + "}"
        assert isinstance(value, str)
        way = next(turns)
        return written(value, value) if way == "escapes" else json.dumps(value, ensure_ascii=way == "ASCII")

    members = MEMBERS | {"Message": message} | ({} if subject is None else {"Subject": subject})
    members |= {"MessageAttributes": {name: {"Type": kind, "Value": value} for name, (kind, value) in attributes.items()}}
    received = parse(of(members).encode())
    assert isinstance(received, Notification)
    assert (received.message.decode(), received.subject, received.attributes, received.left_out) == (message, subject, attributes, 0)
    told = "" if subject is None else f"Subject\n{subject}\n"
    signed = f"Message\n{message}\nMessageId\n{MEMBERS['MessageId']}\n{told}Timestamp\n{MEMBERS['Timestamp']}\nTopicArn\n{ARN}\n"
    assert received.string_to_sign().decode() == f"{signed}Type\nNotification\n"
