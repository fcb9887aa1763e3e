"""`bridge policy`: the policies of SNS, SQS, IAM and RabbitMQ with which an outage loses nothing.

Source: SNS developer guide, "HTTP/S delivery policy", "Dead-letter queues", "Fanout to Amazon SQS queues".
"""

import json

from bridge.sns.topic import TopicPattern
from bridge.sqs.queue_url import QueueURL

# All delays of a policy together may last 3,600 s at most. These sum to 3,570 s.
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
RABBITMQ_POLICY = {"delivery-limit": -1}  # RabbitMQ guide "Quorum Queues", "Poison Message Handling": -1 is no limit, since 4.0
REDRIVE_POLICY = {"deadLetterTargetArn": "arn:aws:sqs:REGION:ACCOUNT:bridge-dead-letters"}


def seconds(policy: dict[str, int | str]) -> float:
    """Return how long SNS retries under a healthyRetryPolicy with linear backoff, in seconds, without the time of the attempts."""
    shortest, longest = int(policy["minDelayTarget"]), int(policy["maxDelayTarget"])
    between = int(policy["numRetries"]) - sum(int(policy[f"num{kind}Retries"]) for kind in ("NoDelay", "MinDelay", "MaxDelay"))
    steps = sum(shortest + (longest - shortest) * step / (between + 1) for step in range(1, between + 1))
    return int(policy["numMinDelayRetries"]) * shortest + steps + int(policy["numMaxDelayRetries"]) * longest


def policy(topics: list[TopicPattern], queues: list[QueueURL]) -> int:
    """Print the policies and the commands that set them; return 0.

    topics is BRIDGE_TOPICS, queues is BRIDGE_SQS_QUEUES; for an empty one, placeholders are printed.
    """
    retry = DELIVERY_POLICY["healthyRetryPolicy"]
    redrive = {"deadLetterTargetArn": queues[0].arn} if queues else REDRIVE_POLICY
    minutes = seconds(retry) / 60  # type: ignore[arg-type]
    print(f"# By the DeliveryPolicy below SNS retries for {minutes:.0f} minutes, then sends the message to the dead-letter queue.")
    print("# RabbitMQ 4: its quorum queues drop a message at the 21st delivery; by this policy they keep it.")
    print('# (Or name a "dead-letter-exchange" in it. A queue has one policy: put what you want together.)')
    print("rabbitmqctl set_policy --apply-to queues bridge-delivery-limit '^orders$' \\")
    print(f"  '{json.dumps(RABBITMQ_POLICY)}'")
    print("# DeliveryPolicy")
    print(json.dumps(DELIVERY_POLICY, indent=2))
    which = "; it names the first of BRIDGE_SQS_QUEUES" if queues else ""
    print(f"# RedrivePolicy (make the SQS queue first, and let sns.amazonaws.com send to it{which})")
    print(json.dumps(redrive, indent=2))
    for name, value in (("DeliveryPolicy", DELIVERY_POLICY), ("RedrivePolicy", redrive)):
        print(f"aws sns set-subscription-attributes --subscription-arn SUBSCRIPTION_ARN --attribute-name {name} \\")
        print(f"  --attribute-value {_quoted(json.dumps(value))}")
    if not queues:
        print("# When BRIDGE_SQS_QUEUES names the queue, this command also prints its policy and the IAM policy that the bridge needs.")
        return 0
    sources = [topic.text for topic in topics] or ["arn:aws:sns:REGION:ACCOUNT:TOPIC"]
    for queue in queues:
        attributes = json.dumps({"Policy": json.dumps(queue_policy(queue, sources))})
        print(f"# The policy of queue {queue.name}: SNS may send to it, for these topics alone. It replaces the policy that the queue has.")
        print(f"aws sqs set-queue-attributes --queue-url {_quoted(queue.url)} \\")
        print(f"  --attributes {_quoted(attributes)}")
    print("# The IAM policy of the bridge's role or user")
    print("aws iam put-role-policy --role-name ROLE --policy-name sns-to-rabbitmq-bridge \\")
    print(f"  --policy-document {_quoted(json.dumps(iam_policy(queues)))}")
    return 0


def _quoted(text: str) -> str:
    """Return a word for a shell that stands for the text, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def queue_policy(queue: QueueURL, topics: list[str]) -> dict[str, object]:
    """Return the queue's policy, by which SNS may send to it for these TopicArns; * in one stands for a part."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue.arn,
                "Condition": {"ArnLike": {"aws:SourceArn": topics}},
            }
        ],
    }


def iam_policy(queues: list[QueueURL]) -> dict[str, object]:
    """Return the IAM policy that the bridge needs to pull from queues."""
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": [queue.arn for queue in queues]}]}
