"""One measurement: load on one server, what it cost, and whether the queue holds what was answered 200."""

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.bench.messages import Load
from tests.bench.servers import QUEUE, Bare, Server
from tests.tools.broker import Broker
from tests.tools.ports import wait_for


def cpu(pids: Iterable[int]) -> float:
    """CPU seconds of these processes, to the nanosecond, also of their threads that have ended: a bridge may do its work in those."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) names
        except OSError:
            continue  # it has just ended
    return total


def pss(pids: Iterable[int]) -> float:
    """Proportional set size of these processes in MiB."""
    kib = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def busy() -> float:
    """CPU seconds that the whole machine has worked, all cores."""
    user, nice, system, _idle, _iowait, irq, softirq = (int(word) for word in Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / 100


class Bench:
    """The broker, the load, and one measurement after another."""

    def __init__(self, broker: Broker, load: Load, kind: str = "classic") -> None:
        """kind: of the queue, which is declared here."""
        self.broker, self.load, self.kind = broker, load, kind
        self.on = f"RabbitMQ {broker.rabbitmq.release}, {kind} queue"
        broker.declare(QUEUE, kind=kind)
        self._first = 0
        assert broker.process is not None
        self._broker_pid = broker.process.pid

    def run(self, server: Server | Bare, size: int, connections: int, count: int, seconds: float) -> dict[str, Any]:
        """What load.c (or publish.c) measured."""
        self._first += 997  # other messages each time, in an order that repeats from run to run
        words = server.load(self.load.requests(size), connections, count, seconds, self._first)
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=seconds + 90)
        if done.returncode:
            raise SystemExit(f"load on {server.name}: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def measure(self, server: Server | Bare, size: int, connections: int, count: int, seconds: float, warm: float = 0.25) -> dict[str, Any]:
        """One row of the raw figures. us: CPU a message in microseconds; others: cores taken by anything else on the machine."""
        if warm:
            self.run(server, size, connections, count, warm)
        self.broker.purge(QUEUE)
        pids = server.pids
        before = cpu(pids), cpu([self._broker_pid]), busy(), time.perf_counter()
        load = self.run(server, size, connections, count, seconds)
        after = cpu(pids), cpu([self._broker_pid]), busy(), time.perf_counter()
        own, broker, machine, elapsed = (b - a for a, b in zip(before, after, strict=True))
        if isinstance(server, Bare):
            own, load["cpu"] = load["cpu"], 0.0
        answered = max(load["answered"], 1)
        lost = self._lost(load["ok"])
        self.broker.purge(QUEUE)
        return {
            "name": server.name,
            "size": size,
            "connections": connections,
            "answered": load["answered"],
            "ok": load["ok"],
            "bad": load["errors"] + load["answered"] - load["ok"],
            "why": load["error"],
            "lost": lost,
            "rate": load["ok"] / load["seconds"],
            "p50": load["p50"],
            "p99": load["p99"],
            "us": own / answered * 1e6,
            "broker_us": broker / answered * 1e6,
            "load_us": load["cpu"] / answered * 1e6,
            "others": max(0.0, (machine - own - broker - load["cpu"]) / elapsed),
            "pss": pss(pids),
        }

    def _lost(self, ok: int) -> int:
        """How many of the messages that were answered 200 are not in the queue; below 0: more are there than that."""
        try:
            wait_for("the queue's count", lambda: self.broker.count(QUEUE) == ok, 3, 0.1)
        except AssertionError:
            return ok - self.broker.count(QUEUE)
        return 0
