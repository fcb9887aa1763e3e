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
NO_RECEIPT = "bridge-check"  # no message has it: SQS answers ReceiptHandleIsInvalid if the caller may delete, else AccessDenied


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
    days = "?" if kept is None else f"{kept / 86400:g}"
    print(f"queue {url.url}: {said[0]} messages wait, {said[1]} are hidden; messages are kept for {days} days")
    try:
        refused = [*drive(queue.delete([NO_RECEIPT])).values(), *drive(queue.change_visibility([(NO_RECEIPT, 0)])).values()]
    except SQSError as error:
        say(f"queue {url.url}: {error}")
        return False
    codes = {code for code, _vain in refused} - {"ReceiptHandleIsInvalid"}
    if codes:
        advice = "is it allowed? `bridge policy` prints the IAM policy that the bridge needs"
        say(f"queue {url.url}: deleting and hiding by a receipt that no message has was answered {', '.join(sorted(codes))}; {advice}")
        return False
    print(f"queue {url.url}: deleting is allowed; receiving is not tried, because each receive counts (maxReceiveCount)")
    return True
