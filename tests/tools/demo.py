"""`make demo`: the whole way in a minute, on this machine alone.

A private RabbitMQ (or the one that BRIDGE_AMQP_URL names), the bridge, and a simulated SNS with a CA of its own: subscribe,
confirmation, 1,000 Notifications with real signatures, unsubscribe. Shows what lies in the queue. Then the private RabbitMQ is away for
longer than SNS tries: the dead letters lie in a simulated SQS queue, and the bridge pulls them. Stops what it started.
"""

import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pika.exceptions

from bridge.simulate.delivery import deliver_all
from bridge.simulate.envelope import Post
from bridge.simulate.report import latencies
from bridge.simulate.sns import SNS
from tests.tools.bridge import Bridge, recommended
from tests.tools.broker import Broker
from tests.tools.node import Node, Stored
from tests.tools.sqs import SQS

COUNT = 1000
GIVEN_UP = 20  # messages of the outage
HOUR_IN = 5.0  # seconds: how fast SNS's hour of retries is played
DEAD_LETTERS = "bridge-dead-letters"
CONNECTIONS = 16
FOR_REAL = """
How to run it for real
  export BRIDGE_AMQP_URL=amqp://USER:PASSWORD@BROKER:5672/%2F
  export BRIDGE_TOPICS=arn:aws:sns:REGION:ACCOUNT:TOPIC       # several: comma separated; * for any part
  export BRIDGE_QUEUE=orders BRIDGE_ROUTING_KEY=orders        # declares a quorum queue; or name your own exchange: BRIDGE_EXCHANGE
  python3 -m venv bridge-venv && . bridge-venv/bin/activate && pip install .
  bridge check                                                # are the settings right, is the broker there?
  bridge                                                      # serves on port 3000; put TLS in front, or set BRIDGE_TLS_CERT and _KEY
  aws sns subscribe --topic-arn arn:aws:sns:REGION:ACCOUNT:TOPIC --protocol https --notification-endpoint https://YOUR-HOST/
  bridge policy                                               # the delivery policy to set, so that SNS keeps trying for an hour"""


def say(step: str, text: str) -> None:
    print(f"{step:<14} {text}", flush=True)


@contextlib.contextmanager
def some_broker() -> Iterator[Node]:
    """The broker of BRIDGE_AMQP_URL, or a private one."""
    url = os.environ.get("BRIDGE_AMQP_URL", "")
    if url:
        node = Node()
        node.url = url
        try:
            with node.channel():
                say("RabbitMQ", "the one that BRIDGE_AMQP_URL names")
        except (pika.exceptions.AMQPError, OSError) as error:
            words = str(error) or "no connection; does it run there, are user and password right?"
            raise SystemExit(f"BRIDGE_AMQP_URL: {words}") from None
        yield node
        return
    say("RabbitMQ", "starting a private node (own name, ports and data) ...")
    start = time.monotonic()
    with Broker() as broker:
        say("", f"127.0.0.1:{broker.port}, after {time.monotonic() - start:.1f} s")
        yield broker


def counted(posts: list[Post]) -> Iterator[Post]:
    """The posts, with a line at each quarter."""
    for number, post in enumerate(posts, 1):
        yield post
        if number % (len(posts) // 4) == 0:
            say("", f"{number:,} of {len(posts):,} sent")


def show(message: Stored) -> None:
    properties = message.properties
    print(f"  exchange {message.exchange!r}, routing key {message.routing_key!r}")
    for name in ("content_type", "delivery_mode", "message_id", "timestamp", "type", "app_id"):
        print(f"  {name:<14} {getattr(properties, name)}")
    for name, value in (properties.headers or {}).items():
        print(f"  header         {name}: {value}")
    print("  body           byte for byte what SNS sent:")
    for line in message.body.decode().splitlines():
        print(f"    {line[:110]}{' ...' if len(line) > 110 else ''}")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    queue = f"bridge-demo-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as folder, some_broker() as broker, SNS(Path(folder)) as sns, SQS(authenticated=False) as sqs:
        Path(folder).chmod(0o755)
        sqs.longest_poll = HOUR_IN / 5  # seconds, because the outage is played fast too
        say("SNS", f"simulated, {sns.endpoint}, with a certificate authority of its own")
        settings = {
            "BRIDGE_TOPICS": sns.topic,
            "BRIDGE_SNS_ENDPOINT": sns.endpoint,
            "BRIDGE_CA_FILE": str(sns.ca_file),
            "BRIDGE_AMQP_URL": broker.url,
            "BRIDGE_QUEUE": queue,
            "BRIDGE_EXCHANGE": "",
            "BRIDGE_ROUTING_KEY": queue,
            "BRIDGE_SQS_QUEUES": sqs.url(DEAD_LETTERS),
            "BRIDGE_SQS_ENDPOINT": sqs.endpoint,
            **sqs.environment,
        }
        try:
            with Bridge(**settings) as bridge:
                bridge.wait_for("broker_connected")
                say("bridge", f"{bridge.endpoint().url}, publishes to the quorum queue {queue}")
                well = tour(bridge, sns, broker, queue)
                if isinstance(broker, Broker):
                    well = outage(bridge, sns, sqs, broker, queue) and well
                print(FOR_REAL, flush=True)
                return 0 if well else 1
        finally:
            broker.delete(queue)


def outage(bridge: Bridge, sns: SNS, sqs: SQS, broker: Broker, queue: str) -> bool:
    """No broker -> SNS gives up -> dead letters -> the broker is back -> the bridge pulls them. Returns whether all are in the queue."""
    posts, policy = list(sns.notifications(GIVEN_UP)), recommended()
    attempts = policy.numRetries + 1
    print()
    say("outage", f"RabbitMQ is stopped; SNS sends {GIVEN_UP} Notifications, each {attempts} times in an hour, which is {HOUR_IN:g} s here")
    broker.stop()
    outcomes = deliver_all(posts, bridge.endpoint(), connections=CONNECTIONS, policy=policy, scale=HOUR_IN / 3600)
    letters = sorted(outcome.post.body for outcome in outcomes if len(outcome.attempts) == attempts and not outcome.delivered)
    sqs.send(DEAD_LETTERS, *(letter.decode() for letter in letters))
    say("", f"SNS gives up on {len(letters)}; they are dead letters in a simulated SQS queue, and the bridge leaves them there")
    broker.start()
    start = shown = time.monotonic()
    while sqs.bodies(DEAD_LETTERS) and time.monotonic() < start + 30:
        time.sleep(0.1)
        if time.monotonic() > shown + 5:  # what the broker could not take yet comes back after a minute at AWS
            shown = time.monotonic()
            sqs.show(DEAD_LETTERS)
    seconds = time.monotonic() - start
    same = not sqs.bodies(DEAD_LETTERS) and sorted(message.body for message in broker.take(queue)) == letters
    words = "all of them, byte for byte" if same else "NOT all of them"
    say("healed", f"RabbitMQ is back; {seconds:.1f} s later the bridge has pulled, published and deleted {words}")
    return same and len(letters) == GIVEN_UP


def tour(bridge: Bridge, sns: SNS, broker: Node, queue: str) -> bool:
    """subscribe -> confirmation -> Notifications -> unsubscribe -> the queue's content. Returns whether all was well."""
    answer = sns.subscribe(bridge.endpoint())
    say(
        "subscribe",
        f"SubscriptionConfirmation answered {answer.status}; the bridge called ConfirmSubscription: {'yes' if sns.confirmed else 'NO'}",
    )
    say("Notifications", f"signing {COUNT:,} (RSA-2048, versions 1 and 2 by turns) ...")
    posts = list(sns.notifications(COUNT))
    start = time.monotonic()
    outcomes = deliver_all(counted(posts), bridge.endpoint(), connections=CONNECTIONS)
    seconds = time.monotonic() - start
    ok = {outcome.post.message_id for outcome in outcomes if outcome.status == 200}
    say("", f"{len(ok):,} of {COUNT:,} answered 200")
    with bridge.connect() as connection:
        unsubscribed = connection.deliver(sns.unsubscribe_confirmation()).status
    say("unsubscribe", f"UnsubscribeConfirmation answered {unsubscribed}, noted in the log, its SubscribeURL not visited")
    stored = broker.take(queue)
    same = sorted(message.properties.message_id for message in stored) == sorted(ok)
    print(f"\nIn the queue: {len(stored):,} messages; their ids are {'exactly the' if same else 'NOT the'} ids answered 200. One of them:")
    show(next(message for message in stored if json.loads(message.body).get("Subject")))
    print(f"\nFrom POST to 200: {latencies(outcomes)}; {COUNT / seconds:,.0f} a second over {CONNECTIONS} connections")
    return same and len(ok) == COUNT and sns.confirmed and answer.status == unsubscribed == 200


if __name__ == "__main__":
    sys.exit(main())
