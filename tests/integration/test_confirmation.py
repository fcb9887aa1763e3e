"""The bridge confirms a subscription to an allowed topic by itself, at SNS's own address, and answers 200 only if SNS did."""

import json

import pytest

from bridge.simulate.envelope import post, sign
from tests.tools.ports import wait_for


def confirmations(sns):
    return [path for path in sns.requests if "ConfirmSubscription" in path]


@pytest.mark.rule("confirmed")
@pytest.mark.parametrize("version", ["1", "2"])
def test_a_subscription_is_confirmed(shared, version):
    bridge, sns, _ = shared
    sent = sns.subscription_confirmation(version=version)
    assert bridge.deliver(sent).status == 200
    fields = json.loads(sent.body)
    assert sns.confirmed == [fields["Token"]]
    assert confirmations(sns) == [f"/?Action=ConfirmSubscription&TopicArn={sns.topic}&Token={fields['Token']}"]
    bridge.wait_for("subscription_confirmed", topic_arn=sns.topic)


def test_nothing_is_published_for_a_confirmation(shared, broker):
    bridge, sns, queue = shared
    assert bridge.deliver(sns.subscription_confirmation()).status == 200
    assert bridge.deliver(sns.unsubscribe_confirmation()).status == 200
    assert broker.count(queue) == 0


def test_the_subscribe_url_as_given_is_never_visited(shared):
    """Even a signed SubscribeURL is not visited; the URL is built from the signed TopicArn and Token."""
    bridge, sns, _ = shared
    sent = json.loads(sns.subscription_confirmation().body)
    del sent["Signature"]
    sent["SubscribeURL"] = f"{sns.endpoint}/?Action=DeleteTopic&TopicArn={sns.topic}"
    assert bridge.deliver(post(sign(sent, sns.signer.key))).status == 200
    assert not [path for path in sns.requests if "DeleteTopic" in path]
    assert confirmations(sns) == [f"/?Action=ConfirmSubscription&TopicArn={sns.topic}&Token={sent['Token']}"]


@pytest.mark.rule("confirmation-failed")
@pytest.mark.parametrize("answer", [(400, b""), (403, b""), (500, b""), (302, b""), (204, b"")], ids=str)
def test_503_when_sns_does_not_confirm(shared, answer):
    bridge, sns, _ = shared
    sns.confirm_answer = answer
    try:
        response = bridge.deliver(sns.subscription_confirmation())
    finally:
        sns.confirm_answer = None
    assert (response.status, response.body) == (503, b"confirmation-failed\n")


def test_an_expired_token_is_503(shared):
    """SNS answers 400 to a token that it does not know; the bridge can't tell it from a fault of its own."""
    bridge, sns, _ = shared
    sent = sns.subscription_confirmation()
    sns.pending.clear()
    assert bridge.deliver(sent).status == 503


def test_a_redirected_confirmation_is_not_followed(shared):
    bridge, sns, _ = shared
    sns.confirm_answer = lambda handler: handler.answer(302, b"", Location=f"{sns.endpoint}/elsewhere")
    try:
        assert bridge.deliver(sns.subscription_confirmation()).status == 503
    finally:
        sns.confirm_answer = None
    assert not [path for path in sns.requests if "elsewhere" in path]


@pytest.mark.rule("unsubscribed")
def test_an_unsubscription_is_noted_loudly_and_its_url_never_visited(shared):
    """Its SubscribeURL would subscribe again."""
    bridge, sns, _ = shared
    assert bridge.deliver(sns.unsubscribe_confirmation(version="2")).status == 200
    assert bridge.wait_for("unsubscribed", topic_arn=sns.topic)["level"] in ("warning", "error")
    assert not confirmations(sns)


def test_no_token_and_no_url_in_the_log(start_bridge, sns):
    bridge = start_bridge(BRIDGE_LOG_LEVEL="debug")
    sent = [sns.subscription_confirmation(), sns.unsubscribe_confirmation(), sns.notification("a secret of the sender")]
    assert [bridge.deliver(one).status for one in sent] == [200, 200, 200]
    sns.confirm_answer = 500, b""
    sent.append(sns.subscription_confirmation())
    assert bridge.deliver(sent[-1]).status == 503
    wait_for("the log", lambda: bridge.events("verdict", status=503))
    log = json.dumps(bridge.log)
    for one in sent:
        fields = json.loads(one.body)
        for name in ("Token", "SubscribeURL", "UnsubscribeURL", "Signature", "Message"):
            assert fields.get(name, "(none)") not in log, name
