"""Which message is genuine: Amazon's own messages, and changed ones."""

import base64
import json
from pathlib import Path

import pytest

from bridge import authenticity as module
from bridge.authenticity import MessageVerifier
from bridge.bodies.routing import find_route
from bridge.config import load
from bridge.errors import (
    BadSignature,
    BridgeError,
    CertificateNotValid,
    CertificateUnavailable,
    MalformedMessage,
    OutsideWindow,
    RoutingFailed,
    SigningCertURLRefused,
    TopicNotAllowed,
    UnknownSignatureVersion,
)
from bridge.pipeline import Routed
from bridge.sns.certificates import Certificates
from bridge.sns.message import parse
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn
from tests.unit.stand_ins import Clock, NoNetwork

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
GENUINE = sorted(VECTORS.glob("java2-*.json"))
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def judge(clock):
    return make(clock)


def make(clock, certificates=str(VECTORS), **settings):
    config = load({"TOPICS": "arn:aws:sns:*:*:*"} | settings)
    return MessageVerifier(config, Certificates(certificates, NoNetwork(), clock), clock)


def judged(judge, members, clock, at=None):
    """The message, if it is genuine `at` a time (its own, when none is given). Raises BridgeError."""
    received = parse(json.dumps(members).encode())
    clock.now = received.timestamp if at is None else at
    topic = judge.topic(received.topic_arn)
    certificate = judge.certificate(topic, received)
    assert isinstance(certificate, Certificate)
    judge.check(topic, received, certificate)
    return received


def members_of(path):
    return json.loads(path.read_bytes())


@pytest.fixture(params=GENUINE, ids=lambda path: path.stem)
def members(request):
    return members_of(request.param)


@pytest.fixture
def notification():
    return members_of(VECTORS / "java2-notification-v2.json")


class TestGenuine:
    def test_it_is_accepted_and_needs_no_network(self, judge, members, clock):
        assert judged(judge, members, clock).message_id == members["MessageId"]

    def test_one_changed_character_in_any_signed_field_is_refused(self, judge, members, clock):
        now = parse(json.dumps(members).encode()).timestamp
        tried = 0
        for name in set(SIGNED[members["Type"]]) & set(members):
            text = members[name]
            for at in sorted({0, len(text) - 1, *range(0, len(text), max(1, len(text) // 12))}):
                for other in ("0" if text[at] != "0" else "1", "a" if text[at] != "a" else "b", chr(ord(text[at]) ^ 1), "\n", ""):
                    changed = members | {name: text[:at] + other + text[at + 1 :]}
                    with pytest.raises(BridgeError) as caught:
                        judged(judge, changed, clock, now)
                    assert caught.value.status in (400, 403), (name, at, other)
                    tried += 1
        assert tried > 150

    def test_a_field_that_is_left_out_is_refused(self, judge, members, clock):
        now = parse(json.dumps(members).encode()).timestamp
        for name in {*SIGNED[members["Type"]], "Signature", "SignatureVersion", "SigningCertURL"} & set(members):
            with pytest.raises(BridgeError) as caught:
                judged(judge, {key: value for key, value in members.items() if key != name}, clock, now)
            assert caught.value.status in (400, 403)

    def test_another_type_is_refused(self, judge, members, clock):
        now = parse(json.dumps(members).encode()).timestamp
        for kind in set(SIGNED) - {members["Type"]}:
            changed = {"Token": "ab", "SubscribeURL": "https://x/"} | members | {"Type": kind}
            with pytest.raises(BadSignature):
                judged(judge, changed, clock, now)

    def test_the_other_signature_version_is_refused(self, judge, members, clock):
        with pytest.raises(BadSignature):
            judged(judge, members | {"SignatureVersion": "12".replace(members["SignatureVersion"], "")}, clock)

    @pytest.mark.parametrize("version", ["0", "3", "", "1 ", "01", "\u0661", "2\n"])
    def test_an_unknown_signature_version_is_refused_before_a_certificate_is_looked_for(self, clock, members, version):
        with pytest.raises(UnknownSignatureVersion) as caught:
            judged(make(clock, certificates=""), members | {"SignatureVersion": version}, clock)
        assert caught.value.status == 403

    def test_a_changed_signature_is_refused(self, judge, members, clock):
        signature = base64.b64decode(members["Signature"])
        for changed in (signature[:-1], signature + b"\0", b"\0" + signature, signature[::-1], b"", bytes(256), b"\xff" * 256):
            with pytest.raises(BadSignature):
                judged(judge, members | {"Signature": base64.b64encode(changed).decode()}, clock)

    def test_the_url_to_unsubscribe_is_not_signed(self, judge, members, clock):
        assert judged(judge, members | {"UnsubscribeURL": "https://evil.example/"}, clock)


def test_a_subject_cant_be_hidden_in_the_message_id(judge, clock):
    members = members_of(VECTORS / "java2-notification-subject-v1.json")
    moved = dict(members, MessageId=f"{members['MessageId']}\nSubject\n{members['Subject']}")
    del moved["Subject"]
    with pytest.raises(MalformedMessage):
        judged(judge, moved, clock)


def test_a_message_cant_be_continued_in_the_message_id(judge, clock, notification):
    text, _, rest = notification["Message"].rpartition("\n") if "\n" in notification["Message"] else ("a", "", "b")
    with pytest.raises(BridgeError) as caught:
        judged(judge, notification | {"Message": text, "MessageId": f"{rest}\nMessageId\n{notification['MessageId']}"}, clock)
    assert caught.value.status in (400, 403)


# ---- order: what is hostile is refused before anything is fetched


def test_a_foreign_topic_is_refused_before_a_certificate_is_looked_for(clock, notification):
    judge = make(clock, certificates="", TOPICS="arn:aws:sns:eu-central-1:123456789012:orders")
    with pytest.raises(TopicNotAllowed) as caught:
        judged(judge, notification, clock)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.s3-us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com@evil.example/",
        "http://sns.us-west-2.amazonaws.com/",
        "https://sns.eu-west-1.amazonaws.com/",
        "https://169.254.169.254/",
        "",
    ],
)
def test_a_hostile_certificate_url_is_refused_before_a_fetch(clock, notification, url):
    name = notification["SigningCertURL"].rpartition("/")[2]
    with pytest.raises(SigningCertURLRefused):
        judged(make(clock), notification | {"SigningCertURL": url + name if url else ""}, clock)


def test_a_hostile_url_stays_hostile_after_the_genuine_one_was_seen(judge, clock, notification):
    judged(judge, notification, clock)
    for _ in range(2):
        with pytest.raises(SigningCertURLRefused):
            judged(judge, notification | {"SigningCertURL": notification["SigningCertURL"] + "?"}, clock)
    assert judged(judge, notification, clock)


@pytest.mark.rule("BRIDGE_SNS_ENDPOINT")
def test_a_certificate_that_is_nowhere_is_to_be_fetched_from_snss_own_host(clock, notification):
    judge = make(clock, certificates="")
    received = parse(json.dumps(notification).encode())
    assert judge.certificate(judge.topic(received.topic_arn), received) == notification["SigningCertURL"]
    endpoint = make(clock, certificates="", SNS_ENDPOINT="http://127.0.0.1:4566")
    assert endpoint.certificate(endpoint.topic(received.topic_arn), received).startswith("http://127.0.0.1:4566/SimpleNotificationService-")


# ---- the clock


@pytest.mark.parametrize("away", [-7200, -1, 0, 1, 7200])
def test_a_message_within_the_window_is_fresh(judge, clock, notification, away):
    at = parse(json.dumps(notification).encode()).timestamp
    assert judged(judge, notification, clock, at + away)


@pytest.mark.parametrize("away", [-7201, 7201, 2 * 86400, -2 * 86400])
def test_outside_the_window_is_503_for_our_clock_may_be_wrong(judge, clock, notification, away):
    at = parse(json.dumps(notification).encode()).timestamp
    with pytest.raises(OutsideWindow, match="clock") as caught:
        judged(judge, notification, clock, at + away)
    assert caught.value.status == 503


def test_without_a_window_any_time_will_do_while_the_certificate_is_valid(clock, notification):
    at = parse(json.dumps(notification).encode()).timestamp
    assert judged(make(clock, MAX_AGE="0"), notification, clock, at + 5 * 86400)


def test_a_forgery_is_a_forgery_whatever_its_timestamp(judge, clock, notification):
    at = parse(json.dumps(notification).encode()).timestamp
    with pytest.raises(BadSignature):
        judged(judge, notification | {"Message": "forged"}, clock, at + 86400)


@pytest.mark.parametrize("years", [-30, 30])
def test_outside_the_certificates_time_all_is_503_even_a_forgery(clock, notification, years):
    judge = make(clock, MAX_AGE="0")
    at = parse(json.dumps(notification).encode()).timestamp + years * 365 * 86400
    for message in (notification, notification | {"Message": "forged"}):
        with pytest.raises(CertificateNotValid) as caught:
            judged(judge, message, clock, at)
        assert caught.value.status == 503


def test_a_certificate_that_expires_while_it_is_kept_is_looked_for_again(tmp_path, clock, notification):
    source = next(VECTORS.glob("*.pem"))
    (tmp_path / source.name).write_bytes(source.read_bytes())
    judge = make(clock, certificates=str(tmp_path), MAX_AGE="0")
    judged(judge, notification, clock)
    (tmp_path / source.name).write_bytes(b"renewed, but badly")
    judged(judge, notification, clock)
    with pytest.raises(CertificateUnavailable):
        judged(judge, notification, clock, clock.now + 30 * 365 * 86400)


# ---- what a topic remembers


class Believed:
    """A certificate that any signature matches."""

    not_before, not_after, names = 0, 1 << 40, ("sns.amazonaws.com",)

    def verify(self, *_):
        return True


def genuine(judge, clock, arn):
    received = parse(json.dumps(json.loads(GENUINE[0].read_text()) | {"TopicArn": arn}).encode())
    clock.now = received.timestamp
    topic = judge.topic(arn)
    judge.check(topic, received, Believed())
    return topic


def test_a_topic_is_taken_apart_once_a_message_of_it_was_genuine(judge, clock):
    arn = "arn:aws:sns:us-west-2:123456789012:orders"
    assert judge.topic(arn) is not judge.topic(arn) and not judge._topics, "a name alone costs no memory"
    topic = genuine(judge, clock, arn)
    assert judge.topic(arn) is topic and topic.arn.region == "us-west-2"


def test_a_renewed_key_takes_the_place_of_the_one_before_it(judge, clock, monkeypatch):
    """SNS renewed its key under the same URL: from then on the new certificate is tried first, and the old one is not used."""

    class Key(Believed):
        def __init__(self, matches):
            self.matches, self.asked = matches, 0

        def verify(self, *_):
            self.asked += 1
            return self.matches

    old, new = Key(False), Key(True)
    received = parse(GENUINE[0].read_bytes())
    clock.now = received.timestamp
    topic = judge.topic(received.topic_arn)
    topic.certificates[received.signing_cert_url] = old
    monkeypatch.setattr(judge._certificates, "refresh", lambda _source, _name, used: new if used is old else used)
    judge.check(topic, received, judge.certificate(topic, received))
    judge.check(topic, received, judge.certificate(topic, received))
    assert (old.asked, new.asked) == (1, 2)


def test_a_forged_message_leaves_no_topic_behind(judge, clock):
    members = json.loads(GENUINE[0].read_text())
    with pytest.raises(BadSignature):
        judged(judge, members | {"Message": "forged"}, clock)
    assert not judge._topics


def test_the_number_of_topics_is_bounded(judge, clock, monkeypatch):
    monkeypatch.setattr(module, "MAX_TOPICS", 10)
    for number in range(100):
        genuine(judge, clock, f"arn:aws:sns:us-west-2:123456789012:t{number}")
        assert 1 <= len(judge._topics) <= 10


def test_a_refused_topic_is_not_remembered(clock):
    judge = make(clock, TOPICS="arn:aws:sns:us-west-2:123456789012:orders")
    for number in range(10):
        with pytest.raises(TopicNotAllowed):
            judge.topic(f"arn:aws:sns:us-west-2:123456789012:t{number}")
    assert not judge._topics


def test_a_topic_follows_its_rule(tmp_path):
    path = tmp_path / "routes.toml"
    path.write_text('[[route]]\ntopic = "arn:*:sns:*:*:a"\nexchange = "x.{region}"\nrouting_key = "{subject}"\nbody = "message"\n')
    config = load({"TOPICS": "arn:aws:sns:*:*:*", "ROUTES": str(path), "EXCHANGE": "default"})
    arns = [TopicArn(f"arn:aws:sns:us-west-2:123456789012:{name}") for name in "ab"]
    first, second = (Routed(arn, find_route(arn, config.routes)) for arn in arns)
    assert (first.exchange, first.routing_key, first.format.name) == ("x.us-west-2", None, "message")
    assert (second.exchange, second.routing_key, second.format.name) == ("default", "b", "envelope")


def test_a_topics_name_that_is_too_long_for_a_routing_key_is_a_clear_503():
    with pytest.raises(RoutingFailed, match="255"):
        Routed(TopicArn("arn:aws:sns:us-west-2:123456789012:" + "n" * 256), load({"TOPICS": "arn:aws:sns:*:*:*"}).routes[-1])
