"""The simulation's key and signing certificate in a folder: a bridge whose BRIDGE_CERTIFICATES names it needs no network for them.

    FOLDER/key.pem                                             for the simulation alone (mode 600)
    FOLDER/certificates/SimpleNotificationService-<hex>.pem    for the bridge

The certificate lasts a day, so that it proves nothing the day after, if it is forgotten in a bridge's settings.
"""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from bridge.simulate.certificates import Authority, leaf, replace
from bridge.simulate.envelope import Signer
from bridge.sns.topic import TopicArn

NAME = "sns.amazonaws.com"  # SNS's own signing certificates bear it, and the bridge looks for it
DAYS = 1.0
LEAST = timedelta(hours=1)  # a certificate that ends sooner is not used again


def signer(folder: Path, topic: TopicArn) -> Signer:
    """Return a signer whose certificate is in folder/certificates. It is made anew unless one lasts another hour. Raises OSError."""
    certificates, key = folder / "certificates", folder / "key.pem"
    certificates.mkdir(parents=True, exist_ok=True)
    kept = sorted(certificates.glob("SimpleNotificationService-*.pem"))
    if not (len(kept) == 1 and key.exists() and _lasts(kept[0])):
        for path in kept:
            path.unlink()
        kept = [certificates / f"SimpleNotificationService-{secrets.token_hex(16)}.pem"]
        _make(folder, key, kept[0])
    return Signer(key.read_bytes(), f"{topic.origin}/{kept[0].name}", topic.origin)


def _make(folder: Path, key: Path, certificate: Path) -> None:
    made = folder / "new"
    made.mkdir(mode=0o700, exist_ok=True)
    files = Authority(made, "simulated-sns").issue(made, NAME, days=DAYS, rsa=True)
    files.key.chmod(0o600)
    files.key.replace(key)
    replace(certificate, leaf(files))
    certificate.chmod(0o644)
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


def _lasts(certificate: Path) -> bool:
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends - datetime.now(UTC) > LEAST
