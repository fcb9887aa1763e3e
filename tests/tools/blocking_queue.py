"""An SQS queue whose calls are taken in the caller's thread, and return their results."""

from bridge.sns.steps import drive
from bridge.sqs.queue import Queue


class BlockingQueue(Queue):
    """See `Queue`, whose calls return their steps."""

    def receive(self, *arguments):
        return drive(super().receive(*arguments))

    def delete(self, receipts):
        return drive(super().delete(receipts))

    def change_visibility(self, receipts):
        return drive(super().change_visibility(receipts))

    def attributes(self):
        return drive(super().attributes())
