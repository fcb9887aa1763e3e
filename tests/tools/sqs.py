"""A simulated SQS: the AWS JSON protocol over loopback HTTP, every signature checked by botocore, and a log of all that happened.

    with SQS() as sqs:
        BRIDGE_SQS_QUEUES=sqs.url("orders")  BRIDGE_SQS_ENDPOINT=sqs.endpoint  and sqs.environment
        sqs.send("orders", body)
        sqs.bodies("orders")                          # what is left
        sqs.log                                       # (monotonic seconds, "received" | "deleted" | "hidden", message id, body)

Tests bend it by sqs.fault(operation, members) -> (status, members), a function of the request handler that answers itself, or None; and by
sqs.entry_fault(operation, entry) -> a code, for an entry of a batch that should fail.
"""

import calendar
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

REGION, ACCOUNT = "eu-central-1", "123456789012"
Answer = tuple[int, dict[str, Any]]


class Message:
    """A message of a queue. `visible` is when it can be received (monotonic seconds)."""

    def __init__(self, body: str) -> None:
        self.message_id, self.body = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}", body
        self.visible, self.receives, self.receipt = 0.0, 0, ""


class Refused(Exception):
    """An error by its name, as SQS answers it."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.answer: Answer = status, {"__type": f"com.amazonaws.sqs#{code}", "message": message}


class SQSRequest(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    sqs: "SQS"
    wbufsize = 65536
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """One call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").removeprefix("AmazonSQS.")
        members = json.loads(body)
        self.sqs.calls.append(operation)
        try:
            behaviour = self.sqs.fault(operation, members) if self.sqs.fault else None
            if callable(behaviour):
                behaviour(self)
                return
            if behaviour is None:
                if self.sqs._authenticated:
                    self.sqs.authenticate(self, body)
                behaviour = 200, getattr(self.sqs, operation)(members)
        except Refused as error:
            behaviour = error.answer
        self.answer(*behaviour)

    def answer(self, status: int, members: dict[str, Any]) -> None:
        """Send an answer."""
        text = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def drip(self, size: int, every: float) -> None:
        """Send an answer of size spaces, one each so many seconds."""
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for _ in range(size):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(every)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        pass  # a client that is killed


class SQS:
    """Attributes: endpoint, environment, calls (operations), log, received (by message id), access (secret key and token by access key)."""

    def __init__(self, *, port: int = 0, authenticated: bool = True, tls: Any = None) -> None:
        """authenticated: whether signatures are checked, which needs botocore. tls: a bridge.simulate.certificates.Files of localhost."""
        self._authenticated = authenticated
        self.access = {"AKIDEXAMPLE": ("secret/key+example", "")}
        self.environment = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/key+example"}
        self.fault: Callable[[str, dict[str, Any]], Answer | Callable[[SQSRequest], None] | None] | None = None
        self.entry_fault: Callable[[str, dict[str, Any]], str | None] | None = None
        self.minute = 60.0  # seconds that a minute of a visibility timeout takes
        self.longest_poll = 20.0  # seconds; an outage that is played fast needs polls that end as fast
        self.calls: list[str] = []
        self.log: list[tuple[float, str, str, str]] = []
        self.stopped = False
        self._queues: dict[str, dict[str, Message]] = {}
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", port), type("BoundRequest", (SQSRequest,), {"sqs": self}))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.endpoint = f"https://localhost:{self._server.server_port}"

    # ---- what a test does

    def url(self, name: str) -> str:
        """The QueueUrl of a queue, which is made when it is not there."""
        self._queues.setdefault(name, {})
        return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"

    def send(self, name: str, *bodies: str) -> None:
        """Put messages into a queue."""
        with self._changed:
            queue = self._queues.setdefault(name, {})
            for body in bodies:
                message = Message(body)
                queue[message.message_id] = message
            self._changed.notify_all()

    def bodies(self, name: str) -> list[str]:
        """What is in a queue, in sight or not."""
        with self._changed:
            return [message.body for message in self._queues[name].values()]

    def messages(self, name: str) -> list[Message]:
        """The messages of a queue."""
        with self._changed:
            return list(self._queues[name].values())

    def show(self, name: str) -> None:
        """All visibility timeouts of a queue run out."""
        with self._changed:
            for message in self._queues[name].values():
                message.visible = 0
            self._changed.notify_all()

    def deleted(self) -> list[str]:
        """The bodies that were deleted."""
        return [body for _, what, _, body in self.log if what == "deleted"]

    # ---- what a client may

    def authenticate(self, request: SQSRequest, body: bytes) -> None:
        """Compare the signature with botocore's. Raises Refused."""
        import botocore.auth
        import botocore.awsrequest
        import botocore.credentials

        given = request.headers.get("Authorization", "")
        access_key, _, scope = given.partition("Credential=")[2].partition(",")[0].partition("/")
        if access_key not in self.access:
            raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        secret_key, token = self.access[access_key]
        signed = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        if request.headers.get("X-Amz-Security-Token", "") != token or scope.split("/")[1:3] != [REGION, "sqs"]:
            raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        headers = {name: request.headers[name] for name in signed if name not in ("host", "x-amz-date", "x-amz-security-token")}
        copy = botocore.awsrequest.AWSRequest("POST", self.endpoint + request.path, headers=headers, data=body)
        signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(access_key, secret_key, token or None), "sqs", REGION)
        copy.context["timestamp"] = request.headers["X-Amz-Date"]
        signer._modify_request_before_signing(copy)
        signer._inject_signature_to_request(copy, signer.signature(signer.string_to_sign(copy, signer.canonical_request(copy)), copy))
        if copy.headers["Authorization"] != given:
            raise Refused("SignatureDoesNotMatch", "The request signature we calculated does not match.", 403)
        stamp = request.headers["X-Amz-Date"]
        if abs(time.time() - _unix(stamp)) > 900:
            raise Refused("SignatureDoesNotMatch", f"Signature expired: {stamp} is now earlier than …", 403)

    def _queue(self, members: dict[str, Any]) -> dict[str, Message]:
        name = members["QueueUrl"].rpartition("/")[2]
        if name not in self._queues:
            raise Refused("QueueDoesNotExist", "The specified queue does not exist.")
        return self._queues[name]

    def ReceiveMessage(self, members: dict[str, Any]) -> dict[str, Any]:
        until = time.monotonic() + min(members.get("WaitTimeSeconds", 0), self.longest_poll)
        with self._changed:
            while True:
                queue, now = self._queue(members), time.monotonic()
                visible = [message for message in queue.values() if message.visible <= now][: members.get("MaxNumberOfMessages", 1)]
                if visible or now >= until or self.stopped:
                    break
                later = min([message.visible for message in queue.values()], default=until)
                self._changed.wait(max(min(until, later) - now, 0.001))
            for message in visible:
                message.visible = now + members.get("VisibilityTimeout", 30) * self.minute / 60
                message.receives += 1
                message.receipt = f"{message.message_id}/{secrets.token_hex(8)}"
                self.log.append((now, "received", message.message_id, message.body))
        return (
            {
                "Messages": [
                    {
                        "MessageId": message.message_id,
                        "ReceiptHandle": message.receipt,
                        "Body": message.body,
                        "Attributes": {"ApproximateReceiveCount": str(message.receives)},
                    }
                    for message in visible
                ]
            }
            if visible
            else {}
        )

    def _entries(self, operation: str, members: dict[str, Any], act: Callable[[dict[str, Message], Message, dict[str, Any]], None]) -> Any:
        answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        if not 1 <= len(members["Entries"]) <= 10:
            raise Refused("TooManyEntriesInBatchRequest")
        with self._changed:
            queue = self._queue(members)
            for entry in members["Entries"]:
                message = queue.get(entry["ReceiptHandle"].partition("/")[0])
                code = self.entry_fault(operation, entry) if self.entry_fault else None
                if "/" not in entry["ReceiptHandle"]:
                    code = "ReceiptHandleIsInvalid"
                if code:
                    answer["Failed"].append({"Id": entry["Id"], "Code": code, "SenderFault": False})
                    continue
                if message is not None:
                    act(queue, message, entry)
                answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def DeleteMessageBatch(self, members: dict[str, Any]) -> dict[str, Any]:
        def act(queue: dict[str, Message], message: Message, _entry: dict[str, Any]) -> None:
            del queue[message.message_id]
            self.log.append((time.monotonic(), "deleted", message.message_id, message.body))

        return self._entries("DeleteMessageBatch", members, act)

    def ChangeMessageVisibilityBatch(self, members: dict[str, Any]) -> dict[str, Any]:
        def act(_queue: dict[str, Message], message: Message, entry: dict[str, Any]) -> None:
            message.visible = time.monotonic() + entry["VisibilityTimeout"] * self.minute / 60
            self.log.append((time.monotonic(), "hidden", message.message_id, message.body))
            self._changed.notify_all()

        return self._entries("ChangeMessageVisibilityBatch", members, act)

    def GetQueueAttributes(self, members: dict[str, Any]) -> dict[str, Any]:
        with self._changed:
            queue, now = self._queue(members), time.monotonic()
            visible = sum(message.visible <= now for message in queue.values())
            return {
                "Attributes": {
                    "ApproximateNumberOfMessages": str(visible),
                    "ApproximateNumberOfMessagesNotVisible": str(len(queue) - visible),
                    "MessageRetentionPeriod": "1209600",
                }
            }

    # ---- life

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


def _unix(stamp: str) -> float:
    return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
