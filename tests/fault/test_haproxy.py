"""haproxy in front, with few connections that all requests share: no answer goes to the wrong request.

Every kind of request has an answer of its own, so an answer that is one place off is found. MIXED: their number (100,000 in `make fault`).
"""

import json
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from bridge.simulate.envelope import Post, post
from bridge.simulate.post import Answer, Closed, Connection, request
from bridge.simulate.sns import SNS
from tests.fault.check import judge

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is missing: apt-get install haproxy")
CONFIGURATION = """
global
    maxconn 500
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
    http-reuse always
frontend sns
    bind 127.0.0.1:{front}
    default_backend bridge
backend bridge
    server bridge 127.0.0.1:{back} maxconn 8
"""
CLIENTS = 24
FOREIGN = "arn:aws:sns:eu-central-1:999999999999:orders"
Kind = tuple[Callable[[SNS, str], tuple[bytes, Post | None]], int, str]


def genuine(sns: SNS, host: str) -> tuple[bytes, Post | None]:
    sent = sns.notification("genuine")
    return request(sent, host), sent


def chunked(sns: SNS, host: str) -> tuple[bytes, Post | None]:
    sent = sns.notification("genuine, in pieces")
    head = request(sent._replace(body=b""), host).replace(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n")
    pieces = [sent.body[at : at + 100] for at in range(0, len(sent.body), 100)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n", sent


def forged(sns: SNS, host: str) -> tuple[bytes, Post | None]:
    fields = json.loads(sns.notification("genuine").body)
    return request(post(fields | {"Message": "forged"}), host), None


def foreign(sns: SNS, host: str) -> tuple[bytes, Post | None]:
    fields = json.loads(sns.notification("genuine").body)
    return request(post(fields | {"TopicArn": FOREIGN}), host), None


def no_message(_sns: SNS, host: str) -> tuple[bytes, Post | None]:
    return f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello".encode(), None


def health(_sns: SNS, host: str) -> tuple[bytes, Post | None]:
    return f"GET /healthy HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), None


def elsewhere(_sns: SNS, host: str) -> tuple[bytes, Post | None]:
    return f"GET /elsewhere HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), None


def put(_sns: SNS, host: str) -> tuple[bytes, Post | None]:
    return f"PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 300\r\n\r\n".encode() + b"GET / HTTP/1.1\r\n" * 18 + b"x" * 12, None


KINDS: list[Kind] = [
    (genuine, 200, ""),
    (chunked, 200, ""),
    (forged, 403, "bad-signature"),
    (foreign, 403, "topic-not-allowed"),
    (no_message, 400, "malformed-message"),
    (elsewhere, 404, "not-found"),
    (put, 405, "method-not-allowed"),
    (health, 200, ""),
]


class Client(threading.Thread):
    """One keep-alive connection to haproxy. Now and then it sends several requests at once, or leaves in the middle of one."""

    def __init__(self, sns: SNS, port: int, count: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._sns, self._port, self._count, self._random = sns, port, count, random.Random(seed)
        self.sent: dict[str, bytes] = {}
        self.answers: dict[str, list[int]] = {}
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        connection = self._connect()
        done = 0
        while done < self._count:
            chosen = [self._random.choice(KINDS) for _ in range(self._random.choice((1, 1, 1, 2, 5)))]
            made = [kind[0](self._sns, connection.host) for kind in chosen]
            if self._random.random() < 0.01:
                data = b"".join(data for data, _ in made)
                connection.send(data[: self._random.randrange(len(data))])
                connection.close()
                connection = self._connect()
                self._note_unanswered(made)
                continue
            done += len(chosen)
            connection.send(b"".join(data for data, _ in made))
            for kind, (_, sent) in zip(chosen, made, strict=True):
                self._judge(kind, sent, connection)
        connection.close()

    def _connect(self) -> Connection:
        return Connection("127.0.0.1", self._port, timeout=30)

    def _note_unanswered(self, made: list[tuple[bytes, Post | None]]) -> None:
        for _, sent in made:
            if sent is not None:
                self.sent[sent.message_id] = sent.body
                self.answers[sent.message_id] = [0]

    def _judge(self, kind: Kind, sent: Post | None, connection: Connection) -> None:
        make, status, reason = kind
        try:
            answer: Answer = connection.receive()
        except (OSError, Closed) as error:
            answer = Answer(0, {}, str(error).encode())
        self.seen[make.__name__] += 1
        if sent is not None:
            self.sent[sent.message_id] = sent.body
            self.answers[sent.message_id] = [answer.status]
        if answer.status != status or (reason and answer.body.decode().strip() != reason):
            self.wrong.append(f"{make.__name__} got {answer.status} {answer.body[:60]!r}")


@pytest.mark.parametrize("count", [pytest.param(3_000, marks=pytest.mark.quick), int(os.environ.get("MIXED", 100_000))])
def test_no_answer_goes_to_the_wrong_request(count, broker, queue, start_bridge, sns, haproxy):
    bridge = start_bridge()
    front = haproxy(CONFIGURATION, back=bridge.port)
    clients = [Client(sns, front, count // CLIENTS, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(1200)
        assert not client.is_alive()
    wrong = [one for client in clients for one in client.wrong]
    assert not wrong, f"{len(wrong)} wrong answers: {wrong[:5]}"
    seen = sum((client.seen for client in clients), Counter())
    assert sum(seen.values()) >= count // CLIENTS * CLIENTS
    assert len(seen) == len(KINDS)
    sent = {key: value for client in clients for key, value in client.sent.items()}
    answers = {key: value for client in clients for key, value in client.answers.items()}
    verdict = judge(sent, answers, ((message.properties.message_id, message.body) for message in broker.take(queue)))
    assert not verdict.faults, verdict
