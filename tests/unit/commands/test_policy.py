"""`bridge policy`: its policy obeys SNS's own rules, and lasts nearly an hour.

Source: SNS developer guide, "Creating an HTTP/S delivery policy": numRetries 0 to 100, minDelayTarget from 1 and not above
maxDelayTarget, maxDelayTarget to 3,600, the three counts together at most numRetries, all delays together at most 3,600 s.
"""

import json
import shlex

import pytest

from bridge.commands.policy import DELIVERY_POLICY, REDRIVE_POLICY, policy, seconds
from bridge.errors import SettingError
from bridge.simulate.delivery import Policy

RETRY = DELIVERY_POLICY["healthyRetryPolicy"]


def test_the_numbers_obey_snss_rules():
    assert set(RETRY) == set(Policy._fields)
    assert 0 <= RETRY["numRetries"] <= 100
    assert 1 <= RETRY["minDelayTarget"] <= RETRY["maxDelayTarget"] <= 3600
    counts = [RETRY[name] for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")]
    assert min(counts) >= 0 and sum(counts) <= RETRY["numRetries"]
    assert RETRY["backoffFunction"] in ("linear", "arithmetic", "geometric", "exponential")
    assert set(DELIVERY_POLICY) <= {"healthyRetryPolicy", "throttlePolicy", "requestPolicy"}


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
def test_all_delays_together_last_less_than_the_3600_seconds_that_sns_allows(function):
    delays = Policy.of({"healthyRetryPolicy": RETRY | {"backoffFunction": function}}).delays()
    assert len(delays) == 100 and sum(delays) <= 3600


def test_the_recommended_one_outlasts_an_outage_of_58_minutes():
    delays = Policy.of(DELIVERY_POLICY).delays()
    assert 58 * 60 < sum(delays) <= 3600
    assert abs(seconds(RETRY) - sum(delays)) < 30 and 58 * 60 < seconds(RETRY) <= 3600


def test_a_short_outage_costs_seconds():
    assert sum(Policy.of(DELIVERY_POLICY).delays()[:3]) <= 5


def test_it_prints_json_and_commands_that_carry_the_same_json(capsys):
    assert policy("", "") == 0
    text = capsys.readouterr().out
    delivery, redrive = text.split("# DeliveryPolicy\n")[1].split("# RedrivePolicy")
    assert json.loads(delivery) == DELIVERY_POLICY
    assert json.loads(redrive.partition("\n")[2].partition("aws ")[0]) == REDRIVE_POLICY
    commands = [shlex.split(command, comments=True) for command in text[text.index("aws sns") :].replace("\\\n", " ").splitlines()]
    assert commands.pop() == []  # what to set so that it prints more
    assert [command[:3] for command in commands] == [["aws", "sns", "set-subscription-attributes"]] * 2
    found = {
        command[command.index("--attribute-name") + 1]: json.loads(command[command.index("--attribute-value") + 1]) for command in commands
    }
    assert found == {"DeliveryPolicy": DELIVERY_POLICY, "RedrivePolicy": REDRIVE_POLICY}
    assert "59 minutes" in text or "60 minutes" in text


def test_with_queues_it_prints_their_policies_and_the_bridges_own(capsys):
    queues = ["https://sqs.eu-central-1.amazonaws.com/123456789012/letters", "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders"]
    arns = ["arn:aws:sqs:eu-central-1:123456789012:letters", "arn:aws-cn:sqs:cn-north-1:123456789012:orders"]
    topics = ["arn:aws:sns:eu-central-1:123456789012:orders", "arn:aws:sns:*:123456789012:*"]
    assert policy(", ".join(topics), ",".join(queues)) == 0
    text = capsys.readouterr().out
    commands = [shlex.split(command, comments=True) for command in text[text.index("aws sns") :].replace("\\\n", " ").splitlines()]
    values = {}
    for command in filter(None, commands):
        values.setdefault(command[2], []).append((command[-3], json.loads(command[-1])))
    assert values["set-subscription-attributes"][1][1] == {"deadLetterTargetArn": arns[0]}
    for (url, attributes), queue, arn in zip(values["set-queue-attributes"], queues, arns, strict=True):
        [statement] = json.loads(attributes["Policy"])["Statement"]
        assert url == queue and statement["Resource"] == arn and statement["Action"] == "sqs:SendMessage"
        assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
        assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": topics}}
    [(_, document)] = values["put-role-policy"]
    assert document["Statement"][0]["Resource"] == arns
    operations = {"ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"}
    assert set(document["Statement"][0]["Action"]) == {f"sqs:{operation}" for operation in operations}


def test_what_is_no_queue_is_told():
    with pytest.raises(SettingError, match="BRIDGE_SQS_QUEUES: 'orders' is not a queue's URL"):
        policy("", "orders")
