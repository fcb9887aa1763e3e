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
"""


def section(results: Path, seconds: float) -> str:
    """The part of the document that this run makes."""
    rows, failed = kept(results)
    lines = [
        f"## {UNDER_TEST.capitalize()}",
        "",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes.",
        "",
        table(rows),
        "",
    ]
    if failed:
        lines += ["These tests failed in this run:", "", *(f"- `{name}`" for name in failed), ""]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put a section into the document, in the place of its former self."""
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    sections = {found.splitlines()[0]: found for found in re.split(r"^(?=## )", document, flags=re.MULTILINE) if found.startswith("## ")}
    sections[text.splitlines()[0]] = text
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text("\n".join([HEAD, *(sections[name].strip() + "\n" for name in sorted(sections, reverse=True))]), encoding="utf-8")


def main() -> int:
    """Returns pytest's exit status."""
    parser = argparse.ArgumentParser(prog="make fault")
    parser.add_argument("--quick", action="store_true", help="only the part that `make test` runs")
    parser.add_argument("--only", default="", help="pytest's -k")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/faults.md as it is")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "rows"
        words = [sys.executable, "-m", "pytest", "tests/fault", "-v", "--no-header", "--tb=short", "--show-capture=no"]
        words += ["-m", "quick"] if options.quick else []
        words += ["-k", options.only] if options.only else []
        status = subprocess.run(words, cwd=ROOT, env=os.environ | {"FAULT": "all", "FAULT_RESULTS": str(results)}, check=False).returncode
        rows, failed = kept(results)
        print(f"\n{table(rows)}\n\n{len(rows)} faults survived, {len(failed)} tests failed: {', '.join(failed) or 'none'}")
        if not options.no_docs:
            write(section(results, time.monotonic() - start))
            print(f"written to {DOCUMENT.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
