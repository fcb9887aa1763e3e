"""Two control builds for tests/fault/test_sqs.py: bridges that delete a message too soon. The check has to fail them.

python -m tests.fault.control_sqs before-the-confirm    # deletes what it has handed to the broker
python -m tests.fault.control_sqs in-a-finally          # deletes it whatever the outcome, as a published script does
"""

import sys

from bridge import cli
from bridge.amqp import publisher
from bridge.amqp.channel import Publish
from bridge.errors import BridgeError
from bridge.sqs import receiver
from bridge.sqs.queue import ReceivedMessage

published, answered = publisher.Publisher.publish, receiver.Receiver._answered


def publish(self: publisher.Publisher, publish: Publish) -> None:
    published(self, publish)
    publish.request.done("published")


def always(self: receiver.Receiver, message: ReceivedMessage, _error: BridgeError | None) -> None:
    answered(self, message, None)


if __name__ == "__main__":
    control = sys.argv.pop(1)
    if control == "before-the-confirm":
        publisher.Publisher.publish = publish  # type: ignore[method-assign]
    else:
        receiver.Receiver._answered = always  # type: ignore[method-assign]
    sys.exit(cli.main())
