"""SNS's messages, really signed and laid out as SNS does it: two spaces, `"key" : value`, UTF-8 as it is.

The layout and the string to sign are those of the recorded messages in tests/data/vectors and of the SNS developer guide,
"Verifying the signatures of Amazon SNS messages". No line of the bridge is used here, so that a mistake there can't repeat itself.
"""

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

NOTIFICATION_SIGNS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION_SIGNS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
DIGESTS = {"1": hashes.SHA1, "2": hashes.SHA256}


class Post(NamedTuple):
    """One message as SNS sends it: the content of a delivery's POST."""

    message_id: str
    headers: dict[str, str]
    body: bytes


def now(offset: float = 0) -> str:
    """Return the time `offset` seconds from now in SNS's form."""
    at = datetime.fromtimestamp(datetime.now(UTC).timestamp() + offset, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def string_to_sign(fields: dict[str, Any]) -> bytes:
    """Return the bytes that the signature covers."""
    names = NOTIFICATION_SIGNS if fields["Type"] == "Notification" else CONFIRMATION_SIGNS
    return "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields).encode()


def sign(fields: dict[str, Any], key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """Return the fields with the Signature that SignatureVersion asks for, in SNS's order of members."""
    signature = key.sign(string_to_sign(fields), padding.PKCS1v15(), DIGESTS[fields["SignatureVersion"]]())
    signed = {}
    for name, value in fields.items():
        signed[name] = value
        if name == "SignatureVersion":
            signed["Signature"] = base64.b64encode(signature).decode()
    return signed


def layout(fields: dict[str, Any]) -> bytes:
    """Return the body's bytes (UTF-8)."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict):
            inner = ",\n".join(
                f"    {json.dumps(key)} : {json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}" for key, entry in value.items()
            )
            lines.append(f"  {json.dumps(name)} : {{\n{inner}\n  }}")
        else:
            lines.append(f"  {json.dumps(name)} : {json.dumps(value, ensure_ascii=False)}")
    return ("{\n" + ",\n".join(lines) + "\n}").encode()


def post(fields: dict[str, Any], subscription: str = "", content_type: str = "text/plain; charset=UTF-8") -> Post:
    """Return the POST of these fields, with the headers that SNS sends."""
    headers = {
        "x-amz-sns-message-type": fields["Type"],
        "x-amz-sns-message-id": fields["MessageId"],
        "x-amz-sns-topic-arn": fields["TopicArn"],
    }
    if fields["Type"] != "SubscriptionConfirmation":
        headers["x-amz-sns-subscription-arn"] = subscription or f"{fields['TopicArn']}:{uuid.UUID(int=7)}"
    headers["Content-Type"] = content_type
    headers["User-Agent"] = "Amazon Simple Notification Service Agent"
    headers["Connection"] = "Keep-Alive"
    headers["Accept-Encoding"] = "gzip,deflate"
    return Post(fields["MessageId"], headers, layout(fields))


class Signer:
    """Makes messages of one topic owner: a key and the SigningCertURL that serves its certificate."""

    def __init__(self, key_pem: bytes, certificate_url: str, endpoint: str) -> None:
        key = serialization.load_pem_private_key(key_pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.key, self.certificate_url, self.endpoint = key, certificate_url, endpoint

    def notification(
        self,
        topic: str,
        message: str,
        *,
        subject: str | None = None,
        attributes: dict[str, tuple[str, str]] | None = None,
        version: str = "1",
        timestamp: str = "",
        message_id: str = "",
    ) -> dict[str, Any]:
        """Return a Notification's members, signed. attributes maps names to (Type, Value)."""
        subscription = f"{topic}:{uuid.UUID(int=7)}"
        fields: dict[str, Any] = {"Type": "Notification", "MessageId": message_id or str(uuid.uuid4()), "TopicArn": topic}
        if subject is not None:
            fields["Subject"] = subject
        fields |= {
            "Message": message,
            "Timestamp": timestamp or now(),
            "SignatureVersion": version,
            "SigningCertURL": self.certificate_url,
            "UnsubscribeURL": f"{self.endpoint}/?Action=Unsubscribe&SubscriptionArn={subscription}",
        }
        if attributes:
            fields["MessageAttributes"] = {name: {"Type": kind, "Value": value} for name, (kind, value) in attributes.items()}
        return sign(fields, self.key)

    def confirmation(
        self, topic: str, token: str, *, kind: str = "SubscriptionConfirmation", version: str = "1", timestamp: str = ""
    ) -> dict[str, Any]:
        """Return a SubscriptionConfirmation's or UnsubscribeConfirmation's members, signed."""
        text = (
            "You have chosen to subscribe to the topic"
            if kind == "SubscriptionConfirmation"
            else "You have chosen to deactivate subscription"
        )
        return sign(
            {
                "Type": kind,
                "MessageId": str(uuid.uuid4()),
                "Token": token,
                "TopicArn": topic,
                "Message": f"{text} {topic}.\nTo confirm, visit the SubscribeURL included in this message.",
                "SubscribeURL": f"{self.endpoint}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}",
                "Timestamp": timestamp or now(),
                "SignatureVersion": version,
                "SigningCertURL": self.certificate_url,
            },
            self.key,
        )
