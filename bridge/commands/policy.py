"""`bridge policy`: what to set at SNS so that an outage loses nothing.

Source: SNS developer guide, "HTTP/S delivery policy" and "Dead-letter queues".
"""

import json

from bridge.errors import SettingError

# A policy may last 3,600 s at most, all of its delays together. These sum to 3,570 s.
DELIVERY_POLICY = {
    "healthyRetryPolicy": {
        "numRetries": 100,
        "numNoDelayRetries": 2,
        "minDelayTarget": 5,
        "numMinDelayRetries": 12,
        "maxDelayTarget": 60,
        "numMaxDelayRetries": 26,
        "backoffFunction": "linear",
    },
    "requestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
}
REDRIVE_POLICY = {"deadLetterTargetArn": "arn:aws:sqs:REGION:ACCOUNT:bridge-dead-letters"}


def seconds(policy: dict[str, int | str]) -> float:
    """Return how long SNS goes on trying under a healthyRetryPolicy with linear backoff, in seconds without the attempts' own time."""
    shortest, longest = int(policy["minDelayTarget"]), int(policy["maxDelayTarget"])
    between = int(policy["numRetries"]) - sum(int(policy[f"num{kind}Retries"]) for kind in ("NoDelay", "MinDelay", "MaxDelay"))
    steps = sum(shortest + (longest - shortest) * step / (between + 1) for step in range(1, between + 1))
    return int(policy["numMinDelayRetries"]) * shortest + steps + int(policy["numMaxDelayRetries"]) * longest


def policy(arguments: list[str]) -> int:
    """Print both policies and the commands that set them; return 0. Raises SettingError."""
    if arguments:
        raise SettingError(arguments[0], "policy takes no arguments")
    retry = DELIVERY_POLICY["healthyRetryPolicy"]
    print(f"# SNS then goes on for {seconds(retry) / 60:.0f} minutes before the message goes to the dead-letter queue.")  # type: ignore[arg-type]
    print("# DeliveryPolicy")
    print(json.dumps(DELIVERY_POLICY, indent=2))
    print("# RedrivePolicy (make the SQS queue first, and let sns.amazonaws.com send to it)")
    print(json.dumps(REDRIVE_POLICY, indent=2))
    for name, value in (("DeliveryPolicy", DELIVERY_POLICY), ("RedrivePolicy", REDRIVE_POLICY)):
        print(f"aws sns set-subscription-attributes --subscription-arn SUBSCRIPTION_ARN --attribute-name {name} \\")
        print(f"  --attribute-value '{json.dumps(value)}'")
    return 0
