"""Messages of a hostile or broken client, each with the answer that this bridge gives.

The bridge refuses each of them before it asks the network for anything.
"""

import json
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from bridge.simulate.envelope import Post, now, post
from bridge.simulate.post import Answer, Closed, Endpoint
from bridge.simulate.sns import Messages

# {host} is the SNS host of the topic's region, {upper} the same in upper case, {other} that of another region.
URLS = [
    "https://evil.example/SimpleNotificationService-{hex}.pem",
    "http://{host}/SimpleNotificationService-{hex}.pem",
    "https://{host}@evil.example/SimpleNotificationService-{hex}.pem",
    "https://evil@{host}/SimpleNotificationService-{hex}.pem",
    "https://{host}.evil.example/SimpleNotificationService-{hex}.pem",
    "https://{host}./SimpleNotificationService-{hex}.pem",
    "https://{host}:443/SimpleNotificationService-{hex}.pem",
    "https://{host}/SimpleNotificationService-{hex}.pem?x",
    "https://{host}/SimpleNotificationService-{hex}.pem#x",
    "https://{host}/../SimpleNotificationService-{hex}.pem",
    "https://{host}/x/SimpleNotificationService-{hex}.pem",
    "https://{host}/SimpleNotificationService-{hex}.pem\n",
    "https://{upper}/SimpleNotificationService-{hex}.pem",
    "https://{other}/SimpleNotificationService-{hex}.pem",
    "https://{host}.cn/SimpleNotificationService-{hex}.pem",
    "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-{hex}.pem",
    "https://localhost/SimpleNotificationService-{hex}.pem",
    "https://169.254.169.254/SimpleNotificationService-{hex}.pem",
    "file:///etc/passwd",
    "",
    "https://{host}/other.pem",
]
FRAMING = {
    "two lengths": b"Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length of +2": b"Host: a\r\nContent-Length: +2\r\n\r\n{}",
    "a length and chunks": b"Host: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "a folded header": b"Host: a\r\nX: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}",
    "a NUL in a header": b"Host: a\r\nX: \x00\r\nContent-Length: 2\r\n\r\n{}",
}


class Variant(NamedTuple):
    """One hostile message: its name, what is sent (a message, or a request's bytes), and the right status and reason."""

    name: str
    sent: Post | bytes
    status: int
    reason: str


def urls(region: str = "eu-central-1") -> list[str]:
    """Return hostile SigningCertURLs for a topic of a region (of the partition aws)."""
    host = f"sns.{region}.amazonaws.com"
    other = "sns.us-east-1.amazonaws.com" if region != "us-east-1" else "sns.eu-west-1.amazonaws.com"
    return [url.format(host=host, upper=host.replace("sns", "SNS"), other=other, hex="0" * 32) for url in URLS]


def changed(sent: Post, **members: object) -> Post:
    """Return the message with other members and its old signature."""
    return post(json.loads(sent.body) | members)


def variants(messages: Messages) -> Iterator[Variant]:
    """Yield every variant, made from genuine messages of a topic that the bridge allows."""
    arn = messages.topic
    region = arn.split(":")[3]
    foreign = f"arn:aws:sns:{region}:999999999999:{secrets.token_hex(8)}"
    genuine = messages.notification("genuine")
    yield Variant("a changed Message", changed(genuine, Message="forged"), 403, "bad-signature")
    yield Variant("a Subject put in", changed(genuine, Subject="forged"), 403, "bad-signature")
    confirmation = post(messages.signer.confirmation(arn, secrets.token_hex(96)))
    yield Variant("a confirmation with another Token", changed(confirmation, Token="00" * 96), 403, "bad-signature")
    yield Variant("a genuine message of somebody else's topic", messages.notification(topic=foreign), 403, "topic-not-allowed")
    yield Variant("a confirmation for somebody else's topic", post(messages.signer.confirmation(foreign, "00")), 403, "topic-not-allowed")
    yield Variant("SignatureVersion 3", changed(genuine, SignatureVersion="3"), 403, "signature-version")
    for url in urls(region):
        yield Variant(f"SigningCertURL {url.replace('0' * 32, '…')!r}", changed(genuine, SigningCertURL=url), 403, "signing-cert-url")
    raw = genuine._replace(headers=genuine.headers | {"x-amz-sns-rawdelivery": "true"}, body=b"raw")
    yield Variant("a raw delivery, unsigned", raw, 403, "raw-delivery")
    yield Variant("a message a day old", messages.notification(timestamp=now(-86400)), 503, "timestamp")
    twice = genuine.body.replace(b'  "Message" :', b'  "Message" : "forged",\n  "Message" :')
    yield Variant("a member that is there twice", genuine._replace(body=twice), 400, "malformed-message")
    yield Variant("a Subject of two lines", changed(genuine, Subject="two\nlines"), 400, "malformed-message")
    yield Variant("no JSON", genuine._replace(body=b"\xff{}"), 400, "malformed-message")
    yield Variant("brackets, 50,000 deep", genuine._replace(body=b"[" * 50_000), 400, "malformed-message")
    topic = genuine._replace(headers=genuine.headers | {"x-amz-sns-topic-arn": foreign})
    yield Variant("a header with another TopicArn", topic, 400, "headers-disagree")
    for name, rest in FRAMING.items():
        yield Variant(name, b"POST / HTTP/1.1\r\n" + rest, 400, "malformed-request")


def send(variant: Variant, endpoint: Endpoint) -> Answer:
    """Send a variant on a connection of its own and return the answer; its status is 0 when the connection ended without one."""
    try:
        with endpoint.connect() as connection:
            return connection.exchange(variant.sent) if isinstance(variant.sent, bytes) else endpoint.deliver(connection, variant.sent)
    except (OSError, Closed) as error:
        return Answer(0, {}, f"no answer ({type(error).__name__})".encode())
