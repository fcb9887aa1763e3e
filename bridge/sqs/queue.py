"""One SQS queue: the four calls that the bridge makes, by the AWS JSON protocol 1.0, each in steps.

Source: SQS API reference (ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch, GetQueueAttributes, "Common errors");
Smithy 2.0, "AWS JSON 1.0 protocol".
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from bridge.errors import MalformedMessage
from bridge.sns.egress import EgressError
from bridge.sns.message import check_parts, text_of
from bridge.sns.origin import AnswerTooLong, Origin
from bridge.sns.steps import Steps
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue_url import QueueURL
from bridge.sqs.signing import sign

AT_ONCE = 10  # messages or entries of one call: SQS's limit
CONNECT, READ, TOTAL = 3.0, 5.0, 8.0  # seconds; a long poll takes its WaitTimeSeconds more
MAX_ANSWER = 1 << 20  # bytes of an answer without messages
MAX_MESSAGE = 3 << 20  # bytes of a message in an answer: SQS's limit is 1 MiB, and \uXXXX takes three times what UTF-8 does
ENVELOPE = 4096  # bytes of an answer around each message

# The code in __type -> the kind of the error, and what to do about it
_KINDS = {
    "AccessDenied": ("access-denied", "is not allowed; `bridge policy` prints the IAM policy that the bridge needs"),
    "KmsAccessDenied": ("access-denied", "is not allowed, because the queue's KMS key does not allow kms:Decrypt"),
    "QueueDoesNotExist": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "NonExistentQueue": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "InvalidAddress": ("no-such-queue", "found no such queue; are region, account and name in BRIDGE_SQS_QUEUES right?"),
    "ExpiredToken": ("no-credentials", "was refused, because the credentials have expired"),
    "TokenRefreshRequired": ("no-credentials", "was refused, because the credentials have expired"),
    "InvalidClientTokenId": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "UnrecognizedClient": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "InvalidAccessKeyId": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "AuthFailure": ("no-credentials", "was refused, because AWS does not know the access key or the session token"),
    "InvalidSecurity": ("no-credentials", "was refused, because the credentials are not right"),
    "IncompleteSignature": ("no-credentials", "was refused, because the credentials are not right"),
    "MissingAuthenticationToken": ("no-credentials", "was refused, because the credentials are not right"),
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

# An escape of JSON that is not a control character's: it may stand for a character that is not ASCII, or for a part of an escape in a body.
_ESCAPED = re.compile(rb"\\u(?!00[01])")

# SQS's code for an entry of a batch that was not done, and whether another try is in vain: a sender's fault that does not pass as a lack of
# a permission does.
Refusal = tuple[str, bool]


class SQSError(Exception):
    """A call failed. `kind` is one of counters.SQS_ERRORS; `str()` says which call, which queue and what to do, without a secret."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


class TooLong(SQSError):
    """The answer would take too many bytes. Its messages come back; fewer at once fit."""


class Room:
    """The bytes of answers that may be held. An answer is counted from before it is read until it is given back."""

    def __init__(self, most: int) -> None:
        """most is in bytes."""
        self.most, self.held = most, 0

    def take(self, size: int) -> bool:
        """Take room for size bytes; return whether there is any. One answer alone always has it."""
        if self.held and self.held + size > self.most:
            return False
        self.held += size
        return True

    def give(self, size: int) -> None:
        """Give size bytes back."""
        self.held -= size


class ReceivedMessage:
    """A message as SQS hands it out: `body` in bytes and the `encoding` to read it in (see `parse` of bridge/sns/message.py), `receipt`
    to delete it by, `count` of receives up to this one.
    """

    __slots__ = ("body", "count", "encoding", "hidden_until", "message_id", "pending", "receipt")

    def __init__(self, members: dict[str, Any], encoding: str = "utf-8") -> None:
        """members is the JSON object, encoding that in which its bytes were read. Raises KeyError, TypeError, AttributeError or ValueError
        when it is not SQS's.
        """
        self.message_id, self.receipt = text_of(members["MessageId"], encoding), text_of(members["ReceiptHandle"], encoding)
        self.encoding = encoding  # the body's escapes are escapes of the answer too
        # latin-1 gives back the bytes as they came; of others, a lone surrogate is refused later: it is not UTF-8
        self.body: bytes = members["Body"].encode(encoding, "surrogatepass")
        self.count = max(1, whole_number(members.get("Attributes") or {}, "ApproximateReceiveCount") or 1)
        self.pending: Any  # the receiver's
        self.hidden_until: float  # the receiver's: monotonic seconds


class Batch(list[ReceivedMessage]):
    """The messages of one answer, and `size`, the bytes of the room that they hold."""

    __slots__ = ("size",)
    size: int


class Queue:
    """A queue and the connections to it."""

    def __init__(
        self,
        queue_url: QueueURL,
        endpoint: str,
        chain: CredentialChain,
        ca_file: str,
        now: Callable[[], float] = time.time,
        room: Room | None = None,
    ) -> None:
        """endpoint is BRIDGE_SQS_ENDPOINT, "" for the QueueUrl's own origin; ca_file (PEM) holds the roots; now gives Unix seconds.

        room is that of the answers with messages; without one, ten of the largest have room.
        """
        self.name, self.room = queue_url.name, room or Room(AT_ONCE * MAX_MESSAGE)
        self._url, self._region, self._endpoint = queue_url.url, queue_url.region, (endpoint or queue_url.origin) + "/"
        self._chain, self._ca_file, self._now = chain, ca_file, now
        self._origin: Origin | None = None

    def receive(self, number: int, wait: int, visibility: int) -> Steps[Batch]:
        """Wait up to `wait` seconds for up to `number` messages, which are hidden from others for `visibility` seconds.

        The caller gives the batch's size back to the room. Raises SQSError, of which TooLong is one.
        """
        held = 0

        def expect(size: int) -> bool:
            nonlocal held
            taken = self.room.take(size)
            held = size if taken else 0
            return taken

        try:
            batch: Batch = yield from self._call(
                "ReceiveMessage",
                _batch,
                wait,
                min(number * MAX_MESSAGE, max(self.room.most, MAX_MESSAGE)) + number * ENVELOPE,
                expect,
                MaxNumberOfMessages=number,
                WaitTimeSeconds=wait,
                VisibilityTimeout=visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            if len(batch) > number:
                raise ValueError("more messages than were asked for")
            batch.size = held
            return batch
        except BaseException as error:
            self.room.give(held)
            if isinstance(error, KeyError | TypeError | AttributeError | ValueError):
                raise SQSError("unavailable", f"ReceiveMessage on queue {self.name}: the answer is not SQS's") from None
            raise

    def delete(self, receipts: list[str]) -> Steps[dict[int, Refusal]]:
        """Delete up to AT_ONCE messages; return why for each that was not deleted, by its index. Raises SQSError."""
        return self._batch("DeleteMessageBatch", [{"ReceiptHandle": receipt} for receipt in receipts])

    def change_visibility(self, receipts: list[tuple[str, int]]) -> Steps[dict[int, Refusal]]:
        """Hide up to AT_ONCE messages, given as (receipt, seconds); return and raise as `delete`."""
        return self._batch("ChangeMessageVisibilityBatch", [{"ReceiptHandle": one, "VisibilityTimeout": time} for one, time in receipts])

    def attributes(self) -> Steps[dict[str, str]]:
        """Return GetQueueAttributes' attributes. Raises SQSError, also when they are not a queue's."""
        answer = yield from self._call("GetQueueAttributes", AttributeNames=["All"])
        found = answer.get("Attributes")
        attributes = {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
        if not attributes.get("QueueArn", "").startswith("arn:") and whole_number(attributes, "MessageRetentionPeriod") is None:
            raise self._error("GetQueueAttributes", 200, {})
        return attributes

    def _batch(self, operation: str, entries: list[dict[str, Any]]) -> Steps[dict[int, Refusal]]:
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        answer = yield from self._call(operation, Entries=numbered)
        done, failed = (
            {str(entry.get("Id")): entry for entry in (found if isinstance(found, list) else ()) if isinstance(entry, dict)}
            for found in (answer.get("Successful"), answer.get("Failed"))
        )
        # an entry that SQS does not name as successful has failed
        wrong = [number for number in range(len(entries)) if str(number) not in done or str(number) in failed]
        return {number: _refusal(failed.get(str(number), {"Code": "no answer"})) for number in wrong}

    def _call(
        self,
        operation: str,
        read: Callable[[dict[str, Any], str], Any] = lambda members, _encoding: members,
        wait: int = 0,
        limit: int = MAX_ANSWER,
        expect: Callable[[int], bool] = lambda _size: True,
        **members: Any,
    ) -> Steps[Any]:
        """Return read(the answer's members, the encoding that its bytes were read in). Raises SQSError, and what read raises."""
        try:
            credentials = self._chain.at_hand() or (yield self._chain.get)
        except EgressError as error:
            raise SQSError("no-credentials", f"{operation} on queue {self.name}: {error}") from None
        body = json.dumps({"QueueUrl": self._url, **members}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
        headers = sign(credentials, "POST", self._endpoint, headers, body, self._region, "sqs", self._now())
        deadlines = {"connect": CONNECT, "read": READ + wait, "total": TOTAL + wait}
        try:
            if self._origin is None:
                self._origin = Origin(self._endpoint, self._ca_file)
            status, answer = yield from self._origin.steps("POST", self._endpoint, headers, body, limit, expect=expect, **deadlines)
        except AnswerTooLong as error:
            raise TooLong("unavailable", f"{operation} on queue {self.name}: {error}; fewer messages are asked for") from None
        except EgressError as error:
            problem = f"no answer from {self._endpoint[:-1]}: {error} (BRIDGE_SQS_ENDPOINT, BRIDGE_CA_FILE, HTTPS_PROXY?)"
            raise SQSError("unavailable", f"{operation} on queue {self.name}: {problem}") from None
        # Where no escape stands for a character that is not ASCII, in the answer and in the bodies, the bytes are kept as they came: with
        # an emoji in it, text takes 4 times as much memory, and longer.
        as_text = status != 200 or answer.isascii() or _ESCAPED.search(answer)
        encoding = "utf-8" if as_text else "latin-1"
        try:
            check_parts(answer)
        except MalformedMessage:
            answer = b"null"  # it is not SQS's
        text = answer.decode(encoding, "surrogateescape" if status == 200 else "replace")  # parse refuses a message that is not UTF-8
        del answer  # as early as possible, as all that may have many MiB here
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if status == 200 and isinstance(found, dict):
            del text
            return read(found, encoding)
        refused = self._error(operation, status, found if isinstance(found, dict) else _elements(text))
        # keys without an end are not renewed, so after "access-denied" too the file is read again: it may hold another user's by now
        if refused.kind == "no-credentials" or (refused.kind == "access-denied" and credentials.expires == float("inf")):
            self._chain.forget(credentials)
        raise refused

    def _error(self, operation: str, status: int, members: dict[str, Any]) -> SQSError:
        """Return the error of an answer. The text before # and after : in __type has no meaning (Smithy 2.0, "Operation error
        serialization").
        """
        full = str(members.get("__type", ""))
        code = full.rpartition("#")[2].partition(":")[0].rpartition(".")[2].removesuffix("Exception")
        message = str(members.get("message") or members.get("Message") or "")
        if code in _KINDS:
            kind, problem = _KINDS[code]
        elif status == 429:
            kind, problem = _KINDS["Throttling"]
        elif code:
            kind, problem = "unavailable", f"was answered {status} {code[:60]}"
        else:
            kind = "access-denied" if status in (401, 403) else "unavailable"
            problem = f"was answered {status}, and not as SQS does (BRIDGE_SQS_ENDPOINT, HTTPS_PROXY?)"
        if code in ("SignatureDoesNotMatch", "InvalidSignature"):
            if "expired" in message or "not yet current" in message:
                kind, problem = _KINDS["RequestExpired"]
            elif "scoped" in message:
                where = f"the queue is not in region {self._region} (BRIDGE_SQS_QUEUES, BRIDGE_SQS_ENDPOINT, AWS_REGION?)"
                kind, problem = "no-such-queue", f"was refused, because {where}"
        if kind == "unavailable" and 400 <= status < 500 and status != 408 and message:
            problem += f": {message[:200]}"
        return SQSError(kind, f"{operation} on queue {self.name} {problem}")


def whole_number(attributes: dict[str, str], name: str) -> int | None:
    """Return an attribute as a number, None when it is missing or none of SQS's."""
    text = str(attributes.get(name, ""))
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _batch(answer: dict[str, Any], encoding: str) -> Batch:
    """Return the messages of an answer, which loses them. Raises what ReceivedMessage raises."""
    batch, messages = Batch(), answer.get("Messages") or []
    messages.reverse()
    while messages:
        batch.append(ReceivedMessage(messages.pop(), encoding))
    return batch


def _refusal(entry: dict[str, Any]) -> Refusal:
    code = str(entry.get("Code"))
    return code, entry.get("SenderFault") is True and code not in _KINDS


def _elements(text: str) -> dict[str, str]:
    """Return code and message of an error in XML, as emulators and AWS's older protocol have it, under the names of the JSON protocol."""
    found = dict(re.findall(r"<(Code|Message)>([^<]{1,1000}+)</", text))
    return {"__type": found.get("Code", "").strip(), "message": found.get("Message", "").strip()}
