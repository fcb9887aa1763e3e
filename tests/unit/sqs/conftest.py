"""A simulated SQS, and what stands around a receiver.

sqs, open_queue   an SQS on loopback whose signatures botocore checks; open_queue(...) calls its queue
world             a receiver, with SQS, the pipeline and the broker that the test plays
"""

import time

import pytest

from bridge.sns.egress import default_ca_file
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue_url import QueueURL
from tests.tools.blocking_queue import BlockingQueue
from tests.tools.sqs import REGION, SQS
from tests.unit.sqs.world import World


@pytest.fixture
def sqs():
    with SQS() as sqs:
        yield sqs


@pytest.fixture
def open_queue(sqs):
    def opened(name="orders", now=time.time, endpoint=None, **environment):
        chain = CredentialChain(sqs.environment | environment, REGION, None)
        return BlockingQueue(QueueURL(sqs.url("orders").replace("orders", name)), endpoint or sqs.endpoint, chain, default_ca_file(), now)

    return opened


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)
