"""The rows of the dead letters in SQS: kept in the file that FAULT_RESULTS names, and laid out for docs/faults.md."""

import json
from pathlib import Path
from typing import Any

from tests.fault import rows

HEADING = "## SQS"
COLUMNS = ("fault", "genuine letters", "forged", "in RabbitMQ", "lost", "duplicates", "forged left in SQS")
Row = dict[str, Any]


def row(fault: str, letters: Any) -> Row:
    """The row of one fault. letters: tests/fault/test_sqs.py's, all of which was checked."""
    left = letters.forged & set(letters.sqs.bodies("letters"))
    figures = len(letters.genuine), len(letters.forged), letters.copies, 0, letters.copies - len(letters.stored), len(left)
    return {"letters": fault, "cells": [fault, *(f"{figure:,}" for figure in figures)]}


def keep(one: Row) -> None:
    """Append a row to FAULT_RESULTS, if it is set."""
    rows.keep(one)


def part(path: Path, before: str, about: str) -> str:
    """The section of the document: the rows of the file, and those of the section before that were not made again; "" for none."""
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in before.splitlines() if line.startswith("| ")]
    cells = {line[0]: line for line in lines[2:] if len(line) == len(COLUMNS)}
    made = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    cells |= {one["letters"]: one["cells"] for one in made if "letters" in one}
    if not cells:
        return ""
    text = [HEADING, "", ABOUT, "", about, ""]
    text += rows.aligned([f"| {' | '.join(line)} |" for line in (COLUMNS, ["-"] * len(COLUMNS), *cells.values())])
    return "\n".join([*text, ""])


ABOUT = """Dead letters lie in a simulated SQS, one in fifty of them forged: half of them from the start, half from the fault on.
A row is only there if every genuine one is in RabbitMQ in the end, byte for byte; if none was deleted that is not there; and if all
that is forged is left in SQS. Visibility timeouts run out after a second here. Two control builds, which delete before the confirm
and in a `finally`, fail the same check. Duplicates are letters that were published, but not yet deleted, when they came again."""
