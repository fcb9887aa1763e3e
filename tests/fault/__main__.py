"""`make fault`: run every fault, show the table, and write it to docs/faults.md.

    python -m tests.fault [--quick] [--only EXPRESSION] [--no-docs]

SOAK (seconds) is how long the soak takes; BRIDGE_UNDER_TEST chooses source or binary. Each has its own section in the document.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fault.neighbours import table as neighbours
from tests.fault.rows import kept, table
from tests.tools.bridge import ROOT, UNDER_TEST

DOCUMENT = ROOT / "docs/faults.md"
HEAD = """# Faults

What was done to the bridge, its broker, its network and its machine while genuine messages came in, and what became of the messages.
`make fault` makes these tables (`BRIDGE_UNDER_TEST=binary make fault` the one of the binary).

Every row is one test under a load of at least 1,000 genuine messages, with a forged one in fifty between them; whatever is not
answered 200 or 4xx is sent again, as SNS does it. A row is only there if this holds: every message that was answered 200 is in the
queue, byte for byte; none that was answered 4xx is; nothing is in the queue that was not sent; no message is there more often than
it was posted; no genuine message was answered 4xx; and in the end each was answered 200. A control build that answers 200 without
waiting for the confirm fails the same check.

*Worst answer* is the longest time from POST to answer, of all attempts; *recovers within* is the time from the fault's end to the
first 200. Duplicates are what at-least-once delivery means: published, and the confirm did not come in time.

The same run sends mixed requests through haproxy and looks whether each gets the answer that is its own; lets sslscan and testssl.sh
judge the TLS listener; tries hostile messages in a network where every name and address leads to a canary, which must stay silent;
and looks for known secrets in log, standard error, command line, metrics and answers. They have no row; what fails is listed below
the table of its run.

Under *hostile neighbours* somebody else misbehaves, at the strength that is named and at twice it, while genuine messages come at 30 a
second, each posted once: a third on new connections, the others on kept ones, one in ten of 80 KB. Times are those of the genuine
messages during the attack, from when each had to be sent to its answer, on a machine whose cores the attacker, the broker and the bridge
share. Memory is the bridge's resident memory before the attack and its highest during it. It is promised that each is answered 200, 99 of
100 within a second, /livez too; that memory stays below the idle bridge's, 1.25 times `BRIDGE_MAX_BUFFERED` and 16 MiB; and that nothing
is lost. The Go bridge is the benchmark's (`tests/bench/peers/bridge.go`), under the same attack where it applies.
"""


def section(results: Path, before: str) -> str:
    """The part of the document that this run makes. before: what stood there, of which rows that this run did not make again stay."""
    rows, failed = kept(results)
    before, _, neighbours_before = before.partition(neighbours.HEADING)
    lines = {line.split("|")[1].strip(): line for line in before.splitlines() if line.startswith("| ")}
    made = table(rows).splitlines()
    lines |= {line.split("|")[1].strip(): line for line in made[2:]}
    text = [f"## {UNDER_TEST.capitalize()}", "", f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores.", ""]
    text += aligned([made[0], made[1], *(line for name, line in lines.items() if name != "fault" and name.strip("-"))])
    attacked = neighbours.section(results, neighbours_before)
    if attacked:
        text += ["", neighbours.HEADING, "", *aligned(attacked)]
    if failed:
        text += ["", "These tests failed in the last run:", "", *(f"- `{name}`" for name in failed)]
    return "\n".join([*text, ""])


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


def write(results: Path, again: bool) -> None:
    """Put this run's section into the document, in the place of its former self; again: keep the rows of earlier runs."""
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    sections = {found.splitlines()[0]: found for found in re.split(r"^(?=## )", document, flags=re.MULTILINE) if found.startswith("## ")}
    name = f"## {UNDER_TEST.capitalize()}"
    sections[name] = section(results, sections.get(name, "") if again else "")
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text("\n".join([HEAD, *(sections[name].strip() + "\n" for name in sorted(sections, reverse=True))]), encoding="utf-8")


def main() -> int:
    """Returns pytest's exit status."""
    parser = argparse.ArgumentParser(prog="make fault")
    parser.add_argument("--quick", action="store_true", help="only the part that `make test` runs")
    parser.add_argument("--only", default="", help="pytest's -k; the other rows of the document stay")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/faults.md as it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "rows"
        words = [sys.executable, "-m", "pytest", "tests/fault", "-v", "--no-header", "--tb=short", "--show-capture=no"]
        words += ["-m", "quick"] if options.quick else []
        words += ["-k", options.only] if options.only else []
        status = subprocess.run(words, cwd=ROOT, env=os.environ | {"FAULT_RESULTS": str(results)}, check=False).returncode
        rows, failed = kept(results)
        print(f"\n{table(rows)}\n\n{len(rows)} faults survived, {len(failed)} tests failed: {', '.join(failed) or 'none'}")
        if not options.no_docs:
            write(results, bool(options.only))
            print(f"written to {DOCUMENT.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
