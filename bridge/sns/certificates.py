"""The signing certificate of a message: which URLs may name one, and a small cache of those that were fetched.

The certificate is a leaf without a chain, so its trust comes from where it is fetched: TLS to exactly the SNS host of the
topic's own region. Source: SNS developer guide, "Verifying the signatures of Amazon SNS messages".
"""

import os
import re
from collections.abc import Callable

from bridge.errors import BridgeError, CertificateNotValid, CertificateUnavailable, SigningCertURLRefused
from bridge.sns.fetch import Egress
from bridge.sns.signature import BadCertificate, Certificate, load_certificate
from bridge.sns.topic import TopicArn

MAX_SIZE = 65536  # bytes of a certificate file; a genuine one has about 2,000
MAX_KEPT = 64
FAILED_FOR = 3  # seconds until a URL that failed is tried again
EXPIRED_FOR = 60  # seconds until a certificate that came expired is fetched again

_NAME = r"SimpleNotificationService-[0-9a-f]{32}\.pem"
_PATH = re.compile(rf"/({_NAME})")
_PATH_OF_ENDPOINT = re.compile(rf"((?:/[A-Za-z0-9_-]{{1,64}}){{0,4}})/({_NAME})")


def certificate_source(url: str, topic: TopicArn, endpoint: str) -> tuple[str, str]:
    """Return the URL to fetch and the certificate's file name for a SigningCertURL, or refuse it.

    The host must equal the one built from the (allowed) TopicArn: a pattern such as `sns.*.amazonaws.com` also matches a
    bucket that anybody can own. endpoint is BRIDGE_SNS_ENDPOINT ("" for none), which takes that host's place.
    Raises SigningCertURLRefused, before anybody has opened a connection.
    """
    path = _PATH.fullmatch(url[len(topic.origin) :]) if url.startswith(topic.origin) else None
    if path is not None:
        return (endpoint or topic.origin) + path[0], path[1]
    if endpoint and url.startswith(endpoint):
        path = _PATH_OF_ENDPOINT.fullmatch(url[len(endpoint) :])
        if path is not None:
            return url, path[2]
    raise SigningCertURLRefused(f"SigningCertURL is not {endpoint or topic.origin}/SimpleNotificationService-<32 hex digits>.pem")


def check_certificate(certificate: Certificate, topic: TopicArn, endpoint: str, now: float) -> None:
    """Check a certificate's dates against now (Unix seconds) and its name. Raises CertificateNotValid.

    Opt-in regions sign with `sns-signing.<region>`. Behind an endpoint of the operator's own the name is the operator's.
    """
    if not certificate.not_before <= now <= certificate.not_after:
        raise CertificateNotValid("the signing certificate has expired or is not yet valid; is this machine's clock right?")
    if endpoint:
        return
    if topic.signers.isdisjoint(certificate.names):
        raise CertificateNotValid("the signing certificate does not bear SNS's name")


class Certificates:
    """Signing certificates by their URL: from BRIDGE_CERTIFICATES, else over the network, each fetched once for all who wait."""

    def __init__(self, folder: str, egress: Egress, now: Callable[[], float], count: Callable[[str], None] = lambda _name: None) -> None:
        """folder is "" for none; now gives Unix seconds; count(name) adds one to a counter."""
        self._count = count
        self._folder = folder
        self._egress = egress
        self._now = now
        self._kept: dict[str, tuple[Certificate, float]] = {}  # with the time of the fetch
        self._failed: dict[str, tuple[float, str]] = {}
        self._waiters: dict[str, list[Callable[[Certificate | BridgeError], None]]] = {}

    def at_hand(self, url: str, name: str) -> Certificate | None:
        """Return the certificate if no network is needed for it, None if `wait` has to fetch it. Raises CertificateUnavailable."""
        if url in self._kept:
            certificate, fetched = self._kept[url]
            if self._now() <= certificate.not_after or 0 <= self._now() - fetched < EXPIRED_FOR:
                return certificate
            del self._kept[url]  # expired: fetched again, in case SNS renewed it under the same name
        if self._folder:
            try:
                with open(os.path.join(self._folder, name), "rb") as file:
                    return self._keep(url, file.read(MAX_SIZE + 1))
            except FileNotFoundError:
                pass
            except (OSError, BadCertificate) as error:
                raise CertificateUnavailable(f"{name} in BRIDGE_CERTIFICATES can't be used: {error}") from None
        failed = self._failed.get(url)
        if failed is not None and 0 <= self._now() - failed[0] < FAILED_FOR:
            raise CertificateUnavailable(failed[1])
        return None

    def wait(self, url: str, waiter: Callable[[Certificate | BridgeError], None]) -> None:
        """Fetch the certificate, or join those who wait for it; waiter is called on the loop with it or with the error."""
        waiters = self._waiters.get(url)
        if waiters is not None:
            waiters.append(waiter)
            return
        self._waiters[url] = [waiter]
        self._egress.get(url, MAX_SIZE, lambda status, body, why: self._fetched(url, status, body, why))

    def _fetched(self, url: str, status: int, body: bytes, why: str) -> None:
        result: Certificate | BridgeError
        self._count("certificate_fetches_total")
        try:
            if status != 200:
                raise BadCertificate(why or f"it answered {status}")
            result = self._keep(url, body)
        except BadCertificate as error:
            self._count("certificate_fetch_failures_total")
            text = f"the signing certificate can't be fetched from {url}: {error} (BRIDGE_CA_FILE, BRIDGE_SNS_ENDPOINT, HTTPS_PROXY?)"
            if len(self._failed) >= MAX_KEPT:
                self._failed.clear()
            self._failed[url] = self._now(), text
            result = CertificateUnavailable(text)
        for waiter in self._waiters.pop(url):
            waiter(result)  # a delivery's own, which raises nothing

    def _keep(self, url: str, encoded: bytes) -> Certificate:
        certificate = load_certificate(encoded)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[url] = certificate, self._now()
        self._failed.pop(url, None)
        return certificate
