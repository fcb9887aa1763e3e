"""Every way in which a delivery can end without a 200: one class each, with its status and its reason.

SNS retries a 5xx (and a 429) and takes every other 4xx as final. So an error is a 4xx only when any healthy machine would always refuse
the same bytes; all that depends on our clock, network, broker, load or settings is 503.
Source: SNS developer guide, "Amazon SNS message delivery retries" and "HTTP/S delivery policy".
"""


class BridgeError(Exception):
    """A delivery that is not answered with 200. `str()` of it is the explanation: one sentence, no secret, no body."""

    status = 500
    reason = "bug"
    expected = False  # in normal operation; it is logged at debug level
    close = False  # whether the connection ends with this answer
    headers = ""  # further lines of the answer's head, each with its CRLF


# ---- 4xx other than 403: the bytes are wrong


class MalformedRequest(BridgeError):
    """The bytes are not the strict HTTP/1.1 that we accept. The start of the next request is unknown, so the connection ends."""

    status = 400
    reason = "malformed-request"
    close = True


class HeadTooLarge(BridgeError):
    """Request line and headers are longer than SNS or any proxy makes them."""

    status = 431
    reason = "head-too-large"
    close = True


class BodyTooLarge(BridgeError):
    """The body is longer than BRIDGE_MAX_BODY. A genuine message of that size is lost, so the log line is an error."""

    status = 413
    reason = "body-too-large"
    close = True


class MalformedMessage(BridgeError):
    """The body is not an SNS message: not UTF-8, not JSON, a duplicate member, a wrong type, or a field outside its grammar."""

    status = 400
    reason = "malformed-message"


class HeadersDisagree(BridgeError):
    """An x-amz-sns-* header says something else than the signed body."""

    status = 400
    reason = "headers-disagree"


class Unauthorized(BridgeError):
    """No or wrong Basic credentials. SNS first sends without any and waits for this challenge."""

    status = 401
    reason = "unauthorized"
    headers = 'WWW-Authenticate: Basic realm="SNS", charset="UTF-8"\r\n'

    def __init__(self, explanation: str, credentials: bool) -> None:
        """credentials tells whether the client sent any. SNS's first try has none, which is expected."""
        super().__init__(explanation)
        self.expected = not credentials


class NotFound(BridgeError):
    """BRIDGE_PATH names another path."""

    status = 404
    reason = "not-found"


class MethodNotAllowed(BridgeError):
    """SNS delivers by POST only."""

    status = 405
    reason = "method-not-allowed"

    def __init__(self, explanation: str, post: bool = True) -> None:
        """post tells whether POST is allowed here."""
        super().__init__(explanation)
        self.headers = f"Allow: GET, HEAD{', POST' if post else ''}\r\n"  # RFC 9110 section 15.5.6


# ---- 403: well-formed, and refused for good


class BadSignature(BridgeError):
    """The signature does not match the message and the certificate."""

    status = 403
    reason = "bad-signature"


class UnknownSignatureVersion(BridgeError):
    """SignatureVersion is neither 1 nor 2."""

    status = 403
    reason = "signature-version"


class SigningCertURLRefused(BridgeError):
    """SigningCertURL does not name the SNS host of the topic's own region."""

    status = 403
    reason = "signing-cert-url"


class TopicNotAllowed(BridgeError):
    """TopicArn is not in BRIDGE_TOPICS. A valid signature proves Amazon, not your topic."""

    status = 403
    reason = "topic-not-allowed"


class RawDeliveryRefused(BridgeError):
    """Raw message delivery carries no signature; BRIDGE_RAW=on allows it for authenticated clients."""

    status = 403
    reason = "raw-delivery"


# ---- 503: a problem on our side; SNS should send the message again


class Retryable(BridgeError):
    """Something on our side: SNS keeps the message and sends it again."""

    status = 503
    reason = "unavailable"
    headers = "Retry-After: 5\r\n"


class CertificateUnavailable(Retryable):
    """The signing certificate could not be fetched."""

    reason = "certificate-unavailable"


class CertificateNotValid(Retryable):
    """The signing certificate has expired, is not yet valid, or does not bear SNS's name. Our clock may be wrong."""

    reason = "certificate-not-valid"


class OutsideWindow(Retryable):
    """Timestamp is further from our clock than BRIDGE_MAX_AGE. Our clock may be wrong."""

    reason = "timestamp"


class ConfirmationFailed(Retryable):
    """SNS did not answer ConfirmSubscription with 200."""

    reason = "confirmation-failed"


class RoutingFailed(Retryable):
    """The routing settings give no usable exchange, routing key or headers for this message."""

    reason = "routing"


class BrokerUnavailable(Retryable):
    """No channel to the broker is open."""

    reason = "broker-unavailable"


class BrokerBlocked(Retryable):
    """The broker has sent connection.blocked: a memory or disk alarm."""

    reason = "broker-blocked"


class BrokerLost(Retryable):
    """The channel or connection closed before the confirm came."""

    reason = "broker-lost"


class Nacked(Retryable):
    """The broker refused the message (basic.nack): a full queue with reject-publish, or an internal error."""

    reason = "nack"


class Unroutable(Retryable):
    """The broker took the message and returned it, because no queue is bound. An operator can still bind one, so SNS should retry."""

    reason = "unroutable"


class DeadlineExceeded(Retryable):
    """The delivery took longer than BRIDGE_DEADLINE."""

    reason = "deadline"


class Overloaded(Retryable):
    """A limit on connections, deliveries in flight, deliveries that wait for a certificate, or buffered bytes is reached."""

    reason = "overloaded"
    close = True


class Draining(Retryable):
    """The bridge is stopping."""

    reason = "draining"
    close = True


def stays_in_queue(status: int, reason: str) -> bool:
    """Tell whether a message of a queue with this outcome stays there, because its bytes, Timestamp and certificate do not change."""
    return status < 500 or reason == CertificateNotValid.reason


def concerns_others(reason: str) -> bool:
    """Tell whether a message of a queue with this 503 is a sign that the next one can't be published either."""
    return reason not in (RoutingFailed.reason, Unroutable.reason, CertificateUnavailable.reason, ConfirmationFailed.reason)


# ---- what stops the bridge from starting


class SettingError(Exception):
    """A setting that cannot be used. `str()` of it is one line that names the setting and says what to do."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
