"""`bridge verify` as it is shipped (source, binary or container) against what the same code says in this process.

The frozen binary brings its own Python, libcrypto and json module: hostile messages, forged paddings and odd certificates
have to get the same verdict there.
"""

import base64
import hashlib
import json

import pytest

from bridge.errors import BridgeError
from tests.fuzz import forge
from tests.fuzz.forge import certificate, signer
from tests.tools.bridge import run
from tests.unit.sns.messages import BODIES, PLAIN, VECTORS, judge
from tests.unit.sns.test_hostile_messages import HOST, VARIANTS

SHIFTED = {
    "empty": lambda value: b"",
    "short": lambda value: value[:-1],
    "long": lambda value: value + b"\x00",
    "modulus": lambda value: signer().n.to_bytes(256, "big"),
    "all ones": lambda value: b"\xff" * 256,
}
CERTIFICATES = {
    "UTF8String": {},
    "BMPString": {"subject": forge.common_name("sns.amazonaws.com".encode("utf-16-be"), forge.BMP)},
    "GeneralizedTime": {"not_after": forge.tlv(0x18, b"20500101000000Z")},
    "no alternative name": {"extensions": b""},
    "expired": {"not_after": forge.tlv(0x17, b"250102030406Z")},
    "another name": {"subject": forge.common_name(b"evil.test"), "extensions": forge.alternative_names(b"sns.amazonaws.com.evil.test")},
    "name with NUL": {"subject": forge.common_name(b"sns.amazonaws.com\x00.evil.test")},
    "RSA-PSS": {"key": forge.key_info(signer().n, 65537, bytes.fromhex("300b06092a864886f70d01010a"))},
    "RSA-1024": {"key": forge.key_info((1 << 1024) - 1)},
    "RSA-8192": {"key": forge.key_info((1 << 8192) - 1)},
    "even modulus": {"key": forge.key_info(signer().n + 1)},
    "exponent 3": {"key": forge.key_info(signer().n, 3)},
    "trailing byte": {"trailing": b"\x00"},
}


def signed(folder, digest, sign, encoded):
    """A message signed by `sign` with a certificate of our own, which is put into the folder as SNS names its files."""
    file = f"SimpleNotificationService-{hashlib.md5(encoded).hexdigest()}.pem"
    (folder / file).write_bytes(b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % base64.encodebytes(encoded))
    members = json.loads(PLAIN)
    members |= {"SignatureVersion": {"sha1": "1", "sha256": "2"}[digest], "SigningCertURL": f"https://{HOST}/{file}"}
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    members["Signature"] = base64.b64encode(sign("".join(f"{name}\n{members[name]}\n" for name in names).encode())).decode()
    return json.dumps(members).encode()


@pytest.fixture
def messages(folder):
    """name -> body: the genuine ones, all their hostile variants, and what only a key of our own can make."""
    for path in VECTORS.glob("*.pem"):
        (folder / path.name).write_bytes(path.read_bytes())
    found = BODIES | {name: body for name, (body, _) in VARIANTS.items()}
    for digest in ("sha1", "sha256"):

        def add(name, sign, digest=digest, **parts):
            found[f"{name}, {digest}"] = signed(folder, digest, sign, certificate(**parts))

        for shape in forge.forgeries(b"x", digest, 256):
            add(shape, lambda text, shape=shape, digest=digest: signer().raw(forge.forgeries(text, digest, 256)[shape]))
        for name, change in SHIFTED.items():
            add(name, lambda text, change=change, digest=digest: change(signer().sign(text, digest)))
        for name, parts in CERTIFICATES.items():
            add(name, lambda text, digest=digest: signer().sign(text, digest), **parts)
        for bits in (3072, 4096):
            key = forge.key_info(signer(bits).n)
            add(f"RSA-{bits}", lambda text, bits=bits, digest=digest: signer(bits).sign(text, digest), key=key)
    return found


def test_verdicts(folder, messages):
    expected = {}
    for number, (name, body) in enumerate(messages.items()):
        path = folder / f"{number:03}.json"
        path.write_bytes(body)
        try:
            received = judge(body, topics="arn:*:sns:*:*:*", CERTIFICATES=str(folder))
            expected[name] = f"{path}: genuine {received.type} v{received.signature_version} {received.message_id}"
        except BridgeError as error:
            expected[name] = f"{path}: refused: {error.reason}"
    files = [str(folder / f"{number:03}.json") for number in range(len(messages))]
    done = run("verify", "--at", "message", "--certificates", str(folder), *files)
    assert done.returncode == 1 and not done.stderr
    lines = done.stdout.splitlines()
    found = {
        name: line if ": genuine " in line else line[: line.index(": ", line.index(": refused: ") + 11)]
        for name, line in zip(messages, lines, strict=True)
    }
    assert found == expected
    assert sum(": genuine " in line for line in lines) == len(BODIES) + 2 * (4 + 2)
