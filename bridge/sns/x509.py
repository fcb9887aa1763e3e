"""An X.509 certificate (RFC 5280) in DER: the few fields that verifying a signature needs.

It is read, not judged, because trust comes from TLS to the host that the certificate was fetched from. One reader serves both
verifiers, so that both accept the same certificates.
"""

from __future__ import annotations

from bridge.sns.der import BOOLEAN, OCTET_STRING, SEQUENCE, SET, BadCertificate, Reader

# The context tags of RFC 5280 sections 4.1 and 4.2.1.6 (GeneralName).
VERSION, EXTENSIONS, DNS_NAME = 0xA0, 0xA3, 0x82
GENERAL_NAMES = b"\xa0\x81\x82\xa3\xa4\xa5\x86\x87\x88"
# UTF8String, NumericString, PrintableString, IA5String, VisibleString, BMPString. T61String is left out, because its alphabet is a guess,
# and UniversalString, because it is not used. These codecs need no module of their own.
TEXT = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x16: "ascii", 0x1A: "ascii", 0x1E: "utf-16"}
BIG_ENDIAN = b"\xfe\xff"
PRINTABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")

COMMON_NAME = b"\x55\x04\x03"
SUBJECT_ALT_NAME = b"\x55\x1d\x11"
VERSION_3 = b"\x02\x01\x02"
RSA_ENCRYPTION = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"  # RFC 8017 A.1: the OID, then NULL


def text(tag: int, content: bytes) -> str:
    """Return the string of a name's attribute (RFC 5280 section 4.1.2.4). Raises BadCertificate, also for control characters."""
    if tag not in TEXT or (tag == 0x13 and not PRINTABLE.issuperset(content)):
        raise BadCertificate("name: type or alphabet")
    if TEXT[tag] == "utf-16":
        content = BIG_ENDIAN + content
    try:
        value = content.decode(TEXT[tag])
    except UnicodeDecodeError:
        raise BadCertificate("name: encoding") from None
    if not value.isprintable():
        raise BadCertificate("name: control character")
    return value


def common_names(name: Reader) -> list[str]:
    """Return the common names in a Name: a sequence of sets of one or more attributes, sorted in each set. Raises BadCertificate."""
    found = []
    while name.more():
        attributes = name.inside(SET)
        previous = b""
        while attributes.more() or not previous:
            start = attributes.at
            attribute = attributes.inside(SEQUENCE)
            kind, tag = attribute.oid(), attribute.peek()
            value = text(tag, attribute.take_any())
            attribute.end()
            if kind == COMMON_NAME:
                found.append(value)
            encoded = attributes.encoded[start : attributes.at]
            if encoded <= previous:
                raise BadCertificate("name: set is not in order")
            previous = encoded
    return found


def dns_names(extensions: Reader) -> list[str]:
    """Return the dNSNames of the subject alternative name among the extensions; an extension may occur once. Raises BadCertificate."""
    seen, found = set(), []
    while extensions.more():
        extension = extensions.inside(SEQUENCE)
        kind = extension.oid()
        if extension.peek() == BOOLEAN and extension.take(BOOLEAN) != b"\xff":
            raise BadCertificate("extension: a false criticality is left out in DER")
        value = Reader(extension.take(OCTET_STRING))
        extension.end()
        if kind in seen:
            raise BadCertificate("extension: twice")
        seen.add(kind)
        if kind == SUBJECT_ALT_NAME:
            names = value.inside(SEQUENCE)
            value.end()
            while names.more():
                tag = names.peek()
                content = names.take_any()
                if tag == DNS_NAME:
                    if not content or not all(0x20 < octet < 0x7F for octet in content):
                        raise BadCertificate("dNSName")
                    found.append(content.decode("ascii"))
                elif tag not in GENERAL_NAMES:
                    raise BadCertificate("alternative name")
    return found


def rsa_key(info: Reader) -> tuple[int, int]:
    """Return modulus and public exponent of a SubjectPublicKeyInfo (RFC 3279 section 2.3.1). Raises BadCertificate."""
    if info.take(SEQUENCE) != RSA_ENCRYPTION:
        raise BadCertificate("not an RSA key")
    outer = Reader(info.bits())
    info.end()
    key = outer.inside(SEQUENCE)
    outer.end()
    modulus, exponent = key.positive(), key.positive()
    key.end()
    return modulus, exponent


def read_certificate(encoded: bytes) -> tuple[int, int, tuple[str, ...], int, int]:
    """Return not_before, not_after (Unix seconds), names (common name first, then dNSNames), modulus and exponent.

    encoded is DER. Raises BadCertificate unless it is exactly one version 3 certificate with an RSA key.
    """
    whole = Reader(encoded)
    certificate = whole.inside(SEQUENCE)
    whole.end()
    signed = certificate.inside(SEQUENCE)
    algorithm = certificate.take(SEQUENCE)
    certificate.bits()
    certificate.end()
    if signed.take(VERSION) != VERSION_3:
        raise BadCertificate("not version 3")
    signed.integer()  # the serial number
    if signed.take(SEQUENCE) != algorithm:
        raise BadCertificate("two different signature algorithms")
    identifier = Reader(algorithm)
    identifier.oid()
    if identifier.more():
        identifier.take_any()
    identifier.end()
    common_names(signed.inside(SEQUENCE))  # the issuer
    validity = signed.inside(SEQUENCE)
    not_before, not_after = validity.time(), validity.time()
    validity.end()
    names = common_names(signed.inside(SEQUENCE))
    if len(names) > 1:
        raise BadCertificate("two common names")
    modulus, exponent = rsa_key(signed.inside(SEQUENCE))
    if signed.more():
        outer = signed.inside(EXTENSIONS)
        names += dns_names(outer.inside(SEQUENCE))
        outer.end()
    signed.end()
    return not_before, not_after, tuple(names), modulus, exponent
