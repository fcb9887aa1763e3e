"""Signatures: the same tests for both verifiers, libcrypto's and the one in Python."""

import base64
import ctypes
import json
import math
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from bridge.sns import signature
from bridge.sns.signature import BadCertificate, load_certificate, unsigned
from tests.fuzz import forge
from tests.fuzz.differential import check_certificates, check_signatures
from tests.fuzz.forge import certificate, signer
from tests.unit.sns.verifiers import _rsa, native

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
PEM = next(VECTORS.glob("*.pem")).read_bytes()
FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
DIGESTS = {"1": "sha1", "2": "sha256"}


def signed(path):
    """The signature, the string to sign in its parts (name, value), and the digest of a genuine message."""
    members = json.loads(path.read_bytes())
    parts = [(name, members[name].encode()) for name in FIELDS[members["Type"]] if name in members]
    return base64.b64decode(members["Signature"]), parts, DIGESTS[members["SignatureVersion"]]


def string_to_sign(parts):
    return b"".join(b"%b\n%b\n" % (name.encode(), value) for name, value in parts)


# ---- genuine messages


@pytest.mark.parametrize("path", sorted(VECTORS.glob("java2-*.json")), ids=lambda path: path.stem)
class TestGenuine:
    def test_it_verifies(self, path, key):
        value, parts, digest = signed(path)
        assert load_certificate(PEM, key).verify(value, string_to_sign(parts), digest) is True

    def test_every_changed_byte_of_every_signed_field_is_refused(self, path, key):
        value, parts, digest = signed(path)
        verify = load_certificate(PEM, key).verify
        tried = 0
        for i, (name, field) in enumerate(parts):
            for at in range(len(field)):
                changed = field[:at] + bytes((field[at] ^ 1,)) + field[at + 1 :]
                text = string_to_sign([*parts[:i], (name, changed), *parts[i + 1 :]])
                assert verify(value, text, digest) is False, (name, at)
                tried += 1
        assert tried > 150

    def test_every_changed_byte_of_the_signature_is_refused(self, path, key):
        value, parts, digest = signed(path)
        verify, text = load_certificate(PEM, key).verify, string_to_sign(parts)
        for at in range(len(value)):
            assert verify(value[:at] + bytes((value[at] ^ 0x80,)) + value[at + 1 :], text, digest) is False

    def test_a_field_left_out_or_out_of_order_is_refused(self, path, key):
        value, parts, digest = signed(path)
        verify = load_certificate(PEM, key).verify
        for i in range(len(parts)):
            assert verify(value, string_to_sign(parts[:i] + parts[i + 1 :]), digest) is False
        assert verify(value, string_to_sign(parts[::-1]), digest) is False

    def test_the_other_digest_is_refused(self, path, key):
        value, parts, digest = signed(path)
        other = "sha1" if digest == "sha256" else "sha256"
        assert load_certificate(PEM, key).verify(value, string_to_sign(parts), other) is False


def test_the_genuine_certificate(key):
    loaded = load_certificate(PEM, key)
    theirs = load_pem_x509_certificate(PEM)
    assert loaded.not_before == theirs.not_valid_before_utc.timestamp()
    assert loaded.not_after == theirs.not_valid_after_utc.timestamp()
    assert loaded.names == ("sns.amazonaws.com", "sns.amazonaws.com")
    assert loaded.bits == 2048


# ---- signatures


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
class TestSignature:
    def test_ours(self, verify, digest):
        assert verify(signer().sign(b"x", digest), b"x", digest) is True

    def test_an_empty_message(self, verify, digest):
        assert verify(signer().sign(b"", digest), b"", digest) is True
        assert verify(signer().sign(b"", digest), b"\x00", digest) is False

    @pytest.mark.parametrize("size", [65535, 65536, 65537, 2_000_000])
    def test_a_long_message(self, verify, digest, size):
        value = signer().sign(bytes(size), digest)
        assert verify(value, bytes(size), digest) is True
        assert verify(value, bytes(size - 1) + b"\x01", digest) is False

    def test_short_and_long_ones(self, verify, digest):
        value = signer().sign(b"x", digest)
        for wrong in (b"", b"\x00", value[:-1], value[1:], value + b"\x00", b"\x00" + value, value * 2, value[:128]):
            assert verify(wrong, b"x", digest) is False

    def test_a_leading_zero_may_not_be_left_out(self, key, digest):
        verify = load_certificate(certificate(key=forge.key_info(signer(2050).n)), key).verify  # 257 bytes, the first 0 to 3
        text, value = next((b"%d" % i, value) for i in range(99) if (value := signer(2050).sign(b"%d" % i, digest))[0] == 0)
        assert verify(value, text, digest) is True
        assert verify(value[1:], text, digest) is False

    def test_a_signature_plus_the_modulus_is_refused(self, key, digest):
        verify = load_certificate(certificate(key=forge.key_info(signer(2050).n)), key).verify
        value = signer(2050).sign(b"x", digest)
        assert verify(value, b"x", digest) is True
        for times in range(1, 64):
            assert verify((int.from_bytes(value, "big") + times * signer(2050).n).to_bytes(257, "big"), b"x", digest) is False

    def test_zero_one_and_the_modulus(self, verify, digest):
        n = signer().n
        for number in (0, 1, n - 1, n, n + 1, (1 << 2048) - 1):
            assert verify(number.to_bytes(256, "big"), b"x", digest) is False

    def test_the_negated_signature_is_refused(self, verify, digest):
        number = signer().n - int.from_bytes(signer().sign(b"x", digest), "big")
        assert verify(number.to_bytes(256, "big"), b"x", digest) is False

    @pytest.mark.parametrize("shape", forge.forgeries(b"x", "sha1", 256))
    def test_forged_padding(self, verify, digest, shape):
        encoded = forge.forgeries(b"x", digest, 256)[shape]
        assert len(encoded) == 256
        assert verify(signer().raw(encoded), b"x", digest) is False

    @pytest.mark.parametrize("bits", [2048, 2050, 3072, 4096])
    def test_sizes_of_keys(self, key, digest, bits):
        loaded = load_certificate(certificate(key=forge.key_info(signer(bits).n)), key)
        assert loaded.bits == bits
        assert loaded.verify(signer(bits).sign(b"x", digest), b"x", digest) is True
        assert loaded.verify(signer(bits).sign(b"y", digest), b"x", digest) is False

    def test_pss_is_refused(self, verify, digest):
        from cryptography.hazmat.primitives.asymmetric import rsa as theirs

        s = signer()
        public = theirs.RSAPublicNumbers(s.e, s.n)
        numbers = theirs.RSAPrivateNumbers(s.p, s.q, pow(s.e, -1, (s.p - 1) * (s.q - 1)), s.dp, s.dq, s.qinv, public)
        hashing = SHA1() if digest == "sha1" else SHA256()
        value = numbers.private_key().sign(b"x", padding.PSS(padding.MGF1(hashing), 20), hashing)
        assert verify(value, b"x", digest) is False


@pytest.mark.parametrize("digest", ["", "SHA1", "sha-1", "md5", "sha512", "sha1\x00", "sha256\udc80"])
def test_another_digest_is_an_error(verify, digest):
    with pytest.raises(ValueError):
        verify(bytes(256), b"x", digest)


@native
def test_wrong_arguments_are_an_error():
    verify = load_certificate(certificate()).verify
    for arguments in (
        (),
        (b"", b""),
        (b"", b"", b"sha1"),
        ("", b"", "sha1"),
        (b"", "", "sha1"),
        (None, b"", "sha1"),
        (b"", b"", "sha1", 1),
    ):
        with pytest.raises(TypeError):
            verify(*arguments)
    for arguments in ((), (b"",), ("", b""), (1, 2)):
        with pytest.raises(TypeError):
            _rsa.Key(*arguments)
    for modulus, exponent in (
        (b"", b"\x03"),
        (bytes(255), b"\x03"),
        (bytes(513), b"\x03"),
        (b"\xff" * 255 + b"\xfe", b"\x03"),  # even: no modulus of an RSA key, and none that Montgomery's form is for
        (b"\x00" + b"\xff" * 256, b"\x03"),
        (b"\xff" * 256, b""),
        (b"\xff" * 256, b"\x01"),
        (b"\xff" * 256, b"\x04"),
        (b"\xff" * 256, b"\x01" * 5),
    ):
        with pytest.raises(ValueError):
            _rsa.Key(modulus, exponent)


@pytest.mark.parametrize("exponent", [3, 5, 17, 257, 65537, 65539, 0x80000001, 0xFFFFFFFF])
def test_every_exponent_raises_to_its_power(key, exponent):
    while math.gcd(exponent, phi := ((private := forge.Signer(2048)).p - 1) * (private.q - 1)) != 1:
        pass  # not every key can have every exponent
    number = int.from_bytes(forge.padded(forge.info(b"x", "sha256"), 256), "big")
    signed_by = pow(number, pow(exponent, -1, phi), private.n).to_bytes(256, "big")
    verify = key(unsigned(private.n), unsigned(exponent)).verify
    assert verify(signed_by, b"x", "sha256")
    assert not verify(signed_by, b"y", "sha256")
    assert not verify(signed_by[:-1] + bytes([signed_by[-1] ^ 1]), b"x", "sha256")


def test_many_threads_with_one_key(verify):
    short, long = b"x", bytes(200_000)
    cases = [(signer().sign(text, digest), text, digest) for text in (short, long) for digest in ("sha1", "sha256")]
    wrong = []

    def run():
        for _ in range(25):
            wrong.extend(1 for case in cases if verify(*case) is not True)
            wrong.extend(1 for value, text, digest in cases if verify(value, text + b".", digest) is not False)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@native
def test_libcrypto_keeps_no_errors():
    """A stale error in libcrypto's queue would show up in the next TLS connection of this thread."""
    try:
        libcrypto = ctypes.CDLL("libcrypto.so.3")
    except OSError:
        pytest.skip("libcrypto is linked in statically")
    verify = load_certificate(certificate(), _rsa.Key).verify
    for value in (b"", bytes(256), b"\xff" * 256, signer().raw(forge.forgeries(b"x", "sha1", 256)["block type 2"])):
        assert verify(value, b"x", "sha1") is False
    with pytest.raises(BadCertificate):
        load_certificate(certificate(key=forge.key_info(1 << 2047)), _rsa.Key)
    libcrypto.ERR_peek_error.restype = ctypes.c_ulong
    assert libcrypto.ERR_peek_error() == 0


def test_memory_does_not_grow(key):
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("no /proc")
    encoded, value, long = certificate(), signer().sign(b"x", "sha1"), bytes(70_000)

    def round_():
        for _ in range(1000):
            verify = load_certificate(encoded, key).verify
            assert verify(value, b"x", "sha1") and not verify(value, b"y", "sha256") and not verify(value, long, "sha1")

    round_()
    before = int(statm.read_text().split()[1])
    round_()
    assert (int(statm.read_text().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE") < 1 << 20


def test_the_verifier_says_what_it_is():
    assert signature.RSA_ENGINE == "python" if _rsa is None else signature.RSA_ENGINE.startswith("libcrypto 3.")


def test_without_the_extension_module_python_verifies():
    program = (
        "import sys; sys.modules['bridge.sns._rsa'] = None\n"
        "from bridge.sns import signature\n"
        "from tests.fuzz import forge\n"
        "key = signature.load_certificate(forge.certificate())\n"
        "print(signature.RSA_ENGINE, key.verify(forge.signer().sign(b'x', 'sha1'), b'x', 'sha1'))\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout == "python True\n", done.stderr


# ---- the verifiers against each other and against the cryptography package


@native
def test_verifiers_agree_on_mutated_signatures():
    tally = check_signatures(cases=4000, seed=1)
    assert tally["genuine"] > 20 and tally["refused"] > 2000


@native
def test_verifiers_agree_on_mutated_certificates():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tally = check_certificates(cases=6000, seed=1)
    assert tally["read"] > 500 and tally["refused"] > 2000
