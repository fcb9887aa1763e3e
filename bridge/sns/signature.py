"""The signing certificate and RSA signatures: certificate bytes -> Certificate -> verify().

libcrypto verifies when the extension module `bridge.sns._rsa` is installed, else Python's pow(). The certificate itself is read by
`bridge.sns.x509` in both cases, so both verifiers accept the same certificates, and no C code parses them.
"""

from __future__ import annotations

import binascii

from bridge.sns.der import BadCertificate as BadCertificate
from bridge.sns.x509 import read_certificate

try:
    from bridge.sns._rsa import LIBCRYPTO, Key
    from bridge.sns._rsa import sha256 as sha256

    RSA_ENGINE = f"libcrypto {LIBCRYPTO}"
except ImportError:
    from bridge.sns.rsa import Key  # type: ignore[assignment]
    from bridge.sns.rsa import sha256 as sha256

    RSA_ENGINE = "python"

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is not worth its time and size in the frozen binary
    from collections.abc import Callable
    from typing import Protocol

    class Verifier(Protocol):
        def verify(self, signature: bytes, message: bytes, digest: str, /) -> bool: ...


MAX_ENCODED = 65536
MIN_BITS, MAX_BITS = 2048, 4096
BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class Certificate:
    """A signing certificate: its dates (Unix seconds), its names, and its key.

    `verify(signature, message, digest)` tells whether the key made this PKCS#1 v1.5 signature; digest is "sha1" or
    "sha256". It is the key's own bound method: nothing stands between the caller and libcrypto.
    """

    __slots__ = ("bits", "names", "not_after", "not_before", "verify")

    not_before: int
    not_after: int
    names: tuple[str, ...]
    bits: int
    verify: Callable[[bytes, bytes, str], bool]


def load_certificate(encoded: bytes, key: Callable[[bytes, bytes], Verifier] = Key) -> Certificate:
    """Return the certificate in DER or PEM. `key` is the class of the verifier to use. Raises BadCertificate."""
    certificate = Certificate()
    certificate.not_before, certificate.not_after, certificate.names, modulus, exponent = read_certificate(der(encoded))
    certificate.bits = modulus.bit_length()
    if not MIN_BITS <= certificate.bits <= MAX_BITS or modulus % 2 == 0:
        raise BadCertificate(f"RSA key of {certificate.bits} bits")
    if not 65537 <= exponent < 1 << 32 or exponent % 2 == 0:
        raise BadCertificate("the public exponent is not accepted")  # a huge one would cost as much as signing does
    certificate.verify = key(unsigned(modulus), unsigned(exponent)).verify
    return certificate


def der(encoded: bytes) -> bytes:
    """Return the certificate's DER; of a PEM file that of the first certificate, whatever text surrounds it (RFC 7468).

    Raises BadCertificate.
    """
    if len(encoded) > MAX_ENCODED:
        raise BadCertificate("too long")
    if encoded.startswith(b"\x30\x82"):  # a sequence of 256 to 65,535 bytes: no certificate of these keys is another
        return encoded
    _, begin, rest = encoded.partition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        raise BadCertificate("no PEM certificate")
    try:
        return binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
    except binascii.Error as error:
        raise BadCertificate(f"PEM: {error}") from None


def unsigned(number: int) -> bytes:
    """Return a number as bytes, the most significant first, without leading zeros."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
