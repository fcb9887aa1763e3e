"""A certificate authority of our own, and certificates of it that pass VERIFY_X509_STRICT (Python 3.13's default).

authority = Authority(folder)
files = authority.issue(folder / "server", "localhost", "127.0.0.1")      # files.certificate, files.key: PEM
authority.ca_file                                                           # the value of BRIDGE_CA_FILE and the like
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme


class Files(NamedTuple):
    """The files (PEM) of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


class Authority:
    """One CA. Every certificate it issues serves as a server's and as a client's."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self._ca = trustme.CA(organization_name=name)
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / f"{name}-ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, folder: Path, *names: str, common_name: str | None = None, days: float = 30, rsa: bool = False) -> Files:
        """Write folder/certificate.pem and folder/key.pem; where they exist they are replaced in one step each, key first."""
        leaf = self._ca.issue_cert(
            *names,
            common_name=common_name or names[0],
            not_before=datetime.now(UTC) - timedelta(days=60),
            not_after=datetime.now(UTC) + timedelta(days=days),
            key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA,
        )
        folder.mkdir(parents=True, exist_ok=True)
        files = Files(folder / "certificate.pem", folder / "key.pem")
        replace(files.key, leaf.private_key_pem.bytes())
        replace(files.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return files


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step, so that no reader sees half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def leaf(files: Files) -> bytes:
    """Return the certificate (PEM) without its chain, as SNS serves its own."""
    return files.certificate.read_bytes().split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n"
