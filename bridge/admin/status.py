"""The states of the processes, and /status.json, which holds all that the status page shows."""

import json
from time import monotonic, time
from typing import Any

from bridge.admin.reports import STEP, STEPS, Reports
from bridge.counters import BOUNDS, OK, SQS_ERRORS, Counters
from bridge.errors import BrokerBlocked, BrokerUnavailable, Draining
from bridge.sns.signature import RSA_ENGINE
from bridge.version import REVISION, VERSION

STUCK = 10.0  # seconds without a turn of a process's loop


def state(counters: Counters, process: int) -> str:
    """Return "ready", "not-running", "stuck", or the reason with which this process would answer a delivery now."""
    if not counters.of(process, "started"):
        return "not-running"
    if monotonic() - counters.of(process, "turned") / 1000 > STUCK:
        return "stuck"
    if counters.of(process, "draining"):
        return Draining.reason
    if counters.of(process, "blocked"):
        return BrokerBlocked.reason
    return "ready" if counters.of(process, "ready") else BrokerUnavailable.reason


def states(counters: Counters) -> list[str]:
    """Return the states of all processes."""
    return [state(counters, process) for process in range(counters.processes)]


def quantile(buckets: list[int], part: float) -> float:
    """Return an estimate of a quantile in seconds, as Prometheus' histogram_quantile does it; part is from 0 to 1."""
    rank = part * sum(buckets)
    low = 0.0
    for bound, number in zip(BOUNDS, buckets, strict=False):
        if number >= rank:
            return low + (bound - low) * (rank / number if number else 0)
        rank -= number
        low = bound
    return low


def status(counters: Counters, reports: Reports) -> str:
    """Return the JSON text (ASCII) of /status.json. Texts in it may be hostile, so a page that shows them has to escape them."""
    accounts = reports.accounts()
    known = {**dict.fromkeys(OK, 200), **counters.statuses}
    buckets, seconds = counters.histogram("publish")
    number = sum(buckets)
    shown: dict[str, Any] = {
        "version": VERSION,
        "revision": REVISION,
        "verifier": RSA_ENGINE,
        "now": time(),
        "began": counters.main[1],
        "states": states(counters),
        "brokers": sorted({account["broker"] for account in accounts if account}),
        "troubles": sorted({account.get("trouble", "") for account in accounts} - {""}),
        "verdicts": [[reason, status, counters.total(reason)] for reason, status in known.items() if counters.total(reason)],
        "answer": [number and seconds / number, quantile(buckets, 0.5), quantile(buckets, 0.99)],
        "topics": _topics(accounts),
        "refusals": sorted((refusal for account in accounts for refusal in account.get("refusals", ())), reverse=True)[:20],
        "step": STEP,
        "rates": _rates(accounts, int(time()) // STEP),
    }
    if counters.total("sqs_polls_total") or any(counters.total(f"sqs_errors:{kind}") for kind in SQS_ERRORS):
        refused = sum(counters.total("sqs:" + reason) for reason in counters.statuses)
        waiting = max(counters.of(process, "sqs_waiting") for process in range(counters.processes))
        errors = sum(counters.total(f"sqs_errors:{kind}") for kind in SQS_ERRORS)
        shown["sqs"] = [counters.total("sqs_published_total"), refused, waiting, errors]
    for name in ("connections", "in_flight", "broker_connections_total", "returns_total", "blocked_milliseconds"):
        shown[name] = counters.total(name)
    return json.dumps(shown, separators=(",", ":"))


def _topics(accounts: list[dict[str, Any]]) -> list[list[Any]]:
    """Return topics with the number of their messages and the time of the last, the busiest first; "" stands for all further topics."""
    topics: dict[str, list[float]] = {}
    for account in accounts:
        for arn, (number, last) in account.get("topics", {}).items():
            before = topics.get(arn, (0, 0))
            topics[arn] = [before[0] + number, max(before[1], last)]
    return sorted(([arn, *topic] for arn, topic in topics.items()), key=lambda topic: topic[1], reverse=True)


def _rates(accounts: list[dict[str, Any]], now: int) -> list[list[int]]:
    """Return the last STEPS whole steps, oldest first: published, refused, put off, confirms, their microseconds."""
    steps = {step: [0] * 5 for step in range(now - STEPS, now)}
    for account in accounts:
        for step, *numbers in account.get("rates", ()):
            if step - 1 in steps:  # a step's numbers are written when the next one begins
                steps[step - 1] = [one + more for one, more in zip(steps[step - 1], numbers, strict=True)]
    return list(steps.values())
