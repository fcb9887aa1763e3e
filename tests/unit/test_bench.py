"""make bench: which parts are measured on which broker, and the page and the chart of the results."""

import pytest

from tests.bench.__main__ import arguments, plan
from tests.bench.chart import draw
from tests.bench.parts import ON, PARTS
from tests.bench.report import BARE, text


def test_an_unknown_part_is_an_error_that_lists_the_parts(capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(["--only", "grid,gird"])
    assert ended.value.code == 2
    assert f"gird: no such part; there are {', '.join(PARTS)}" in capsys.readouterr().err


def test_the_newest_broker_is_measured_first_and_an_older_one_second():
    first, second = plan(None, "")
    assert first == (ON[0], ["starts", "grid", "processes", "connections", "endurance", "sqs"])
    assert second == (ON[1], ["older"])
    assert [(one.version, one.kind) for one in ON] == [("4.3", "quorum"), ("3.10", "classic")]
    assert plan(["older"], "") == [(ON[1], ["older"])]


def test_a_broker_that_is_named_is_the_only_one():
    ((on, names),) = plan(None, "4.0")
    assert on.version == "4.0"
    assert "older" not in names


def test_the_page_and_the_chart_show_the_broker_and_its_bound():
    figures = {"p50": 1.0, "p99": 2.0, "us": 100.0, "broker_us": 70.0, "load_us": 5.0, "others": 0.1, "answered": 10, "bad": 0, "lost": 0}
    rows = [
        {"part": part, "name": name, "size": 512, "connections": 64, "round": 0, "rate": rate, **figures}
        for part in ("grid", "older")
        for name, rate in (("bridge", 5000.0), ("Go", 4000.0), ("FastAPI", 1000.0), (BARE, 20000.0))
    ]
    on = {"grid": "RabbitMQ 4.3.6, quorum queue", "older": "RabbitMQ 3.10.8, classic queue"}
    about = {"date": "-", "cores": "2", "processor": "-", "system": "-", "seconds": 1, "Python": "-", "Go": "-", "FastAPI": "-", "on": on}
    page = text({"about": about, "rows": rows})
    assert "RabbitMQ 4.3.6, quorum queue (grid); RabbitMQ 3.10.8, classic queue (older)" in page
    assert "| bridge | 5,000 | 1.00 | 2.00 | 100 | 1.25 | 1.00 | 5.00 | 1.00 | 0.25 | 70 | 5 | 0.1 |" in page
    drawing = draw({"about": about, "rows": rows})
    assert "RabbitMQ 4.3.6, quorum queue" in drawing
    assert 'class="bare"' in drawing
