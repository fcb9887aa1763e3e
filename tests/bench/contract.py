"""Check before the measurements that every candidate does the same job, because its figures mean nothing otherwise."""

import json
from collections.abc import Callable

from tests.bench.messages import TOPIC, Load
from tests.bench.servers import QUEUE, Server
from tests.tools.broker import Broker
from tests.tools.ports import wait_for

MESSAGES = 200


def altered(request: bytes, change: Callable[[dict[str, str]], None]) -> bytes:
    """The same request with members changed and the length put right."""
    head, body = request.split(b"\r\n\r\n", 1)
    fields = json.loads(body)
    change(fields)
    fresh = json.dumps(fields, ensure_ascii=False).encode()
    lines = [b"Content-Length: %d" % len(fresh) if line.startswith(b"Content-Length:") else line for line in head.split(b"\r\n")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + fresh


HOSTILE: dict[str, Callable[[dict[str, str]], None]] = {
    "a changed Message": lambda fields: fields.update(Message=fields["Message"] + " "),
    "a changed Subject": lambda fields: fields.update(Subject="other"),
    "a changed MessageId": lambda fields: fields.update(MessageId="0" + fields["MessageId"][1:-1] + "x"),
    "a foreign topic": lambda fields: fields.update(TopicArn=TOPIC + "x"),
    "a foreign certificate": lambda fields: fields.update(
        SigningCertURL="https://sns.example.com/SimpleNotificationService-" + "0" * 32 + ".pem"
    ),
    "a short signature": lambda fields: fields.update(Signature="AAAA"),
    "the other version": lambda fields: fields.update(SignatureVersion="2" if fields["SignatureVersion"] == "1" else "1"),
    "an unknown version": lambda fields: fields.update(SignatureVersion="3"),
}


def check(server: Server, broker: Broker, load: Load, kind: str = "classic") -> list[str]:
    """Return what this server does otherwise than it should. kind: of the queue, which is deleted and declared again."""
    wrong: list[str] = []

    def want(what: str, request: bytes, low: int, high: int) -> None:
        status = server.post(request)
        if not low <= status <= high:
            wrong.append(f"{what}: answered {status}")

    broker.purge(QUEUE)
    posts = load.posts(512, MESSAGES)
    for what, change in HOSTILE.items():
        want(what, altered(posts[1][1], change), 400, 499)  # one with a Subject
    want("no JSON", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{]", 400, 499)
    if broker.count(QUEUE):
        wrong.append("a refused message is in the queue")
    accepted = sorted(message_id for message_id, request in posts if server.post(request) == 200)
    stored = broker.take(QUEUE)
    if accepted != sorted(message_id for message_id, _ in posts):
        wrong.append(f"{len(accepted)} of {len(posts)} genuine messages answered 200")
    if sorted(str(one.properties.message_id) for one in stored) != accepted:
        wrong.append("the queue does not hold the messages that were answered 200")
    bodies = {request.split(b"\r\n\r\n", 1)[1] for _, request in posts}
    if any(one.body not in bodies or one.properties.delivery_mode != 2 for one in stored):
        wrong.append("a stored message is not as it was sent, or not persistent")
    broker.delete(QUEUE)
    want("no queue", posts[0][1], 503, 503)
    broker.declare(QUEUE, kind=kind)
    wait_for(f"{server.name}'s 200 after the queue came back", lambda: server.post(posts[0][1]) == 200)
    broker.purge(QUEUE)
    return wrong
