"""The rows of the hostile neighbours: kept in the file that FAULT_RESULTS names, and laid out for docs/faults.md."""

import json
from pathlib import Path
from typing import Any

from tests.fault import rows
from tests.fault.neighbours.siege import Seen

HEADING = "### Hostile neighbours"
COLUMNS = (
    *("neighbour", "sent", "answered 200", "p50", "p99", "worst", "memory idle", "highest", "/livez's worst", "the Go bridge"),
    "held up",  # by other work of the machine
    "promise",  # "kept", or what was not
)
Row = dict[str, Any]


def row(neighbour: str, seen: Seen, go: Seen | None, faults: list[str]) -> Row:
    """The row of one attack. go: the same on the Go bridge of the benchmark. faults: which promises were not kept."""
    cells = [
        neighbour,
        f"{seen.sent:,}",
        f"{seen.answered:,}",
        f"{seen.p50:.3f} s",
        f"{seen.p99:.2f} s",
        f"{seen.worst:.2f} s",
        f"{seen.idle:.0f} MiB",
        f"{seen.highest:.0f} MiB",
        f"{seen.livez:.2f} s" if seen.livez else "",
        f"{go.answered:,} of {go.sent:,}, p99 {go.p99:.2f} s, worst {go.worst:.2f} s, {go.highest:.0f} MiB" if go else "",
        f"{seen.starved:.1f}",
        "; ".join(faults).replace("|", "/") or "kept",
    ]
    return {"neighbour": neighbour, "cells": cells}


def keep(one: Row) -> None:
    """Append a row to FAULT_RESULTS, if it is set."""
    rows.keep(one)


def kept(path: Path) -> list[Row]:
    """The rows of a file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [line for line in lines if "neighbour" in line]


def part(path: Path, before: str, about: str, failed: list[str]) -> str:
    """The part of a section that has the neighbours: the rows of the file, and those of the part before that were not made again.

    about: date and broker; rows that another broker's run made do not stay. failed: names of tests.
    """
    cells = {}
    if about.rpartition(",")[2] in before:
        lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in before.splitlines() if line.startswith("| ")]
        cells = {line[0]: line for line in lines[2:] if len(line) == len(COLUMNS)}
    cells |= {one["neighbour"]: one["cells"] for one in kept(path)}
    if not cells and not failed:
        return ""
    text = [HEADING, "", about, "", *rows.aligned([f"| {' | '.join(line)} |" for line in (COLUMNS, ["-"] * len(COLUMNS), *cells.values())])]
    if failed:
        text += ["", "These tests failed in the last run:", "", *(f"- `{name}`" for name in failed)]
    return "\n".join([*text, ""])
