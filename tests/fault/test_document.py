"""docs/faults.md: the newest RabbitMQ's rows, and of an older one those that differ."""

import json
from pathlib import Path

import pytest

from tests.fault import document
from tests.tools.rabbitmq import RabbitMQ


def row(fault: str, worst: float, recovers: float | None, duplicates: int = 0) -> str:
    counts = {"sent": 1000, "answered 200": 1000, "in the queue": 1000 + duplicates, "lost": 0, "duplicates": duplicates}
    return json.dumps({"fault": fault, **counts, "worst answer": worst, "recovers within": recovers}) + "\n"


def names(text: str) -> list[str]:
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return [name for name in rows if name != "fault" and name.strip("-")]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """written(release, rows) -> the document after such a run."""
    monkeypatch.setattr(document, "DOCUMENT", tmp_path / "faults.md")

    def run(release: str, *rows: str, again: bool = False) -> str:
        (tmp_path / "rows").write_text("".join(rows))
        document.write(tmp_path / "rows", again, RabbitMQ(release))
        return (tmp_path / "faults.md").read_text()

    return run


def test_an_older_broker_stands_beside_the_newest_where_it_differs(written):
    written("4.3.6", row("alike", 0.1, 2.0), row("slower", 0.1, 0.2), row("doubled", 0.1, 0.2), row("kills; back in 0.26 s", 1, None))
    other = row("alike", 0.9, 1.1), row("slower", 1.2, 0.2), row("doubled", 0.1, 0.2, 10), row("kills; back in 0.9 s", 1, None)
    text = written("3.10.8", *other)
    newest, _, older = text.partition("## Source on RabbitMQ 3.10\n")
    assert ", RabbitMQ 4.3.6." in newest
    assert names(newest) == ["alike", "slower", "doubled", "kills; back in 0.26 s"]
    assert ", RabbitMQ 3.10.8. 4 faults survived; 2 rows differ from those above." in older
    assert names(older) == ["slower", "doubled"]


def test_a_part_that_is_run_again_takes_the_place_of_its_row(written):
    written("4.3.6", row("kills; back after 0.26 s", 1, None), row("other", 0.1, 0.2))
    text = written("4.3.6", row("kills; back after 0.31 s", 1, None), again=True)
    assert "0.26 s" not in text
    assert "kills; back after 0.31 s" in text
    assert "other" in text


def test_the_source_stands_first(written, monkeypatch):
    monkeypatch.setattr(document, "UNDER_TEST", "binary")
    written("4.3.6", row("one", 0.1, 0.2))
    monkeypatch.setattr(document, "UNDER_TEST", "source")
    written("3.10.8", row("one", 5, 0.2))
    text = written("4.3.6", row("one", 0.1, 0.2))
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Source", "## Source on RabbitMQ 3.10", "## Binary"]
