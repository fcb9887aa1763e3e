"""`bridge policy`: its policy obeys SNS's own rules, and lasts nearly an hour.

Source: SNS developer guide, "Creating an HTTP/S delivery policy": numRetries 0 to 100, minDelayTarget from 1 and not above
maxDelayTarget, maxDelayTarget to 3,600, the three counts together at most numRetries, all delays together at most 3,600 s.
"""

import json
import shlex
import subprocess

import pytest

from bridge.commands.policy import DELIVERY_POLICY, REDRIVE_POLICY, policy, seconds
from bridge.simulate.delivery import Policy
from bridge.sns.topic import parse_patterns
from bridge.sqs.queue_url import parse_queue_urls

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
    assert policy([], []) == 0
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
    assert policy(parse_patterns(", ".join(topics)), parse_queue_urls(",".join(queues))) == 0
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


def test_it_says_what_the_commands_replace_and_which_queue_they_name(capsys):
    queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/letters"
    policy([], parse_queue_urls(queue))
    text = capsys.readouterr().out
    assert "it names the first of BRIDGE_SQS_QUEUES)\n" in text and "It replaces the policy that the queue has.\n" in text


@pytest.mark.parametrize("region", ["x'; echo out; '", "$(echo out)", "`echo out`", "\necho out\n", 'x"\\', "\u2028", "*"])
def test_no_setting_breaks_out_of_the_words_of_a_shell(capsys, region):
    """Of a queue's URL without a region, AWS_REGION gives it, in which anything may stand."""
    [queue] = parse_queue_urls("http://[::1]:4566/123456789012/letters", region)
    policy([], [queue])
    text = capsys.readouterr().out
    script = "aws() { printf '%s\\0' \"$@\"; }\n" + text[text.index("aws sns") :]
    done = subprocess.run(["sh", "-euc", script], capture_output=True, check=True)
    words = done.stdout.decode().split("\0")
    assert not done.stderr and words.count("aws") == 0 and words.count("set-queue-attributes") == 1
    assert words[words.index("--queue-url") + 1] == queue.url
    assert json.loads(words[words.index("--policy-document") + 1])["Statement"][0]["Resource"] == [queue.arn]
    [statement] = json.loads(json.loads(words[words.index("--attributes") + 1])["Policy"])["Statement"]
    assert statement["Resource"] == queue.arn
