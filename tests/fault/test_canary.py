"""SSRF: every name, and every address that a message could name, leads to a canary. No hostile message makes it sing.

The bridge lives in a network namespace of its own, without a cable: all it can reach is the canary.
"""

import contextlib
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.simulate.envelope import Post, now, post
from bridge.simulate.hostile import urls
from bridge.simulate.post import Connection, request
from bridge.simulate.sns import SNS, TOPIC
from tests.fault.test_partition import NAME, inside, ip
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST
from tests.tools.ports import wait_for

PORTS = (22, 25, 53, 80, 443, 3128, 5672, 6379, 8000, 8080, 8443, 9200)
ADDRESSES = ("169.254.169.254", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.100.100.200")
HEX = "0" * 32
pytestmark = [pytest.mark.quick, pytest.mark.skipif(os.geteuid() != 0 or UNDER_TEST == "image", reason="a network namespace needs root")]


class Canary:
    """Answers every DNS query with 127.0.0.1, takes every connection, and remembers both. Start it inside the namespace."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.connected: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._names.bind(("127.0.0.1", 53))
        self._selector.register(self._names, selectors.EVENT_READ, self._answer)
        self._sockets = [socket.create_server(("", port)) for port in PORTS]
        for sock in self._sockets:
            self._selector.register(sock, selectors.EVENT_READ, self._take)
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.1):
                key.data(key.fileobj)

    def _take(self, server: socket.socket) -> None:
        server.accept()[0].close()
        self.connected.append(server.getsockname()[1])

    def _answer(self, names: socket.socket) -> None:
        query, client = names.recvfrom(512)
        end = query.index(0, 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += query[at] + 1
        self.asked.append(".".join(labels))
        wants_address = query[end - 4 : end - 2] == b"\x00\x01"
        answer = b"\xc0\x0c\x00\x01\x00\x01" + struct.pack(">IH", 60, 4) + socket.inet_aton("127.0.0.1") if wants_address else b""
        names.sendto(query[:2] + b"\x81\x80" + query[4:6] + struct.pack(">HHH", bool(answer), 0, 0) + query[12:end] + answer, client)

    @property
    def silent(self) -> bool:
        return not self.asked and not self.connected

    def close(self) -> None:
        self._over.set()
        for sock in (*self._sockets, self._names):
            sock.close()


@pytest.fixture
def namespace() -> Iterator[str]:
    try:
        ip("netns", "add", NAME)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    ip("-n", NAME, "link", "set", "lo", "up")
    for address in ADDRESSES:
        ip("-n", NAME, "address", "add", f"{address}/32", "dev", "lo")
    yield NAME
    ip("netns", "delete", NAME)


@pytest.fixture
def scene(namespace: str, folder: Path) -> Iterator[tuple[Wrapped, Canary, str]]:
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    prefix = ("unshare", "--mount", "sh", "-c", f'mount --bind {folder / "resolv.conf"} /etc/resolv.conf && exec "$@"', "sh")
    with inside(namespace):
        canary = Canary()
        bridge = Wrapped(prefix=prefix, BRIDGE_TOPICS=TOPIC, BRIDGE_AMQP_URL="amqp://127.0.0.1:9", BRIDGE_LISTEN="127.0.0.1:3000")
        bridge.start(wait=False)
    bridge.wait_for("listening", 30)
    yield bridge, canary, namespace
    bridge.stop()
    canary.close()


def deliver(namespace: str, data: bytes) -> int:
    """The status that the bridge answers; 0 when it closes the connection."""
    with inside(namespace):
        connection = Connection("127.0.0.1", 3000)
    with connection, contextlib.suppress(ConnectionError):
        return connection.exchange(data).status
    return 0


def hostile(sns: SNS) -> Iterator[tuple[str, bytes]]:
    """Everything in a request that could name a host, naming another than SNS's."""
    genuine = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-" + HEX + ".pem"
    named = urls() + [f"https://{address}/SimpleNotificationService-{HEX}.pem" for address in ADDRESSES]
    notification = sns.signer.notification(TOPIC, "hello")
    confirmation = sns.signer.confirmation(TOPIC, "00" * 96)
    for url in named:
        for fields in (notification, confirmation, sns.signer.confirmation(TOPIC, "00" * 96, kind="UnsubscribeConfirmation")):
            yield f"SigningCertURL {url} of a {fields['Type']}", request(post(fields | {"SigningCertURL": url}), "a")
    for arn in (
        TOPIC.replace("123456789012", "999999999999"),
        TOPIC.replace("eu-central-1", "evil.example/#"),
        "arn:aws:sns:::",
        "http://evil.example/",
    ):
        yield f"TopicArn {arn}", request(post(confirmation | {"TopicArn": arn, "SigningCertURL": genuine}), "a")
    for member in ("Token", "MessageId"):
        yield member, request(post(confirmation | {member: "&SubscribeURL=http://evil.example/", "SigningCertURL": genuine}), "a")
    for version in ("0", "3", "http://evil.example/"):
        yield f"SignatureVersion {version}", request(post(notification | {"SignatureVersion": version, "SigningCertURL": genuine}), "a")
    body: Post = post(notification | {"SigningCertURL": "https://evil.example/" + HEX})
    yield "absolute form", request(body, "evil.example", "http://evil.example/")
    yield "CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    for name in ("X-Forwarded-Host", "Forwarded", "X-Original-URL", "Referer", "Origin", "X-Amz-Sns-Topic-Arn", "Proxy"):
        yield name, request(body, "evil.example", extra={name: "http://evil.example/"})


def test_no_hostile_message_reaches_the_canary(scene, sns):
    bridge, canary, namespace = scene
    count = 0
    for what, data in hostile(sns):
        status = deliver(namespace, data)
        assert status in (0, 400, 403, 405), f"{what}: {status}"
        assert canary.silent, f"{what}: it asked for {canary.asked}, connected to {canary.connected}"
        count += 1
    time.sleep(0.5)
    assert canary.silent
    assert count >= 60
    assert bridge.running()


def test_the_canary_sings_for_the_one_url_that_is_allowed(scene, sns):
    """The canary works, so its silence above means something."""
    _bridge, canary, namespace = scene
    fields = sns.signer.notification(TOPIC, "hello", timestamp=now())
    url = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{HEX}.pem"
    assert deliver(namespace, request(post(fields | {"SigningCertURL": url}), "a")) == 503
    wait_for("the canary's song", lambda: 443 in canary.connected)
    assert set(canary.asked) == {"sns.eu-central-1.amazonaws.com"}
