"""Signing certificates, read with both verifiers: their DER and PEM, in which no byte may be too many or too few."""

import base64

import pytest

from bridge.sns.signature import BadCertificate, load_certificate
from tests.fuzz import forge
from tests.fuzz.forge import certificate, tlv
from tests.unit.sns.verifiers import refusal


def pem(encoded, label=b"CERTIFICATE"):
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(encoded), label)


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
