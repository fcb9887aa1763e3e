"""The gate's rule for skips: a test that is skipped for a reason that tests/skips.toml does not list fails the run.

So a tool that is missing is noticed, instead of leaving out its tests in silence. tests/conftest.py loads this as a plugin, in each of
pytest-xdist's workers too. The controller hears of the tests that they skip by itself; of skipped files it is told when a worker ends.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).resolve().parents[1] / "skips.toml"
FILES = "unlisted reasons of skipped files"  # the name under which a worker tells them


class Skips:
    """A pytest plugin that counts the reasons that are not listed.

    `allowed`: the beginnings of the reasons that are."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        self.unlisted: Counter[str] = Counter()
        self.unlisted_files: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._count(report, self.unlisted)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._count(report, self.unlisted_files)

    def _count(self, report: pytest.TestReport | pytest.CollectReport, unlisted: "Counter[str]") -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(self.allowed):
            unlisted[reason] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # Each worker collects all files, so their skips are the same ones.
        self.unlisted_files |= Counter(getattr(node, "workeroutput", {}).get(FILES))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[FILES] = dict(self.unlisted_files)
        if self.unlisted + self.unlisted_files and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        unlisted = self.unlisted + self.unlisted_files
        if unlisted:
            terminalreporter.section("skips that tests/skips.toml does not allow", red=True)
        for reason, count in unlisted.items():
            terminalreporter.write_line(f"{count} x {reason}")


def plugin() -> Skips:
    """Return the plugin with the reasons of tests/skips.toml."""
    return Skips(tuple(entry["reason"] for entry in tomllib.loads(LIST.read_text())["allowed"]))
