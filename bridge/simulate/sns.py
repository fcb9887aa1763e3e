"""A simulated SNS: HTTPS with a CA of its own (or HTTP), real signatures, the signing certificate, ConfirmSubscription, and deliveries.

    with SNS(folder) as sns:
        BRIDGE_SNS_ENDPOINT=sns.endpoint  BRIDGE_CA_FILE=sns.ca_file  BRIDGE_TOPICS=TOPIC
        sns.subscribe(endpoint)                      # sends SubscriptionConfirmation; sns.confirmed holds the tokens that came back
        deliver_all(sns.notifications(1000), endpoint)

Tests bend it by sns.certificate_answer, sns.confirm_answer and sns.unknown_answer (of any other path, usually 404): (status, body),
or a function of the request handler that answers itself.
"""

import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from bridge.simulate.certificates import Authority, leaf
from bridge.simulate.envelope import Post, Signer, post
from bridge.simulate.post import Answer, Endpoint

TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
CONFIRMED = b"""<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">
  <ConfirmSubscriptionResult>
    <SubscriptionArn>%s:00000000-0000-0000-0000-000000000007</SubscriptionArn>
  </ConfirmSubscriptionResult>
  <ResponseMetadata><RequestId>0d2f4bf6-0000-5c8a-8f0c-1bb9a4c6b9a2</RequestId></ResponseMetadata>
</ConfirmSubscriptionResponse>
"""
REFUSED = b"""<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">
  <Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>Invalid parameter: Token</Message></Error>
</ErrorResponse>
"""
Behaviour = tuple[int, bytes] | Callable[["SNSRequest"], None] | None


class SNSRequest(BaseHTTPRequestHandler):
    """SNS's two GETs."""

    protocol_version = "HTTP/1.1"
    sns: "SNS"

    def do_GET(self) -> None:
        """Answer with the certificate, or confirm a subscription."""
        self.sns.requests.append(self.path)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == self.sns.certificate_path:
            self._behave(self.sns.certificate_answer, (200, self.sns.certificate))
        elif parts.path == "/" and query.get("Action") == "ConfirmSubscription":
            self._confirm(query.get("TopicArn", ""), query.get("Token", ""))
        else:
            self._behave(self.sns.unknown_answer, (404, b""))

    def _confirm(self, topic: str, token: str) -> None:
        known = (topic, token) in self.sns.pending
        if known and self.sns.confirm_answer is None:
            self.sns.confirmed.append(token)
        self._behave(self.sns.confirm_answer, (200, CONFIRMED % topic.encode()) if known else (400, REFUSED))

    def _behave(self, behaviour: Behaviour, usual: tuple[int, bytes]) -> None:
        if callable(behaviour):
            behaviour(self)
        else:
            self.answer(*(behaviour or usual))

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(30)
        if self.context is None:
            return connection, address
        # The handshake happens at the first read, in the connection's own thread.
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: Any) -> None:
        pass  # a client that goes away in the handshake


class Messages:
    """The messages of one topic, by one signer."""

    def __init__(self, topic: str, signer: Signer) -> None:
        self.topic, self.signer = topic, signer

    def notification(self, message: str = "hello", *, topic: str = "", **fields: Any) -> Post:
        """Return a Notification; `Signer.notification` documents subject, attributes, version, timestamp, message_id."""
        return post(self.signer.notification(topic or self.topic, message, **fields))

    def notifications(self, count: int, message: str = "message", *, versions: str = "12", size: int = 0) -> Iterator[Post]:
        """Yield many, with the signature versions by turns, with and without Subject and attributes; of size bytes unless that is 0."""
        for number in range(count):
            text = f'{message} {number} äöü ✓ "quoted"'
            if size:
                text = text.encode()[:size].decode(errors="ignore")
                text += "." * (size - len(text.encode()))
            yield self.notification(
                text,
                version=versions[number % len(versions)],
                subject="A subject" if number % 4 else None,
                attributes={"tenant": ("String", f"t{number % 100}"), "priority": ("Number", "5")} if number % 3 else None,
            )


class SNS(Messages):
    """A simulated SNS, used as a context manager. Attributes: endpoint (its origin), ca_file, signer, certificate (PEM), requests (paths
    that were asked for), pending, confirmed (tokens).
    """

    def __init__(
        self, folder: Path, *, topic: str = TOPIC, host: str = "localhost", listen: tuple[str, int] = ("127.0.0.1", 0), tls: bool = True
    ) -> None:
        """host is the name in `endpoint`."""
        self.topic = topic
        self.authority = Authority(folder, "sns")
        self.ca_file = self.authority.ca_file
        self._folder = folder
        self.requests: list[str] = []
        self.pending: set[tuple[str, str]] = set()
        self.confirmed: list[str] = []
        self.certificate_answer: Behaviour = None
        self.confirm_answer: Behaviour = None
        self.unknown_answer: Behaviour = None
        self._server = _Server(listen, type("BoundRequest", (SNSRequest,), {"sns": self}))
        if tls:
            server_files = self.authority.issue(folder / "sns-tls", host, "127.0.0.1", "::1")
            self._server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.context.load_cert_chain(server_files.certificate, server_files.key)
        self.endpoint = f"http{'s' if tls else ''}://{host}:{self._server.server_port}"
        self.rotate()

    def rotate(self, *, days: float = 30, common_name: str = "sns.amazonaws.com") -> None:
        """Sign with a new key from now on, under a new certificate URL, as SNS does every few months."""
        files = self.authority.issue(self._folder / "signing", common_name, days=days, rsa=True)
        self.certificate_path = f"/SimpleNotificationService-{secrets.token_hex(16)}.pem"
        self.certificate = leaf(files)
        self.signer = Signer(files.key.read_bytes(), self.endpoint + self.certificate_path, self.endpoint)

    # ---- messages

    def subscription_confirmation(self, topic: str = "", version: str = "1") -> Post:
        """Return a SubscriptionConfirmation whose token this SNS will accept."""
        token = secrets.token_hex(96)
        self.pending.add((topic or self.topic, token))
        return post(self.signer.confirmation(topic or self.topic, token, version=version))

    def unsubscribe_confirmation(self, topic: str = "", version: str = "1") -> Post:
        """Return an UnsubscribeConfirmation."""
        return post(self.signer.confirmation(topic or self.topic, secrets.token_hex(96), kind="UnsubscribeConfirmation", version=version))

    def subscribe(self, endpoint: Endpoint, topic: str = "", version: str = "1") -> Answer:
        """Send the SubscriptionConfirmation and return the endpoint's answer; `confirmed` holds its token once it was confirmed."""
        with endpoint.connect() as connection:
            return endpoint.deliver(connection, self.subscription_confirmation(topic, version))

    # ---- life

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
