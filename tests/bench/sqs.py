"""The part `sqs`: the same messages pulled from a queue and posted by HTTP, to one process and in one run.

The queue is tests/bench/peers/sqs.go, which is faster than any bridge. CPU a message is measured by turns, HTTP and SQS; an idle bridge
with one queue beside one without, over TLS as at AWS; and what a message that comes by HTTP waits while 100,000 dead letters drain,
beside the same without letters, and beside a second bridge that drains another queue.
"""

import json
import random
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import certifi

from bridge.simulate.certificates import Files
from bridge.simulate.sns import SNS
from tests.bench import messages, prepare, servers
from tests.bench.measure import Bench, cpu, pss
from tests.bench.prepare import say
from tests.bench.servers import QUEUE, Server
from tests.tools.ports import free_port, wait_for
from tests.tools.repeat import repeated

Row = dict[str, Any]
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/letters"
LETTERS = 100_000
A_SECOND = 100  # messages by HTTP while the letters drain
AMAZON = ("Amazon Root CA ", "Starfield Services Root Certificate Authority")  # the image's roots


class Queue:
    """The emulator, started."""

    def __init__(self, requests: Path, tls: Files | None) -> None:
        """tls: its certificate and key for localhost; without it, bridges reach it by plain HTTP."""
        self.port = free_port()
        words = [prepare.SQS, str(self.port), requests]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        if tls is not None:
            port = free_port()
            words += [str(port), *tls]
            self.endpoint = f"https://localhost:{port}"
        self.process = subprocess.Popen(words)
        wait_for("the emulator", lambda: self._answers(), 10)

    def _answers(self) -> bool:
        try:
            return bool(self.stats())
        except OSError:
            return False

    def fill(self, number: int) -> None:
        self._get(f"fill?n={number}")

    def stats(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self._get("stats"))
        return found

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content


@contextmanager
def queue(bench: Bench, size: int, tls: Files | None = None) -> Iterator[Queue]:
    started = Queue(bench.load.requests(size), tls)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def with_queue(candidate: servers.Candidate, of: Queue) -> servers.Candidate:
    settings = {"BRIDGE_SQS_QUEUES": URL, "BRIDGE_SQS_ENDPOINT": of.endpoint}
    return candidate.with_(candidate.name, **settings, AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="example")


def drained(bench: Bench, server: Server, letters: Queue, number: int) -> Row:
    """Let `number` letters be pulled; a row's figures."""
    bench.broker.purge(QUEUE)
    before, begun, had = cpu(server.pids), time.perf_counter(), letters.stats()["deleted"]
    letters.fill(number)
    wait_for("the last delete", lambda: letters.stats()["deleted"] - had >= number, 120, 0.02)
    seconds = time.perf_counter() - begun
    own = cpu(server.pids) - before
    wait_for("the queue's count", lambda: bench.broker.count(QUEUE) >= number, 5, 0.1)
    lost = number - bench.broker.count(QUEUE)
    bench.broker.purge(QUEUE)
    figures = {"rate": number / seconds, "us": own / number * 1e6, "answered": number}
    return figures | {"bad": letters.stats()["hidden"], "why": "put out of sight", "lost": lost}


def paced(server: Server, requests: list[bytes], a_second: int, until: Any) -> list[float]:
    """Post messages at a steady pace until until(seconds) says so; return for how long each waited from when it was due, in ms."""
    waits: list[float] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        begun = time.perf_counter()
        while not until(time.perf_counter() - begun):
            due = begun + len(waits) / a_second
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.sendall(requests[len(waits) % len(requests)])
            answer = connection.recv(4096)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{server.name}: {answer[:100]!r}")
            waits.append((time.perf_counter() - due) * 1000)
    return waits


def costs(bench: Bench, candidate: servers.Candidate, rounds: int, number: int) -> list[Row]:
    """CPU a message by turns: posted, and pulled."""
    rows: list[Row] = []
    for size in (512, 4096):
        with queue(bench, size) as letters:
            server = Server(with_queue(candidate, letters), bench.broker.url, bench.load)
            try:
                drained(bench, server, letters, 1000)
                for round_ in range(rounds):
                    posted = bench.measure(server, size, 64, number, 10)
                    time.sleep(1.5)  # the bridge drains one batch at a time while messages come by HTTP
                    pulled = {"name": server.name, "size": size, "connections": 0, **drained(bench, server, letters, number)}
                    for way, row in (("http", posted), ("sqs", pulled)):
                        rows.append({"part": "sqs", "round": round_, "way": way, **row})
                    said = "  ".join(f"{way} {row['rate']:.0f}/s {row['us']:.0f} us" for way, row in (("HTTP", posted), ("SQS", pulled)))
                    say(f"sqs {server.name} {size} B  {said}")
            finally:
                server.stop()
    return rows


def roots(candidate: servers.Candidate) -> bytes:
    """The roots (PEM) that a bridge has: from source certifi's, in the image Amazon's of these."""
    bundle = Path(certifi.where()).read_text()
    if candidate is not servers.SOURCE:
        bundle = "".join(f"{one}\n" for one in bundle.split("\n\n") if any(f'# Label: "{name}' in one for name in AMAZON))
    return bundle.encode()


@contextmanager
def aws(bench: Bench, candidate: servers.Candidate) -> Iterator[tuple[Files, dict[str, dict[str, str]]]]:
    """AWS over TLS: the files for the queue's endpoint; and by what a bridge has done, its settings. To its own roots comes the test's."""
    with tempfile.TemporaryDirectory() as folder, SNS(Path(folder)) as sns:
        sns.certificate_path, sns.certificate = f"/{messages.CERTIFICATE_NAME}", bench.load.certificate.read_bytes()
        trusted = Path(folder) / "roots.pem"
        trusted.write_bytes(roots(candidate) + sns.ca_file.read_bytes())
        trusts = {"BRIDGE_CA_FILE": str(trusted)}
        fetches = {"BRIDGE_CERTIFICATES": "", "BRIDGE_SNS_ENDPOINT": sns.endpoint}
        yield (
            sns.authority.issue(Path(folder) / "sqs", "localhost"),
            {"certificate in a folder": trusts, "certificate fetched": trusts | fetches},
        )


def idle(bench: Bench, candidate: servers.Candidate, rounds: int, seconds: float) -> list[Row]:
    """CPU and memory of a bridge that has nothing to do after its first message, with a queue and without."""
    rows: list[Row] = []
    with aws(bench, candidate) as (tls, settings), queue(bench, 512, tls) as letters:
        for round_ in range(rounds):
            for done, own in settings.items():
                plain = candidate.with_(candidate.name, **own)
                for way, one in (("without", plain), ("with", with_queue(plain, letters))):
                    server = Server(one, bench.broker.url, bench.load)
                    try:
                        time.sleep(3)
                        before, begun = cpu(server.pids), time.perf_counter()
                        time.sleep(seconds)
                        used = (cpu(server.pids) - before) / (time.perf_counter() - begun) * 100
                        figures = {"percent": used, "pss": pss(server.pids)}
                        rows.append({"part": "sqs idle", "round": round_, "name": f"{candidate.name}, {done}", "way": way, **figures})
                    finally:
                        server.stop()
    for row in rows:
        say(f"sqs idle {row['name']}, {row['way']} a queue: {row['pss']:.2f} MiB {row['percent']:.3f} %")
    return rows


WAYS = ("alone", "draining", "neighbour")


def patience(bench: Bench, candidate: servers.Candidate, rounds: int, number: int) -> list[Row]:
    """What a message that is posted waits, in turns: alone; while the same bridge drains letters; and, as the control, while a neighbour
    does: another process, which drains another queue as fast into the same broker on the same cores.
    """
    rows: list[Row] = []
    requests = [request for _, request in bench.load.posts(512, 2000)]
    with queue(bench, 512) as own, queue(bench, 512) as others:
        server = Server(with_queue(candidate, own), bench.broker.url, bench.load)
        neighbour = Server(with_queue(candidate.with_(f"{candidate.name} neighbour"), others), bench.broker.url, bench.load)
        try:
            for one, letters in ((server, own), (neighbour, others)):
                drained(bench, one, letters, 2000)
            for round_ in range(rounds):
                for way in random.Random(round_).sample(WAYS, len(WAYS)):
                    bench.broker.purge(QUEUE)
                    time.sleep(2)  # the broker tidies up after so many
                    letters, many = others if way == "neighbour" else own, 0 if way == "alone" else number
                    with posted_to(neighbour, requests[0]) if way == "neighbour" else nullcontext():
                        waits, rate = waited(server, requests, letters, many)
                    cut = statistics.quantiles(waits, n=100)
                    rows.append(
                        {
                            "part": "sqs patience",
                            "round": round_,
                            "name": server.name,
                            "way": way,
                            "p50": cut[49],
                            "p99": cut[98],
                            "answered": len(waits),
                            "rate": rate,
                        }
                    )
                    say(f"sqs {server.name} {way}: p50 {cut[49]:.1f} ms  p99 {cut[98]:.1f} ms  {len(waits)} by HTTP  {rate:.0f} letters/s")
        finally:
            server.stop()
            neighbour.stop()
            bench.broker.purge(QUEUE)
    return rows


def waited(server: Server, requests: list[bytes], letters: Queue, number: int) -> tuple[list[float], float]:
    """Post while `number` letters drain, or for ten seconds when it is 0; return for how long each waited, in ms, and letters a second."""
    end, begun = letters.stats()["deleted"] + number, time.perf_counter()
    if number:
        letters.fill(number)

    def over(passed: float) -> bool:
        deleted = letters.stats()["deleted"]  # in both cases, because that takes time of the cores
        return deleted >= end if number else passed > 10

    waits = paced(server, requests, A_SECOND, over)
    return waits, number / (time.perf_counter() - begun)


@contextmanager
def posted_to(server: Server, request: bytes) -> Iterator[None]:
    """Post to a server meanwhile, often enough for it to notice: a bridge that nobody posts to drains as fast as it can."""
    server.post(request)
    with repeated(0.05, lambda: server.post(request)):
        yield


def measured(bench: Bench, candidates: Iterable[servers.Candidate], rounds: int, turns: int, number: int) -> list[Row]:
    """All of it. rounds: of the costs; turns: with `number` letters that drain, and without."""
    rows: list[Row] = []
    for candidate in candidates:
        rows += costs(bench, candidate, rounds, 5_000)
        rows += idle(bench, candidate, 2, 5)
        rows += patience(bench, candidate, turns, number)
    return [{"connections": 0, "size": 512, **row} for row in rows]
