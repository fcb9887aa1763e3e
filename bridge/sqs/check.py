"""The part of `bridge check` that looks at SQS queues. Source: SQS API reference, GetQueueAttributes and DeleteMessageBatch."""

import os

from bridge.config import Config
from bridge.console import say
from bridge.sns.egress import default_ca_file
from bridge.sns.steps import drive
from bridge.sqs.credentials import CredentialChain, ask
from bridge.sqs.queue import Queue, SQSError, whole_number
from bridge.sqs.queue_url import QueueURL

_NUMBERS = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod"  # the last one in seconds
NO_RECEIPT = "bridge-check"  # no message has it: SQS answers so if the caller may delete, else AccessDenied


def check_queues(config: Config) -> bool:
    """Print what can be seen of each queue of BRIDGE_SQS_QUEUES without receiving from it; return whether all is well. Blocks."""
    if not config.sqs_queues:
        return True
    ca_file = config.ca_file or default_ca_file()
    chain = CredentialChain(os.environ, config.sqs_queues[0].region, ask(ca_file))
    results = [_check_queue(one, Queue(one, config.sqs_endpoint, chain, ca_file)) for one in config.sqs_queues]
    return all(results)


def _check_queue(url: QueueURL, queue: Queue) -> bool:
    try:
        attributes = drive(queue.attributes())
    except SQSError as error:
        say(f"queue {url.url}: {error}")
        return False
    waiting, hidden, kept = (whole_number(attributes, name) for name in _NUMBERS)
    said = ["?" if one is None else one for one in (waiting, hidden)]
    print(f"queue {url.url}: {said[0]} messages wait, {said[1]} are hidden; messages are kept for {(kept or 0) / 86400:g} days")
    try:
        drive(queue.delete([NO_RECEIPT]))
        drive(queue.change_visibility([(NO_RECEIPT, 0)]))
    except SQSError as error:
        if error.kind == "access-denied":
            say(f"queue {url.url}: {error}")
            return False
    print(f"queue {url.url}: deleting is allowed; receiving is not tried, because each receive counts (maxReceiveCount)")
    return True
