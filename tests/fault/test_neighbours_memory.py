"""Memory stays below idle + 1.25 x BRIDGE_MAX_BUFFERED + 16 MiB under any attack."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from bridge.simulate.envelope import post
from bridge.simulate.post import request
from tests.fault.neighbours.crowd import Attack
from tests.fault.neighbours.siege import forget_highest, metric, resident
from tests.fault.test_neighbours_certificates import STRENGTHS, slow
from tests.fault.test_neighbours_turn import shown
from tests.tools.fault_proxy import FaultProxy
from tests.tools.ports import wait_for

MIB = 1 << 20
WIDE = ("lists", "objects", "pairs", "singles", "nested", "numbers", "strings", "objects and astral text")

# Each: the attack, and whether the Go bridge is asked too.
BODIES = {f"one JSON body of 2 MiB, {kind}": (Attack(kind, 1, 4), True) for kind in WIDE} | {
    "one body of 190,000 names": (Attack("many_members", 1, 4), True),
    "one body of 40,000 attributes": (Attack("many_attributes", 1, 4), True),
    "40 JSON bodies of 2 MiB at once, lists": (Attack("lists", 40, 6), True),
    "80 forged messages of 2 MiB, each reset": (Attack("forged_one_unknown", 80, 6, "reset", size=2 * MIB - 2000, back=False), True),
    "80 forged messages of 2 MiB, again and again reset": (Attack("forged_one_unknown", 80, 6, "reset", size=2 * MIB - 2000), True),
    "80 forged messages of 2 MiB that wait": (Attack("forged_one_unknown", 80, 6, size=2 * MIB - 2000), True),
    "900 bodies just under 64 KiB that wait": (Attack("forged_one_unknown", 900, 6, size=65_000), True),
    "900 bodies just under 64 KiB, and bytes ahead": (Attack("forged_unknown_then_more", 900, 6, size=65_000), True),
    "900 bodies under way, 64 KiB less one byte": (Attack("part_of_small_body", 900, 6, size=65_536), True),
    "900 heads under way, 16 KB": (Attack("part_of_head", 900, 6, size=16_000), True),
    "80 bodies under way, 1.9 MB of 2": (Attack("part_of_body", 80, 6, size=1_900_000), True),
    "80 bodies in chunks that stop, 1.9 MB": (Attack("chunks_that_stop", 80, 6, size=1_900_000), True),
    "33 heads that announce 2 MiB": (Attack("announced", 33, 10), True),
    "900 heads that announce 2 MiB": (Attack("announced", 900, 6), True),
    "900 heads of 15 KB that announce 2 MiB": (Attack("announced", 900, 6, size=15_000), True),
    "33 bodies of 2 MiB, 60 KiB of each": (Attack("part_of_body", 33, 6, size=60_000), True),
    "Expect: 100-continue for 2 MiB, on 900": (Attack("expect_no_body", 900, 6), True),
    "answers of pipelined requests, unread, on 900": (Attack("tiny", 900, 6, read=False, throughput=20e6), True),
}
SHOWN = {
    *("one JSON body of 2 MiB, objects", "80 forged messages of 2 MiB, each reset", "900 bodies just under 64 KiB that wait"),
    *("80 bodies in chunks that stop, 1.9 MB", "33 heads that announce 2 MiB", "900 heads that announce 2 MiB"),
}
QUICK = ("80 forged messages of 2 MiB, each reset", "33 heads that announce 2 MiB")


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
@pytest.mark.parametrize("name", [pytest.param(name, marks=shown(name in SHOWN)) for name in BODIES])
def test_bodies(name, times, neighbours, sns):
    """Genuine messages, of 80 KB too, get through; requests without a genuine message are refused first."""
    attack, go = BODIES[name]
    sns.unknown_answer = slow(6)
    neighbours.play(name + (", twice" if times == 2 else ""), attack.doubled() if times == 2 else attack, go=go)


@pytest.mark.quick
@pytest.mark.parametrize("name", QUICK)
def test_bodies_in_short(name, neighbours, sns):
    sns.unknown_answer = slow(6)
    neighbours.play(name + ", for 4 s", BODIES[name][0]._replace(seconds=4))


def large(sns, kind):
    """A genuine message of 1.9 MB, as anybody can make of one that SNS has signed: most of it is not signed."""
    envelope = json.loads(sns.notification("hello").body)
    filler = "é" * 950_000 if kind == "not ASCII" else "x" * 1_900_000
    envelope |= {"MessageAttributes": {"a": {"Type": "String", "Value": filler}}} if kind == "an attribute" else {"Filler": filler}
    return post(envelope)


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["an attribute", "an unknown member", "not ASCII"])
def test_large_messages_that_wait_for_their_confirm(kind, neighbours, broker, sns):
    """The broker confirms nothing: as many genuine messages as BRIDGE_MAX_BUFFERED allows are held in the memory that is promised."""
    with FaultProxy(broker.port) as proxy:
        bridge = neighbours.bridge(BRIDGE_AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2F")
        admin, pid = int(bridge.settings["BRIDGE_ADMIN_LISTEN"].rpartition(":")[2]), bridge.pid()
        for _ in range(10):
            assert bridge.deliver(sns.notification()).status == 200
        idle = resident(pid, "VmRSS")
        forget_highest(pid)
        proxy.swallow()
        overloaded = 'bridge_verdicts_total{status="503",reason="overloaded"}'
        congested = 'bridge_verdicts_total{status="503",reason="broker-unavailable"}'  # the proxy did not keep up

        def judged():
            return sum(metric(admin, name) for name in ("bridge_in_flight", overloaded, congested))

        with ExitStack() as stack:

            def send(number):
                expected = judged() + number
                clients = [stack.enter_context(bridge.connect()) for _ in range(number)]
                with ThreadPoolExecutor(number) as pool:
                    list(pool.map(lambda client: client.send(request(large(sns, kind), "a")), clients))
                wait_for("all to be held or refused", lambda: judged() == expected)

            send(40)  # at once, so that they arrive in pieces
            full = metric(admin, overloaded)
            while metric(admin, overloaded) == full:
                send(1)
            held, highest = metric(admin, "bridge_in_flight"), resident(pid, "VmHWM")
        neighbours.say(f"{held:.0f} messages of 1.9 MB held, {kind}: RSS {idle:.0f} -> {highest:.0f} MiB")
        assert held >= (64 * MIB) // 3_900_000, "BRIDGE_MAX_BUFFERED does not allow as many as it should"
        assert highest < idle + 1.25 * 64 + 16


@pytest.mark.shown
@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_heads_that_announce_much_from_another_address(times, neighbours):
    """They reconnect faster than 1,000 connections can be looked at: none of SNS's new connections is closed for one of theirs."""
    attack = Attack("announced", 900 * times, 6, addresses=1)
    neighbours.play(f"{attack.connections:,} heads that announce 2 MiB, from another address", attack)


@pytest.mark.shown
@pytest.mark.parametrize("times", STRENGTHS.values(), ids=STRENGTHS)
def test_new_topics(times, neighbours, sns):
    """Under a list with `*` anybody can name new topics, so nothing of one is kept before a signature of it was right."""
    bridge = neighbours.bridge(BRIDGE_TOPICS="arn:aws:sns:*:123456789012:*")
    neighbours.play(f"new topics, unsigned, on {4 * times}", Attack("new_topics", 4 * times, 10), bridge=bridge)
