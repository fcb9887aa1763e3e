"""The straight line from a message to its answer; the only module that knows the order of the steps.

message -> its headers agree -> genuine and allowed (authenticity.py) -> routed -> published -> confirmed -> 200
"""

from time import time
from typing import TYPE_CHECKING

from bridge.amqp import frames
from bridge.amqp.channel import Publish
from bridge.authenticity import MessageVerifier, StaleCertificate, Topic
from bridge.bodies import tracing
from bridge.bodies.formats import FORMATS
from bridge.bodies.routing import Route, find_route
from bridge.config import Config
from bridge.errors import BodyTooLarge, BridgeError, HeadersDisagree, MalformedMessage, NotFound, RawDeliveryRefused, RoutingFailed
from bridge.http.basic_auth import Credentials
from bridge.http.framing import Request, held_by
from bridge.log import Log
from bridge.pending import PendingRequest
from bridge.sns import message, subscription
from bridge.sns.certificates import Certificates
from bridge.sns.fetch import Egress
from bridge.sns.grammar import is_uuid
from bridge.sns.message import Notification, SubscriptionConfirmation
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn

if TYPE_CHECKING:
    from bridge.amqp.publisher import Publisher


class Routed:
    """The part of the routing that is the same for each message of a topic."""

    __slots__ = ("exchange", "fields", "format", "route", "routing_key")

    def __init__(self, arn: TopicArn, route: Route) -> None:
        """exchange and routing_key are None when they depend on the message. Raises RoutingFailed."""
        self.route, self.format = route, FORMATS[route.body]
        self.fields = frames.topic_fields(arn.arn)
        self.exchange = route.exchange.fill(arn, None) if route.exchange.of_topic_only else None
        self.routing_key = route.routing_key.fill(arn, None) if route.routing_key.of_topic_only else None


class Pipeline:
    """The steps of every message that arrives."""

    def __init__(
        self, config: Config, certificates: Certificates, egress: Egress, publisher: "Publisher", credentials: Credentials, log: Log
    ) -> None:
        self._config, self._certificates, self._egress, self._publisher = config, certificates, egress, publisher
        self._credentials, self._log = credentials, log
        self._verifier = MessageVerifier(config, certificates)

    def use_routes(self, routes: list[Route]) -> None:
        """Route by these rules from now on; the last one is the default."""
        self._config.routes = routes
        self._verifier.forget()

    def receive(self, request: Request, body: bytes, pending: PendingRequest) -> None:
        """Take a POST; `pending` is answered now or later. Raises BridgeError."""
        headers = request.headers
        self._credentials.check(headers.get("authorization"))
        if self._config.path and request.target.partition("?")[0] != self._config.path:
            raise NotFound("BRIDGE_PATH names another path")
        raw = headers.get("x-amz-sns-rawdelivery")
        if raw is not None and raw.lower() == "true":
            self._receive_raw(headers, body, pending)
        else:
            self.take(body, headers, pending)

    def take(
        self,
        body: bytes,
        headers: dict[str, str],
        pending: PendingRequest,
        certificate: Certificate | None = None,
        stored: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        """Take a message that SNS has signed; `pending` is answered now or later. Raises BridgeError.

        body is UTF-8 JSON, headers are the request's (lower-case names); a message from a queue has none. certificate: the one that was
        fetched for it. stored: see `MessageVerifier.check`. encoding: see `parse`.
        """
        if stored and len(body) > self._config.max_body:  # the listener refuses it long before
            raise BodyTooLarge(f"the message is longer than {self._config.max_body} bytes (BRIDGE_MAX_BODY)")
        received = message.parse(body, encoding)
        pending.message_id, pending.topic_arn = received.message_id, received.topic_arn
        pending.trace = tracing.find(headers, received, self._config.trace_attribute)
        message.check_headers(headers, received)
        topic = self._verifier.topic(received.topic_arn)
        found = certificate or self._verifier.certificate(topic, received)
        if isinstance(found, str):
            self._wait(found, body, headers, pending, stored, encoding)
            return
        try:
            self._verifier.check(topic, received, found, stored)
        except StaleCertificate as stale:
            self._wait(stale.url, body, headers, pending, stored, encoding)
            return
        pending.genuine = True
        if isinstance(received, Notification):
            self._publish(topic, received, received.headers() if stored else headers, body, pending)
        elif isinstance(received, SubscriptionConfirmation):
            self._confirm_subscription(topic.arn, received.token, pending)
        else:
            self._log.warning("unsubscribed", topic_arn=received.topic_arn, message_id=received.message_id)
            pending.done("unsubscribed")

    def _wait(self, url: str, body: bytes, headers: dict[str, str], pending: PendingRequest, stored: bool, encoding: str) -> None:
        """Wait for the certificate. Only the bytes that came are kept meanwhile, because nothing proves yet that it is genuine."""

        def fetched(result: Certificate | BridgeError) -> None:
            pending.resume()
            if isinstance(result, BridgeError):
                pending.failed(result)
            elif not pending.over:
                pending.attempt(lambda: self.take(body, headers, pending, result, stored, encoding))

        size = len(body) + held_by(headers)
        pending.wait(self._certificates.wait(url, fetched, size))
        pending.holds(size)

    def _route(self, topic: Topic) -> Routed:
        topic.routed = routed = Routed(topic.arn, find_route(topic.arn, self._config.routes))
        return routed

    def _publish(self, topic: Topic, received: Notification, headers: dict[str, str], body: bytes, pending: PendingRequest) -> None:
        routed: Routed = topic.routed or self._route(topic)
        exchange, routing_key = routed.exchange, routed.routing_key
        if exchange is None:
            exchange = routed.route.exchange.fill(topic.arn, received)
        if routing_key is None:
            routing_key = routed.route.routing_key.fill(topic.arn, received)
        subscription_arn = headers.get("x-amz-sns-subscription-arn")
        fields = routed.fields + frames.header_fields(received.message_id, received.subject, subscription_arn, pending.trace)
        left_out = 0
        if received.attributes or received.left_out:
            attributes, left_out = frames.attribute_fields(received)
            fields += attributes
        form = routed.format
        published = form.of_notification(received, body, pending.trace)
        content_type = form.content_type or frames.content_type(headers.get("content-type"))
        pending.holds(len(published) + len(fields))  # an unsigned attribute is in both
        publish = Publish(pending, exchange, routing_key, published, content_type, received.timestamp, fields, form.has_attributes)
        self._publisher.publish(publish)
        if left_out:  # not before, because SNS repeats what can't be published now
            self._publisher.left_out(left_out)

    def _confirm_subscription(self, arn: TopicArn, token: str, pending: PendingRequest) -> None:
        def then(error: BridgeError | None) -> None:
            if error is None:
                self._log.info("subscription_confirmed", topic_arn=arn.arn)
                pending.done("confirmed")
            else:
                pending.failed(error)

        subscription.confirm(self._egress, arn, token, self._config.sns_endpoint, then)

    def _receive_raw(self, headers: dict[str, str], body: bytes, pending: PendingRequest) -> None:
        """Raw message delivery: without envelope and signature, the client's credentials are the only proof."""
        if not self._config.raw:
            raise RawDeliveryRefused("raw message delivery is not enabled (BRIDGE_RAW)")
        message_id, arn = headers.get("x-amz-sns-message-id", ""), headers.get("x-amz-sns-topic-arn", "")
        if not is_uuid(message_id):
            raise MalformedMessage("x-amz-sns-message-id is not a UUID")
        if headers.get("x-amz-sns-message-type", "Notification") != "Notification":
            raise HeadersDisagree("only Notifications are delivered raw")
        pending.message_id, pending.topic_arn = message_id, arn
        pending.trace = tracing.find(headers, None, "")
        pending.genuine = True  # as far as the client's credentials can prove it
        topic = self._verifier.topic(arn)
        routed: Routed = topic.routed or self._route(topic)
        if routed.exchange is None or routed.routing_key is None:
            raise RoutingFailed("raw message delivery has no Subject and no attributes to route by")
        fields = routed.fields + frames.header_fields(message_id, None, headers.get("x-amz-sns-subscription-arn"), pending.trace)
        body = routed.format.of_raw(message_id, arn, body, pending.trace)
        content_type = routed.format.content_type or frames.content_type(headers.get("content-type"))
        pending.holds(len(body))
        publish = Publish(pending, routed.exchange, routed.routing_key, body, content_type, int(time()), fields, False)
        self._publisher.publish(publish)
