"""The gate's rule for skips: a test that is skipped for a reason that tests/skips.toml does not list fails the run.

So a tool that is missing is noticed, instead of leaving out its tests in silence. tests/conftest.py loads this as a plugin.
"""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

LIST = Path(__file__).resolve().parents[1] / "skips.toml"


class Skips:
    """A pytest plugin that counts the reasons that are not listed.

    `allowed`: the beginnings of the reasons that are."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        self.unlisted: Counter[str] = Counter()

    def count(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(self.allowed):
            self.unlisted[reason] += 1

    pytest_runtest_logreport = count
    pytest_collectreport = count

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unlisted:
            terminalreporter.section("skips that tests/skips.toml does not allow", red=True)
        for reason, count in self.unlisted.items():
            terminalreporter.write_line(f"{count} x {reason}")


def plugin() -> Skips:
    """Return the plugin with the reasons of tests/skips.toml."""
    return Skips(tuple(entry["reason"] for entry in tomllib.loads(LIST.read_text())["allowed"]))
