"""Numbers that processes share, and /metrics."""

import os
import re

import pytest

from bridge.admin.metrics import metrics
from bridge.commands.serve import failures
from bridge.counters import BOUNDS, GAUGES, HISTOGRAMS, Counters
from bridge.errors import Nacked, Unauthorized

REASONS = {error.reason: error.status for error in failures()}


def in_a_fork(then):
    """Run then() in a process of its own, to its end."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            then()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_number_starts_at_0_and_grows_by_one():
    counters = Counters(1, REASONS)
    for name in (*REASONS, "published", "confirmed", "unsubscribed", "healthy", "broker_connections_total"):
        assert counters.total(name) == 0
        counters.add(name)
        counters.add(name)
        assert counters.total(name) == 2


def test_no_reason_has_the_name_of_another_number():
    counters = Counters(1, REASONS)
    for value, name in enumerate(counters._at, 1):
        counters.put(name, value)
    assert [counters.total(name) for name in counters._at] == list(range(1, len(counters._at) + 1))
    assert [counters.histogram(name)[0][0] for name in HISTOGRAMS] == [counters.total(name) for name in HISTOGRAMS]


def test_two_processes_count_into_one_sum():
    counters = Counters(2, REASONS)

    def work(process):
        counters.use(process)
        for _ in range(1000):
            counters.add("published")
        counters.put("connections", 10 + process)

    in_a_fork(lambda: work(0))
    in_a_fork(lambda: work(1))
    assert counters.total("published") == 2000 and counters.total("connections") == 21


def test_what_a_dead_process_counted_stays_and_what_it_held_does_not():
    counters = Counters(2, REASONS)

    def work():
        counters.use(1)
        for name in ("published", "nack", *GAUGES):
            counters.add(name)

    in_a_fork(work)
    assert counters.total("ready") == 1
    counters.forget(1)
    in_a_fork(work)
    assert (counters.total("published"), counters.total("nack")) == (2, 2)
    assert {counters.total(name) for name in GAUGES} == {1}
    counters.forget(1)
    assert {counters.total(name) for name in GAUGES} == {0}


def test_a_successor_goes_on_where_its_predecessor_was():
    counters = Counters(2, REASONS)

    def work():
        counters.use(1)
        counters.put("log_lines_dropped_total", counters.own("log_lines_dropped_total") + 5)

    in_a_fork(work)
    in_a_fork(work)
    assert counters.own("log_lines_dropped_total") == 0
    assert counters.total("log_lines_dropped_total") == 10


# ---- durations


def test_durations_are_in_the_bucket_whose_bound_they_do_not_exceed():
    counters = Counters(1, REASONS)
    counters.confirm_times += [9999.0, 0.0, *reversed(BOUNDS), 0.00051]
    counters.flush()
    buckets, seconds = counters.histogram("confirm")
    assert buckets == [2, 2, *[1] * (len(BOUNDS) - 2), 1]
    assert abs(seconds - (9999.00051 + sum(BOUNDS))) < 1e-5
    assert counters.histogram("publish") == ([0] * (len(BOUNDS) + 1), 0)
    assert counters.own_histogram("confirm") == (len(BOUNDS) + 3, int(seconds * 1e6))


def test_what_was_appended_is_counted_once():
    counters = Counters(1, REASONS)
    for _ in range(2):
        counters.published += ["a", "b", "a"]
        counters.publish_times += [0.003, 0.003]
        for _ in range(2):
            counters.flush()
    assert counters.total("published") == 6 and counters.topics == {"a": 4, "b": 2}
    assert sum(counters.histogram("publish")[0]) == 4


def test_histograms_of_two_processes_are_one():
    counters = Counters(2, REASONS)

    def work(process):
        counters.use(process)
        counters.confirm_times += [0.002] * 3
        counters.flush()

    in_a_fork(lambda: work(0))
    in_a_fork(lambda: work(1))
    buckets, seconds = counters.histogram("confirm")
    assert sum(buckets) == buckets[2] == 6 and abs(seconds - 0.012) < 1e-6


# ---- /metrics: Prometheus text exposition format 0.0.4

SAMPLE = re.compile(r"([a-z_]+)(?:\{([^{}]*)\})? ([0-9.e+]+)")
VERDICT = re.compile(r'status="([0-9]{3})",reason="([a-z0-9-]+)"')


@pytest.fixture
def counters():
    return Counters(1, REASONS)


def shown(counters):
    return metrics(counters)


def test_every_line_is_in_prometheus_format(counters):
    text = shown(counters)
    assert text.endswith("\n") and "\r" not in text
    types = {}
    seen = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert re.fullmatch(r"# HELP [a-z_]+ .+\.", line)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("gauge", "counter", "histogram")
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            family = re.sub("_(bucket|sum|count)$", "", match[1]) if "_duration_" in match[1] else match[1]
            assert match[1].endswith("_total") is (types[family] == "counter")
            assert match.group(1, 2) not in seen
            seen.add(match.group(1, 2))


def test_every_verdict_is_there_from_the_start_and_counts(counters):
    for name in ("published", Nacked.reason, Nacked.reason, Unauthorized.reason):
        counters.add(name)
    samples = [match for match in SAMPLE.finditer(shown(counters)) if match[1] == "bridge_verdicts_total"]
    found = {VERDICT.fullmatch(match[2]).groups(): int(match[3]) for match in samples}
    assert set(found) == {("200", name) for name in ("published", "confirmed", "unsubscribed", "healthy")} | {
        (str(error.status), error.reason) for error in failures()
    }
    assert {key: value for key, value in found.items() if value} == {
        ("200", "published"): 1,
        ("503", "nack"): 2,
        ("401", "unauthorized"): 1,
    }


def test_the_gauges_are_there(counters):
    counters.put("connections", 7)
    counters.put("in_flight", 3)
    text = shown(counters)
    assert "\nbridge_connections 7\n" in text and "\nbridge_in_flight 3\n" in text and "\nbridge_processes_ready 0\n" in text
    assert "# TYPE bridge_connections gauge" in text and "# TYPE bridge_log_lines_dropped_total counter" in text
