"""The receivers of all queues, which share credentials, the room for answers, and the number of calls under way."""

import os

from bridge.amqp.loop import Loop
from bridge.amqp.publisher import Publisher
from bridge.config import Config
from bridge.counters import Counters
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.pipeline import Pipeline
from bridge.sns.fetch import Egress
from bridge.sqs.calls import Calls
from bridge.sqs.credentials import CredentialChain, ask
from bridge.sqs.queue import Queue, Room
from bridge.sqs.receiver import Receiver

# Seconds of a turn for what comes from queues: while requests come by HTTP, and otherwise.
SHORT, LONG = 0.0003, 0.02
CALLS = 32  # under way for a queue: polls, deletes, changes of visibility
# Answers may take an eighth of BRIDGE_MAX_BUFFERED before their messages are counted, because reading one takes several times its bytes.
ANSWERS = 8


class Receivers:
    """The receivers of the queues of BRIDGE_SQS_QUEUES."""

    def __init__(
        self, config: Config, loop: Loop, pipeline: Pipeline, requests: PendingRequests, publisher: Publisher, counters: Counters, log: Log
    ) -> None:
        self._counters = counters
        egress = Egress(loop.call_soon, loop.call_later, config.ca_file, loop.cancel, len(config.sqs_queues))  # all calls fit in its line
        chain = CredentialChain(os.environ, config.sqs_queues[0].region, ask(egress.ca_file))
        room = Room(config.max_buffered // ANSWERS)
        self._calls, self._letters = Calls(loop, egress, CALLS * len(config.sqs_queues)), loop.letters
        shared = self._calls, loop, pipeline, requests, publisher, counters, log
        queues = [Queue(one, config.sqs_endpoint, chain, egress.ca_file, room=room) for one in config.sqs_queues]
        self._receivers = [Receiver(queue, *shared) for queue in queues]
        for receiver in self._receivers:
            receiver.all_in_flight = lambda: sum(one.in_flight for one in self._receivers)

    def tick(self) -> None:
        """Receive what is possible now; to be called several times a second."""
        self._calls.expire()
        posted = any(receiver.posted for receiver in self._receivers)
        self._letters.budget = SHORT if posted else LONG
        for receiver in self._receivers:
            receiver.pull()
            receiver.look()
        self._counters.put("sqs_waiting", sum(receiver.waiting for receiver in self._receivers))

    @property
    def idle(self) -> bool:
        """Whether all published messages are deleted."""
        return all(receiver.idle for receiver in self._receivers)
