"""`bridge check`'s look at a queue: what counts as allowed, and what fails."""

import pytest

from bridge.sns.egress import default_ca_file
from bridge.sqs.check import _check_queue
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue import Queue
from bridge.sqs.queue_url import QueueURL
from tests.tools.sqs import REGION


@pytest.fixture
def check(sqs, capsys):
    def checked():
        url = QueueURL(sqs.url("orders"))
        queue = Queue(url, sqs.endpoint, CredentialChain(sqs.environment, REGION, None), default_ca_file())
        return _check_queue(url, queue), capsys.readouterr().out.replace(url.url, "URL")

    return checked


def test_receipts_that_are_invalid_mean_that_deleting_is_allowed(check):
    well, said = check()
    assert well and "queue URL: 0 messages wait, 0 are hidden; messages are kept for 14 days\nqueue URL: deleting is allowed" in said


@pytest.mark.parametrize("operation", ["DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((500, {"__type": "InternalFailure"}), "was answered 500 InternalFailure"),
        ((400, {"__type": "RequestThrottled"}), "was throttled"),
        ((400, {"__type": "AccessDeniedException"}), "is not allowed"),
        (
            (200, {"Failed": [{"Id": "0", "Code": "AccessDenied", "SenderFault": True}]}),
            "was answered AccessDenied; is it allowed? `bridge policy`",
        ),
        ((200, {"Successful": [], "Failed": []}), "no answer"),
    ],
)
def test_whatever_else_is_answered_is_told_and_fails(sqs, check, operation, answer, problem):
    sqs.fault = lambda asked, _members: answer if asked == operation else None
    well, said = check()
    assert not well and problem in said and "deleting is allowed" not in said


@pytest.mark.parametrize("attributes", [{}, {"status": "ok"}, {"Attributes": {"ApproximateNumberOfMessages": "3"}}])
def test_attributes_of_no_queue_are_told_and_fail(sqs, check, attributes):
    sqs.fault = lambda asked, _members: (200, attributes) if asked == "GetQueueAttributes" else None
    well, said = check()
    assert not well and said == (
        "queue URL: GetQueueAttributes on queue orders was answered 200, and not as SQS does (BRIDGE_SQS_ENDPOINT, HTTPS_PROXY?)\n"
    )


def test_many_messages_are_told_by_their_number(sqs, check):
    answer = 200, {"Attributes": {"ApproximateNumberOfMessages": "12345678", "MessageRetentionPeriod": "43200"}}
    sqs.fault = lambda asked, _members: answer if asked == "GetQueueAttributes" else None
    well, said = check()
    assert well and "12345678 messages wait, ? are hidden; messages are kept for 0.5 days" in said


def test_a_number_that_is_missing_is_not_made_up(sqs, check):
    answer = 200, {"Attributes": {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q"}}
    sqs.fault = lambda asked, _members: answer if asked == "GetQueueAttributes" else None
    well, said = check()
    assert well and "? messages wait, ? are hidden; messages are kept for ? days" in said
