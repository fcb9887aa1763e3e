"""What `bridge serve` says at its start."""

import pytest

from bridge.commands.serve import insecure
from bridge.config import load

QUEUE = "sqs.eu-central-1.amazonaws.com/123456789012/orders"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, []),
        ({"SQS_QUEUES": f"https://{QUEUE}"}, []),
        ({"SQS_QUEUES": f"https://{QUEUE},http://{QUEUE}2"}, ["BRIDGE_SQS_QUEUES"]),
        ({"SQS_QUEUES": f"http://{QUEUE}", "SQS_ENDPOINT": "https://localhost:4566"}, []),
        ({"SQS_QUEUES": f"https://{QUEUE}", "SQS_ENDPOINT": "http://localhost:4566"}, ["BRIDGE_SQS_ENDPOINT"]),
        (
            {"SQS_QUEUES": f"http://{QUEUE}", "SQS_ENDPOINT": "http://localhost:1", "SNS_ENDPOINT": "http://localhost:2"},
            ["BRIDGE_SNS_ENDPOINT", "BRIDGE_SQS_ENDPOINT"],
        ),
    ],
)
def test_a_setting_by_which_aws_is_asked_in_plain_http_is_named(settings, named):
    found = insecure(load({"TOPICS": "arn:aws:sns:eu-central-1:123456789012:orders", **settings}))
    assert [text.partition(" is not https")[0] for text in found] == named
