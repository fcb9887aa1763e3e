"""The control build: a bridge that answers 200 at once, without waiting for the confirm. The check has to fail it.

python -m tests.fault.control           # settings as those of the bridge
"""

import sys
from time import monotonic

from bridge import cli
from bridge.amqp import publisher
from bridge.amqp.channel import Publish

published = publisher.Publisher.publish


def publish(self: publisher.Publisher, publish: Publish) -> None:
    published(self, publish)
    publish.request.confirmed(monotonic())


if __name__ == "__main__":
    publisher.Publisher.publish = publish  # type: ignore[method-assign]
    sys.exit(cli.main())
