"""Genuine messages of SNS, changed ones, and all steps up to the verdict on one."""

import json
from pathlib import Path

from bridge.config import load
from bridge.pipeline import MessageVerifier
from bridge.sns.certificates import Certificates
from bridge.sns.message import check_headers, parse
from tests.unit.stand_ins import NoNetwork

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
BODIES = {path.stem.removeprefix("java2-"): path.read_bytes() for path in sorted(VECTORS.glob("java2-*.json"))}
PLAIN, WITH_SUBJECT, VERSION_2 = BODIES["notification-v1"], BODIES["notification-subject-v1"], BODIES["notification-v2"]
SUBSCRIPTION, UNSUBSCRIPTION = BODIES["subscription-confirmation-v1"], BODIES["unsubscribe-confirmation-v2"]
ARN = json.loads(PLAIN)["TopicArn"]
REMOVED = object()


def judge(body, headers=None, topics=ARN, now=None, **settings):
    """All steps up to the verdict, with the genuine certificate and without a network. now: the message's own time."""
    received = parse(body)
    check_headers(headers or {}, received)
    config = load({"TOPICS": topics, "CERTIFICATES": str(VECTORS), "AMQP_URL": "amqp://localhost", **settings})
    clock = lambda: received.timestamp if now is None else now  # noqa: E731
    line = MessageVerifier(config, Certificates(config.certificates, NoNetwork(), clock), clock)
    topic = line.topic(received.topic_arn)
    certificate = line.certificate(topic, received)
    assert not isinstance(certificate, str), "the certificate would have been fetched"
    line.check(topic, received, certificate)
    return received


def changed(body, **members):
    """The body with other members; REMOVED takes one away."""
    found = json.loads(body) | members
    return json.dumps({name: value for name, value in found.items() if value is not REMOVED}).encode()


def member(body, name):
    return json.loads(body)[name]
