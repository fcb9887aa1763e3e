"""A strict reader of DER (X.690): the few types that a certificate is made of.

A lenient parser takes several encodings of one value (BER lengths, padded integers, trailing bytes). This one takes one encoding
and refuses all others, so that bytes cannot mean one thing here and another elsewhere.
"""

from __future__ import annotations

from bridge.sns.calendar import days_since_epoch

# Tags of X.690.
BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID, UTC_TIME, GENERALIZED_TIME = 0x01, 0x02, 0x03, 0x04, 0x06, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31


class BadCertificate(ValueError):
    """Not a certificate that SNS could sign with: it is malformed, or its key is not accepted."""


class Reader:
    """Takes one element after the other from DER bytes. Each method raises BadCertificate for bytes that are not exactly DER."""

    __slots__ = ("at", "encoded")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.at = 0

    def more(self) -> bool:
        """Tell whether an element is left."""
        return self.at < len(self.encoded)

    def peek(self) -> int:
        """Return the next element's tag, 0 at the end."""
        return self.encoded[self.at] if self.more() else 0

    def take(self, tag: int) -> bytes:
        """Return the content of the next element, which must have this tag."""
        if self.peek() != tag:
            raise BadCertificate(f"tag {self.peek():#04x} where {tag:#04x} belongs")
        return self.take_any()

    def take_any(self) -> bytes:
        """Return the content of the next element, whatever its tag. X.690 section 10.1: definite, shortest length."""
        encoded, start = self.encoded, self.at + 2
        if len(encoded) < start or encoded[self.at] & 0x1F == 0x1F or encoded[self.at] == 0:
            raise BadCertificate("truncated, or a tag of many bytes")
        length = encoded[start - 1]
        if length >= 0x80:
            octets = length - 0x80
            if not 1 <= octets <= 3 or len(encoded) < start + octets:
                raise BadCertificate("a length is not valid DER")
            length = int.from_bytes(encoded[start : start + octets], "big")
            if length < 0x80 or length >> 8 * (octets - 1) == 0:
                raise BadCertificate("length is not the shortest")
            start += octets
        if len(encoded) < start + length:
            raise BadCertificate("truncated")
        self.at = start + length
        return encoded[start : self.at]

    def inside(self, tag: int) -> Reader:
        """Return a reader of the content of the next element, which must have this tag."""
        return Reader(self.take(tag))

    def end(self) -> None:
        """Check that no element is left."""
        if self.more():
            raise BadCertificate("trailing bytes")

    def integer(self) -> bytes:
        """Return an INTEGER's content, two's complement in the fewest bytes (X.690 section 8.3)."""
        content = self.take(INTEGER)
        if not content or (len(content) > 1 and content[0] in (0, 0xFF) and content[0] >> 7 == content[1] >> 7):
            raise BadCertificate("integer is empty or padded")
        return content

    def positive(self) -> int:
        """Return an INTEGER above 0."""
        value = int.from_bytes(self.integer(), "big", signed=True)
        if value <= 0:
            raise BadCertificate("integer is not positive")
        return value

    def oid(self) -> bytes:
        """Return an OBJECT IDENTIFIER's content: whole subidentifiers without leading zeros (X.690 section 8.19)."""
        content = self.take(OID)
        starts = [0, *(i + 1 for i, octet in enumerate(content) if octet < 0x80)]
        if not 0 < len(content) < 40 or starts.pop() != len(content) or any(content[i] == 0x80 for i in starts):
            raise BadCertificate("an object identifier is not valid")
        return content

    def bits(self) -> bytes:
        """Return the content of a BIT STRING of whole bytes."""
        content = self.take(BIT_STRING)
        if len(content) < 2 or content[0] != 0:
            raise BadCertificate("a bit string is not whole bytes")
        return content[1:]

    def time(self) -> int:
        """Return a UTCTime or GeneralizedTime, in the only forms of RFC 5280 section 4.1.2.5, as Unix seconds."""
        short = self.peek() == UTC_TIME
        content = self.take(UTC_TIME if short else GENERALIZED_TIME)
        digits = content[:-1]
        if len(content) != (13 if short else 15) or content[-1:] != b"Z" or not digits.isdigit():
            raise BadCertificate("a date is not valid")
        if short:
            digits = (b"19" if digits >= b"5" else b"20") + digits
        month, day, hour, minute, second = (int(digits[i : i + 2]) for i in (4, 6, 8, 10, 12))
        if hour > 23 or minute > 59 or second > 59:
            raise BadCertificate("a date is not valid")
        try:
            days = days_since_epoch(int(digits[:4]), month, day)
        except ValueError:
            raise BadCertificate("a date is not valid") from None
        return ((days * 24 + hour) * 60 + minute) * 60 + second
