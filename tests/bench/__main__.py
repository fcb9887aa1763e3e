"""make bench: the bridge, from source and as the binary when it was built, beside a Go and a FastAPI bridge on this machine.

Starts a RabbitMQ of its own and stops what it started: 4.3 with a quorum queue, and for the part `older` 3.10 with a classic one.
BROKER names another for all parts, `older` left out. Traffic goes to 127.0.0.1 only. A full run takes about 45 minutes and writes
docs/benchmark.md and docs/bench.svg; a quick one takes three and writes to .cache/bench.
"""

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.bench import chart, contract, messages, prepare, report
from tests.bench.measure import Bench
from tests.bench.parts import ON, PARTS, QUICK, Effort, On, started
from tests.bench.prepare import CACHE, ROOT, say
from tests.bench.servers import FASTAPI, GO, ours
from tests.tools.broker import Broker


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parts(text: str) -> list[str]:
    """Raises argparse.ArgumentTypeError for a name that is no part's."""
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such part; there are {', '.join(PARTS)}")
    return names


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything, 512 B only")
    parser.add_argument("--only", type=parts, help=f"comma list of parts: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--sizes", type=numbers, help="comma list of message sizes in the grid")
    parser.add_argument("--connections", type=numbers, help="comma list of numbers of connections in the grid")
    parser.add_argument("--queue", choices=["classic", "quorum"], help="another kind of queue than the broker's in the parts")
    parser.add_argument("--add", type=Path, help="add what is measured now to these raw figures of an earlier run")
    parser.add_argument("--again", type=Path, help="measure nothing: write table and chart of these raw figures")
    parser.add_argument("--out", type=Path, help="the folder for table, chart and raw figures")
    return parser.parse_args(words)


def check(bench: Bench) -> None:
    """End the run when a candidate does not do the job."""
    with started(bench, [*ours(), GO, FASTAPI]) as running:
        for server in running:
            wrong = contract.check(server, bench.broker, bench.load, bench.kind)
            say(f"contract: {server.name} {'does the job' if not wrong else 'FAILS: ' + '; '.join(wrong)}")
            if wrong:
                raise SystemExit(1)


def measured(wanted: argparse.Namespace) -> dict[str, Any]:
    """Run the parts; return what was found and on what."""
    prepare.everything()
    load = messages.make()
    effort = QUICK if wanted.quick else Effort()
    asked = {"rounds": wanted.rounds, "sizes": wanted.sizes, "connections": wanted.connections}
    effort = effort._replace(**{name: value for name, value in asked.items() if value})
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "seconds": effort.seconds, "on": {}}
    for on, names in plan(wanted.only, os.environ.get("BROKER", "")):
        say(f"starting RabbitMQ {on.version}")
        with Broker(version=on.version) as broker:
            bench = Bench(broker, load, wanted.queue or on.kind)
            check(bench)
            for name in names:
                rows += PARTS[name](bench, effort)
                about["on"][name] = bench.on
    return {"about": about | report.machine() | prepare.versions(), "rows": rows}


def plan(only: list[str] | None, broker: str) -> list[tuple[On, list[str]]]:
    """Which parts are measured on which broker. broker: what BROKER says."""
    if broker:
        return [(On(broker, ON[0].kind), only or [name for name in PARTS if name != "older"])]
    names = only or list(PARTS)
    split = (ON[0], [name for name in names if name != "older"]), (ON[1], [name for name in names if name == "older"])
    return [(on, some) for on, some in split if some]


def added(earlier: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the earlier figures with further rounds, because more rounds make scattered figures surer; endurance is measured anew."""
    last = max(row["round"] for row in earlier["rows"])
    anew = {row["part"] for row in more["rows"]} & {"endurance"}
    kept = [row for row in earlier["rows"] if row["part"] not in anew]
    return earlier | {"rows": kept + [row if row["part"] in anew else row | {"round": row["round"] + last + 1} for row in more["rows"]]}


def _end(*_: object) -> None:
    raise SystemExit(143)


def main() -> int:
    signal.signal(signal.SIGTERM, _end)  # so that what was started is stopped
    wanted = arguments()
    found = json.loads(wanted.again.read_text()) if wanted.again else measured(wanted)
    if wanted.add:
        found = added(json.loads(wanted.add.read_text()), found)
    out = wanted.out or (CACHE if wanted.quick or wanted.only or wanted.again or wanted.sizes or wanted.connections else ROOT / "docs")
    out.mkdir(parents=True, exist_ok=True)
    if not wanted.again:
        (CACHE / "raw.json").write_text(json.dumps(found))
    table = report.text(found)
    (out / "benchmark.md").write_text(table)
    print("\n" + table)
    drawing = chart.draw(found)
    if drawing:
        (out / "bench.svg").write_text(drawing)
    say(f"written: {out}/benchmark.md" + (f" and {out}/bench.svg" if drawing else ""))
    faulty = [row for row in found["rows"] if row.get("bad") or row.get("lost")]
    for row in faulty:
        what = f"{row['part']}, {row['name']}, {row['size']} B, {row['connections']} connections"
        say(f"{what}: {row['bad']} bad answers ({row['why']}), {row['lost']} lost")
    return 1 if faulty else 0


if __name__ == "__main__":
    raise SystemExit(main())
