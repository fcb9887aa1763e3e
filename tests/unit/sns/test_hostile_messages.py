"""SNS messages: every hostile variant of the genuine ones, each with its name, is refused."""

import base64
import json

import pytest

from bridge.errors import (
    BadSignature,
    MalformedMessage,
    SigningCertURLRefused,
    TopicNotAllowed,
    UnknownSignatureVersion,
)
from bridge.sns import message
from bridge.sns.message import parse
from tests.unit.sns.messages import (
    ARN,
    PLAIN,
    REMOVED,
    SUBSCRIPTION,
    UNSUBSCRIPTION,
    VERSION_2,
    WITH_SUBJECT,
    changed,
    judge,
    member,
)

HOST = "sns.us-west-2.amazonaws.com"


# ---- hostile variants of genuine messages: name -> (body, what refuses it)

WITHOUT_SIGNATURE = {
    "no Signature": (changed(PLAIN, Signature=REMOVED), MalformedMessage),
    "an empty Signature": (changed(PLAIN, Signature=""), BadSignature),
    "Signature: null": (changed(PLAIN, Signature=None), MalformedMessage),
    "Signature: true": (changed(PLAIN, Signature=True), MalformedMessage),
    "a Signature of zeros": (changed(PLAIN, Signature=base64.b64encode(bytes(256)).decode()), BadSignature),
    "a Signature of one": (changed(PLAIN, Signature=base64.b64encode(bytes(255) + b"\1").decode()), BadSignature),
    "another message's Signature": (changed(PLAIN, Signature=member(WITH_SUBJECT, "Signature")), BadSignature),
    "a Signature with a newline": (
        changed(PLAIN, Signature=member(PLAIN, "Signature")[:76] + "\n" + member(PLAIN, "Signature")[76:]),
        MalformedMessage,
    ),
    "a Signature without its padding": (changed(PLAIN, Signature=member(PLAIN, "Signature").rstrip("=")), MalformedMessage),
    "a Signature with more behind the padding": (changed(PLAIN, Signature=member(PLAIN, "Signature") + "AAAA"), MalformedMessage),
    "a Signature for URLs": (changed(PLAIN, Signature=member(PLAIN, "Signature").replace("/", "_").replace("+", "-")), MalformedMessage),
    "a Signature that is not ASCII": (changed(PLAIN, Signature="ä" * 344), MalformedMessage),
    "a Signature twice as long": (changed(PLAIN, Signature=base64.b64encode(parse(PLAIN).signature * 2).decode()), BadSignature),
}
DOWNGRADES = {
    "version 2 as version 1": (changed(VERSION_2, SignatureVersion="1"), BadSignature),
    "version 1 as version 2": (changed(PLAIN, SignatureVersion="2"), BadSignature),
    "version 0": (changed(PLAIN, SignatureVersion="0"), UnknownSignatureVersion),
    "version 3": (changed(PLAIN, SignatureVersion="3"), UnknownSignatureVersion),
    "version 01": (changed(PLAIN, SignatureVersion="01"), UnknownSignatureVersion),
    "version with a space": (changed(PLAIN, SignatureVersion=" 1"), UnknownSignatureVersion),
    "version with a newline": (changed(PLAIN, SignatureVersion="1\n"), UnknownSignatureVersion),
    "version in Arabic digits": (changed(PLAIN, SignatureVersion="\u0661"), UnknownSignatureVersion),
    "an empty version": (changed(PLAIN, SignatureVersion=""), UnknownSignatureVersion),
    "version as a number": (changed(PLAIN, SignatureVersion=1), MalformedMessage),
    "no version": (changed(PLAIN, SignatureVersion=REMOVED), MalformedMessage),
}
OTHER_FIELDS_SAME_STRING = {
    "Subject moved into MessageId": (
        changed(
            WITH_SUBJECT, Subject=REMOVED, MessageId=member(WITH_SUBJECT, "MessageId") + "\nSubject\n" + member(WITH_SUBJECT, "Subject")
        ),
        MalformedMessage,
    ),
    "MessageId moved into Message": (
        changed(PLAIN, Message=member(PLAIN, "Message") + "\nMessageId\n" + member(PLAIN, "MessageId"), MessageId=""),
        MalformedMessage,
    ),
    "Timestamp moved into MessageId": (
        changed(PLAIN, MessageId=member(PLAIN, "MessageId") + "\nTimestamp\n" + member(PLAIN, "Timestamp"), Timestamp=""),
        MalformedMessage,
    ),
    "Timestamp moved into Subject": (
        changed(WITH_SUBJECT, Subject=member(WITH_SUBJECT, "Subject") + "\nTimestamp\n" + member(WITH_SUBJECT, "Timestamp"), Timestamp=""),
        MalformedMessage,
    ),
    "TopicArn moved into Timestamp": (
        changed(PLAIN, Timestamp=member(PLAIN, "Timestamp") + "\nTopicArn\n" + ARN, TopicArn=""),
        MalformedMessage,
    ),
    "Type moved into TopicArn": (changed(PLAIN, TopicArn=f"{ARN}\nType\nNotification"), TopicNotAllowed),
    "a confirmation as a Notification": (
        changed(
            SUBSCRIPTION,
            Type="Notification",
            MessageId=member(SUBSCRIPTION, "MessageId") + "\nSubscribeURL\n" + member(SUBSCRIPTION, "SubscribeURL"),
        ),
        MalformedMessage,
    ),
    "Token moved into Timestamp": (
        changed(SUBSCRIPTION, Timestamp=member(SUBSCRIPTION, "Timestamp") + "\nToken\n" + member(SUBSCRIPTION, "Token"), Token=REMOVED),
        MalformedMessage,
    ),
    "SubscribeURL with a newline": (changed(SUBSCRIPTION, SubscribeURL=member(SUBSCRIPTION, "SubscribeURL") + "\nx"), MalformedMessage),
}
FIELDS = {
    "a Subject added": (changed(PLAIN, Subject="x"), BadSignature),
    "an empty Subject added": (changed(PLAIN, Subject=""), BadSignature),
    "the Subject removed": (changed(WITH_SUBJECT, Subject=REMOVED), BadSignature),
    "Subject: null": (changed(PLAIN, Subject=None), MalformedMessage),
    "Subject: null in place of one": (changed(WITH_SUBJECT, Subject=None), MalformedMessage),
    "a Subject with a newline": (changed(WITH_SUBJECT, Subject="My\nmessage"), MalformedMessage),
    "a Subject with a NUL": (changed(WITH_SUBJECT, Subject="My\x00message"), MalformedMessage),
    "a Subject of 2,000 characters": (changed(WITH_SUBJECT, Subject="x" * 2000), MalformedMessage),
    "Message: null": (changed(PLAIN, Message=None), MalformedMessage),
    "Message as an object": (changed(PLAIN, Message={"a": 1}), MalformedMessage),
    "no Message": (changed(PLAIN, Message=REMOVED), MalformedMessage),
    "another Message": (changed(PLAIN, Message="This notification has no subject!"), BadSignature),
    "Message in another normal form": (changed(PLAIN, Message="This notificatio\u0301n has no subject."), BadSignature),
    "a white space behind Message": (changed(PLAIN, Message=member(PLAIN, "Message") + " "), BadSignature),
    "another MessageId": (changed(PLAIN, MessageId="00000000-0000-0000-0000-000000000000"), BadSignature),
    "MessageId in upper case": (changed(PLAIN, MessageId=member(PLAIN, "MessageId").upper()), BadSignature),
    "MessageId in braces": (changed(PLAIN, MessageId="{" + member(PLAIN, "MessageId") + "}"), MalformedMessage),
    "MessageId with a newline at its end": (changed(PLAIN, MessageId=member(PLAIN, "MessageId") + "\n"), MalformedMessage),
    "MessageId in other digits": (changed(PLAIN, MessageId="\u0663" + member(PLAIN, "MessageId")[1:]), MalformedMessage),
    "no MessageId": (changed(PLAIN, MessageId=REMOVED), MalformedMessage),
    "a Timestamp made fresh": (changed(PLAIN, Timestamp="2026-03-06T19:55:38.904Z"), BadSignature),
    "a Timestamp with an offset": (changed(PLAIN, Timestamp="2026-03-06T19:55:38.903+00:00"), MalformedMessage),
    "a Timestamp without milliseconds": (changed(PLAIN, Timestamp="2026-03-06T19:55:38Z"), MalformedMessage),
    "a Timestamp on 30 February": (changed(PLAIN, Timestamp="2026-02-30T19:55:38.903Z"), MalformedMessage),
    "a Timestamp in month 0": (changed(PLAIN, Timestamp="2026-00-06T19:55:38.903Z"), MalformedMessage),
    "a Timestamp in month 13": (changed(PLAIN, Timestamp="2026-13-06T19:55:38.903Z"), MalformedMessage),
    "a Timestamp at 24 o'clock": (changed(PLAIN, Timestamp="2026-03-06T24:00:00.000Z"), MalformedMessage),
    "a Timestamp before 1970": (changed(PLAIN, Timestamp="1969-12-31T23:59:59.999Z"), MalformedMessage),
    "a Timestamp with a newline": (changed(PLAIN, Timestamp="2026-03-06T19:55:38.903Z\n"), MalformedMessage),
    "no Timestamp": (changed(PLAIN, Timestamp=REMOVED), MalformedMessage),
    "another topic": (changed(PLAIN, TopicArn=ARN + "x"), TopicNotAllowed),
    "TopicArn in upper case": (changed(PLAIN, TopicArn=ARN.upper()), TopicNotAllowed),
    "TopicArn with a newline": (changed(PLAIN, TopicArn=ARN + "\n"), TopicNotAllowed),
    "TopicArn as a list": (changed(PLAIN, TopicArn=[ARN]), MalformedMessage),
    "a FIFO topic": (changed(PLAIN, TopicArn=ARN + ".fifo"), TopicNotAllowed),
    "UnsubscribeConfirmation without Token": (changed(UNSUBSCRIPTION, Token=REMOVED), MalformedMessage),
    "SubscriptionConfirmation without Token": (changed(SUBSCRIPTION, Token=REMOVED), MalformedMessage),
    "SubscriptionConfirmation without SubscribeURL": (changed(SUBSCRIPTION, SubscribeURL=REMOVED), MalformedMessage),
    "a Token that is not hexadecimal": (changed(SUBSCRIPTION, Token="x" + member(SUBSCRIPTION, "Token")), MalformedMessage),
    "a Token that ends the query": (changed(SUBSCRIPTION, Token=member(SUBSCRIPTION, "Token") + "&Action=Publish"), MalformedMessage),
    "an empty Token": (changed(SUBSCRIPTION, Token=""), MalformedMessage),
    "another Token": (changed(SUBSCRIPTION, Token=member(UNSUBSCRIPTION, "Token")), BadSignature),
    "a SubscribeURL of the attacker's": (changed(SUBSCRIPTION, SubscribeURL="http://169.254.169.254/latest/meta-data/"), BadSignature),
    "a Notification as SubscriptionConfirmation": (changed(PLAIN, Type="SubscriptionConfirmation"), MalformedMessage),
    "an unsubscription as a subscription": (changed(UNSUBSCRIPTION, Type="SubscriptionConfirmation"), BadSignature),
    "a subscription as an unsubscription": (changed(SUBSCRIPTION, Type="UnsubscribeConfirmation"), BadSignature),
    "a confirmation as Notification": (changed(SUBSCRIPTION, Type="Notification"), BadSignature),
    "another Type": (changed(PLAIN, Type="Message"), MalformedMessage),
    "Type in lower case": (changed(PLAIN, Type="notification"), MalformedMessage),
    "Type with a newline": (changed(PLAIN, Type="Notification\n"), MalformedMessage),
    "Type as a list": (changed(PLAIN, Type=["Notification"]), MalformedMessage),
    "no Type": (changed(PLAIN, Type=REMOVED), MalformedMessage),
}
URLS = {
    "no SigningCertURL": (changed(PLAIN, SigningCertURL=REMOVED), MalformedMessage),
    "an empty SigningCertURL": (changed(PLAIN, SigningCertURL=""), SigningCertURLRefused),
    **{
        f"SigningCertURL: {name}": (changed(PLAIN, SigningCertURL=member(PLAIN, "SigningCertURL").replace(*change)), SigningCertURLRefused)
        for name, change in {
            "@evil": (HOST, HOST + "@evil.test"),
            ".evil": (HOST, HOST + ".evil.test"),
            "trailing dot": (HOST, HOST + "."),
            "port": (HOST, HOST + ":443"),
            "userinfo": (HOST, "a@" + HOST),
            "query": (".pem", ".pem?a"),
            "fragment": (".pem", ".pem#a"),
            "..": (HOST, HOST + "/.."),
            "newline": (".pem", ".pem\n"),
            "http": ("https", "http"),
            "upper case": (HOST, HOST.upper()),
            "other region": ("us-west-2", "us-east-1"),
            "other partition": (".com", ".com.cn"),
            "S3 bucket": ("us-west-2", "s3-us-west-2"),
            "other file": (".pem", ".crt"),
        }.items()
    },
}


def spliced(extra):
    """The genuine text with more at its end, inside the object."""
    return PLAIN.rstrip()[:-1] + b"," + extra + b"}"


JSON = {
    "not UTF-8": PLAIN.replace(b"This", b"Th\xffs"),
    "latin-1": PLAIN.replace(b"This", b"Th\xe4s"),
    "overlong UTF-8": PLAIN.replace(b"This", b"\xc1\x94his"),
    "a surrogate in UTF-8": PLAIN.replace(b"This", b"\xed\xa0\x80"),
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "UTF-32": PLAIN.decode().encode("utf-32-le"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "a lone surrogate": PLAIN.replace(b"This", b"\\ud800"),
    "a lone surrogate in a Subject": WITH_SUBJECT.replace(b"My", b"\\udfff"),
    "NaN": spliced(b'"a": NaN'),
    "Infinity": spliced(b'"a": -Infinity'),
    "a number of 5,000 digits": spliced(b'"a": ' + b"9" * 5000),
    "10,000 deep arrays": spliced(b'"a": ' + b"[" * 10_000 + b"]" * 10_000),
    "10,000 deep objects": spliced(b'"a": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a million open brackets": b"[" * 1_000_000,
    "Message twice": spliced(b'"Message": "x"'),
    "Message twice, the same": spliced(b'"Message": "This notification has no subject."'),
    "TopicArn twice": spliced(b'"TopicArn": "arn:aws:sns:us-west-2:999999999999:x"'),
    "TopicArn twice, once escaped": spliced(b'"\\u0054opicArn": "x"'),
    "an unknown member twice": spliced(b'"a": 1, "a": 1'),
    "a member twice, deeper": spliced(b'"MessageAttributes": {"a": {"Type": "String", "Value": "x", "Value": "y"}}'),
    "an attribute twice": spliced(b'"MessageAttributes": {"a": {"Type": "String", "Value": "x"}, "a": {"Type": "String", "Value": "x"}}'),
    "a member that is not ASCII twice, once escaped": spliced(b'"\xc3\xa9": 1, "\\u00e9": 1'),
    "a second value": PLAIN + PLAIN,
    "something behind it": PLAIN + b"x",
    "a NUL behind it": PLAIN + b"\x00",
    "a NUL before it": b"\x00" + PLAIN,
    "a vertical tab before it": b"\x0b" + PLAIN,
    "a no-break space behind it": PLAIN + b"\xc2\xa0",
    "a trailing comma": PLAIN.rstrip()[:-1] + b",}",
    "a comment": b"/**/" + PLAIN,
    "single quotes": PLAIN.replace(b'"', b"'"),
    "a raw newline in a string": PLAIN.replace(b"This", b"Th\nis"),
    "a raw NUL in a string": PLAIN.replace(b"This", b"Th\x00is"),
    "an unknown escape": PLAIN.replace(b"This", b"\\x41"),
    "cut in the middle": PLAIN[: len(PLAIN) // 2],
    "no body": b"",
    "white space": b" \r\n",
    "null": b"null",
    "a number": b"1",
    "a string": b'"Notification"',
    "an empty object": b"{}",
    "an array of messages": b"[" + PLAIN + b"]",
    "a form": b"Type=Notification&Message=x",
    "XML": b"<Notification/>",
}


def listed(unit, size):
    """The genuine text with a list of one unit after the other, size bytes in all."""
    return spliced(b'"a": [' + b",".join([unit] * ((size - len(PLAIN)) // (len(unit) + 1))) + b"]")


TWO_MIB = 2 << 20
MANY = {
    "2 MiB of empty lists": listed(b"[]", TWO_MIB),
    "2 MiB of empty objects": listed(b"{}", TWO_MIB),
    "2 MiB of objects": listed(b'{"":0}', TWO_MIB),
    "2 MiB of lists": listed(b"[0]", TWO_MIB),
    "2 MiB of lists of lists": listed(b"[[]]", TWO_MIB),
    "2 MiB of objects and an emoji": spliced('"b": "\U0001f600"'.encode() + b"," + listed(b"{}", TWO_MIB)[len(PLAIN.rstrip()) :]),
    "2 MiB of short strings": listed(b'"ab"', TWO_MIB),
    "2 MiB of empty strings": listed(b'""', TWO_MIB),
    "2 MiB of small numbers": listed(b"7", TWO_MIB),
    "2 MiB of fractions": listed(b"1.5", TWO_MIB),
    "2 MiB of quotation marks": b'"' * TWO_MIB,
    "2 MiB of commas": b"," * TWO_MIB,
    "2 MiB of escaped quotation marks after escaped backslashes": listed(rb'"\\\\","\\\""', TWO_MIB),
    "many members": spliced(b",".join(b'"%x":0' % number for number in range(200_000))),
    "30,000 brackets in 90 kB": listed(b"[]", 90_000),
}

VARIANTS = (
    WITHOUT_SIGNATURE
    | DOWNGRADES
    | OTHER_FIELDS_SAME_STRING
    | FIELDS
    | URLS
    | {name: (body, MalformedMessage) for name, body in (JSON | MANY).items()}
)


@pytest.mark.parametrize("name", VARIANTS)
def test_hostile(name):
    body, error = VARIANTS[name]
    with pytest.raises(error) as caught:
        judge(body)
    assert type(caught.value) is error
    assert caught.value.status in (400, 403)
    assert "This notification" not in str(caught.value)  # an explanation never quotes the message


@pytest.mark.parametrize(
    "name", ["Subject moved into MessageId", "MessageId moved into Message", "TopicArn moved into Timestamp", "Type moved into TopicArn"]
)
def test_those_variants_would_have_verified(name):
    """Without the strict grammar these have the same string to sign as the genuine message, so the test above can fail."""
    members = json.loads(OTHER_FIELDS_SAME_STRING[name][0])
    genuine = WITH_SUBJECT if "Subject" in name else PLAIN
    text = "".join(
        f"{field}\n{members[field]}\n"
        for field in ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
        if members.get(field)
    )
    if name == "Type moved into TopicArn":
        text = text.removesuffix("Type\nNotification\n")
    assert text.encode() == parse(genuine).string_to_sign()


@pytest.mark.parametrize("name", MANY)
def test_many_values_are_refused_before_an_object_is_built(name, monkeypatch):
    monkeypatch.setattr(message, "_scan", lambda *_: pytest.fail("the body was read"))
    with pytest.raises(MalformedMessage, match="more than 40000 strings, brackets and commas"):
        parse(MANY[name])


@pytest.mark.parametrize(("depth", "refused"), [(98, False), (99, True)])
def test_nesting_ends_at_the_same_depth_on_every_python(depth, refused):
    body = spliced(b'"a": ' + b"[" * depth + b"1" + b"]" * depth)
    if refused:
        with pytest.raises(MalformedMessage, match="nested"):
            parse(body)
    else:
        assert parse(body).type == "Notification"
