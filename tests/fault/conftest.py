"""What the fault tests share.

A run of all tests leaves them out: `make test` runs those marked `quick` by themselves (-m quick tests/fault), `make fault` every one.
BRIDGE_UNDER_TEST chooses source or binary, as everywhere.

record       record(fault, load, stored, publishes=1) asserts the one check, shows the row and keeps it
neighbours   plays an attack by somebody else under a genuine load; see tests/fault/neighbours
"""

from collections.abc import Callable, Iterator

import pytest

from tests.fault import rows
from tests.fault.load import Load
from tests.fault.neighbours.fixture import neighbours  # noqa: F401
from tests.tools.node import Stored

PURE = ("tests/fault/test_check.py", "tests/fault/test_document.py", "tests/fault/test_frames.py")
Record = Callable[..., rows.Row]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: the part of the fault tests that `make test` runs")
    config.addinivalue_line("markers", "shown: a hostile neighbour that has a row in docs/faults.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any("tests/fault" in word for word in config.args):
        return
    ours = [item for item in items if "tests/fault/" in item.nodeid and not item.nodeid.startswith(PURE)]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and "tests/fault/" in report.nodeid:
        rows.keep_failure(report.nodeid)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(fault: str, load: Load, stored: list[Stored], publishes: int = 1) -> rows.Row:
        one = rows.row(fault, load, stored, publishes)
        rows.keep(one)
        with capture.global_and_fixture_disabled():
            print(
                "\n  "
                + " | ".join(
                    f"{name} {cell}" if place else cell
                    for place, (name, cell) in enumerate(zip(rows.COLUMNS, rows.cells(one), strict=True))
                    if cell
                ),
                flush=True,
            )
        return one

    yield show
