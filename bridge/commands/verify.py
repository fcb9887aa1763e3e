"""`bridge verify`: is the message in this file genuine? The same code decides as in serve."""

import gc
import os
from collections.abc import Callable
from time import time

from bridge.authenticity import MessageVerifier
from bridge.config import Config, given, load
from bridge.errors import BridgeError, MalformedMessage, SettingError
from bridge.sns.certificates import Certificates
from bridge.sns.fetch import Egress
from bridge.sns.grammar import is_timestamp
from bridge.sns.message import Message, parse
from bridge.sns.signature import Certificate
from bridge.sns.timestamp import unix_seconds

ANY_TOPIC = "arn:*:sns:*:*:*"


def verify(arguments: list[str]) -> int:
    """Print a line for each file, `FILE: genuine TYPE vN MESSAGEID` or `FILE: refused: REASON: explanation`.

    Return 0 when all are genuine, else 1. Raises SettingError. --at TIME (as SNS writes it) or --at message replaces this machine's
    clock.
    """
    gc.enable()  # the binary starts with the collector off
    at, arguments = _at(arguments)
    texts, files = given(os.environ, arguments)
    if not files:
        raise SettingError("verify", "names no file")
    texts.setdefault("TOPICS", ANY_TOPIC)
    config = load(texts)
    refused = 0
    for path in files:
        try:
            received = _one(config, path, at)
            print(f"{path}: genuine {received.type} v{received.signature_version} {received.message_id}")
        except BridgeError as error:
            refused = 1
            print(f"{path}: refused: {error.reason}: {error}")
        except OSError as error:
            refused = 1
            print(f"{path}: refused: unreadable: {error.strerror}")
    return refused


def _at(arguments: list[str]) -> tuple[str, list[str]]:
    if "--at" not in arguments:
        return "", arguments
    index = arguments.index("--at")
    at = arguments[index + 1] if index + 1 < len(arguments) else ""
    if at != "message" and not is_timestamp(at):
        raise SettingError("--at", "is a time such as 2026-03-06T19:55:38.903Z, or message for each message's own")
    return at, arguments[:index] + arguments[index + 2 :]


def _one(config: Config, path: str, at: str) -> Message:
    with open(path, "rb") as file:
        body = file.read(config.max_body + 1)
    if len(body) > config.max_body:
        raise MalformedMessage("the file is longer than BRIDGE_MAX_BODY")
    received = parse(body)
    now = unix_seconds(received.timestamp_text if at == "message" else at) if at else time()
    verifier, certificates, turn = _parts(config, now)
    topic = verifier.topic(received.topic_arn)
    certificate = verifier.certificate(topic, received)
    if isinstance(certificate, str):
        results: list[Certificate | BridgeError] = []
        certificates.wait(certificate, results.append)
        while not results:
            turn()
        if isinstance(results[0], BridgeError):
            raise results[0]
        certificate = results[0]
    verifier.check(topic, received, certificate)
    return received


def _parts(config: Config, now: float) -> tuple[MessageVerifier, Certificates, Callable[[], object]]:
    """Return the verifier, its certificates, and a function that makes one turn of a small loop, which replaces the bridge's."""
    from queue import SimpleQueue

    calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
    egress = Egress(calls.put, lambda _delay, _call: None, config.ca_file)
    certificates = Certificates(config.certificates, egress, lambda: now)
    return MessageVerifier(config, certificates, lambda: now), certificates, lambda: calls.get()()
