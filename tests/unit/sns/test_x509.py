"""Signing certificates, read with both verifiers: the names, the times and the keys that are taken, and all others refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bridge.sns.signature import load_certificate
from tests.fuzz import forge
from tests.fuzz.forge import certificate, signer, tlv
from tests.unit.sns.verifiers import refusal


def names(key, **parts):
    return load_certificate(certificate(**parts), key).names


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
        assert refusal(certificate(not_after=tlv(tag, text)), key) == "a date is not valid"

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
        assert refusal(certificate(key=forge.key_info(signer().n, exponent)), key) == "the public exponent is not accepted"

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
        assert refusal(certificate(key=tlv(0x30, forge.RSA_ENCRYPTION, tlv(3, b"\x01", inner))), key) == "a bit string is not whole bytes"
