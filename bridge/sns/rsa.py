"""RSA signature verification in pure Python, used where libcrypto is not linked in (RFC 8017 section 8.2.2)."""

import hashlib
from hmac import compare_digest

# RFC 8017 section 9.2, note 1: the bytes before the digest in a DigestInfo, NULL parameters included.
DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}


def sha256(message: bytes) -> bytes:
    """Return the 32 bytes of SHA-256."""
    return hashlib.sha256(message).digest()


class Key:
    """A public key. Modulus and exponent are unsigned, most significant byte first, without leading zeros."""

    __slots__ = ("exponent", "modulus", "size")

    def __init__(self, modulus: bytes, exponent: bytes) -> None:
        self.size = len(modulus)
        self.modulus = int.from_bytes(modulus, "big")
        self.exponent = int.from_bytes(exponent, "big")

    def verify(self, signature: bytes, message: bytes, digest: str) -> bool:
        """Return whether this is the key's PKCS#1 v1.5 signature of the message; digest is "sha1" or "sha256".

        The padding is never parsed. The only valid encoding is built and compared as a whole, which leaves no room for garbage after
        the hash (Bleichenbacher 2006) or for other encodings of DigestInfo.
        Raises ValueError for another digest.
        """
        if digest not in DIGEST_INFO:
            raise ValueError(digest)
        number = int.from_bytes(signature, "big")
        if len(signature) != self.size or number >= self.modulus:
            return False
        info = DIGEST_INFO[digest] + hashlib.new(digest, message, usedforsecurity=False).digest()
        encoded = b"\x00\x01" + b"\xff" * (self.size - len(info) - 3) + b"\x00" + info
        return compare_digest(pow(number, self.exponent, self.modulus).to_bytes(self.size, "big"), encoded)
