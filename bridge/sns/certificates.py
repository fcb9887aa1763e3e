"""The signing certificate of a message: which URLs may name one, and a small cache of fetched certificates.

The certificate is a leaf without a chain, so its trust comes from where it is fetched: TLS to exactly the SNS host of the
topic's own region. Source: SNS developer guide, "Verifying the signatures of Amazon SNS messages".
"""

import os
import re
from collections.abc import Callable

from bridge.errors import BridgeError, CertificateNotValid, CertificateUnavailable, Overloaded, SigningCertURLRefused
from bridge.sns.fetch import Egress
from bridge.sns.signature import MAX_ENCODED, BadCertificate, Certificate, load_certificate
from bridge.sns.topic import TopicArn

MAX_KEPT = 64
MAX_WAITING = 256  # deliveries that wait for certificates; all of them may be forged
MAX_WAITING_FOR_ONE = 64  # deliveries that wait for the same URL
FAILED_FOR = 3  # seconds until a URL that failed is tried again
EXPIRED_FOR = 60  # seconds until a certificate that came expired is fetched again
FRESH_FOR = 120  # seconds after a fetch in which a signature that does not match is a forgery, and nothing is fetched again

_Waiters = dict[object, tuple[Callable[[Certificate | BridgeError], None], int]]  # each with the bytes that it holds

_NAME = r"SimpleNotificationService-[0-9a-f]{32}\.pem"
_PATH = re.compile(rf"/({_NAME})")
_PATH_OF_LOCALSTACK = re.compile(rf"/_aws/sns/({_NAME})")
_PATH_OF_ENDPOINT = re.compile(rf"((?:/[A-Za-z0-9_-]{{1,64}}){{0,4}})/({_NAME})")


def certificate_source(url: str, topic: TopicArn, endpoint: str) -> tuple[str, str]:
    """Return the URL to fetch and the certificate's file name for a SigningCertURL, or refuse it.

    The host must equal the one built from the (allowed) TopicArn: a pattern such as `sns.*.amazonaws.com` also matches a
    bucket that anybody can own. endpoint is BRIDGE_SNS_ENDPOINT ("" for none), which takes that host's place.
    Raises SigningCertURLRefused, before any connection is opened.
    """
    if url.startswith(topic.origin):
        path = _PATH.fullmatch(url, len(topic.origin))
        if path is None and endpoint:  # LocalStack with SNS_CERT_URL_HOST names Amazon's host, but a path of its own
            path = _PATH_OF_LOCALSTACK.fullmatch(url, len(topic.origin))
        if path is not None:
            return (endpoint or topic.origin) + path[0], path[1]
    if endpoint and url.startswith(endpoint):
        path = _PATH_OF_ENDPOINT.fullmatch(url, len(endpoint))
        if path is not None:
            return url, path[2]
    raise SigningCertURLRefused(f"SigningCertURL is not {endpoint or topic.origin}/SimpleNotificationService-<32 hex digits>.pem")


def check_certificate(certificate: Certificate, topic: TopicArn, endpoint: str, now: float) -> None:
    """Check a certificate's dates against now (Unix seconds) and its name. Raises CertificateNotValid.

    The name is one of `TopicArn.signers`. With BRIDGE_SNS_ENDPOINT (`endpoint`) any name is accepted.
    """
    if not certificate.not_before <= now <= certificate.not_after:
        raise CertificateNotValid("the signing certificate has expired or is not yet valid; is this machine's clock right?")
    if endpoint:
        return
    if topic.signers.isdisjoint(certificate.names):
        raise CertificateNotValid(f"the signing certificate does not bear SNS's name in {topic.region}")


class Certificates:
    """Signing certificates by their URL: from BRIDGE_CERTIFICATES, else over the network. One fetch serves all waiting deliveries.

    Waiting deliveries have a limit of their own, in number and in bytes, because nothing proves yet that they are genuine.
    """

    def __init__(
        self,
        folder: str,
        egress: Egress,
        now: Callable[[], float],
        count: Callable[[str], None] = lambda _name: None,
        max_held: int = 16 << 20,
    ) -> None:
        """folder is "" for none; now gives Unix seconds; count(name) adds one to a counter; max_held limits the bytes of all that wait."""
        self._count = count
        self._folder = folder
        self._egress = egress
        self._now = now
        self._kept: dict[str, tuple[Certificate, float]] = {}  # with the time of the fetch
        self._failed: dict[str, tuple[float, str]] = {}
        self._fetches: dict[str, _Waiters] = {}  # under way, by URL
        self._waiting, self._held, self._max_held = 0, 0, max_held

    def at_hand(self, url: str, name: str) -> Certificate | None:
        """Return the certificate if no network is needed for it, None if `wait` has to fetch it.

        url and name are what `certificate_source` returned. Raises CertificateUnavailable.
        """
        if url in self._kept:
            certificate, fetched = self._kept[url]
            if self._now() <= certificate.not_after or 0 <= self._now() - fetched < EXPIRED_FOR:
                return certificate
            del self._kept[url]  # expired: fetched again, in case SNS renewed it under the same name
        return self._read(url, name)

    def refresh(self, url: str, name: str, used: Certificate) -> Certificate | None:
        """Return the certificate to try after `used`, whose key did not make a signature: SNS may have renewed the key under this URL.

        It is `used` itself if that was fetched within FRESH_FOR; then the signature is a forgery. None: `wait` has to fetch it.
        So forgeries cause at most one fetch of a URL in FRESH_FOR, and `used` serves other messages meanwhile.
        Raises CertificateUnavailable when the signature can't be judged now.
        """
        if url not in self._kept:
            return self._read(url, name)
        certificate, fetched = self._kept[url]
        if certificate is not used or 0 <= self._now() - fetched < FRESH_FOR:
            return certificate
        return self._read(url, name)

    def wait(self, url: str, waiter: Callable[[Certificate | BridgeError], None], size: int = 0) -> Callable[[], None]:
        """Fetch the certificate, or join the fetch under way; waiter is called on the loop with the certificate or the error.

        size is the number of bytes that the waiter holds. Returns a callable that takes the waiter out again; calling it late does no
        harm. Raises Overloaded when too many wait.
        """
        waiters = self._fetches.get(url)
        full = waiters is not None and len(waiters) >= MAX_WAITING_FOR_ONE
        if full or self._waiting >= MAX_WAITING or (self._waiting and self._held + size > self._max_held):
            raise Overloaded("too many deliveries wait for a signing certificate")
        self._waiting += 1
        self._held += size
        ticket = object()
        if waiters is None:
            waiters = self._fetches[url] = {}
            self._egress.get(url, MAX_ENCODED, lambda status, body, why: self._fetched(url, status, body, why))
        waiters[ticket] = waiter, size
        return lambda: self._leave(waiters, ticket)

    def _leave(self, waiters: _Waiters, ticket: object) -> None:
        left = waiters.pop(ticket, None)
        if left is not None:
            self._waiting -= 1
            self._held -= left[1]

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
        waiters = self._fetches.pop(url)
        for ticket, (waiter, _) in list(waiters.items()):
            if ticket in waiters:
                self._leave(waiters, ticket)
                waiter(result)  # it is PendingRequest's and raises nothing

    def _read(self, url: str, name: str) -> Certificate | None:
        """Return the certificate of the folder, None if it has none. Raises CertificateUnavailable, also when a fetch has just failed."""
        if self._folder:
            try:
                with open(os.path.join(self._folder, name), "rb") as file:
                    return self._keep(url, file.read(MAX_ENCODED + 1))
            except FileNotFoundError:
                pass
            except (OSError, BadCertificate) as error:
                raise CertificateUnavailable(f"{name} in BRIDGE_CERTIFICATES can't be used: {error}") from None
        failed = self._failed.get(url)
        if failed is not None and 0 <= self._now() - failed[0] < FAILED_FOR:
            raise CertificateUnavailable(failed[1])
        return None

    def _keep(self, url: str, encoded: bytes) -> Certificate:
        certificate = load_certificate(encoded)
        former = self._kept.pop(url, None)
        if former is not None:
            former[0].not_after = 0  # so that each topic that holds it asks for the new one
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[url] = certificate, self._now()
        self._failed.pop(url, None)
        return certificate
