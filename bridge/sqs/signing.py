"""Signature Version 4: credentials and a request in, the headers that sign it out. No sockets here.

Source: AWS IAM user guide, "Create a signed AWS API request"; RFC 2104 (HMAC), RFC 3986 section 2.3 (unreserved characters).
"""

import time
from collections.abc import Mapping
from functools import lru_cache

from bridge.sns.signature import sha256

ALGORITHM = "AWS4-HMAC-SHA256"
BLOCK = 64  # bytes of a block of SHA-256
_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))
_UNCHANGED = frozenset(b"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Credentials:
    """An access key with its secret. `token` is "" for none; `expires` is in Unix seconds, infinite for keys without an end."""

    __slots__ = ("access_key", "expires", "secret_key", "token")

    def __init__(self, access_key: str, secret_key: str, token: str = "", expires: float = float("inf")) -> None:
        self.access_key, self.secret_key, self.token, self.expires = access_key, secret_key, token, expires


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32 bytes of HMAC-SHA256 (RFC 2104 section 2)."""
    block = (sha256(key) if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    return sha256(block.translate(_OUTER) + sha256(block.translate(_INNER) + message))


@lru_cache(maxsize=2)  # it is the same for a day
def _signing_key(secret_key: str, scope: str) -> bytes:
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac_sha256(key, part.encode())
    return key


@lru_cache(maxsize=4)  # in one second, the requests to a queue differ in their bodies alone
def _of_second(
    credentials: Credentials, method: str, url: str, headers: tuple[tuple[str, str], ...], region: str, service: str, now: int
) -> tuple[dict[str, str], str, str, bytes, str]:
    """Return the headers to send without Authorization, the canonical request and the string to sign up to a hash, the key to sign with,
    and Authorization up to the signature. The arguments are those of `sign`.
    """
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    host, slash, path = place.partition("/")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    sent = {**dict(headers), "X-Amz-Date": stamp}
    if credentials.token:
        sent["X-Amz-Security-Token"] = credentials.token
    signed = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    signed["host"] = host.lower().removesuffix(":443" if scheme == "https" else ":80")
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        (
            method,
            "".join(chr(byte) if byte in _UNCHANGED else f"%{byte:02X}" for byte in (slash + path or "/").encode()),
            "&".join(f"{name}={value}" for name, _, value in sorted(pair.partition("=") for pair in query.split("&") if query)),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            "",
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    authorization = f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature="
    return sent, canonical, f"{ALGORITHM}\n{stamp}\n{scope}\n", _signing_key(credentials.secret_key, scope), authorization


def sign(
    credentials: Credentials, method: str, url: str, headers: Mapping[str, str], body: bytes, region: str, service: str, now: float
) -> dict[str, str]:
    """Return the headers to send: those given, X-Amz-Date, Authorization and, of temporary credentials, X-Amz-Security-Token.

    url is as it is sent: ASCII, percent-encoded, its path without empty and dot segments. All headers and the host are signed.
    now is in Unix seconds. A header's value is signed without leading, trailing and repeated spaces.
    """
    sent, canonical, head, key, authorization = _of_second(credentials, method, url, tuple(headers.items()), region, service, int(now))
    canonical += sha256(body).hex()
    signature = hmac_sha256(key, f"{head}{sha256(canonical.encode()).hex()}".encode()).hex()
    return {**sent, "Authorization": authorization + signature}
