"""Basic authentication as SNS does it: a challenge first, then the credentials; and raw delivery, which has no other proof."""

import pytest

from bridge.simulate.certificates import replace
from bridge.simulate.post import basic
from tests.tools.ports import wait_for


@pytest.fixture
def users(folder):
    path = folder / "users"
    path.write_text("sns:first-password\nsns:second:with colon\n")
    return path


def test_sns_is_challenged_and_then_let_in(start_bridge, broker, queue, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    sent = sns.notification()
    with bridge.connect() as connection:
        answer = connection.deliver(sent)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert connection.deliver(sent, extra=basic("sns:first-password")).status == 200
    assert broker.ids(queue) == [sent.message_id]


def test_sns_by_its_own_rules_gets_through(start_bridge, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    endpoint = bridge.endpoint("sns:first-password")
    assert sns.subscribe(endpoint).status == 200
    assert sns.confirmed


@pytest.mark.rule("BRIDGE_BASIC_AUTH_FILE")
def test_any_line_of_the_file_is_accepted(start_bridge, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    assert bridge.deliver(sns.notification(), extra=basic("sns:second:with colon")).status == 200


@pytest.mark.parametrize(
    "credentials",
    ["sns:wrong", "other:first-password", "sns:", ":", "", "sns:first-password\n", "sns:first-passwordx", "SNS:first-password"],
)
def test_wrong_credentials_are_401(start_bridge, broker, queue, sns, users, credentials):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    assert bridge.deliver(sns.notification(), extra=basic(credentials)).status == 401
    assert broker.count(queue) == 0
    assert "password" not in str([line for line in bridge.log if line["event"] == "verdict"])


@pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic !!!", "Digest username=sns"])
def test_another_scheme_is_401(start_bridge, sns, users, header):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    assert bridge.deliver(sns.notification(), extra={"Authorization": header}).status == 401


def test_healthy_needs_no_credentials(start_bridge, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    with bridge.connect() as connection:
        answer = connection.get("/healthy")
    assert (answer.status, answer.body) == (200, b"")


def test_a_rotated_password_is_accepted_without_a_restart(start_bridge, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users))
    replace(users, b"sns:third-password\n")
    wait_for("the new password", lambda: bridge.deliver(sns.notification(), extra=basic("sns:third-password")).status == 200, 5)
    assert bridge.deliver(sns.notification(), extra=basic("sns:first-password")).status == 401


def test_raw_delivery_publishes_the_body_alone(start_bridge, broker, queue, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users), BRIDGE_RAW="on")
    sent = sns.notification()
    sent.headers["x-amz-sns-rawdelivery"] = "true"
    raw = sent._replace(body="just text ✓".encode())
    assert bridge.deliver(raw).status == 401
    assert bridge.deliver(raw, extra=basic("sns:first-password")).status == 200
    (stored,) = broker.take(queue)
    assert stored.body == raw.body
    assert stored.properties.message_id == sent.message_id
    assert stored.properties.headers["x-sns-topic-arn"] == sns.topic


def test_a_raw_message_of_a_foreign_topic_is_403(start_bridge, broker, queue, sns, users):
    bridge = start_bridge(BRIDGE_BASIC_AUTH_FILE=str(users), BRIDGE_RAW="on")
    sent = sns.notification()
    sent.headers.update({"x-amz-sns-rawdelivery": "true", "x-amz-sns-topic-arn": sns.topic + "-other"})
    assert bridge.deliver(sent, extra=basic("sns:first-password")).status == 403
    assert broker.count(queue) == 0
