"""One row a fault: printed at once, kept in the file that FAULT_RESULTS names, and laid out as the table of docs/faults.md."""

import json
import os
from pathlib import Path
from typing import Any

from tests.fault.load import Load
from tests.tools.node import Stored

COLUMNS = ("fault", "sent", "answered 200", "in the queue", "lost", "duplicates", "worst answer", "recovers within")
Row = dict[str, Any]


def row(fault: str, load: Load, stored: list[Stored], publishes: int = 1) -> Row:
    """The figures of one fault. publishes: how often the bridge may publish what was posted once.

    Raises AssertionError when anything is lost, or a genuine message was not delivered in the end.
    """
    verdict = load.verdict(stored, publishes)
    assert not verdict.faults, f"{fault}: {verdict}"
    gave_up = [outcome for outcome in load.outcomes if outcome.post.message_id in load.sent and not outcome.delivered]
    assert not gave_up, f"{fault}: {len(gave_up)} never delivered, such as {gave_up[0].attempts[-3:]}"
    return {
        "fault": fault,
        "sent": verdict.sent,
        "answered 200": verdict.answered,
        "in the queue": verdict.queued,
        "lost": len(verdict.lost),
        "duplicates": verdict.duplicates,
        "worst answer": round(load.worst(), 2),
        "recovers within": load.recovery(),
    }


def keep(one: Row) -> None:
    """Append a row to FAULT_RESULTS, if it is set."""
    path = os.environ.get("FAULT_RESULTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")


def keep_failure(test: str) -> None:
    """Note the name of a test that failed."""
    keep({"failed": test})


def kept(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a file, and the tests that failed."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [line for line in lines if "fault" in line], list(dict.fromkeys(line["failed"] for line in lines if "failed" in line))


def cells(one: Row) -> list[str]:
    """A row as text."""
    recovery = one["recovers within"]
    return [
        str(one["fault"]),
        *(f"{one[name]:,}" for name in COLUMNS[1:6]),
        f"{one['worst answer']:.2f} s",
        "" if recovery is None else f"{recovery:.2f} s",
    ]


def table(rows: list[Row]) -> str:
    """The rows in Markdown, laid out so that a terminal shows them well."""
    lines = [list(COLUMNS), *map(cells, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    out = [
        " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    out.insert(1, " | ".join("-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)))
    return "\n".join(f"| {line} |" for line in out)


def aligned(lines: list[str]) -> list[str]:
    """The lines of a table that were laid out in different runs, in one layout."""
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    widths = [max(len(row[place]) for number, row in enumerate(cells) if number != 1) for place in range(len(cells[0]))]
    cells[1] = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [
        "| "
        + " | ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in cells
    ]
