"""The processes' reports for the status page, and the page itself."""

import base64
import hashlib
import json
import os
import re
import time

import pytest

from bridge.admin import page, reports, status
from bridge.admin.reports import MAX_TOPICS, ROOM, STEP, STEPS, Reports
from bridge.commands.serve import failures
from bridge.counters import MAX_REFUSALS, Counters

STATUSES = {error.reason: error.status for error in failures()}
NOW = 1_700_000_000.5


@pytest.fixture
def counters():
    return Counters(1, STATUSES)


@pytest.fixture
def account():
    return Reports(1, STATUSES)


def arn(name):
    return f"arn:aws:sns:eu-central-1:123456789012:{name}"


def refusal(text="no", at=NOW):
    return (at, 403, "bad-signature", text, arn("orders"), "an id", "192.0.2.1")


# ---- states


def told(**gauges):
    counters = Counters(1, STATUSES)
    for name, value in ({"started": 1, "ready": 1, "turned": int(time.monotonic() * 1000)} | gauges).items():
        counters.put(name, value)
    return status.state(counters, 0)


def test_the_state_of_a_process():
    assert told() == "ready"
    assert told(started=0) == "not-running"
    assert told(ready=0) == "broker-unavailable"
    assert told(ready=0, blocked=1) == "broker-blocked"
    assert told(ready=0, blocked=1, draining=1) == "draining"
    assert told(turned=int((time.monotonic() - status.STUCK - 1) * 1000)) == "stuck"
    assert told(turned=int((time.monotonic() - status.STUCK + 2) * 1000)) == "ready"


# ---- accounts


def test_topics_add_up_and_the_rest_has_no_name(counters, account):
    for name in [*map(str, range(MAX_TOPICS)), "one too many", "and another", "0"]:
        counters.published.append(arn(name))
    counters.flush()
    account.update(counters, "broker", NOW)
    counters.published.append(arn("0"))
    counters.flush()
    account.update(counters, "broker", NOW + 9)
    topics = status._topics(account.accounts())
    assert topics[0] == [arn("0"), 3, int(NOW + 9)] and ["", 2, int(NOW)] in topics and len(topics) == MAX_TOPICS + 1


def test_the_last_refusals_stay(counters, account):
    for number in range(3 * MAX_REFUSALS):
        counters.refusals.append(refusal(str(number)))
        if number % 5 == 0:
            account.update(counters, "broker", NOW)
    account.update(counters, "broker", NOW)
    account.update(counters, "broker", NOW)
    kept = [one[3] for one in account.account(0)["refusals"]]
    assert kept == [str(number) for number in range(2 * MAX_REFUSALS, 3 * MAX_REFUSALS)]


def test_whatever_is_told_fits_into_its_place(counters):
    """Control characters take six bytes each, and an ARN can have 256 characters of name."""
    account = Reports(2, STATUSES)
    account.use(1)
    for number in range(30):
        counters.published.append(arn("x" * 250 + str(number)))
    counters.flush()
    counters.refusals.extend([(NOW, 403, "bad-signature", "\x00" * 10_000, "\ud800" * 10_000, "\x1f" * 999, "x" * 99)] * MAX_REFUSALS)
    for step in range(STEPS + 5):
        account.update(counters, "broker", NOW + step * STEP)
    told = account.account(1)
    assert len(json.dumps(told, separators=(",", ":"))) <= ROOM - 16
    assert len(told["topics"]) == MAX_TOPICS + 1 and len(told["rates"]) == STEPS
    assert 0 < len(told["refusals"]) < MAX_REFUSALS and account.account(0) == {}
    status.status(counters, account).encode("ascii")


def test_a_successor_goes_on_where_its_predecessor_was(counters):
    account = Reports(2, STATUSES)
    pid = os.fork()
    if not pid:
        account.use(1)
        counters.published += [arn("orders")] * 3
        counters.flush()
        counters.refusals.append(refusal())
        account.update(counters, "broker", NOW)
        account._words[ROOM // 8] |= 1  # killed while it wrote
        os._exit(0)
    os.waitpid(pid, 0)
    assert account.account(1) == {}
    account._words[ROOM // 8] += 1
    account.use(1)
    assert account.topics == {arn("orders"): [3, int(NOW)]} and len(account.refusals) == 1
    account._words[ROOM // 8] |= 1
    counters.published.append(arn("orders"))
    counters.flush()
    account.update(counters, "broker", NOW)
    assert account.account(1)["topics"] == {arn("orders"): [4, int(NOW)]}


def test_nothing_is_written_where_nothing_is_new(counters, account):
    account.update(counters, "broker", NOW)
    sequence = account._words[0]
    account.update(counters, "broker", NOW + 0.1)
    assert account._words[0] == sequence
    account.update(counters, "broker", NOW + STEP)
    assert account._words[0] == sequence + 2


def test_rates_are_what_each_step_has_brought(monkeypatch, counters, account):
    account.update(counters, "broker", NOW)
    counters.published += [arn("orders")] * 4
    counters.confirm_times += [0.25] * 4
    for reason in ("bad-signature", "bad-signature", "unauthorized", "draining"):
        counters.add(reason)
    counters.flush()
    account.update(counters, "broker", NOW + STEP)
    account.update(counters, "broker", NOW + 2 * STEP)
    monkeypatch.setattr(status, "time", lambda: NOW + 2 * STEP)
    rates = json.loads(status.status(counters, account))["rates"]
    assert len(rates) == STEPS and rates[-2] == [4, 2, 1, 4, 1_000_000] and not any(map(any, rates[:-2] + rates[-1:]))


def test_accounts_of_two_processes_are_one(counters, monkeypatch):
    account = Reports(2, STATUSES)
    for process in (0, 1):
        account.use(process)
        account._before, account._at = [], 0
        for at in (NOW, NOW + STEP):
            counters.published.append(arn("orders"))
            counters.flush()
            counters.refusals.append(refusal(at=at + process))
            account.update(counters, f"broker {process}", at)
    monkeypatch.setattr(status, "time", lambda: NOW + 2 * STEP)
    shown = json.loads(status.status(counters, account))
    assert shown["topics"] == [[arn("orders"), 4, int(NOW + STEP)]] and shown["brokers"] == ["broker 0", "broker 1"]
    assert [one[0] for one in shown["refusals"]] == [NOW + STEP + 1, NOW + STEP, NOW + 1, NOW]
    assert sum(step[0] for step in shown["rates"]) == 2


@pytest.mark.parametrize(
    ("durations", "part", "low", "high"),
    [
        ([], 0.5, 0, 0),
        ([0.0001], 0.5, 0, 0.0005),
        ([0.004] * 99 + [4.0], 0.5, 0.0025, 0.005),
        ([0.004] * 9 + [4.0], 0.99, 2.5, 5),
        ([99], 0.5, 10, 10),
    ],
)
def test_a_quantile_lies_in_its_bucket(counters, durations, part, low, high):
    counters.confirm_times += durations
    counters.flush()
    assert low <= status.quantile(counters.histogram("confirm")[0], part) <= high


# ---- the page


def hash_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_this_style_and_this_script_and_no_other():
    [style], [script] = (re.findall(rf"<{tag}>(.*?)</{tag}>", page.PAGE, re.DOTALL) for tag in ("style", "script"))
    assert f"style-src '{hash_of(style)}'" in page.POLICY, hash_of(style)
    assert f"script-src '{hash_of(script)}'" in page.POLICY, hash_of(script)
    assert page.POLICY.startswith("default-src 'none'; ") and "unsafe" not in page.POLICY


def test_the_page_is_one_small_file_that_asks_nobody_else():
    text = page.PAGE
    assert text.isascii() and len(text) < 12_500
    assert set(re.findall(r"https?://[^'\s]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\son[a-z]+=|\sstyle=|innerHTML|insertAdjacent|document\.write|eval\(", text)


def test_every_state_has_words_on_the_page():
    states = {told(**gauges) for gauges in ({"ready": 0}, {"blocked": 1}, {"draining": 1}, {"started": 0}, {"turned": 0})}
    for state in states - {"ready"}:
        assert re.search(rf'[,{{]"?{state}"?:"', page.PAGE.replace("\n", "")), state


def test_the_steps_of_the_charts_are_five_minutes():
    assert reports.STEP * reports.STEPS == 300 and "5 minutes" in page.PAGE
