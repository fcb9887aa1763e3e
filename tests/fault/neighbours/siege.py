"""One attack on one bridge, under a genuine load: the promises, and the figures.

A Bridge (ours) and a Go (the benchmark's peer) are both besieged by the same code.
"""

import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from bridge.settings import size
from bridge.simulate.post import Connection, Endpoint
from bridge.simulate.sns import SNS
from tests.fault.neighbours.crowd import Attack, Crowd
from tests.fault.neighbours.genuine import Delivery, Genuine, asked, quantile
from tests.fault.neighbours.streams import MIB, Scene
from tests.tools.bridge import ROOT, Bridge
from tests.tools.broker import Broker
from tests.tools.ports import free_port, listening, wait_for

BENCH_PYTHON = ROOT / ".venv-bench/bin/python"
BEFORE, AFTER = 1.5, 1.0  # seconds of the genuine load before the attack, and after it
BESIDE = 16 * MIB  # bytes above the idle bridge and 1.25 x BRIDGE_MAX_BUFFERED
SOON = 1.0  # seconds


class Seen(NamedTuple):
    """The figures of a siege, in seconds and MiB. deliveries: those during the attack; p50, p99: of those due after its opening; livez: 0
    where it was not asked.

    starved: by which factor other work of the machine held the bridge up; 1 is not at all, 10 is the most that counts.
    """

    sent: int
    answered: int
    p50: float
    p99: float
    worst: float
    idle: float
    highest: float
    livez: float
    starved: float
    refused: list[Delivery]
    attacker: dict[str, int]

    def __str__(self) -> str:
        return (
            f"{self.answered} of {self.sent}, p50 {self.p50:.3f} p99 {self.p99:.2f} worst {self.worst:.2f} s, "
            f"RSS {self.idle:.0f} -> {self.highest:.0f} MiB, /livez {self.livez:.2f} s, starved {self.starved:.1f}; "
            f"attacker {self.attacker}"
        )

    @property
    def soon(self) -> float:
        """A second, on a machine that leaves the bridge its processor time."""
        return SOON * self.starved


# ---- memory


def family(pid: int) -> list[int]:
    """The process and those that it started."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def resident(pid: int, name: str) -> float:
    """VmRSS or VmHWM of all its processes, in MiB."""
    lines = [line for one in family(pid) for line in Path(f"/proc/{one}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def forget_highest(pid: int) -> None:
    """VmHWM starts again from here (proc(5), clear_refs)."""
    for one in family(pid):
        Path(f"/proc/{one}/clear_refs").write_text("5")


def core_waits(pid: int) -> dict[str, int]:
    """Nanoseconds that each of its threads waited for a core so far (proc(5), schedstat)."""
    paths = [path for one in family(pid) for path in Path(f"/proc/{one}/task").glob("*/schedstat")]
    return {str(path): int(path.read_text().split()[1]) for path in paths}


def starved(before: dict[str, int], after: dict[str, int], seconds: float) -> float:
    """By which factor waiting for a core held up the thread that waited most."""
    longest = max((after[path] - before.get(path, 0)) / 1e9 for path in after)
    return seconds / max(seconds - longest, seconds / 10)


# ---- the besieged


class Go:
    """The benchmark's Go bridge (tests/bench/peers/bridge.go), with the interface that a siege needs."""

    name = "Go bridge"
    admin = 0

    def __init__(self, sns: SNS, broker: Broker, queue: str, folder: Path) -> None:
        self.port, self._sns = free_port(), sns
        (folder / "go.pem").write_bytes(sns.certificate)
        self._settings = {
            "BENCH_PORT": str(self.port),
            "BENCH_AMQP_URL": broker.url,
            "BENCH_QUEUE": queue,
            "BENCH_TOPIC": sns.topic,
            "BENCH_CERTIFICATE": str(folder / "go.pem"),
            "BENCH_CERTIFICATE_URL": sns.signer.certificate_url,
        }

    def __enter__(self) -> "Go":
        self._process = subprocess.Popen([go_bridge()], env=self._settings, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the Go bridge", lambda: listening(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.port}/")


def go_bridge() -> Path:
    """Build the Go bridge if that was not done, as `make bench` does it."""
    words = [BENCH_PYTHON if BENCH_PYTHON.exists() else Path(sys.executable), "-c", BUILD]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, f"the Go bridge can't be built (make .venv-bench/.ready): {done.stdout}{done.stderr}"
    return Path(done.stdout.splitlines()[-1])


BUILD = """
from tests.bench import prepare
prepare.CACHE.mkdir(parents=True, exist_ok=True)
prepare.build_in_go(prepare.GO_BRIDGE, prepare.HERE / "peers/bridge.go", prepare.library)
print(prepare.GO_BRIDGE)
"""


def metric(port: int, name: str) -> float:
    """One value of /metrics."""
    with Connection("127.0.0.1", port) as connection:
        text = connection.get("/metrics").body.decode()
    return sum(float(line.split()[1]) for line in text.splitlines() if line.partition(" ")[0] == name)


# ---- the siege


def scene_of(sns: SNS) -> Scene:
    """Everything that an attacker can know."""
    return Scene(sns.endpoint, sns.signer.certificate_url, sns.topic, sns.notification("y").body.decode())


def besiege(
    bridge: "Bridge | Go",
    attack: Attack | None,
    sns: SNS,
    broker: Broker,
    queue: str,
    *,
    endpoint: Endpoint | None = None,
    rate: float = 30,
    seconds: float = 8,
    beside: "AbstractContextManager[object] | None" = None,
    port: int = 0,
    opening: float = 0,
) -> Seen:
    """Play the attack (None: none, for so many seconds) and return what was seen. beside: what else goes on meanwhile.
    port: where the attack goes, if not where SNS's messages do. opening: seconds in which the attackers come.

    Asserts that nothing was lost, that the process is still the same, and that nothing is in flight in the end.
    """
    endpoint = endpoint or bridge.endpoint()
    admin = int(bridge.settings["BRIDGE_ADMIN_LISTEN"].rpartition(":")[2]) if isinstance(bridge, Bridge) else 0
    pid = bridge.pid()
    for _ in range(10):  # whatever is made once has been made
        with endpoint.connect() as connection:
            assert endpoint.deliver(connection, sns.notification("warm")).status == 200
    broker.purge(queue)
    idle = resident(pid, "VmRSS")
    with ExitStack() as stack:
        livez = stack.enter_context(asked(admin)) if admin else []
        genuine = stack.enter_context(Genuine(sns, endpoint, rate=rate))
        time.sleep(BEFORE)
        forget_highest(pid)
        begin, waits = time.monotonic(), core_waits(pid)
        crowd = stack.enter_context(Crowd(attack, scene_of(sns), port or bridge.port)) if attack else None
        if beside is not None:
            stack.enter_context(beside)
        if crowd is not None:
            crowd.wait()
        else:
            time.sleep(seconds)
        time.sleep(AFTER)
        end = time.monotonic()
        share = starved(waits, core_waits(pid), end - begin) if bridge.running() else 1.0
    assert bridge.running() and bridge.pid() == pid, f"the bridge has ended; {len(genuine.refused())} genuine messages were refused"
    highest = resident(pid, "VmHWM")
    if admin:
        wait_for("nothing in flight", lambda: metric(admin, "bridge_in_flight") == 0, 30, 0.2)
    verdict = genuine.verdict(broker.take(queue))
    assert not verdict.faults, verdict
    during = genuine.between(begin, end)
    waited = [delivery.seconds for delivery in during if delivery.due >= begin + opening]
    return Seen(
        sent=len(during),
        answered=sum(delivery.status == 200 for delivery in during),
        p50=quantile(waited, 0.5),
        p99=quantile(waited, 0.99),
        worst=max(delivery.seconds for delivery in during),
        idle=idle,
        highest=highest,
        livez=max((seconds if status == 200 else 99.0 for seconds, status in livez), default=0.0),
        starved=share,
        refused=genuine.refused(),
        attacker=crowd.seen if crowd else {},
    )


def allowed_memory(bridge: Bridge, idle: float) -> float:
    """The most that it may take, in MiB."""
    processes = int(bridge.settings.get("BRIDGE_PROCESSES", "1"))
    return idle + processes * (1.25 * size(bridge.settings.get("BRIDGE_MAX_BUFFERED", "64MiB")) + BESIDE) / MIB


def faults(bridge: Bridge, seen: Seen) -> list[str]:
    """The promises that were not kept, in words."""
    found = []
    if seen.refused:
        why = sorted({f"{delivery.status} {delivery.why}" for delivery in seen.refused})
        found.append(f"{len(seen.refused)} genuine messages were refused: {why[:4]}")
    if seen.p99 > seen.soon:
        found.append(f"p99 is {seen.p99:.2f} s")
    if seen.livez > seen.soon:
        found.append(f"/livez took {seen.livez:.2f} s (99: it was no 200)")
    if seen.highest > allowed_memory(bridge, seen.idle):
        found.append(f"memory rose to {seen.highest:.0f} MiB, {allowed_memory(bridge, seen.idle):.0f} are allowed")
    return found


def worse(ours: Seen, peer: Seen) -> list[str]:
    """The figures in which we are worse than the other bridge under the same attack, and miss the promise."""
    found = []
    if ours.answered / ours.sent < peer.answered / peer.sent:
        found.append(f"{ours.answered} of {ours.sent} were answered 200, by the Go bridge {peer.answered} of {peer.sent}")
    if ours.p99 > max(ours.soon, peer.p99):
        found.append(f"p99 is {ours.p99:.2f} s, the Go bridge's {peer.p99:.2f} s")
    return found
