"""The streams of hostile connections: generators of bytes, and of floats (seconds to wait before the next piece).

Each takes the Scene: all that an attacker can know about the bridge and the topic. Endless ones end with the attack.
"""

import functools
import itertools
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

Stream = Iterator[bytes | float]
TINY = b"X / HTTP/1.1\r\nHost:a\r\n\r\n"
MIB = 1 << 20


class Scene(NamedTuple):
    """endpoint: SNS's origin. certificate_url: the one in use. genuine: the body of one genuine message (text of JSON). topic: its arn.

    size: bytes, where a stream has a choice. every: seconds after which an unknown certificate gets another name.
    """

    endpoint: str
    certificate_url: str
    topic: str
    genuine: str
    size: int = 0
    every: float = 0.2


# ---- requests


def posted(body: bytes, *headers: str) -> bytes:
    """A POST of these bytes."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def unsigned(scene: Scene, certificate_url: str, message: str = "x", **members: object) -> bytes:
    """The body of a message that is whole, but that nobody signed."""
    fields = json.loads(scene.genuine) | {"Message": message, "SigningCertURL": certificate_url, "Signature": "AAAA"} | members
    return json.dumps(fields, ensure_ascii=False).encode()


def unknown_url(scene: Scene) -> str:
    """The URL of a certificate that nobody has seen, of a name that SNS could use; another one after scene.every seconds."""
    number = int(time.time() / scene.every) if scene.every else secrets.randbits(64)
    return f"{scene.endpoint}/SimpleNotificationService-{number:032x}.pem"


# ---- many requests, cheap to send


def tiny_once(scene: Scene) -> Stream:
    """So many bytes of the smallest requests, at once."""
    yield TINY * (scene.size // len(TINY))


def repeated(unit: bytes) -> Stream:
    """The same bytes again and again."""
    yield from itertools.repeat(unit * max(1, 65536 // len(unit)))


def tiny(_scene: Scene) -> Stream:
    return repeated(TINY)


def gets(_scene: Scene) -> Stream:
    return repeated(b"GET /healthy HTTP/1.1\r\nHost: a\r\n\r\n")


def metrics(_scene: Scene) -> Stream:
    return repeated(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")


def status(_scene: Scene) -> Stream:
    return repeated(b"GET /status.json HTTP/1.1\r\nHost: a\r\n\r\n")


def new_headers(_scene: Scene) -> Stream:
    """No two lines are the same, so remembering one does not help with another."""
    while True:
        lines = b"".join(b"x%x: y\r\n" % secrets.randbits(64) for _ in range(40))
        yield b"GET /%x HTTP/1.1\r\nHost: a\r\n" % secrets.randbits(64) + lines + b"\r\n"


def http_1_0(_scene: Scene) -> Stream:
    yield b"GET /healthy HTTP/1.0\r\n\r\n"


def expect_again(_scene: Scene) -> Stream:
    return repeated(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}")


def replayed(scene: Scene) -> Stream:
    """One genuine message, captured on its way, again and again."""
    return repeated(posted(scene.genuine.encode()))


def tiny_posts(_scene: Scene) -> Stream:
    return repeated(posted(b"{}"))


def huge_heads(_scene: Scene) -> Stream:
    return repeated(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(1500)) + b"\r\n")


def empty_lines(_scene: Scene) -> Stream:
    return repeated(b"\r\n")


def one_byte_chunks(_scene: Scene) -> Stream:
    yield b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from repeated(b"1\r\nx\r\n")


def garbage(_scene: Scene) -> Stream:
    yield os.urandom(4096)


def wrong_credentials(scene: Scene) -> Stream:
    return repeated(posted(scene.genuine.encode(), "Authorization: Basic c25zOndyb25nLXBhc3N3b3Jk"))


def empty_password(scene: Scene) -> Stream:
    """A genuine message, from somebody who knows the user's name alone."""
    return repeated(posted(scene.genuine.encode(), "Authorization: Basic c25zOg=="))


def expect_of_http_1_0(scene: Scene) -> Stream:
    """RFC 9110 section 10.1.1: a client of HTTP/1.0 gets no 100, though it asks for one."""
    body = unsigned(scene, scene.certificate_url)
    yield b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def empty_line_between(scene: Scene) -> Stream:
    return repeated(b"\r\n" + posted(unsigned(scene, scene.certificate_url)))


def two_connection_lines(scene: Scene) -> Stream:
    return repeated(posted(unsigned(scene, scene.certificate_url), "Connection: keep-alive", "Connection: x"))


def forged_known(scene: Scene) -> Stream:
    """Messages that name the certificate in use: each costs a verification."""
    signature = json.loads(scene.genuine)["Signature"]
    return repeated(posted(unsigned(scene, scene.certificate_url, "y" * scene.size, Signature=signature)))


def long_topic(scene: Scene) -> Stream:
    """Each makes a long line in the log."""
    return repeated(posted(unsigned(scene, scene.certificate_url, TopicArn="A" * 3500)))


def wrong_url(scene: Scene) -> Stream:
    return repeated(posted(unsigned(scene, "https://localhost/SimpleNotificationService-" + "0" * 32 + ".pem")))


# ---- messages that wait for a certificate


def forged_unknown(scene: Scene) -> Stream:
    yield posted(unsigned(scene, unknown_url(scene), "\U0001f600" + "x" * scene.size))


def forged_one_unknown(scene: Scene) -> Stream:
    """All name the same one."""
    yield posted(unsigned(scene, f"{scene.endpoint}/SimpleNotificationService-{7:032x}.pem", "\U0001f600" + "x" * scene.size))


def forged_unknown_then_more(scene: Scene) -> Stream:
    """And bytes sent ahead, while it waits."""
    yield from forged_one_unknown(scene)
    for _ in range(40):
        yield b"y" * 16384


# ---- bodies


@functools.cache
def json_of(unit: bytes, size: int, start: bytes = b"") -> bytes:
    return b'{"a":[' + start + b",".join([unit] * ((size - 20 - len(start)) // (len(unit) + 1))) + b"]}"


def wide_json(unit: bytes, start: bytes = b"") -> Callable[[Scene], Stream]:
    """A body of 2 MiB that becomes as many objects as can be."""

    def stream(_scene: Scene) -> Stream:
        return repeated(posted(json_of(unit, 2 * MIB, start)))

    return stream


def deep_json(_scene: Scene) -> Stream:
    return repeated(posted(b"[" * 50_000))


def escaped_json(scene: Scene) -> Stream:
    """A Message of escapes only: six bytes each."""
    body = unsigned(scene, scene.certificate_url).replace(b'"x"', b'"' + b"\\u00e9" * (2 * MIB // 6 - 400) + b'"')
    return repeated(posted(body))


@functools.cache
def different_names() -> bytes:
    return posted(b"{" + b",".join(b'"%x":0' % n for n in range(190_000)) + b"}")


def many_members(_scene: Scene) -> Stream:
    return repeated(different_names())


def many_attributes(scene: Scene) -> Stream:
    attributes = {f"{n:x}": {"Type": "String", "Value": "v"} for n in range(40_000)}
    return repeated(posted(unsigned(scene, scene.certificate_url, MessageAttributes=attributes)))


def new_topics(scene: Scene) -> Stream:
    """A topic that nobody has seen in each, under a list with *."""
    base = scene.topic.rpartition(":")[0]
    while True:
        name = secrets.token_hex(120)
        yield posted(unsigned(scene, scene.certificate_url, TopicArn=f"{base}:{name}"))


def announced(scene: Scene) -> Stream:
    """The head of 2 MiB, with headers of so many bytes, and no more."""
    fields = b"".join(b"x%d: %b\r\n" % (number, secrets.token_hex(scene.size // 180).encode()) for number in range(90 if scene.size else 0))
    yield b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"Content-Length: 2097152\r\n\r\n"


def part_of_body(scene: Scene) -> Stream:
    """So much of a 2 MiB body, and no more."""
    yield b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n" + b"x" * scene.size


def part_of_small_body(scene: Scene) -> Stream:
    """All but the last byte of a body of so many."""
    yield posted(b"x" * scene.size)[:-1]


def part_of_head(scene: Scene) -> Stream:
    """A head of so many bytes without its end."""
    yield b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(10_000))[: scene.size - 26]


def dripped_body(_scene: Scene) -> Stream:
    """A kilobyte a fifth of a second."""
    yield b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n"
    while True:
        yield b"x" * 1024
        yield 0.2


def chunks_that_stop(scene: Scene) -> Stream:
    """Whole chunks, and no end."""
    yield b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 16384 + b"\r\n"
    for _ in range(scene.size // 16384 - 1):
        yield b"4000\r\n" + b"x" * 16384 + b"\r\n"


def expect_no_body(_scene: Scene) -> Stream:
    yield b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\nExpect: 100-continue\r\n\r\n"


# ---- slow, and cut


def one_byte(_scene: Scene) -> Stream:
    yield b"P"


def nothing(_scene: Scene) -> Stream:
    yield from ()


def dripped_head(_scene: Scene) -> Stream:
    yield b"GET / HTTP/1.1\r\nHost: a\r\nx: "
    while True:
        yield b"y"
        yield 0.05


def whole_forged(scene: Scene) -> Stream:
    signature = json.loads(scene.genuine)["Signature"]
    yield posted(unsigned(scene, scene.certificate_url, Signature=signature))


def cut_anywhere(scene: Scene) -> Stream:
    """A forged message up to a random byte of it."""
    whole = b"".join(piece for piece in whole_forged(scene) if isinstance(piece, bytes))
    yield whole[: secrets.randbelow(len(whole)) + 1]


# ---- TLS


@functools.cache
def hello() -> bytes:
    """A ClientHello; a server that answers it has to sign."""
    context = ssl.create_default_context()
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(received, sent, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def client_hello(_scene: Scene) -> Stream:
    """And nothing after what the server answers."""
    yield hello()


def half_hello(_scene: Scene) -> Stream:
    yield hello()[:100]


STREAMS: dict[str, Callable[[Scene], Stream]] = {
    function.__name__: function
    for function in (
        *(tiny_once, tiny, gets, tiny_posts, huge_heads, empty_lines, one_byte_chunks, garbage, wrong_credentials),
        *(metrics, status, new_headers, http_1_0, expect_again, replayed),
        *(empty_password, expect_of_http_1_0, empty_line_between, two_connection_lines),
        *(forged_known, wrong_url, long_topic, forged_unknown, forged_one_unknown, forged_unknown_then_more),
        *(deep_json, escaped_json, many_members, many_attributes, new_topics, announced, part_of_body, part_of_small_body, part_of_head),
        *(dripped_body, chunks_that_stop, expect_no_body, one_byte, nothing, dripped_head, whole_forged, cut_anywhere),
        *(client_hello, half_hello),
    )
} | {
    "lists": wide_json(b"[]"),
    "objects": wide_json(b"{}"),
    "pairs": wide_json(b'{"":0}'),
    "singles": wide_json(b"[0]"),
    "nested": wide_json(b"[[]]"),
    "numbers": wide_json(b"1e9"),
    "strings": wide_json(b'"abcd"'),
    "objects and astral text": wide_json(b"{}", '"\U0001f600",'.encode()),
}
