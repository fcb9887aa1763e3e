"""`bridge simulate`: send what SNS would send to a bridge that is not subscribed yet, and report the answers."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.commands.policy import DELIVERY_POLICY
from bridge.errors import SettingError, TopicNotAllowed
from bridge.settings import address, size
from bridge.simulate import report
from bridge.simulate.delivery import Outcome, Policy, deliver_all
from bridge.simulate.envelope import Post
from bridge.simulate.hostile import send, variants
from bridge.simulate.post import Endpoint
from bridge.simulate.signing import signer
from bridge.simulate.sns import SNS, Messages
from bridge.sns.topic import TopicArn

TOPIC = "arn:aws:sns:eu-central-1:000000000000:simulated"  # no such account exists
FOLDER = "simulated-sns"


def simulate(arguments: list[str]) -> int:
    """Run a simulation; return 0 when every message was taken and every hostile one refused, else 1. Raises SettingError."""
    options = _parser().parse_args(arguments)
    try:
        topic = TopicArn(options.topic)
        policy = Policy.of(json.loads(Path(options.policy).read_text(encoding="utf-8")) if options.policy else DELIVERY_POLICY)
        with _messages(options, topic) as messages:
            if options.to:
                return _run(options, messages, policy)
            print("\n".join(_settings(options, messages)))
            return 0
    except TopicNotAllowed as error:
        raise SettingError("--topic", str(error)) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SettingError("simulate", f"{type(error).__name__}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bridge simulate", description=__doc__, epilog="Without --to it tells how to start the bridge.")
    add = parser.add_argument
    add("--to", metavar="URL", help="the bridge, http[s]://[user:password@]host[:port]/path")
    add("--topic", metavar="ARN", default=TOPIC, help="the topic to play (%(default)s)")
    add("--count", metavar="N", type=int, default=100, help="messages (%(default)s)")
    add("--rate", metavar="N", type=float, default=0, help="messages a second; 0: as fast as the bridge takes them (%(default)s)")
    add("--size", metavar="SIZE", type=size, default=512, help="size of a Message: 512, 64KiB (%(default)s)")
    add("--connections", metavar="N", type=int, default=16, help="number of connections at a time (%(default)s)")
    add("--versions", metavar="1,2", default="1,2", help="SignatureVersions, used by turns (%(default)s)")
    add("--hostile", action="store_true", help="send also messages that must be refused")
    add("--policy", metavar="FILE", help="file with a DeliveryPolicy (JSON); else the one that `bridge policy` prints")
    add("--speed", metavar="N", type=float, default=1, help="make the policy's delays N times shorter (%(default)s)")
    add("--ca-file", metavar="FILE", type=Path, help="root certificates (PEM) that an https bridge is verified by")
    add("--folder", metavar="FOLDER", type=Path, default=Path(FOLDER), help="folder for key and certificate (%(default)s)")
    add("--listen", metavar="HOST:PORT", type=address, help="serve SNS's own endpoint there (http), which confirms subscriptions too")
    return parser


@contextlib.contextmanager
def _messages(options: argparse.Namespace, topic: TopicArn) -> Iterator[Messages]:
    if options.listen is None:
        yield Messages(topic.arn, signer(options.folder, topic))
        return
    host, _ = options.listen
    with tempfile.TemporaryDirectory() as folder, SNS(Path(folder), topic=topic.arn, host=host, listen=options.listen, tls=False) as sns:
        yield sns


def _settings(options: argparse.Namespace, messages: Messages) -> Iterator[str]:
    again = f"bridge simulate --to http://localhost:3000/ --topic {messages.topic}"
    yield "# Start the bridge under trial with these beside its broker's settings, on a queue made for the trial. It then takes whatever"
    yield "# the simulation signs for this topic: never set them where real topics are let in, and unset them after the trial."
    yield f"export BRIDGE_TOPICS={messages.topic}"
    if isinstance(messages, SNS):
        yield f"export BRIDGE_SNS_ENDPOINT={messages.endpoint}"
        yield f"# Then: {again} --listen {messages.endpoint.removeprefix('http://')}"
    else:
        yield f"export BRIDGE_CERTIFICATES={(options.folder / 'certificates').resolve()}   # for a day; key.pem beside it stays here"
        yield f"# Then: {again} --folder {options.folder.resolve()}"


def _run(options: argparse.Namespace, messages: Messages, policy: Policy) -> int:
    endpoint = Endpoint(options.to, options.ca_file)
    versions = options.versions.replace(",", "")
    if not versions or set(versions) - {"1", "2"}:
        raise SettingError("--versions", "are 1, 2 or 1,2")
    good = _subscribed(messages, endpoint, versions[-1]) if isinstance(messages, SNS) else True
    posts = _paced(messages.notifications(options.count, "simulated", versions=versions, size=options.size), options.rate)
    print(f"Notifications of {options.size:,} bytes, signature versions {options.versions}, {options.connections} connections", flush=True)
    outcomes: list[Outcome] = []
    start = time.monotonic()
    try:
        deliver_all(posts, endpoint, connections=options.connections, policy=policy, scale=1 / options.speed, outcomes=outcomes)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    outcomes = list(outcomes)
    print("\n".join(report.of_messages(outcomes, options.count, time.monotonic() - start)), flush=True)
    good = good and len(outcomes) == options.count and all(outcome.delivered for outcome in outcomes)
    if options.hostile:
        good = _hostile(messages, endpoint) and good
    return 0 if good else 1


def _subscribed(sns: SNS, endpoint: Endpoint, version: str) -> bool:
    answer = sns.subscribe(endpoint, version=version)
    confirmed = bool(sns.confirmed)
    words = "called back" if confirmed else "NOT called back (BRIDGE_SNS_ENDPOINT?)"
    print(f"SubscriptionConfirmation: {answer.status} {report.reason(answer.body.decode('utf-8', 'replace'))}; ConfirmSubscription {words}")
    return confirmed and answer.status == 200


def _hostile(messages: Messages, endpoint: Endpoint) -> bool:
    print("Hostile")
    good = True
    for variant in variants(messages):
        answer = send(variant, endpoint)
        print(report.of_variant(variant, answer), flush=True)
        good = good and not report.verdict(variant, answer)
    return good


def _paced(posts: Iterator[Post], rate: float) -> Iterator[Post]:
    start = time.monotonic()
    for number, post in enumerate(posts):
        if rate:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield post
