"""The raw rows as tables: medians, ratios within each round, and the targets with what was found."""

import os
import platform
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

BARE = "broker alone"
Row = dict[str, Any]
Found = dict[str, Any]


def machine() -> dict[str, str]:
    """What it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return {"cores": str(os.cpu_count()), "processor": model, "system": release.get("PRETTY_NAME", platform.system())}


def rows_of(found: Found, part: str, **wanted: object) -> list[Row]:
    return [row for row in found["rows"] if row["part"] == part and all(row.get(name) == value for name, value in wanted.items())]


def names_of(rows: Iterable[Row]) -> list[str]:
    """The candidates in the order of the table: ours first, the bare publisher last."""
    names = {row["name"] for row in rows}
    return sorted(names, key=lambda name: (name == BARE, not name.startswith("bridge"), name.startswith("FastAPI"), name))


def median(rows: Iterable[Row], what: str) -> float:
    values = [row[what] for row in rows]
    return statistics.median(values) if values else float("nan")


def ratio(rows: Iterable[Row], name: str, other: str, what: str) -> float:
    """The median over the rounds of name's figure / other's in the same round."""
    by = {(row["round"], row["name"]): row[what] for row in rows}
    pairs = [value / by[round_, other] for (round_, one), value in by.items() if one == name and by.get((round_, other))]
    return statistics.median(pairs) if pairs else float("nan")


def table(head: str, lines: Iterable[Iterable[str]]) -> str:
    """Markdown; the first column to the left, numbers to the right."""
    columns = head.split(" | ")
    rule = "|---|" + "---:|" * (len(columns) - 1)
    return "\n".join(["| " + head + " |", rule, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def number(value: float, digits: int = 0) -> str:
    return "-" if value != value else f"{value:,.{digits}f}"


def comparison(rows: list[Row]) -> str:
    """One line a candidate of one cell."""
    lines = []
    for name in names_of(rows):
        own = [row for row in rows if row["name"] == name]
        figures = [number(median(own, "rate")), number(median(own, "p50"), 2), number(median(own, "p99"), 2), number(median(own, "us"))]
        ratios = [number(ratio(rows, name, other, what), 2) for other in ("Go", "FastAPI") for what in ("rate", "us")]
        ratios.append(number(ratio(rows, name, BARE, "rate"), 2))
        lines.append(
            [name, *figures, *ratios, number(median(own, "broker_us")), number(median(own, "load_us")), number(median(own, "others"), 1)]
        )
    return table(
        "bridge | messages/s | p50 ms | p99 ms | CPU us a message | rate / Go's | CPU / Go's | rate / FastAPI's | CPU / FastAPI's"
        " | rate / the broker's | broker us | load us | others' cores",
        lines,
    )


def cells(found: Found, part: str) -> str:
    rows, pieces = rows_of(found, part), []
    for size, connections in sorted({(row["size"], row["connections"]) for row in rows}):
        at = "1 connection" if connections == 1 else f"{connections:,} connections"
        pieces.append(
            f"#### {size:,} B, {at}\n\n" + comparison([row for row in rows if (row["size"], row["connections"]) == (size, connections)])
        )
    return "\n".join(pieces)


def starts(found: Found) -> str:
    rows = rows_of(found, "starts")
    lines = [
        [name, number(median(own, "ms")), number(median(own, "pss"), 1)]
        for name in names_of(rows)
        for own in ([row for row in rows if row["name"] == name],)
    ]
    return table("bridge | exec to first 200, ms | memory then (PSS), MiB", lines)


class Decade(NamedTuple):
    """messages so far; since the decade before: CPU us a message, and that / Go's at the same time; memory in MiB."""

    messages: int
    us: float
    ratio: float
    memory: float


def decades(found: Found, name: str) -> list[Decade]:
    """What a message costs at each power of ten from 1,000; the memory is that of the process that went on to the end."""
    rows, marks, last = rows_of(found, "endurance", of=name), [], 0
    go = {(row["round"], row["total"]): row["us"] for row in rows if row["name"] == "Go"}
    own = [row for row in rows if row["name"] == name]
    last_round = max((row["round"] for row in own), default=0)
    longest = [row for row in own if row["round"] == last_round]
    for mark in (1_000, 10_000, 100_000, 1_000_000):
        reached = next((row for row in longest if row["total"] >= mark), None)
        if reached:
            window = [row for row in own if last < row["total"] <= reached["total"]]
            beside = statistics.median(row["us"] / go[row["round"], row["total"]] for row in window)
            marks.append(Decade(mark, median(window, "us"), beside, reached["pss"]))
            last = reached["total"]
    return marks


def endurance(found: Found) -> str:
    names = [name for name in names_of(rows_of(found, "endurance")) if name != "Go"]
    lines = [
        [name, f"{one.messages:,}", number(one.us, 1), number(one.ratio, 2), number(one.memory, 2)]
        for name in names
        for one in decades(found, name)
    ]
    return table("bridge | messages so far | CPU us a message since the line before | the same / Go's then | memory (PSS), MiB", lines)


IDLE = """\
The idle bridge's queue is reached over TLS, as at AWS. From source a bridge has the roots of all public authorities, in the image Amazon's
five; so has the binary here. Python's ssl with the roots takes more memory than all that is the queue's own: a bridge that has fetched a
certificate from SNS has it already, one whose certificates lie in a folder does not.

"""
PATIENCE = """\
What a message by HTTP waits: alone; while the same bridge drains letters; and, as the control, while a neighbour does, a second bridge
that drains another queue on the same cores into the same broker. What the control has too comes from the machine and the broker, not from
the loop.

"""


def sqs(found: Found) -> str:
    """A queue beside HTTP: the cost of a message, an idle bridge, and what a message by HTTP waits."""
    rows = rows_of(found, "sqs")
    lines = []
    for name in names_of(rows):
        for size in sorted({row["size"] for row in rows}):
            own = [row | {"name": row["way"]} for row in rows if row["name"] == name and row["size"] == size]
            ways = [[row for row in own if row["way"] == way] for way in ("http", "sqs")]
            figures = [number(median(one, what)) for one in ways for what in ("rate", "us")]
            lines.append([f"{name}, {size:,} B", *figures, number(ratio(own, "sqs", "http", "us"), 2)])
    text = table("bridge | by HTTP, messages/s | CPU us a message | from SQS, messages/s | CPU us a message | CPU, SQS / HTTP", lines)
    lines = []
    for name in names_of(rows_of(found, "sqs idle")):
        two = [rows_of(found, "sqs idle", name=name, way=way) for way in ("without", "with")]
        lines.append([name, *(number(median(one, what), 2 + (what == "percent")) for what in ("pss", "percent") for one in two)])
    text += "\n" + IDLE + table("idle | memory (PSS) without a queue, MiB | with one | CPU without, % of a core | with one", lines)
    lines = []
    for name in names_of(rows_of(found, "sqs patience")):
        ways = {way: rows_of(found, "sqs patience", name=name, way=way) for way in ("alone", "draining", "neighbour")}
        waits = (number(median(one, what), 1) for what in ("p50", "p99") for one in ways.values())
        lines.append([name, *waits, *(number(median(ways[way], "rate")) for way in ("draining", "neighbour"))])
    each = "alone, ms | while letters drain | while a neighbour's do"
    head = f"100 messages a second by HTTP | p50 {each} | p99 {each} | letters/s | the neighbour's"
    return text + "\n" + PATIENCE + table(head, lines)


def _at64(name: str, other: str, what: str, size: int = 512, connections: int = 64, part: str = "grid") -> Callable[[Found], float]:
    return lambda found: ratio(rows_of(found, part, size=size, connections=connections), name, other, what)


def _started(name: str, what: str) -> Callable[[Found], float]:
    return lambda found: median(rows_of(found, "starts", name=name), what)


def _growth(found: Found) -> float:
    marks = decades(found, "bridge")
    return marks[-1].memory - marks[1].memory if len(marks) == 4 else float("nan")


def _flat_messages(found: Found) -> float:
    costs = [one.ratio for one in decades(found, "bridge")]
    return max(costs) / min(costs) if len(costs) > 2 else float("nan")


def _flat_connections(found: Found) -> float:
    rows = rows_of(found, "connections", name="bridge")
    costs = [median([row for row in rows if row["connections"] == many], "us") for many in {row["connections"] for row in rows}]
    return max(costs) / min(costs) if len(costs) > 1 else float("nan")


# (what, at least or at most, the target, how it is read off the rows)
TARGETS: tuple[tuple[str, str, float, Callable[[Found], float]], ...] = (
    ("CPU a message / Go's, 64 connections, from source", "<=", 0.72, _at64("bridge", "Go", "us")),
    ("the same, the binary", "<=", 0.78, _at64("bridge, binary", "Go", "us")),
    ("CPU a message, the binary / from source", "<=", 1.10, _at64("bridge, binary", "bridge", "us")),
    ("rate / Go's, 64 connections, one process", ">=", 1.00, _at64("bridge", "Go", "rate")),
    ("rate / Go's, BRIDGE_PROCESSES=2", ">=", 1.25, _at64("bridge x2", "Go", "rate", part="processes")),
    ("the same, the binary", ">=", 1.25, _at64("bridge, binary x2", "Go", "rate", part="processes")),
    ("CPU / FastAPI's, 64 connections", "<=", 0.20, _at64("bridge", "FastAPI", "us")),
    ("p99 / Go's, 64 connections", "<=", 1.0, _at64("bridge", "Go", "p99")),
    ("CPU / Go's, 65,536 B, 8 connections", "<=", 1.0, _at64("bridge", "Go", "us", 65536, 8)),
    ("idle memory of the binary, unpacked, MiB", "<=", 13, _started("bridge, unpacked", "pss")),
    ("idle memory of the binary, packed, MiB", "<=", 13, _started("bridge, binary", "pss")),
    ("exec to first 200 of the binary, unpacked, ms", "<=", 60, _started("bridge, unpacked", "ms")),
    ("exec to first 200 of the binary, packed, ms", "<=", 250, _started("bridge, binary", "ms")),
    ("memory after 1,000,000 messages - after 10,000, MiB", "<=", 1, _growth),
    ("CPU a message / Go's, 1,000 to 1,000,000 messages, dearest / cheapest", "<=", 1.15, _flat_messages),
    ("CPU a message, 64 to 1,000 connections, dearest / cheapest", "<=", 1.15, _flat_connections),
)


def targets(found: Found) -> str:
    lines = []
    for what, way, target, read in TARGETS:
        value = read(found)
        met = "not measured" if value != value else "yes" if (value <= target if way == "<=" else value >= target) else "**no**"
        lines.append([what, f"{way} {target:g}", number(value, 2), met])
    return table("figure | target | found | met", lines)


INTRODUCTION = """\
# Benchmark

`make bench` made this file. The job, the same for all: a POST of an SNS Notification (a Message of the size named, in an envelope
of 1.3 kB more) -> topic allowed, RSA-2048 signature of version 1 or 2 verified -> published persistent and mandatory -> 200 after
the confirm. The peers in `tests/bench/peers` do only that; the bridge also checks every message by its strict grammar and sends
SNS's fields as AMQP headers.

Load, broker and bridge share the machine, so compare CPU a message first: rates depend on what the broker leaves. Ratios are
medians over rounds of the figures of one round. Before the measurements each bridge had to refuse forged messages and to answer 503
without a queue; after each measurement the queue's count was compared with the number of 200s.

*broker alone* is no bridge but a publisher in C (`tests/bench/publish.c`) without HTTP and verification. It keeps as many of the same
messages in flight over one connection as the load has connections. Its rate is the limit of any bridge on this broker and machine;
the work of the load generator and the bridge comes on top.

"""


def rounds(found: Found) -> str:
    """How often each cell of the tables was measured: one number, or from the least to the most."""
    rows = [row for row in found["rows"] if row["part"] not in ("starts", "endurance", "sqs idle", "sqs patience")]
    often = Counter((row["part"], row["name"], row["size"], row["connections"]) for row in rows).values()
    least, most = min(often, default=0), max(often, default=0)
    return str(most) if least == most else f"{least} to {most}"


def brokers(found: Found) -> str:
    """The brokers and queues that were measured on, each with its parts when there are several."""
    on: dict[str, str] = found["about"]["on"]
    names = list(dict.fromkeys(on.values()))
    if len(names) == 1:
        return names[0]
    return "; ".join(f"{name} ({', '.join(part for part in on if on[part] == name)})" for name in names)


def text(found: Found) -> str:
    """The whole report."""
    about, rows = found["about"], found["rows"]
    sent, bad, lost = (sum(row.get(what, 0) for row in rows) for what in ("answered", "bad", "lost"))
    parts: tuple[tuple[str, Callable[[Found], str]], ...] = (
        ("Targets", targets),
        ("Start and memory", starts),
        ("One process", lambda found: cells(found, "grid")),
        ("One process, the older broker", lambda found: cells(found, "older")),
        ("Two processes", lambda found: cells(found, "processes")),
        ("Many connections", lambda found: cells(found, "connections")),
        ("Many messages", endurance),
        ("SQS", sqs),
    )
    on = f"{about['date']}; {about['cores']} cores of {about['processor']}; {about['system']}"
    how = f"{brokers(found)}; {rounds(found)} rounds of {about['seconds']} s"
    using = f"{how}; Python {about['Python']}; Go {about['Go']}; FastAPI {about['FastAPI']}"
    said = [f"{on}; {using}.\n", f"{sent:,} messages, {bad:,} bad answers, {lost:,} lost.\n"]
    return INTRODUCTION + "\n".join([*said, *(f"## {title}\n\n{write(found)}" for title, write in parts)])
