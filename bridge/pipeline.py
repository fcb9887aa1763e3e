"""The straight line from a whole request to its verdict; the only module that knows the order of the steps.

message -> its headers agree -> topic allowed -> certificate's URL -> certificate -> signature -> fresh -> publish -> confirm -> 200
"""

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING

from bridge.amqp import frames
from bridge.bodies import cloudevents, tracing
from bridge.bodies.routing import Route, find_route
from bridge.config import Config
from bridge.errors import (
    BadSignature,
    BridgeError,
    HeadersDisagree,
    MalformedMessage,
    NotFound,
    OutsideWindow,
    RawDeliveryRefused,
    RoutingFailed,
    UnknownSignatureVersion,
)
from bridge.http.basic_auth import Credentials
from bridge.http.framing import Request
from bridge.log import Log
from bridge.pending import Delivery
from bridge.sns import message, subscription
from bridge.sns.certificates import Certificates, certificate_source, check_certificate
from bridge.sns.fetch import Egress
from bridge.sns.message import Message, Notification, SubscriptionConfirmation
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn, allowed

if TYPE_CHECKING:
    from bridge.amqp.publisher import Publisher

DIGESTS = {"1": "sha1", "2": "sha256"}  # SignatureVersion
MAX_TOPICS = 10_000  # topics known at a time; only a list with * lets so many in
MAX_URLS = 8  # certificates a topic remembers


class Topic:
    """An allowed topic with all that is the same for each of its messages."""

    __slots__ = ("arn", "certificates", "exchange", "fields", "route", "routing_key")

    def __init__(self, arn: TopicArn, route: Route) -> None:
        """Raises RoutingFailed."""
        self.arn, self.route = arn, route
        self.certificates: dict[str, Certificate] = {}  # by a SigningCertURL that was found right for this topic
        self.fields = frames.topic_fields(arn.arn)
        self.exchange = route.exchange.fill(arn, None) if route.exchange.of_topic_only else None
        self.routing_key = route.routing_key.fill(arn, None) if route.routing_key.of_topic_only else None


class MessageVerifier:
    """The part of the straight line that decides whether a message is genuine; `bridge verify` runs just this."""

    def __init__(self, config: Config, certificates: Certificates, now: Callable[[], float] = time) -> None:
        """now gives Unix seconds."""
        self._config, self._certificates, self._now = config, certificates, now
        self._topics: dict[str, Topic] = {}

    def topic(self, arn: str) -> Topic:
        """Return the topic of a TopicArn. Raises TopicNotAllowed, RoutingFailed."""
        topic = self._topics.get(arn)
        if topic is None:
            allowed_arn = allowed(arn, self._config.topics)
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            topic = self._topics[arn] = Topic(allowed_arn, find_route(allowed_arn, self._config.routes))
        return topic

    def use_routes(self, routes: list[Route]) -> None:
        """Route what comes from now on by these rules, the default as their last."""
        self._config.routes = routes
        self._topics.clear()

    def certificate(self, topic: Topic, received: Message) -> Certificate | str:
        """Return the certificate to verify with, or the URL to fetch it from. Raises BridgeError for what is hostile, before a fetch."""
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

    def check(self, topic: Topic, received: Message, certificate: Certificate) -> None:
        """Check certificate, signature and Timestamp. Raises CertificateNotValid, BadSignature, OutsideWindow."""
        now = self._now()
        check_certificate(certificate, topic.arn, self._config.sns_endpoint, now)
        if not certificate.verify(received.signature, received.string_to_sign(), DIGESTS[received.signature_version]):
            raise BadSignature("the signature does not match the message")
        max_age = self._config.max_age
        if max_age and not -max_age <= now - received.timestamp <= max_age:
            raise OutsideWindow("Timestamp is further from this machine's clock than BRIDGE_MAX_AGE")


class Pipeline:
    """The whole line, for every request that the server hands on."""

    def __init__(
        self, config: Config, certificates: Certificates, egress: Egress, publisher: "Publisher", credentials: Credentials, log: Log
    ) -> None:
        self._config, self._certificates, self._egress, self._publisher = config, certificates, egress, publisher
        self._credentials, self._log = credentials, log
        self._judge = MessageVerifier(config, certificates)
        self.use_routes = self._judge.use_routes

    def receive(self, request: Request, body: bytes, delivery: Delivery) -> None:
        """Judge a POST and act on it; `delivery` is answered now or later. Raises BridgeError."""
        headers = request.headers
        self._credentials.check(headers.get("authorization"))
        if self._config.path and request.target.partition("?")[0] != self._config.path:
            raise NotFound("BRIDGE_PATH names another path")
        if headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            self._receive_raw(headers, body, delivery)
            return
        received = message.parse(body)
        delivery.message_id, delivery.topic_arn = received.message_id, received.topic_arn
        delivery.trace = tracing.find(headers, received, self._config.trace_attribute)
        message.check_headers(headers, received)
        topic = self._judge.topic(received.topic_arn)
        certificate = self._judge.certificate(topic, received)
        if not isinstance(certificate, str):
            self._accept(topic, received, certificate, headers, body, delivery)
            return

        def fetched(result: Certificate | BridgeError) -> None:
            if isinstance(result, BridgeError):
                delivery.failed(result)
            elif not delivery.over:
                delivery.attempt(lambda: self._accept(topic, received, result, headers, body, delivery))

        self._certificates.wait(certificate, fetched, len(body))

    def _accept(
        self, topic: Topic, received: Message, certificate: Certificate, headers: dict[str, str], body: bytes, delivery: Delivery
    ) -> None:
        self._judge.check(topic, received, certificate)
        if isinstance(received, Notification):
            self._publish(topic, received, headers, body, delivery)
        elif isinstance(received, SubscriptionConfirmation):
            self._confirm_subscription(topic.arn, received.token, delivery)
        else:
            self._log.warning("unsubscribed", topic_arn=received.topic_arn, message_id=received.message_id)
            delivery.done("unsubscribed")

    def _publish(self, topic: Topic, received: Notification, headers: dict[str, str], body: bytes, delivery: Delivery) -> None:
        self._publisher.check()
        route = topic.route
        exchange, routing_key = topic.exchange, topic.routing_key
        if exchange is None:
            exchange = route.exchange.fill(topic.arn, received)
        if routing_key is None:
            routing_key = route.routing_key.fill(topic.arn, received)
        subscription_arn = headers.get("x-amz-sns-subscription-arn")
        fields = topic.fields + frames.header_fields(received.message_id, received.subject, subscription_arn, delivery.trace)
        if received.attributes:
            fields += frames.attribute_fields(received)
        if route.body == "cloudevents":
            published, content_type = cloudevents.of_notification(received, delivery.trace), cloudevents.CONTENT_TYPE
        else:
            published = received.message.encode() if route.body == "message" else body
            content_type = frames.content_type(headers.get("content-type"))
        envelope = route.body == "envelope"
        self._publisher.publish(delivery, exchange, routing_key, published, content_type, received.timestamp, fields, envelope)

    def _confirm_subscription(self, arn: TopicArn, token: str, delivery: Delivery) -> None:
        def then(error: BridgeError | None) -> None:
            if error is None:
                self._log.info("subscription_confirmed", topic_arn=arn.arn)
                delivery.done("confirmed")
            else:
                delivery.failed(error)

        subscription.confirm(self._egress, arn, token, self._config.sns_endpoint, then)

    def _receive_raw(self, headers: dict[str, str], body: bytes, delivery: Delivery) -> None:
        """Raw message delivery: no envelope, no signature; the client's credentials are all the proof there is."""
        if not self._config.raw:
            raise RawDeliveryRefused("raw message delivery is not enabled (BRIDGE_RAW)")
        message_id, arn = headers.get("x-amz-sns-message-id", ""), headers.get("x-amz-sns-topic-arn", "")
        if not message.is_uuid(message_id):
            raise MalformedMessage("x-amz-sns-message-id is not a UUID")
        if headers.get("x-amz-sns-message-type", "Notification") != "Notification":
            raise HeadersDisagree("only Notifications are delivered raw")
        delivery.message_id, delivery.topic_arn = message_id, arn
        delivery.trace = tracing.find(headers, None, "")
        topic = self._judge.topic(arn)
        if topic.exchange is None or topic.routing_key is None:
            raise RoutingFailed("raw message delivery has no Subject and no attributes to route by")
        self._publisher.check()
        fields = topic.fields + frames.header_fields(message_id, None, headers.get("x-amz-sns-subscription-arn"), delivery.trace)
        if topic.route.body == "cloudevents":
            body, content_type = cloudevents.of_raw(message_id, arn, body, delivery.trace), cloudevents.CONTENT_TYPE
        else:
            content_type = frames.content_type(headers.get("content-type"))
        self._publisher.publish(delivery, topic.exchange, topic.routing_key, body, content_type, int(time()), fields, False)
