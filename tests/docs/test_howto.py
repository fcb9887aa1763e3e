"""docs/howto.md: its blocks run as they are written, and have the effect that they should have.

A block that builds on the first section's settings gets them in front; what a section leaves to the reader (publish, and look) comes after.
"""

import json
import re

import pytest

from bridge.commands.policy import DELIVERY_POLICY
from tests.docs.conftest import run_blocks
from tests.tools.bridge import ROOT

SECTIONS = {
    text.partition("\n")[0]: "\n".join(re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.DOTALL))
    for text in (ROOT / "docs/howto.md").read_text().split("\n## ")[1:]
}
FIRST = SECTIONS["Subscribe a topic"]
SETTINGS = "\n".join(line for line in FIRST.splitlines() if line.startswith("export "))
SUBSCRIBE = FIRST.partition("bridge check\n")[2]
PUBLISH = "aws sns publish --topic-arn arn:aws:sns:eu-central-1:123456789012:orders --message hello\n"
RUN_ELSEWHERE = {  # below, by tests of their own
    *("Heal after an outage of a day", "Let SNS try for an hour", "Read the log", "Without the internet"),
    *("Pull on EKS", "Pull on ECS", "Pull at home"),  # test_credentials.py
}


def until_in(*queues: str) -> str:
    """Until each of the queues holds one message."""
    return "".join(
        f"until rabbitmqctl --quiet list_queues name messages | grep -q '^{queue}[[:space:]]1$'; do sleep 1; done\n" for queue in queues
    )


@pytest.fixture(autouse=True)
def no_queues(documented_broker):
    yield
    for queue in documented_broker.ctl("--quiet", "list_queues", "name", "--no-table-headers").split():
        documented_broker.delete(queue)


def test_no_section_is_forgotten():
    tested = {*SCENARIOS, *RUN_ELSEWHERE}
    assert {name for name, blocks in SECTIONS.items() if blocks} == tested


SCENARIOS = {
    "Subscribe a topic": FIRST + until_in("orders"),
    "Basic auth": SETTINGS + "\n" + SECTIONS["Basic auth"] + PUBLISH + until_in("orders"),
    "HTTPS": SETTINGS + "\n" + SECTIONS["HTTPS"] + PUBLISH + until_in("orders"),
    "amqps with a client certificate": SETTINGS
    + "\n"
    + SECTIONS["amqps with a client certificate"]
    + SUBSCRIBE
    + until_in("orders")
    + "rabbitmqctl delete_user bridge\n",  # the broker is all tests'
    "Pull without a public endpoint": SECTIONS["Pull without a public endpoint"] + until_in("orders"),
    "Raw message delivery": SETTINGS + "\n" + SECTIONS["Raw message delivery"] + until_in("orders"),
    "Several topics to several queues": SETTINGS + "\n" + SECTIONS["Several topics to several queues"] + until_in("sales", "invoices"),
}


@pytest.mark.parametrize("section", SCENARIOS)
def test_a_section(section, place, topics, documented_broker):
    done = run_blocks(SCENARIOS[section], place)
    log = (place / "bridge.log").read_text() if (place / "bridge.log").exists() else ""
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{log[-1500:]}"
    for queue in ("invoices", "sales") if section.startswith("Several") else ("orders",):
        (stored,) = documented_broker.take(queue)
        plain = section.startswith("Raw") or queue == "sales"
        text = stored.body.decode() if plain else json.loads(stored.body)["Message"]
        assert text == {"orders": "hello", "sales": "to orders", "invoices": "to invoices"}[queue]


def test_the_delivery_policy_is_set(place, topics):
    block = SECTIONS["Let SNS try for an hour"]
    look = 'aws sns get-subscription-attributes --subscription-arn "$arn" --query Attributes.DeliveryPolicy --output text > set.json\n'
    done = run_blocks(FIRST + block + look, place)
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert json.loads((place / "delivery-policy.json").read_text()) == DELIVERY_POLICY
    assert json.loads((place / "set.json").read_text()) == DELIVERY_POLICY


def test_dead_letters_come_in_when_the_bridge_is_back(place, topics, documented_broker):
    away = 'kill "$!"; wait "$!" || true\n'
    lost = "".join(PUBLISH.replace("hello", f"lost-{number}") for number in range(3))
    look = 'aws sqs get-queue-attributes --queue-url "$letters" --attribute-names All'
    arrived = f'until {look} | grep "Messages.: .3"; do sleep 1; done\n'
    back = "bridge check | grep '3 messages wait'\nbridge >> bridge.log &\n"
    count = "until rabbitmqctl --quiet list_queues name messages | grep -q '^orders[[:space:]]4$'; do sleep 1; done\n"
    done = run_blocks(FIRST + SECTIONS["Heal after an outage of a day"] + away + lost + arrived + back + count, place)
    log = (place / "bridge.log").read_text()
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{log[-1500:]}"
    texts = [json.loads(stored.body)["Message"] for stored in documented_broker.take("orders")]
    assert sorted(texts) == ["hello", "lost-0", "lost-1", "lost-2"]


def test_the_log_is_counted(place, start_bridge, sns):
    """With what a real bridge has logged."""
    bridge = start_bridge()
    for text in ("one", "two"):
        forged = sns.notification(text)
        bridge.deliver(forged._replace(body=forged.body.replace(text.encode(), b"forged")))
    bridge.wait_for("verdict", reason="bad-signature", more_than=1)
    (place / "bridge.log").write_text("".join(json.dumps(line) + "\n" for line in bridge.log))
    done = run_blocks(SECTIONS["Read the log"], place)
    assert done.stdout.split() == ["2", "bad-signature"], done


def test_a_message_is_verified_without_a_network(place, sns):
    (place / "message.json").write_bytes(sns.notification("hello").body)
    (place / sns.certificate_path[1:]).write_bytes(sns.certificate)
    block = SECTIONS["Without the internet"]
    done = run_blocks(block, place, BRIDGE_SNS_ENDPOINT=sns.endpoint)
    assert (done.returncode, sns.requests) == (0, []), done
    (place / sns.certificate_path[1:]).unlink()
    assert run_blocks(block, place, BRIDGE_SNS_ENDPOINT="https://localhost:1").returncode == 1
