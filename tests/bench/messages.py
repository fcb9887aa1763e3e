"""The load: a key, its certificate, and really signed Notifications as whole HTTP requests, made once for all runs."""

import random
import shutil
import struct
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bridge.simulate.envelope import Signer, post
from bridge.simulate.post import request
from tests.bench.prepare import CACHE, say

TOPIC = "arn:aws:sns:us-east-1:123456789012:bench-topic"
ENDPOINT = "https://sns.us-east-1.amazonaws.com"
CERTIFICATE_NAME = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CERTIFICATE_URL = f"{ENDPOINT}/{CERTIFICATE_NAME}"
COUNTS = {512: 4000, 4096: 2000, 65536: 400}  # characters of Message: how many different ones; the load goes round
DAYS = 60


class Load(NamedTuple):
    """The files of the load."""

    folder: Path

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def certificate(self) -> Path:
        return self.certificates / CERTIFICATE_NAME

    def requests(self, size: int) -> Path:
        """The file that load.c reads: each request after its length."""
        return self.folder / f"requests-{size}"

    def posts(self, size: int, count: int) -> list[tuple[str, bytes]]:
        """Return (MessageId, request) of the first messages."""
        found, data, at = [], self.requests(size).read_bytes(), 0
        while len(found) < count and at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            whole = data[at + 4 : at + 4 + length]
            found.append((whole.split(b"x-amz-sns-message-id: ", 1)[1][:36].decode(), whole))
            at += 4 + length
        return found


def text(size: int, random_: random.Random) -> str:
    """A JSON event as SNS often carries it: escaped quotes throughout, some of it not ASCII."""
    words = ['{"source":"aws.s3","détail":{"']
    length = len(words[0])
    while length < size:
        word = (
            f'k{random_.getrandbits(32):08x}":"{random_.getrandbits(64):016x}✓","'
            if random_.random() < 0.2
            else f"{random_.getrandbits(64):016x} "
        )
        words.append(word)
        length += len(word)
    return "".join(words)[:size]


def make() -> Load:
    """Return the load, made anew when it is missing or its certificate would end soon."""
    load = Load(CACHE / "load-1")
    whole = load.folder / "whole"
    if whole.exists() and datetime.now().timestamp() - whole.stat().st_mtime < (DAYS - 10) * 86400:
        return load
    say("signing the messages")
    shutil.rmtree(load.folder, ignore_errors=True)
    load.certificates.mkdir(parents=True)
    key = rsa.generate_private_key(65537, 2048)
    load.certificate.write_bytes(certificate(key))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signer = Signer(pem, CERTIFICATE_URL, ENDPOINT)
    for size, count in COUNTS.items():
        with open(load.requests(size), "wb") as file:
            for one in (notification(signer, size, i) for i in range(count)):
                file.write(struct.pack("<I", len(one)) + one)
    whole.touch()
    return load


def certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, begin + timedelta(days=DAYS))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def notification(signer: Signer, size: int, i: int) -> bytes:
    """Both signature versions in turn, three of four with a Subject, all with two attributes."""
    chance = random.Random(size * 1_000_000 + i)
    fields = signer.notification(
        TOPIC,
        text(size, chance),
        subject="Amazon S3 Notification" if i % 4 else None,
        attributes={"tenant": ("String", f"t{i % 100}"), "prio": ("Number", "5")},
        version=str(1 + i % 2),
        message_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    )
    return request(post(fields), "127.0.0.1")
