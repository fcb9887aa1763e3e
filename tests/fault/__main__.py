"""`make fault`: run every fault, show the table, and write it to docs/faults.md.

    python -m tests.fault [--quick | --neighbours] [--only EXPRESSION] [--no-docs]

SOAK (seconds) is how long the soak takes; BRIDGE_UNDER_TEST chooses source or binary, and BROKER which RabbitMQ. Each has its own
section in the document.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fault.document import DOCUMENT, write
from tests.fault.rows import kept, table
from tests.tools.bridge import ROOT
from tests.tools.rabbitmq import rabbitmq


def main() -> int:
    """Returns pytest's exit status."""
    parser = argparse.ArgumentParser(prog="make fault")
    parser.add_argument("--quick", action="store_true", help="only the part that `make test` runs")
    parser.add_argument("--neighbours", action="store_true", help="only the hostile neighbours that the document shows")
    parser.add_argument("--only", default="", help="pytest's -k; the other rows of the document stay")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/faults.md as it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "rows"
        words = [sys.executable, "-m", "pytest", "tests/fault", "-v", "--no-header", "--tb=short", "--show-capture=no"]
        words += ["-m", "quick"] if options.quick else []
        words += ["-m", "shown"] if options.neighbours else []
        words += ["-k", options.only] if options.only else []
        status = subprocess.run(words, cwd=ROOT, env=os.environ | {"FAULT_RESULTS": str(results)}, check=False).returncode
        rows, failed = kept(results)
        print(f"\n{table(rows)}\n\n{len(rows)} faults survived, {len(failed)} tests failed: {', '.join(failed) or 'none'}")
        if not options.no_docs:
            write(results, bool(options.only), rabbitmq(), options.neighbours)
            print(f"written to {DOCUMENT.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
