"""A strict reader of X.509 certificates in DER (RFC 5280, X.690): the few fields that verifying a signature takes.

It reads and does not judge trust: that comes from TLS to the host the certificate was fetched from. Where a lenient
parser would take two encodings of one thing (BER lengths, padded integers, trailing bytes), this one takes one or
refuses, so a certificate cannot mean one thing here and another elsewhere. One reader serves both verifiers.
"""

from __future__ import annotations

# Universal tags of X.690, and the context tags of RFC 5280 section 4.1.
BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID, UTC_TIME, GENERALIZED_TIME = 0x01, 0x02, 0x03, 0x04, 0x06, 0x17, 0x18
SEQUENCE, SET, VERSION, EXTENSIONS, DNS_NAME = 0x30, 0x31, 0xA0, 0xA3, 0x82
GENERAL_NAMES = b"\xa0\x81\x82\xa3\xa4\xa5\x86\x87\x88"
# UTF8String, NumericString, PrintableString, IA5String, VisibleString, UniversalString, BMPString. No T61String:
# what its bytes mean is a guess.
TEXT = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x16: "ascii", 0x1A: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
PRINTABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")

COMMON_NAME = b"\x55\x04\x03"
SUBJECT_ALT_NAME = b"\x55\x1d\x11"
VERSION_3 = b"\x02\x01\x02"
RSA_ENCRYPTION = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"  # RFC 8017 A.1: the OID, then NULL

DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)


class BadCertificate(ValueError):
    """Not a certificate that SNS could sign with: malformed, or its key is none that we verify with."""


class Reader:
    """Takes one element after the other from DER bytes; whatever is not exactly DER raises BadCertificate."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def more(self) -> bool:
        return self.at < len(self.data)

    def peek(self) -> int:
        """Return the next element's tag, 0 at the end."""
        return self.data[self.at] if self.more() else 0

    def take(self, tag: int) -> bytes:
        """Return the content of the next element, which must have this tag."""
        if self.peek() != tag:
            raise BadCertificate(f"tag {self.peek():#04x} where {tag:#04x} belongs")
        return self.take_any()

    def take_any(self) -> bytes:
        """Return the content of the next element, whatever its tag. X.690 section 10.1: definite, shortest length."""
        data, start = self.data, self.at + 2
        if len(data) < start or data[self.at] & 0x1F == 0x1F or data[self.at] == 0:
            raise BadCertificate("truncated, or a tag of many bytes")
        length = data[start - 1]
        if length >= 0x80:
            octets = length - 0x80
            if not 1 <= octets <= 3 or len(data) < start + octets:
                raise BadCertificate("length")
            length = int.from_bytes(data[start : start + octets], "big")
            if length < 0x80 or length >> 8 * (octets - 1) == 0:
                raise BadCertificate("length is not the shortest")
            start += octets
        if len(data) < start + length:
            raise BadCertificate("truncated")
        self.at = start + length
        return data[start : self.at]

    def inside(self, tag: int) -> Reader:
        return Reader(self.take(tag))

    def end(self) -> None:
        if self.more():
            raise BadCertificate("trailing bytes")

    def integer(self) -> bytes:
        """Return an INTEGER's content, two's complement in the fewest bytes (X.690 section 8.3)."""
        content = self.take(INTEGER)
        if not content or (len(content) > 1 and content[0] in (0, 0xFF) and content[0] >> 7 == content[1] >> 7):
            raise BadCertificate("integer is empty or padded")
        return content

    def positive(self) -> int:
        value = int.from_bytes(self.integer(), "big", signed=True)
        if value <= 0:
            raise BadCertificate("integer is not positive")
        return value

    def oid(self) -> bytes:
        """Return an OBJECT IDENTIFIER's content: whole subidentifiers without leading zeros (X.690 section 8.19)."""
        content = self.take(OID)
        starts = [0, *(i + 1 for i, octet in enumerate(content) if octet < 0x80)]
        if not 0 < len(content) < 40 or starts.pop() != len(content) or any(content[i] == 0x80 for i in starts):
            raise BadCertificate("object identifier")
        return content

    def bits(self) -> bytes:
        """Return the content of a BIT STRING of whole bytes."""
        content = self.take(BIT_STRING)
        if len(content) < 2 or content[0] != 0:
            raise BadCertificate("bit string")
        return content[1:]

    def time(self) -> int:
        """Return a UTCTime or GeneralizedTime, in the only forms of RFC 5280 section 4.1.2.5, as Unix seconds."""
        short = self.peek() == UTC_TIME
        content = self.take(UTC_TIME if short else GENERALIZED_TIME)
        digits = content[:-1]
        if len(content) != (13 if short else 15) or content[-1:] != b"Z" or not digits.isdigit():
            raise BadCertificate("time")
        if short:
            digits = (b"19" if digits >= b"5" else b"20") + digits
        year = int(digits[:4])
        month, day, hour, minute, second = (int(digits[i : i + 2]) for i in (4, 6, 8, 10, 12))
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if year == 0 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
            raise BadCertificate("time")
        if not 1 <= day <= DAYS_BEFORE[month] - DAYS_BEFORE[month - 1] + (leap and month == 2):
            raise BadCertificate("time")
        past = year - 1
        days = past * 365 + past // 4 - past // 100 + past // 400 - 719162  # from 0001-01-01 to 1970-01-01
        days += DAYS_BEFORE[month - 1] + (leap and month > 2) + day - 1
        return ((days * 24 + hour) * 60 + minute) * 60 + second


def text(tag: int, content: bytes) -> str:
    """Return the string of a name's attribute, without control characters."""
    if tag not in TEXT or (tag == 0x13 and not PRINTABLE.issuperset(content)):
        raise BadCertificate("name: type or alphabet")
    try:
        value = content.decode(TEXT[tag])
    except UnicodeDecodeError:
        raise BadCertificate("name: encoding") from None
    if not value.isprintable():
        raise BadCertificate("name: control character")
    return value


def common_names(name: Reader) -> list[str]:
    """Return the common names in a Name: a sequence of sets of one or more attributes, sorted in each set."""
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
            encoded = attributes.data[start : attributes.at]
            if encoded <= previous:
                raise BadCertificate("name: set is not in order")
            previous = encoded
    return found


def dns_names(extensions: Reader) -> list[str]:
    """Return the dNSNames of the subject alternative name among the extensions; an extension may occur once."""
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
    """Return modulus and public exponent of a SubjectPublicKeyInfo (RFC 3279 section 2.3.1)."""
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

    Raises BadCertificate for whatever is not a version 3 certificate with an RSA key, in DER, and nothing after it.
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
