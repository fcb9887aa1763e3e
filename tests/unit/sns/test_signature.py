"""Signatures and signing certificates: the same tests for both verifiers, libcrypto's and the one in Python."""

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
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from bridge.sns import rsa, signature
from bridge.sns.signature import BadCertificate, load_certificate, unsigned
from tests.fuzz import forge
from tests.fuzz.differential import check_certificates, check_signatures
from tests.fuzz.forge import certificate, signer, tlv

try:
    from bridge.sns import _rsa
except ImportError:
    _rsa = None

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
PEM = next(VECTORS.glob("*.pem")).read_bytes()
FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
DIGESTS = {"1": "sha1", "2": "sha256"}

native = pytest.mark.skipif(_rsa is None, reason="bridge.sns._rsa was not built: no compiler or no libcrypto headers")
KEYS = [pytest.param(_rsa and _rsa.Key, id="libcrypto", marks=native), pytest.param(rsa.Key, id="python")]


@pytest.fixture(params=KEYS)
def key(request):
    return request.param


@pytest.fixture
def verify(key):
    """verify(signature, message, digest) with the key of forge.signer()."""
    return load_certificate(certificate(), key).verify


def signed(path):
    """The signature, the string to sign in its parts (name, value), and the digest of a genuine message."""
    members = json.loads(path.read_bytes())
    parts = [(name, members[name].encode()) for name in FIELDS[members["Type"]] if name in members]
    return base64.b64decode(members["Signature"]), parts, DIGESTS[members["SignatureVersion"]]


def string_to_sign(parts):
    return b"".join(b"%b\n%b\n" % (name.encode(), value) for name, value in parts)


def refusal(encoded, key):
    with pytest.raises(BadCertificate) as caught:
        load_certificate(encoded, key)
    return str(caught.value)


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


# ---- certificates: what is read


def names(key, **parts):
    return load_certificate(certificate(**parts), key).names


def pem(encoded, label=b"CERTIFICATE"):
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(encoded), label)


class TestNames:
    def test_no_common_name(self, key):
        assert names(key, subject=forge.name((forge.ORGANIZATION, forge.UTF8, b"Amazon"))) == ("sns.amazonaws.com",)
        assert names(key, subject=tlv(0x30)) == ("sns.amazonaws.com",)

    def test_no_alternative_name(self, key):
        assert names(key, extensions=b"") == ("sns.amazonaws.com",)
        assert names(key, extensions=forge.extension(b"\x55\x1d\x0f", b"\x03\x02\x05\xa0")) == ("sns.amazonaws.com",)

    def test_several_alternative_names_in_their_order(self, key):
        assert names(key, extensions=forge.alternative_names(b"b.test", b"a.test", b"b.test")) == (
            "sns.amazonaws.com",
            "b.test",
            "a.test",
            "b.test",
        )

    def test_alternative_names_of_other_kinds_are_passed_over(self, key):
        kinds = tlv(0x87, b"\x7f\0\0\1") + tlv(0x81, b"a@a.test") + tlv(0x82, b"a.test") + tlv(0x86, b"https://a.test/")
        assert names(key, extensions=forge.extension(b"\x55\x1d\x11", tlv(0x30, kinds))) == (
            "sns.amazonaws.com",
            "a.test",
        )

    def test_two_subject_alternative_name_extensions(self, key):
        assert (
            refusal(certificate(extensions=forge.alternative_names(b"a.test") + forge.alternative_names(b"b.test")), key)
            == "extension: twice"
        )

    def test_two_common_names(self, key):
        both = forge.name((forge.COMMON_NAME, forge.UTF8, b"sns.amazonaws.com"), (forge.COMMON_NAME, forge.UTF8, b"evil.test"))
        assert refusal(certificate(subject=both), key) == "two common names"

    @pytest.mark.parametrize(
        ("tag", "encoded", "expected"),
        [
            (forge.UTF8, "sns.ämazon".encode(), "sns.ämazon"),
            (forge.PRINTABLE, b"sns.amazonaws.com", "sns.amazonaws.com"),
            (forge.IA5, b"sns@amazonaws.com", "sns@amazonaws.com"),
            (forge.BMP, "sns.ämazon".encode("utf-16-be"), "sns.ämazon"),
            (0x12, b"123", "123"),
            (0x1A, b"sns_1", "sns_1"),
        ],
    )
    def test_string_types(self, key, tag, encoded, expected):
        assert names(key, subject=forge.common_name(encoded, tag))[0] == expected

    @pytest.mark.parametrize(
        ("tag", "encoded"),
        [
            (forge.UTF8, b"\xff"),
            (forge.UTF8, b"\xc0\xaf"),
            (forge.UTF8, b"\xed\xa0\x80"),
            (forge.UTF8, b"sns.amazonaws.com\x00.evil.test"),
            (forge.UTF8, b"a\nb"),
            (forge.PRINTABLE, b"a@b"),
            (forge.IA5, b"\x80"),
            (forge.IA5, b"sns.amazonaws.com\x00"),
            (forge.BMP, b"\x00"),
            (forge.BMP, b"\xd8\x00\x00a"),
            (forge.BMP, b"\xfe\xff\x00a"),
            (forge.BMP, b"\xff\xfea\x00"),
            (forge.UNIVERSAL, "sns".encode("utf-32-be")),
            (forge.T61, b"sns"),
            (forge.OCTET_STRING, b"sns"),
            (0x05, b""),
        ],
    )
    def test_strings_that_are_none(self, key, tag, encoded):
        assert refusal(certificate(subject=forge.common_name(encoded, tag)), key).startswith("name: ")

    @pytest.mark.parametrize("value", [b"", b"sns.amazonaws.com\x00.evil.test", b"a b", b"\xc3\xa4.test", b"a\x7f", b"a\n"])
    def test_dns_names_that_are_none(self, key, value):
        assert refusal(certificate(extensions=forge.alternative_names(value)), key) == "dNSName"

    def test_a_set_of_two_attributes_in_order(self, key):
        first, second = (tlv(0x30, tlv(6, oid), tlv(0x0C, b"x")) for oid in (forge.COMMON_NAME, forge.ORGANIZATION))
        assert names(key, subject=tlv(0x30, tlv(0x31, first, second)))[0] == "x"
        assert refusal(certificate(subject=tlv(0x30, tlv(0x31, second, first))), key) == "name: set is not in order"
        assert "tag" in refusal(certificate(subject=tlv(0x30, tlv(0x31))), key)


class TestTimes:
    @pytest.mark.parametrize(
        ("tag", "text", "seconds"),
        [
            (0x17, b"700101000000Z", 0),
            (0x17, b"500101000000Z", -631152000),
            (0x17, b"491231235959Z", 2524607999),
            (0x17, b"000229000000Z", 951782400),
            (0x18, b"20500101000000Z", 2524608000),
            (0x18, b"20240229120000Z", 1709208000),
            (0x18, b"20000301000000Z", 951868800),
            (0x18, b"21000301000000Z", 4107542400),
            (0x18, b"99991231235959Z", 253402300799),
        ],
    )
    def test_good_ones(self, key, tag, text, seconds):
        assert load_certificate(certificate(not_after=tlv(tag, text)), key).not_after == seconds
        assert load_certificate(certificate(not_before=tlv(tag, text)), key).not_before == seconds

    @pytest.mark.parametrize(
        ("tag", "text"),
        [
            (0x17, b""),
            (0x17, b"Z"),
            (0x17, b"2501020304Z"),
            (0x17, b"250102030405"),
            (0x17, b"250102030405z"),
            (0x17, b"250102030405+0000"),
            (0x17, b"20250102030405Z"),
            (0x17, b"250002030405Z"),
            (0x17, b"251302030405Z"),
            (0x17, b"250100030405Z"),
            (0x17, b"250132030405Z"),
            (0x17, b"250229030405Z"),
            (0x17, b"250431030405Z"),
            (0x17, b"250102240405Z"),
            (0x17, b"250102036005Z"),
            (0x17, b"250102030460Z"),
            (0x17, b"25010203040 Z"),
            (0x17, b"25010203+405Z"),
            (0x17, b"2501020304\xb25Z"),
            (0x18, b"250102030405Z"),
            (0x18, b"20250102030405.5Z"),
            (0x18, b"21000229000000Z"),
            (0x18, b"00000101000000Z"),
            (0x18, b"-0010101000000Z"),
        ],
    )
    def test_bad_dates(self, key, tag, text):
        assert refusal(certificate(not_after=tlv(tag, text)), key) == "time"

    def test_another_type(self, key):
        assert "tag" in refusal(certificate(not_after=tlv(0x0C, b"250102030405Z")), key)


# ---- certificates: what is refused


def modulus(bits):
    return (1 << bits) - 12345


class TestKeys:
    @pytest.mark.parametrize("bits", [512, 1024, 2047, 4097, 8192])
    def test_rsa_of_another_size(self, key, bits):
        assert refusal(certificate(key=forge.key_info(modulus(bits))), key) == f"RSA key of {bits} bits"

    @pytest.mark.parametrize("exponent", [1, 3, 17, 65535, 65536, 65538, (1 << 32) + 1, (1 << 64) + 1])
    def test_public_exponents(self, key, exponent):
        assert refusal(certificate(key=forge.key_info(signer().n, exponent)), key) == "public exponent"

    def test_an_even_modulus(self, key):
        assert refusal(certificate(key=forge.key_info(modulus(2048) + 1)), key) == "RSA key of 2048 bits"

    @pytest.mark.parametrize("number", [0, -1, -signer().n], ids=["0", "-1", "a negative modulus"])
    def test_not_positive(self, key, number):
        assert refusal(certificate(key=forge.key_info(number)), key) == "integer is not positive"
        assert refusal(certificate(key=forge.key_info(signer().n, number)), key) == "integer is not positive"

    def test_padded_and_empty_integers(self, key):
        for n in (b"\x00\x00" + signer().n.to_bytes(256, "big"), b""):
            info = tlv(0x30, forge.RSA_ENCRYPTION, tlv(3, b"\x00", tlv(0x30, tlv(2, n), forge.integer(65537))))
            assert refusal(certificate(key=info), key) == "integer is empty or padded"

    def test_an_elliptic_curve_key(self, key):
        info = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert refusal(certificate(key=info), key) == "not an RSA key"

    def test_an_rsa_pss_key(self, key):
        assert (
            refusal(certificate(key=forge.key_info(signer().n, 65537, bytes.fromhex("300b06092a864886f70d01010a"))), key)
            == "not an RSA key"
        )

    def test_rsa_without_null(self, key):
        assert (
            refusal(certificate(key=forge.key_info(signer().n, 65537, bytes.fromhex("300b06092a864886f70d010101"))), key)
            == "not an RSA key"
        )

    def test_bytes_behind_the_key(self, key):
        inner = tlv(0x30, forge.integer(signer().n), forge.integer(65537))
        more = tlv(0x30, forge.integer(signer().n), forge.integer(65537), forge.integer(3))
        for wrong in (tlv(3, b"\x00", inner, b"\x00"), tlv(3, b"\x00", more), tlv(3, b"\x00", inner) + b"\x05\x00"):
            assert refusal(certificate(key=tlv(0x30, forge.RSA_ENCRYPTION, wrong)), key) == "trailing bytes"

    def test_bits_that_are_no_bytes(self, key):
        inner = tlv(0x30, forge.integer(signer().n), forge.integer(65537))
        assert refusal(certificate(key=tlv(0x30, forge.RSA_ENCRYPTION, tlv(3, b"\x01", inner))), key) == "bit string"


class TestEncoding:
    def test_truncated_anywhere(self, key):
        whole = certificate()
        for end in range(len(whole)):
            refusal(whole[:end], key)

    def test_every_byte_changed_is_refused_or_read(self, key):
        whole, read = certificate(), 0
        for at in range(len(whole)):
            try:
                load_certificate(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :], key)
                read += 1
            except BadCertificate:
                pass
        assert 400 < read < len(whole)

    def test_trailing_bytes(self, key):
        assert refusal(certificate(trailing=b"\x00"), key) == "trailing bytes"
        assert refusal(certificate(trailing=certificate()), key) == "trailing bytes"
        assert refusal(certificate(more=b"\x05\x00"), key) == "trailing bytes"
        assert refusal(certificate(more=b"\x00\x00"), key) == "trailing bytes"

    @pytest.mark.parametrize("length", [b"\x83\x00\x03\xff", b"\x80", b"\x84\x00\x00\x03\xff", b"\xff", b"\x81\x05"])
    def test_lengths_that_are_not_der(self, key, length):
        refusal(b"\x30" + length + certificate()[4:], key)
        refusal(certificate(subject=b"\x30" + length + b"\x00" * 5), key)

    def test_versions(self, key):
        assert "tag" in refusal(certificate(version=b""), key)
        for version in (0, 1, 3, 127):
            assert refusal(certificate(version=tlv(0xA0, forge.integer(version))), key) == "not version 3"

    def test_two_signature_algorithms(self, key):
        sha1 = bytes.fromhex("300d06092a864886f70d0101050500")
        assert refusal(certificate(outer_algorithm=sha1), key) == "two different signature algorithms"
        assert load_certificate(certificate(algorithm=sha1), key).bits == 2048

    @pytest.mark.parametrize("content", ["", "0500", "06000500", "06022a805", "0603550403050005", "06035504030500060355040305"])
    def test_signature_algorithms_that_are_none(self, key, content):
        refusal(certificate(algorithm=tlv(0x30, bytes.fromhex(content.ljust(len(content) + len(content) % 2, "0")))), key)

    def test_unique_ids(self, key):
        assert "tag" in refusal(certificate(ids=tlv(0x81, b"\x00\x01")), key)

    def test_extensions(self, key):
        good = forge.extension(b"\x55\x1d\x0f", b"\x03\x02\x05\xa0", b"\x01\x01\xff")
        assert load_certificate(certificate(extensions=good), key).bits == 2048
        for wrong in (
            forge.extension(b"\x55\x1d\x0f", b"", b"\x01\x01\x00"),
            forge.extension(b"\x55\x1d\x0f", b"", b"\x01\x01\x01"),
            forge.extension(b"", b""),
            forge.extension(b"\x55\x80\x01", b""),
            forge.extension(b"\x55\x1d\x8f", b""),
            forge.extension(b"\x55\x1d\x11", b""),
            forge.extension(b"\x55\x1d\x11", tlv(0x30) + b"\x00"),
            forge.extension(b"\x55\x1d\x11", tlv(0x30, b"\x82\x05a.b")),
            forge.extension(b"\x55\x1d\x11", tlv(0x30, tlv(0xA2, b"a.b"))),
            forge.extension(b"\x55\x1d\x11", tlv(0x30, tlv(0x89, b"a.b"))),
            tlv(0x30, tlv(6, b"\x55\x1d\x0f"), tlv(4, b""), b"\x05\x00"),
        ):
            refusal(certificate(extensions=wrong), key)

    @pytest.mark.parametrize(
        "encoded",
        [
            b"",
            b"\x30",
            b"\x30\x82",
            b"\x30\x00",
            b"\x30\x80\x00\x00",
            b"\x00" * 100,
            b"0" * 70_000,
            b"hello",
            b"<html>",
        ],
    )
    def test_no_certificate_at_all(self, key, encoded):
        refusal(encoded, key)

    def test_ten_thousand_deep(self, key):
        nested = b""
        for _ in range(10_000):
            nested = tlv(0x30, nested)
        refusal(nested, key)
        refusal(certificate(subject=nested[:30_000]), key)


class TestPem:
    def test_as_openssl_writes_it(self, key):
        assert load_certificate(pem(certificate()), key).bits == 2048

    def test_crlf_and_one_long_line(self, key):
        assert load_certificate(pem(certificate()).replace(b"\n", b"\r\n"), key).bits == 2048
        one = b"-----BEGIN CERTIFICATE-----" + base64.b64encode(certificate()) + b"-----END CERTIFICATE-----"
        assert load_certificate(one, key).bits == 2048

    def test_text_around_it(self, key):
        assert load_certificate(b"\xef\xbb\xbfsubject=CN = sns.amazonaws.com\n\n" + pem(certificate()) + b"more\n", key).bits == 2048

    def test_of_several_blocks_the_first_certificate_counts(self, key):
        second = certificate(subject=forge.common_name(b"evil.test"))
        assert load_certificate(pem(certificate()) + pem(second), key).names[0] == "sns.amazonaws.com"
        assert load_certificate(pem(second) + pem(certificate()), key).names[0] == "evil.test"
        assert load_certificate(pem(b"noise", b"PRIVATE KEY") + pem(certificate()), key).names[0] == "sns.amazonaws.com"
        refusal(pem(b"noise") + pem(certificate()), key)

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace(b"-----END", b"----END"),
            lambda text: text.replace(b"-----BEGIN", b"----BEGIN"),
            lambda text: text.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
            lambda text: text[:200] + b"!" + text[200:],
            lambda text: text[:200] + b"====" + text[200:],
            lambda text: text[:200] + text[201:],
            lambda text: text.replace(b"\n", b"\n: "),
            lambda text: text[: len(text) // 2],
        ],
    )
    def test_broken_ones(self, key, change):
        refusal(change(pem(certificate())), key)


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
