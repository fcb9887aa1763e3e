"""Is this message genuine, and of an allowed topic? `bridge serve` and `bridge verify` ask here.

The order: topic allowed -> certificate's URL -> certificate -> signature -> Timestamp.
"""

from collections.abc import Callable
from time import time
from typing import Any

from bridge.config import Config
from bridge.errors import BadSignature, CertificateUnavailable, OutsideWindow, UnknownSignatureVersion
from bridge.sns.certificates import Certificates, certificate_source, check_certificate
from bridge.sns.message import Message
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn, allowed

DIGESTS = {"1": "sha1", "2": "sha256"}  # SignatureVersion
MAX_TOPICS = 4_000  # topics known at a time; only a list with * lets so many in
MAX_URLS = 8  # certificates a topic remembers


class StaleCertificate(CertificateUnavailable):
    """The signature does not match, and SNS may have renewed the key since the certificate was fetched: `url` has to be fetched again."""

    def __init__(self, url: str) -> None:
        super().__init__("the signature does not match the certificate that is kept, and a fresh one has not been fetched yet")
        self.url = url


class Topic:
    """An allowed topic, with what is the same for each of its messages. It is kept once a message of it was genuine."""

    __slots__ = ("arn", "certificates", "known", "routed")

    def __init__(self, arn: TopicArn) -> None:
        self.arn = arn
        self.certificates: dict[str, Certificate] = {}  # by a SigningCertURL that was found right for this topic
        self.known = False  # whether it is kept
        self.routed: Any = None  # the pipeline's


class MessageVerifier:
    """Decides whether a message is genuine."""

    def __init__(self, config: Config, certificates: Certificates, now: Callable[[], float] = time) -> None:
        """now gives Unix seconds."""
        self._config, self._certificates, self._now = config, certificates, now
        self._topics: dict[str, Topic] = {}

    def topic(self, arn: str) -> Topic:
        """Return the topic of a TopicArn (text, perhaps hostile). Raises TopicNotAllowed."""
        return self._topics.get(arn) or Topic(allowed(arn, self._config.topics))

    def forget(self) -> None:
        """Forget all topics; each is made anew at its next message."""
        self._topics.clear()

    def certificate(self, topic: Topic, received: Message) -> Certificate | str:
        """Return the certificate to verify with, or the URL to fetch it from.

        Raises UnknownSignatureVersion, SigningCertURLRefused and CertificateUnavailable, all before anything is fetched.
        """
        if received.signature_version not in DIGESTS:
            raise UnknownSignatureVersion("SignatureVersion is neither 1 nor 2")
        url = received.signing_cert_url
        certificate = topic.certificates.get(url)
        if certificate is None or self._now() > certificate.not_after:
            source, name = certificate_source(url, topic.arn, self._config.sns_endpoint)
            certificate = self._certificates.at_hand(source, name)
            if certificate is None:
                return source
            if len(topic.certificates) >= MAX_URLS:
                topic.certificates.clear()
            topic.certificates[url] = certificate
        return certificate

    def check(self, topic: Topic, received: Message, certificate: Certificate, stored: bool = False) -> None:
        """Check certificate, signature and Timestamp. Raises CertificateNotValid, BadSignature, OutsideWindow, and StaleCertificate when
        the certificate has to be fetched again before the signature can be judged.

        stored: the message has waited in a queue. Then BRIDGE_MAX_AGE does not limit it, and the certificate must have been valid at
        the Timestamp, not now.
        """
        now = self._now()
        check_certificate(certificate, topic.arn, self._config.sns_endpoint, received.timestamp if stored else now)
        if not certificate.verify(received.signature, received.string_to_sign(), DIGESTS[received.signature_version]):
            self.check(topic, received, self._fresh(topic, received, certificate), stored)
            return
        max_age = self._config.max_age
        if max_age and not stored and not -max_age <= now - received.timestamp <= max_age:
            raise OutsideWindow("Timestamp is further from this machine's clock than BRIDGE_MAX_AGE")
        if not topic.known:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            topic.known = True
            self._topics[topic.arn.arn] = topic

    def _fresh(self, topic: Topic, received: Message, used: Certificate) -> Certificate:
        """Return a newer certificate of the same URL than `used`, whose key did not make the signature.

        Raises BadSignature when `used` is the newest, StaleCertificate when it has to be fetched, CertificateUnavailable when a fetch
        has just failed.
        """
        source, name = certificate_source(received.signing_cert_url, topic.arn, self._config.sns_endpoint)
        certificate = self._certificates.refresh(source, name, used)
        if certificate is None:
            raise StaleCertificate(source)
        if certificate is used:
            raise BadSignature("the signature does not match the message")
        topic.certificates[received.signing_cert_url] = certificate  # the former one is not used any more
        return certificate
