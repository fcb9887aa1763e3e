"""The parts of the benchmark, each a list of rows: the grid, the starts, two processes, many connections, a million messages.

All are measured on ON's first broker but `older`, which is the grid's smallest messages on the second.
"""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tests.bench import servers, sqs
from tests.bench.measure import Bench, pss
from tests.bench.prepare import say
from tests.bench.servers import FASTAPI, GO, SOURCE, Bare, Candidate, Server

Row = dict[str, Any]


class On(NamedTuple):
    """A broker (tests/tools/rabbitmq.py has the versions) and the kind of its queue."""

    version: str
    kind: str


ON = On("4.3", "quorum"), On("3.10", "classic")


class Effort(NamedTuple):
    """How much is measured."""

    sizes: Sequence[int] = (512, 4096, 65536)
    connections: Sequence[int] = (1, 8, 64, 256)
    rounds: int = 5
    seconds: float = 1.5
    starts: int = 5
    endurance: int = 1_000_000
    many: Sequence[int] = (64, 250, 1000)


QUICK = Effort(sizes=(512,), connections=(8, 64), rounds=2, seconds=1.0, starts=2, endurance=20_000, many=(64, 1000))


def at_most(size: int) -> int:
    """How many messages a measurement sends at most: what lies in the queue at its end must fit into the broker's memory."""
    return 2_000 if size > 10_000 else 20_000


@contextmanager
def started(bench: Bench, candidates: Sequence[Candidate]) -> Iterator[list[Server]]:
    """All of them, running side by side; an idle one costs nothing."""
    with ExitStack() as stack:
        running = []
        for candidate in candidates:
            running.append(Server(candidate, bench.broker.url, bench.load))
            stack.callback(running[-1].stop)
        yield running


def interleaved(bench: Bench, part: str, running: Sequence[Server | Bare], cells: Sequence[tuple[int, int]], effort: Effort) -> list[Row]:
    """Rounds over all cells; in each, every server once, in an order drawn anew: what disturbs the machine disturbs all alike."""
    rows: list[Row] = []
    total = effort.rounds * len(cells)
    for done in range(total):
        round_, (size, connections) = done // len(cells), cells[done % len(cells)]
        for server in random.Random(done).sample(running, len(running)):
            row = bench.measure(server, size, connections, at_most(size), effort.seconds)
            rows.append({"part": part, "round": round_, **row})
        said = "  ".join(f"{row['name']} {row['rate']:.0f}/s {row['us']:.0f} us" for row in rows[-len(running) :])
        say(f"{part} {done + 1}/{total}  round {round_ + 1}  {size} B  {connections} connections:  {said}")
    return rows


def grid(bench: Bench, effort: Effort, part: str = "grid") -> list[Row]:
    """Every candidate and the bare publisher at every size and number of connections."""
    with started(bench, [*servers.ours(), GO, FASTAPI]) as running:
        cells = [(size, connections) for size in effort.sizes for connections in effort.connections]
        return interleaved(bench, part, [*running, Bare(bench.broker.port)], cells, effort)


def older(bench: Bench, effort: Effort) -> list[Row]:
    """The grid's smallest messages on the second broker."""
    return grid(bench, effort._replace(sizes=effort.sizes[:1]), "older")


def processes(bench: Bench, effort: Effort) -> list[Row]:
    """Two of our processes on the two cores beside one, and FastAPI with two workers."""
    two = [one.with_(f"{one.name} x2", BRIDGE_PROCESSES="2") for one in servers.ours()[:2]]
    with started(bench, [SOURCE, *two, GO, FASTAPI.with_("FastAPI x2", "--workers", "2")]) as running:
        return interleaved(bench, "processes", running, [(512, 64)], effort)


def connections(bench: Bench, effort: Effort) -> list[Row]:
    """The cost of a message as connections grow."""
    with started(bench, [SOURCE, GO]) as running:
        return interleaved(bench, "connections", running, [(512, many) for many in effort.many], effort)


def starts(bench: Bench, effort: Effort) -> list[Row]:
    """From exec to the first 200, and the memory a second later."""
    rows: list[Row] = []
    candidates = [*servers.ours(), GO, FASTAPI]
    for round_ in range(effort.starts):
        for candidate in random.Random(round_).sample(candidates, len(candidates)):
            server = Server(candidate, bench.broker.url, bench.load)
            try:
                time.sleep(1)
                rows.append(
                    {"part": "starts", "round": round_, "name": server.name, "ms": server.to_first_200 * 1e3, "pss": pss(server.pids)}
                )
            finally:
                server.stop()
    say(
        "starts:  "
        + "  ".join(f"{one.name} {statistics.median(row['ms'] for row in rows if row['name'] == one.name):.0f} ms" for one in candidates)
    )
    return rows


def endurance(bench: Bench, effort: Effort) -> list[Row]:
    """From a process's first message to its last, each stretch beside one of Go's: CPU a message, and memory meanwhile.

    The first 10,000 pass in seconds, so they are measured with one process after another.
    """
    rows: list[Row] = []
    for candidate in servers.ours()[:2]:
        for round_, until in enumerate([10_000] * (effort.rounds - 1) + [effort.endurance]):
            with started(bench, [candidate, GO]) as (server, go):
                total = 0
                while total < until:
                    chunk = max(1_000, min(20_000, total // 5))
                    row = bench.measure(server, 512, 64, chunk, 60, warm=0)
                    beside = bench.measure(go, 512, 64, min(chunk, 4_000), 60, warm=0)
                    total += row["answered"]
                    rows += [{"part": "endurance", "of": candidate.name, "round": round_, "total": total, **one} for one in (row, beside)]
                    if not row["answered"]:
                        raise SystemExit(f"{server.name}: no answers: {row['why']}")
                    if len(rows) % 20 == 0:
                        said = f"{row['us']:.0f} us  {row['pss']:.1f} MiB  Go {beside['us']:.0f} us"
                        say(f"endurance {server.name}  {total} of {until}:  {said}")
    return rows


def queues(bench: Bench, effort: Effort) -> list[Row]:
    """The same messages from an SQS queue and by HTTP."""
    quick = effort.rounds < 3
    return sqs.measured(bench, servers.ours()[:2], effort.rounds, 1 if quick else 2, sqs.LETTERS // (10 if quick else 1))


PARTS = {"starts": starts, "grid": grid, "processes": processes, "connections": connections, "endurance": endurance}
PARTS |= {"sqs": queues, "older": older}
