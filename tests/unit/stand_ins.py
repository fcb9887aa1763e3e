"""What unit tests put in the place of the clock, the network, SNS and the broker; a pipeline with all of them."""

import json
import os

from bridge.commands.serve import failures
from bridge.config import load
from bridge.counters import Counters
from bridge.errors import BridgeError
from bridge.http.basic_auth import Credentials
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.pipeline import Pipeline
from bridge.simulate.certificates import Authority, leaf
from bridge.simulate.envelope import Signer, layout
from bridge.sns.certificates import Certificates
from bridge.verdicts import Verdicts

ORIGIN = "https://sns.eu-central-1.amazonaws.com"
URL = f"{ORIGIN}/SimpleNotificationService-{7:032x}.pem"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"


class Clock:
    """Unix seconds, which a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class NoNetwork:
    """Egress's interface. A fetch fails the test."""

    def get(self, url: str, *_: object) -> None:
        raise AssertionError(f"{url} was fetched")


class Host:
    """Egress's interface: records the requests; `answer` plays SNS's host."""

    def __init__(self):
        self.asked = []

    def get(self, url, limit, then):
        self.asked.append((url, then))

    def answer(self, status, body):
        _, then = self.asked.pop(0)
        then(status, body, "")


class Broker:
    """The publisher's interface: what was published is confirmed at once."""

    def __init__(self):
        self.published = []

    def left_out(self, number):
        assert not number

    def publish(self, publish):
        self.published.append(json.loads(publish.body)["Message"])
        publish.request.done("published")


class Bridge:
    """A pipeline without a network; `deliver` returns where the answer will be."""

    def __init__(self):
        log = Log(fd=os.open(os.devnull, os.O_WRONLY))
        counters = Counters(1, {one.reason: one.status for one in failures()})
        self.requests = PendingRequests(1000, 64 << 20, 10.0, Verdicts(counters, log), log)
        self.host, self.broker = Host(), Broker()
        config = load({"TOPICS": TOPIC, "MAX_AGE": "0"})
        self.clock = Clock(0.0)
        self.certificates = Certificates("", self.host, self.clock)
        self.pipeline = Pipeline(config, self.certificates, self.host, self.broker, Credentials("", log), log)
        self.pipeline._verifier._now = self.clock

    def deliver(self, body, headers=None):
        answers = []
        pending = self.requests.admit(lambda error: answers.append(error.reason if error else "published"), "192.0.2.1", 0.0, len(body))
        try:
            self.pipeline.take(body, headers or {}, pending)
        except BridgeError as error:
            pending.failed(error)
        return answers


class Key:
    """One of SNS's keys, with its certificate."""

    def __init__(self, authority, folder):
        files = authority.issue(folder, "sns.amazonaws.com", rsa=True)
        self.certificate = leaf(files)
        self.signer = Signer(files.key.read_bytes(), URL, ORIGIN)

    def message(self, text, **fields):
        return layout(self.signer.notification(TOPIC, text, **fields))


def two_keys(folder):
    """Keys that SNS has under the same URL, one after the other."""
    authority = Authority(folder)
    return Key(authority, folder / "old"), Key(authority, folder / "new")
