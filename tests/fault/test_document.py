"""docs/faults.md: the newest RabbitMQ's rows, and of an older one those that differ."""

import json
from pathlib import Path

import pytest

from tests.fault import document
from tests.fault.neighbours import table
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
    monkeypatch.setattr(document, "UNDER_TEST", "source")

    def run(release: str, *rows: str, again: bool = False, neighbours_only: bool = False) -> str:
        (tmp_path / "rows").write_text("".join(rows))
        document.write(tmp_path / "rows", again, RabbitMQ(release), neighbours_only)
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


def letters(fault: str) -> str:
    return json.dumps({"letters": fault, "cells": [fault, *"123456"]}) + "\n"


def test_dead_letters_that_are_run_again_leave_the_other_sections_as_they_are(written):
    failed = json.dumps({"failed": "tests/fault/test_neighbours_turn.py::test_handshakes"}) + "\n"
    before = written("4.3.6", row("one", 0.1, 0.2), failed, letters("kill -9; 25 times"), letters("frozen"))
    text = written("4.3.7", letters("kill -9; 500 times"), again=True)
    assert text.partition("## SQS")[0] == before.partition("## SQS")[0] and "test_handshakes" in text
    assert "kill -9; 25 times" not in text and "kill -9; 500 times" in text and "frozen" in text


def test_the_source_stands_first(written, monkeypatch):
    monkeypatch.setattr(document, "UNDER_TEST", "binary")
    written("4.3.6", row("one", 0.1, 0.2))
    monkeypatch.setattr(document, "UNDER_TEST", "source")
    written("3.10.8", row("one", 5, 0.2))
    text = written("4.3.6", row("one", 0.1, 0.2))
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Source", "## Source on RabbitMQ 3.10", "## Binary"]


def neighbour(name: str, promise: str = "kept") -> str:
    return json.dumps({"neighbour": name, "cells": [name, *[""] * (len(table.COLUMNS) - 2), promise]}) + "\n"


def test_a_run_of_the_neighbours_replaces_their_rows_alone(written):
    written("3.10.8", row("a fault", 0.1, 0.2))
    written("4.3.6", row("a fault", 0.1, 0.2), neighbour("the former"))
    text = written("4.3.7", neighbour("new", "p99 is 3.00 s"), neighbours_only=True)
    faults, _, rest = text.partition("### Hostile neighbours\n")
    part, _, other_broker = rest.partition("## Source on RabbitMQ 3.10")
    assert ", RabbitMQ 4.3.6." in faults and "a fault" in faults and "the former" not in text
    assert ", RabbitMQ 4.3.7." in part and "p99 is 3.00 s" in part
    assert ", RabbitMQ 3.10.8." in other_broker


def test_neighbours_that_are_run_again_take_the_place_of_their_rows(written):
    written("4.3.6", neighbour("one", "missed"), neighbour("the second"), neighbours_only=True)
    text = written("4.3.6", neighbour("one"), again=True, neighbours_only=True)
    assert "missed" not in text and "the second" in text
    assert "the second" not in written("3.10.8", neighbour("one"), again=True, neighbours_only=True), "rows of two brokers under one label"


def test_a_run_of_all_else_again_keeps_the_neighbours(written):
    written("4.3.6", row("a fault", 0.1, 0.2), neighbour("one"))
    assert "one" in written("4.3.6", row("a fault", 0.3, 0.2), again=True)


def test_neighbours_that_failed_are_listed_below_their_table(written):
    text = written("4.3.6", neighbour("one"), json.dumps({"failed": "tests/fault/test_neighbours_turn.py::x"}) + "\n", neighbours_only=True)
    assert text.index("test_neighbours_turn.py::x") > text.index("### Hostile neighbours")


def test_dead_letters_have_a_section_of_their_own_at_the_end_and_other_runs_leave_it(written):
    def letter(fault: str, duplicates: str) -> str:
        return json.dumps({"letters": fault, "cells": [fault, "1,000", "20", "1,000", "0", duplicates, "20"]}) + "\n"

    written("4.3.6", row("alike", 0.1, 2.0), letter("SQS: 500", "7"), letter("SQS: throttled", "0"))
    text = written("4.3.6", row("alike", 0.1, 2.0), letter("SQS: 500", "9"), again=True)
    own = text.partition("## SQS\n")[2]
    assert own.count("SQS: 500") == 1 and "|          9 |" in own and "SQS: throttled" in own and "alike" not in own
    assert "## SQS" in written("3.10.8", row("alike", 0.1, 2.0))
