"""A simulated SQS, and what stands around a receiver.

sqs, open_queue   an SQS on loopback whose signatures botocore checks; open_queue(...) calls its queue
aws               what gives credentials: STS, a container's agent, an instance's metadata service
environment       the environment of a machine without any settings for AWS; environment(NAME=value) adds some
world             a receiver, with SQS, the pipeline and the broker that the test plays
"""

import os
import threading
import time

import pytest

from bridge.sns.egress import default_ca_file
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue_url import QueueURL
from tests.tools.blocking_queue import BlockingQueue
from tests.tools.sqs import REGION, SQS
from tests.unit.sqs.agents import AWS
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


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """The environment of a machine without any settings for AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def add(**names):
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return add


@pytest.fixture
def aws():
    server = AWS()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
