"""Which status: 4xx only when any healthy machine would always refuse the same bytes."""

import re
import secrets
import uuid

import pytest

from bridge.simulate.envelope import post
from bridge.simulate.hostile import changed, urls
from bridge.simulate.post import Closed
from tests.integration.conftest import refused
from tests.tools.ports import wait_for

FOREIGN = "arn:aws:sns:eu-central-1:999999999999:orders"


# ---- 400


@pytest.mark.rule("malformed-message")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b'{"Type":"Notification"}',
        b'{"Type":NaN}',
        b"[" * 100_000,
        b'{"Type":' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_message_is_400(shared, broker, body):
    bridge, sns, queue = shared
    refused(bridge, bridge.deliver(sns.notification()._replace(body=body)), 400, "malformed-message")
    assert broker.count(queue) == 0


def test_a_duplicate_member_is_400(shared, broker):
    bridge, sns, queue = shared
    sent = sns.notification("genuine")
    body = sent.body.replace(b'  "Message" :', b'  "Message" : "forged",\n  "Message" :')
    refused(bridge, bridge.deliver(sent._replace(body=body)), 400, "malformed-message")
    assert broker.count(queue) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MessageId", 5),
        ("Message", None),
        ("Subject", None),
        ("Timestamp", "yesterday"),
        ("MessageId", "not-a-uuid"),
        ("Signature", "not base64!"),
        ("Subject", "two\nlines"),
    ],
)
def test_a_member_of_the_wrong_form_is_400(shared, broker, name, value):
    bridge, sns, queue = shared
    sent = changed(sns.notification(), **{name: value})
    sent.headers["x-amz-sns-message-id"] = str(uuid.uuid4())
    refused(bridge, bridge.deliver(sent), 400, "malformed-message")
    assert broker.count(queue) == 0


@pytest.mark.rule("headers-disagree")
@pytest.mark.parametrize("header", ["x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"])
def test_headers_that_disagree_with_the_body_are_400(shared, broker, header):
    bridge, sns, queue = shared
    sent = sns.notification()
    sent.headers[header] = {"x-amz-sns-message-type": "SubscriptionConfirmation", "x-amz-sns-message-id": str(uuid.uuid4())}.get(
        header, FOREIGN
    )
    refused(bridge, bridge.deliver(sent), 400, "headers-disagree")
    assert broker.count(queue) == 0


@pytest.mark.rule("malformed-request")
@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nX: \x00\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/9.9\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        b"POST  / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        b"hello\r\n\r\n",
    ],
    ids=[
        "no Host",
        "two Hosts",
        "two lengths",
        "+2",
        "1_0",
        "-1",
        "length and chunked",
        "folded",
        "bare LF",
        "NUL",
        "version",
        "two spaces",
        "no HTTP",
    ],
)
def test_a_framing_breach_is_400_and_closes(shared, broker, head):
    bridge, _sns, _queue = shared
    with bridge.connect() as connection:
        refused(bridge, connection.exchange(head), 400, "malformed-request")
        assert connection.ended()


# ---- 403


def test_a_changed_message_is_403(shared, broker):
    bridge, sns, queue = shared
    refused(bridge, bridge.deliver(changed(sns.notification("genuine"), Message="forged")), 403, "bad-signature")
    assert broker.count(queue) == 0


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_forged_confirmation_is_403(shared, kind):
    bridge, sns, _queue = shared
    sent = post(sns.signer.confirmation(sns.topic, secrets.token_hex(96), kind=kind))
    refused(bridge, bridge.deliver(changed(sent, Token="00" * 96)), 403, "bad-signature")
    assert not any("ConfirmSubscription" in path for path in sns.requests)


def test_a_foreign_topic_is_403_though_its_signature_is_valid(shared, broker):
    bridge, sns, queue = shared
    refused(bridge, bridge.deliver(sns.notification(topic=FOREIGN)), 403, "topic-not-allowed")
    refused(bridge, bridge.deliver(sns.subscription_confirmation(topic=FOREIGN)), 403, "topic-not-allowed")
    assert (broker.count(queue), sns.requests) == (0, [])


@pytest.mark.rule("signature-version")
def test_an_unknown_signature_version_is_403(shared, broker):
    bridge, sns, queue = shared
    refused(bridge, bridge.deliver(changed(sns.notification(), SignatureVersion="3")), 403, "signature-version")
    assert (broker.count(queue), sns.requests) == (0, [])


@pytest.mark.rule("signing-cert-url")
def test_every_hostile_certificate_url_is_403_and_never_visited(shared, broker):
    """A valid signature by a certificate at that URL does not help, because the URL is judged before any connection."""
    bridge, sns, queue = shared
    for url in urls():
        before = len(bridge.log)
        answer = bridge.deliver(changed(sns.notification(), SigningCertURL=url))
        assert (url, answer.status) == (url, 403)
        wait_for("the verdict", lambda before=before: len(bridge.log) > before)
        assert bridge.log[-1]["reason"] == "signing-cert-url"
    assert (broker.count(queue), sns.requests) == (0, [])


@pytest.mark.rule("raw-delivery")
def test_raw_delivery_is_403_unless_enabled(shared, broker):
    bridge, sns, queue = shared
    sent = sns.notification()
    sent.headers["x-amz-sns-rawdelivery"] = "true"
    refused(bridge, bridge.deliver(sent._replace(body=b"raw")), 403, "raw-delivery")
    assert broker.count(queue) == 0


@pytest.mark.parametrize("value", ["false", "False", ""])
def test_a_header_that_says_it_is_not_raw_is_no_raw_delivery(shared, broker, value):
    bridge, sns, queue = shared
    sent = sns.notification()
    sent.headers["x-amz-sns-rawdelivery"] = value
    assert bridge.deliver(sent).status == 200
    assert broker.ids(queue) == [sent.message_id]


# ---- 404, 405, 413, 431


@pytest.mark.rule("BRIDGE_PATH", "not-found")
def test_another_path_is_404_when_one_is_set(start_bridge, broker, queue, sns):
    bridge = start_bridge(BRIDGE_PATH="/sns")
    refused(bridge, bridge.deliver(sns.notification(), "/other"), 404, "not-found")
    assert bridge.deliver(sns.notification(), "/sns").status == 200


def test_any_path_will_do_when_none_is_set(shared, broker):
    bridge, sns, _queue = shared
    assert [bridge.deliver(sns.notification(), path).status for path in ("/", "/x/y", "/x?y=z")] == [200] * 3


@pytest.mark.rule("method-not-allowed")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_405(shared, method):
    bridge, _sns, _queue = shared
    with bridge.connect() as connection:
        answer = connection.exchange(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.status == 405
    assert "POST" in answer.headers["allow"]


@pytest.mark.rule("body-too-large")
def test_a_body_over_the_limit_is_413_before_it_is_sent(shared):
    bridge, _sns, _queue = shared
    with bridge.connect() as connection:
        answer = connection.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2097153\r\n\r\n")
        assert answer.status == 413
        assert connection.ended()
    assert bridge.wait_for("verdict", status=413)["level"] == "error"


@pytest.mark.rule("head-too-large")
def test_a_head_over_the_limit_is_431(shared):
    bridge, _sns, _queue = shared
    with bridge.connect() as connection:
        answer = connection.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
        assert answer.status == 431


def test_no_status_is_one_that_sns_takes_wrongly(start_bridge, sns):
    """A slow connection is closed without a status, so never 408; no answer redirects or asks to slow down."""
    bridge = start_bridge(BRIDGE_DEADLINE="1s")
    with bridge.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
        with pytest.raises(Closed):
            connection.receive()
    assert not [line for line in bridge.log if re.fullmatch("3..|408|425|429", str(line.get("status")))]
