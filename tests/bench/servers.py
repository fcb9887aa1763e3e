"""The bridges that are measured, each as one process tree that is started, watched and stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import messages
from tests.bench.prepare import CACHE, GO_BRIDGE, HERE, LOAD, PUBLISH, ROOT
from tests.tools.ports import free_port

QUEUE = "bench"
OURS = {
    "BRIDGE_LISTEN": "127.0.0.1:{port}",
    "BRIDGE_AMQP_URL": "{url}",
    "BRIDGE_ROUTING_KEY": QUEUE,
    "BRIDGE_TOPICS": messages.TOPIC,
    "BRIDGE_CERTIFICATES": "{certificates}",
    "BRIDGE_MAX_AGE": "0",  # the messages were signed days ago
    "BRIDGE_MAX_CONNECTIONS": "2000",
    "BRIDGE_LOG_LEVEL": "warning",  # the peers log nothing of a delivery either
}
PEERS = {
    "BENCH_PORT": "{port}",
    "BENCH_AMQP_URL": "{url}",
    "BENCH_QUEUE": QUEUE,
    "BENCH_TOPIC": messages.TOPIC,
    "BENCH_CERTIFICATE": "{certificate}",
    "BENCH_CERTIFICATE_URL": messages.CERTIFICATE_URL,
}
UVICORN = [
    *(sys.executable, "-m", "uvicorn", "fastapi_bridge:app", "--app-dir", str(HERE / "peers"), "--host", "127.0.0.1", "--port", "{port}"),
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
]


class Candidate(NamedTuple):
    """A bridge to measure: its name in the tables and how it is started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]

    def with_(self, name: str, *words: str, **environment: str) -> "Candidate":
        return Candidate(name, [*self.command, *words], {**self.environment, **environment})


SOURCE = Candidate("bridge", [sys.executable, "-m", "bridge"], OURS)
BINARY = Candidate("bridge, binary", [str(ROOT / "dist/bridge")], OURS)
UNPACKED = Candidate("bridge, unpacked", [str(ROOT / "dist/bridge.unpacked")], OURS)
GO = Candidate("Go", [str(GO_BRIDGE)], PEERS)
FASTAPI = Candidate("FastAPI", UVICORN, PEERS)


def ours() -> list[Candidate]:
    """The bridge from source, and as the binary that was built."""
    return [one for one in (SOURCE, BINARY, UNPACKED) if one is SOURCE or Path(one.command[0]).exists()]


class Server:
    """A started candidate. `to_first_200` seconds passed from exec to the first message confirmed."""

    def __init__(self, candidate: Candidate, url: str, load: messages.Load) -> None:
        self.name, self.port = candidate.name, free_port()
        values = {"port": self.port, "url": url, "certificates": load.certificates, "certificate": load.certificate}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "PYTHON"))}
        environment = kept | {name: value.format(**values) for name, value in candidate.environment.items()}
        self.log = CACHE / f"{candidate.name.replace(', ', '-')}.log"
        with open(self.log, "w") as log:
            begun = time.perf_counter()
            self.process = subprocess.Popen(
                [word.format(**values) for word in candidate.command],
                env=environment,
                cwd=CACHE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_for_200(load.posts(512, 1)[0][1], begun + 30)
        except BaseException:
            self.stop()
            raise
        self.to_first_200 = time.perf_counter() - begun

    def load(self, requests: Path, connections: int, count: int, seconds: float, first: int) -> list[object]:
        """The command that puts load on it and prints what it saw."""
        return [LOAD, self.port, requests, connections, count, seconds, first]

    def _wait_for_200(self, request: bytes, end: float) -> None:
        while self.post(request) != 200:
            if time.perf_counter() > end or self.process.poll() is not None:
                raise SystemExit(f"{self.name} does not answer 200; its log ends:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.002)

    def post(self, request: bytes) -> int:
        """Send a request on a connection of its own; return the answer's status, 0 when there was none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=15) as connection:
                connection.sendall(request)
                return int(connection.recv(4096)[9:12] or 0)
        except OSError:
            return 0

    @property
    def pids(self) -> list[int]:
        """The process and all that it started."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def stop(self) -> None:
        """Ask the tree to end, and make it."""
        pids = self.pids
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class Bare:
    """No bridge: the load is a bare publisher with as many messages in flight as a bridge would have connections. Its rate is the limit
    of the broker, and its CPU the cost of AMQP alone."""

    name = "broker alone"
    pids: tuple[int, ...] = ()

    def __init__(self, port: int) -> None:
        self.port = port  # the broker's

    def load(self, requests: Path, connections: int, count: int, seconds: float, first: int) -> list[object]:
        """As Server.load."""
        return [PUBLISH, self.port, requests, connections, count, seconds, first, QUEUE]
