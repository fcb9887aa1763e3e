"""The memory limits that are shipped hold while somebody attacks memory: the kernel kills nothing, and nothing is lost.

128 MiB: docker/kubernetes.yaml, docker/compose.yaml. 256 MiB: docs/bridge.service. 32 MiB: the README, with the BRIDGE_MAX_BUFFERED that it
names, for the binary: an interpreter from source takes more than that before the first message.
"""

import re

import pytest

from bridge.settings import size
from bridge.simulate.certificates import Authority
from tests.conftest import settings_for
from tests.fault.neighbours.crowd import Attack
from tests.fault.neighbours.siege import MIB
from tests.fault.test_neighbours_certificates import slow
from tests.fault.test_neighbours_memory import BODIES
from tests.fault.test_neighbours_turn import shown
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import ROOT, UNDER_TEST
from tests.tools.cgroup import MemoryGroup
from tests.tools.ports import free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")


def shipped(file: str, pattern: str) -> str:
    """The limit that a file of ours sets, such as 128M."""
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    assert found, f"{file} sets no memory limit any more"
    return found[1].upper()


def buffered(file: str) -> dict[str, str]:
    """The BRIDGE_MAX_BUFFERED that stands beside the limit, if one does."""
    found = re.search(r"BRIDGE_MAX_BUFFERED[:=] *(\w+)", (ROOT / file).read_text(encoding="utf-8"))
    return {"BRIDGE_MAX_BUFFERED": found[1]} if found else {}


LIMITS = {
    "Kubernetes": (shipped("docker/kubernetes.yaml", r"limits: \{ memory: (\d+M)i \}"), buffered("docker/kubernetes.yaml")),
    "compose": (shipped("docker/compose.yaml", r"mem_limit: (\d+m)"), buffered("docker/compose.yaml")),
    "systemd": (shipped("docs/bridge.service", r"MemoryMax=(\d+M)"), {}),
}
SMALL = (
    r"in 32 MiB of memory \((\d+) MiB with a queue\) "
    r"when `BRIDGE_MAX_BUFFERED=(\w+)` and `BRIDGE_MAX_BODY=(\w+)`"
)
small = re.search(SMALL, README)
assert small, "the README names the settings for 32 MiB"
if UNDER_TEST != "source":
    LIMITS["README"] = ("32M", {"BRIDGE_MAX_BUFFERED": small[2], "BRIDGE_MAX_BODY": small[3]})

ATTACKS = {name: attack._replace(seconds=5) for name, (attack, _) in BODIES.items() if not name.startswith("one JSON")} | {
    "one JSON body of 2 MiB, objects": Attack("objects", 1, 4),
    "one JSON body of 2 MiB, objects and astral text": Attack("objects and astral text", 1, 4),
}
SHOWN = {  # those that come nearest to a limit
    *("40 JSON bodies of 2 MiB at once, lists", "80 bodies under way, 1.9 MB of 2", "80 bodies in chunks that stop, 1.9 MB"),
    "900 bodies under way, 64 KiB less one byte",
}


@pytest.fixture
def started(sns, broker, queue):
    """started(limit, **settings): a bridge in a cgroup, and the cgroup. What it is killed by is left to the test."""
    groups, bridges = [], []

    def start(limit: str, **settings: str) -> tuple[Wrapped, MemoryGroup]:
        group = MemoryGroup(size(limit))
        groups.append(group)
        admin = {"BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        bridge = Wrapped(prefix=group.prefix, **settings_for(sns, broker.url, queue), **admin, **settings)
        bridges.append(bridge)
        bridge.start(wait=False)
        bridge.wait_for("broker_connected", seconds=30)
        return bridge, group

    yield start
    for bridge in bridges:
        bridge.kill()
    for group in groups:
        group.__exit__()


@pytest.mark.skipif(UNDER_TEST == "image", reason="podman's own memory limit is the image tests' matter")
@pytest.mark.parametrize("place", LIMITS)
@pytest.mark.parametrize("name", [pytest.param(name, marks=shown(name in SHOWN)) for name in ATTACKS])
def test_limit(name, place, started, neighbours, sns):
    sns.unknown_answer = slow(5)
    limit, settings = LIMITS[place]
    bridge, group = started(limit, **settings)
    attack = ATTACKS[name].doubled()
    most = size(settings.get("BRIDGE_MAX_BODY", "2MiB"))
    attack = attack._replace(size=min(attack.size, most - 2000))  # else it is refused at once
    hold(f"{name}, limit {limit} ({place})", bridge, group, attack, neighbours, rate=20)


@pytest.mark.shown
@pytest.mark.skipif(UNDER_TEST == "image", reason="podman's own memory limit is the image tests' matter")
@pytest.mark.parametrize("place", LIMITS)
@pytest.mark.parametrize("stream", ["client_hello", "half_hello"])
def test_limit_with_tls(stream, place, started, neighbours, folder):
    """As many TLS connections as BRIDGE_MAX_CONNECTIONS lets in, each with OpenSSL's buffers."""
    authority = Authority(folder / "tls", "listener")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1")
    limit, settings = LIMITS[place]
    bridge, group = started(limit, BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key), **settings)
    words = {"rate": 20, "endpoint": bridge.endpoint(ca_file=authority.ca_file)}
    name = f"TLS {stream.replace('_', ' ')} on 2,000, from another address, limit {limit} ({place})"
    hold(name, bridge, group, Attack(stream, 2000, 6, addresses=1), neighbours, **words)


def hold(name, bridge, group, attack, neighbours, **words):
    try:
        neighbours.play(name, attack, bridge=bridge, **words)
    finally:
        neighbours.say(f"    the cgroup at most {group.highest() / MIB:.0f} MiB, killed {group.killed()}")
    assert not group.killed()
    bridge.stop()
