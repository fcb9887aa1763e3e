"""One SQS queue: the four calls that the bridge makes, by the AWS JSON protocol 1.0. They block, so each runs in a thread.

Source: SQS API reference (ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch, GetQueueAttributes, "Common errors");
Smithy 2.0, "AWS JSON 1.0 protocol".
"""

import json
import time
from collections.abc import Callable
from typing import Any

from bridge.sns.fetch import EgressError
from bridge.sqs.credentials import CredentialChain, NoCredentials
from bridge.sqs.origin import Origin
from bridge.sqs.queue_url import QueueURL
from bridge.sqs.signing import sign

AT_ONCE = 10  # messages or entries of one call: SQS's limit
CONNECT, READ, TOTAL = 3.0, 5.0, 8.0  # seconds; a long poll takes its WaitTimeSeconds more
MAX_ANSWER = 24 << 20  # bytes: ten messages of 1 MiB, SQS's limit, escaped

# The code in __type -> the kind of the error, and what to do about it
_KINDS = {
    "AccessDenied": ("access-denied", "is not allowed; `bridge policy` prints the IAM policy that the bridge needs"),
    "KmsAccessDenied": ("access-denied", "is not allowed, because the queue's KMS key does not allow kms:Decrypt"),
    "QueueDoesNotExist": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "NonExistentQueue": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "InvalidAddress": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "ExpiredToken": ("no-credentials", "was refused, because the credentials have expired"),
    "InvalidClientTokenId": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "UnrecognizedClient": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "InvalidSecurity": ("no-credentials", "was refused, because the credentials are not right"),
    "SignatureDoesNotMatch": ("no-credentials", "was refused, because the secret key does not belong to the access key"),
    "InvalidSignature": ("no-credentials", "was refused, because the secret key does not belong to the access key"),
    "RequestExpired": ("clock", "was refused, because this machine's clock is wrong"),
    "RequestTimeTooSkewed": ("clock", "was refused, because this machine's clock is wrong"),
    "Throttling": ("throttled", "was throttled"),
    "ThrottlingException": ("throttled", "was throttled"),
    "RequestThrottled": ("throttled", "was throttled"),
    "KmsThrottled": ("throttled", "was throttled by KMS"),
    "OverLimit": ("throttled", "was refused, because too many messages of the queue are in flight"),
}


class SQSError(Exception):
    """A call failed. `kind` is one of counters.SQS_ERRORS; `str()` says which call, which queue and what to do, without a secret."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


class ReceivedMessage:
    """A message as SQS hands it out: `body` in bytes, `receipt` to delete it by, `count` of receives up to this one."""

    __slots__ = ("body", "count", "message_id", "receipt")

    def __init__(self, members: dict[str, Any]) -> None:
        """members is the JSON object. Raises KeyError, TypeError, AttributeError or ValueError when it is not SQS's."""
        self.message_id: str = members["MessageId"] + ""  # a TypeError for what is no text, and could not be a table's key
        self.receipt: str = members["ReceiptHandle"] + ""
        self.body: bytes = members["Body"].encode("utf-8", "surrogatepass")  # a lone surrogate is refused later: it is not UTF-8
        self.count = max(1, int(members.get("Attributes", {}).get("ApproximateReceiveCount", "1")))


class Queue:
    """A queue and the connections to it, for all threads."""

    def __init__(
        self, queue_url: QueueURL, endpoint: str, chain: CredentialChain, ca_file: str, now: Callable[[], float] = time.time
    ) -> None:
        """endpoint is BRIDGE_SQS_ENDPOINT, "" for the QueueUrl's own origin; ca_file (PEM) holds the roots; now gives Unix seconds."""
        self.name = queue_url.name
        self._url, self._region, self._endpoint = queue_url.url, queue_url.region, (endpoint or queue_url.origin) + "/"
        self._chain, self._ca_file, self._now = chain, ca_file, now
        self._origin: Origin | None = None

    def receive(self, number: int, wait: int, visibility: int) -> list[ReceivedMessage]:
        """Wait up to `wait` seconds for up to `number` messages, which are hidden from others for `visibility` seconds. Raises SQSError."""
        answer = self._call(
            "ReceiveMessage",
            wait,
            MaxNumberOfMessages=number,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        try:
            return [ReceivedMessage(members) for members in answer.get("Messages") or ()]
        except (KeyError, TypeError, AttributeError, ValueError):
            raise SQSError("unavailable", f"ReceiveMessage on queue {self.name}: the answer is not SQS's") from None

    def delete(self, receipts: list[str]) -> dict[int, str]:
        """Delete up to AT_ONCE messages; return SQS's code for each that was not deleted, by its index. Raises SQSError."""
        return self._batch("DeleteMessageBatch", [{"ReceiptHandle": receipt} for receipt in receipts])

    def change_visibility(self, receipts: list[tuple[str, int]]) -> dict[int, str]:
        """Hide up to AT_ONCE messages, given as (receipt, seconds); return and raise as `delete`."""
        return self._batch("ChangeMessageVisibilityBatch", [{"ReceiptHandle": one, "VisibilityTimeout": time} for one, time in receipts])

    def attributes(self) -> dict[str, str]:
        """Return GetQueueAttributes' attributes. Raises SQSError."""
        found = self._call("GetQueueAttributes", AttributeNames=["All"]).get("Attributes")
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def _batch(self, operation: str, entries: list[dict[str, Any]]) -> dict[int, str]:
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        answer = self._call(operation, Entries=numbered)
        done, failed = (
            {str(entry.get("Id")): entry.get("Code") for entry in (found if isinstance(found, list) else ()) if isinstance(entry, dict)}
            for found in (answer.get("Successful"), answer.get("Failed"))
        )
        # an entry that SQS does not name as successful has failed
        wrong = [number for number in range(len(entries)) if str(number) not in done or str(number) in failed]
        return {number: str(failed.get(str(number), "no answer")) for number in wrong}

    def _call(self, operation: str, wait: int = 0, **members: Any) -> dict[str, Any]:
        try:
            credentials = self._chain.get()
        except NoCredentials as error:
            raise SQSError("no-credentials", f"{operation} on queue {self.name}: {error}") from None
        body = json.dumps({"QueueUrl": self._url, **members}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
        headers = sign(credentials, "POST", self._endpoint, headers, body, self._region, "sqs", self._now())
        deadlines = {"connect": CONNECT, "read": READ + wait, "total": TOTAL + wait}
        try:
            if self._origin is None:
                self._origin = Origin(self._endpoint, self._ca_file)
            status, answer = self._origin.exchange("POST", self._endpoint, headers, body, MAX_ANSWER, **deadlines)
        except EgressError as error:
            problem = f"no answer from {self._endpoint[:-1]}: {error} (BRIDGE_SQS_ENDPOINT, BRIDGE_CA_FILE, HTTPS_PROXY?)"
            raise SQSError("unavailable", f"{operation} on queue {self.name}: {problem}") from None
        try:
            found = json.loads(answer or b"{}")
        except ValueError:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        refused = self._error(operation, status, found if isinstance(found, dict) else {})
        if refused.kind == "no-credentials":
            self._chain.forget(credentials)
        raise refused

    def _error(self, operation: str, status: int, members: dict[str, Any]) -> SQSError:
        """Return the error of an answer. The text before # and after : in __type has no meaning (Smithy 2.0, "Operation error
        serialization").
        """
        full = str(members.get("__type", ""))
        code = full.rpartition("#")[2].partition(":")[0].rpartition(".")[2].removesuffix("Exception")
        message = str(members.get("message") or members.get("Message") or "")
        kind, problem = _KINDS.get(
            code, ("throttled", "was throttled") if status == 429 else ("unavailable", f"was answered {status} {code[:60]}")
        )
        if code in ("SignatureDoesNotMatch", "InvalidSignature") and ("expired" in message or "not yet current" in message):
            kind, problem = _KINDS["RequestExpired"]
        if kind == "unavailable" and 400 <= status < 500 and status != 408 and message:
            problem += f": {message[:200]}"
        return SQSError(kind, f"{operation} on queue {self.name} {problem}".rstrip())
