"""Private keys as operators may store them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization


def encrypt(key: Path) -> None:
    """Store a key (PEM) again, under a pass phrase."""
    found = serialization.load_pem_private_key(key.read_bytes(), None)
    hidden = serialization.BestAvailableEncryption(b"pass phrase")
    key.write_bytes(found.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
