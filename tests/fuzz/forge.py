"""Keys, signatures and certificates made byte by byte, valid ones and ones that no honest library would write."""

import hashlib
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x30, 0x31, 2, 3, 4, 6
UTF8, PRINTABLE, T61, IA5, BMP, UNIVERSAL = 0x0C, 0x13, 0x14, 0x16, 0x1E, 0x1C
COMMON_NAME, ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"
SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")


class Signer:
    """A private key that signs whatever number it is given."""

    def __init__(self, bits: int) -> None:
        numbers = rsa.generate_private_key(65537, bits).private_numbers()
        self.p, self.q, self.dp, self.dq, self.qinv = numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp
        self.n, self.e = numbers.public_numbers.n, numbers.public_numbers.e
        self.size = (bits + 7) // 8

    def power(self, number: int) -> bytes:
        """number ** d mod n (RFC 8017 section 5.1.2, by the Chinese remainder theorem)."""
        a, b = pow(number, self.dp, self.p), pow(number, self.dq, self.q)
        return (b + (a - b) * self.qinv % self.p * self.q).to_bytes(self.size, "big")

    def raw(self, encoded: bytes) -> bytes:
        """Sign an encoded message as it is."""
        return self.power(int.from_bytes(encoded, "big"))

    def sign(self, message: bytes, digest: str) -> bytes:
        return self.raw(padded(info(message, digest), self.size))


@cache
def signer(bits: int = 2048) -> Signer:
    return Signer(bits)


def info(message: bytes, digest: str) -> bytes:
    return DIGEST_INFO[digest] + hashlib.new(digest, message).digest()


def padded(digest_info: bytes, size: int) -> bytes:
    return b"\x00\x01" + b"\xff" * (size - 3 - len(digest_info)) + b"\x00" + digest_info


def forgeries(message: bytes, digest: str, size: int) -> dict[str, bytes]:
    """Encoded messages that some verifier somewhere took for a PKCS#1 v1.5 signature. None may verify."""
    good = info(message, digest)
    value = hashlib.new(digest, message).digest()
    other = "sha1" if digest == "sha256" else "sha256"
    right = padded(good, size)
    oid = good[4 : good.index(b"\x05\x00")]

    def digest_info(algorithm: bytes, octets: bytes = tlv(OCTET_STRING, value), more: bytes = b"") -> bytes:
        return tlv(SEQUENCE, tlv(SEQUENCE, algorithm), octets, more)

    room = size - 12 - len(good)
    return {
        "garbage after the hash": b"\x00\x01" + b"\xff" * 8 + b"\x00" + good + bytes(room + 1),
        "garbage after the hash, one byte": right[:2] + right[3:] + b"\x00",
        "garbage after the hash, no padding": b"\x00\x01\x00" + good + b"\x5a" * (room + 9),
        "garbage in the algorithm's parameters": padded(digest_info(oid + tlv(OCTET_STRING, bytes(90))), size),
        "garbage behind the hash inside DigestInfo": padded(digest_info(oid + b"\x05\x00", more=tlv(OCTET_STRING, bytes(80))), size),
        "no NULL parameter": padded(digest_info(oid), size),
        "a NULL of one byte": padded(digest_info(oid + b"\x05\x01\x00"), size),
        "lengths in the long form": padded(b"\x30\x81" + good[1:], size),
        "an indefinite length": padded(b"\x30\x80" + good[2:] + b"\x00\x00", size),
        "hash without DigestInfo": padded(value, size),
        "hash one byte short": padded(digest_info(oid + b"\x05\x00", tlv(OCTET_STRING, value[:-1])), size),
        "hash one byte long": padded(digest_info(oid + b"\x05\x00", tlv(OCTET_STRING, value + b"\x00")), size),
        "DigestInfo of the other digest": padded(info(message, other), size),
        "the other digest's name with this hash": padded(DIGEST_INFO[other] + value, size),
        "no DigestInfo at all": padded(b"", size),
        "DigestInfo missing, only padding": b"\x00\x01" + b"\xff" * (size - 2),
        "first byte 1": b"\x01" + right[1:],
        "block type 0": b"\x00\x00" + right[2:],
        "block type 0 with zero padding": bytes(size - len(good)) + good,
        "block type 2": b"\x00\x02" + right[2:],
        "a padding byte that is not FF": right[:2] + b"\xfe" + right[3:],
        "the last padding byte is not FF": right[: -len(good) - 2] + b"\x7f" + right[-len(good) - 1 :],
        "a zero inside the padding": right[:20] + b"\x00" + right[21:],
        "no zero after the padding": right[: -len(good) - 1] + b"\xff" + right[-len(good) :],
        "one": (1).to_bytes(size, "big"),
    }


def tlv(tag: int, *contents: bytes) -> bytes:
    """An element in DER."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def name(*attributes: tuple[bytes, int, bytes]) -> bytes:
    """A Name of one set for each (oid, string type, value)."""
    return tlv(SEQUENCE, *(tlv(SET, tlv(SEQUENCE, tlv(OID, oid), tlv(tag, value))) for oid, tag, value in attributes))


def common_name(value: bytes, tag: int = UTF8) -> bytes:
    return name((COMMON_NAME, tag, value))


def alternative_names(*values: bytes) -> bytes:
    return extension(b"\x55\x1d\x11", tlv(SEQUENCE, *(tlv(0x82, value) for value in values)))


def extension(oid: bytes, value: bytes, critical: bytes = b"") -> bytes:
    return tlv(SEQUENCE, tlv(OID, oid), critical, tlv(OCTET_STRING, value))


def key_info(n: int, e: int = 65537, algorithm: bytes = RSA_ENCRYPTION) -> bytes:
    return tlv(SEQUENCE, algorithm, tlv(BIT_STRING, b"\x00", tlv(SEQUENCE, integer(n), integer(e))))


def certificate(**parts: bytes) -> bytes:
    """A certificate in DER; each part may be replaced by other bytes (b"" leaves it out). Its signature is noise."""
    part = {
        "version": tlv(0xA0, integer(2)),
        "serial": integer(0x1234567890),
        "algorithm": SHA256_WITH_RSA,
        "issuer": name((ORGANIZATION, PRINTABLE, b"Test"), (COMMON_NAME, PRINTABLE, b"Test CA")),
        "not_before": tlv(0x17, b"250102030405Z"),
        "not_after": tlv(0x17, b"351231235959Z"),
        "subject": common_name(b"sns.amazonaws.com"),
        "key": key_info(signer().n),
        "ids": b"",
        "extensions": alternative_names(b"sns.amazonaws.com"),
        "outer_algorithm": parts.get("algorithm", SHA256_WITH_RSA),
        "signature": tlv(BIT_STRING, b"\x00", b"\x5a" * 256),
        "more": b"",
        "trailing": b"",
    }
    unknown = set(parts) - set(part)
    assert not unknown, unknown
    part |= parts
    extensions = tlv(0xA3, tlv(SEQUENCE, part["extensions"])) if part["extensions"] else b""
    validity = tlv(SEQUENCE, part["not_before"], part["not_after"])
    before = (part["version"], part["serial"], part["algorithm"], part["issuer"], validity)
    signed = tlv(SEQUENCE, *before, part["subject"], part["key"], part["ids"], extensions)
    return tlv(SEQUENCE, signed, part["outer_algorithm"], part["signature"], part["more"]) + part["trailing"]
