"""The rows of the hostile neighbours: kept in the file that FAULT_RESULTS names, and laid out for docs/faults.md."""

import json
from pathlib import Path
from typing import Any

from tests.fault import rows
from tests.fault.neighbours.siege import Seen

HEADING = "### Hostile neighbours"
COLUMNS = ("neighbour", "sent", "answered 200", "p50", "p99", "worst", "memory idle", "highest", "/livez's worst", "the Go bridge")
Row = dict[str, Any]


def row(neighbour: str, seen: Seen, go: Seen | None = None) -> Row:
    """The row of one attack. go: the same on the Go bridge of the benchmark."""
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
    ]
    return {"neighbour": neighbour, "cells": cells}


def keep(one: Row) -> None:
    """Append a row to FAULT_RESULTS, if it is set."""
    rows.keep(one)


def kept(path: Path) -> list[Row]:
    """The rows of a file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [line for line in lines if "neighbour" in line]


def section(path: Path, before: str) -> list[str]:
    """The rows of a file in Markdown; before: the text of the table so far, of which rows that were not made again stay."""
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in before.splitlines() if line.startswith("| ")]
    cells = {line[0]: line for line in lines[2:]}
    cells |= {one["neighbour"]: one["cells"] for one in kept(path)}
    return [f"| {' | '.join(line)} |" for line in (COLUMNS, ["-"] * len(COLUMNS), *cells.values())] if cells else []
