"""The report of a simulation, as lines for people."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator

from bridge.simulate.delivery import Attempt, Outcome, retried
from bridge.simulate.hostile import Variant
from bridge.simulate.post import Answer


def reason(text: str) -> str:
    """Return the first line of an answer's body: the bridge's reason, or the words of a proxy."""
    first = (text.strip().splitlines() or [""])[0]
    return first[:60]


def _answers(attempts: Iterable[Attempt]) -> str:
    counted = Counter(f"{attempt.status or 'no answer'} {reason(attempt.why)}".strip() for attempt in attempts)
    return ", ".join(f"{answer}: {number:,}" for answer, number in counted.most_common(8))


def latencies(outcomes: list[Outcome]) -> str:
    """Return the times of the last attempts: median, 99 % and longest. outcomes has at least one."""
    times = sorted(outcome.attempts[-1].seconds * 1000 for outcome in outcomes)
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, longest {times[-1]:.1f} ms"


def of_messages(outcomes: list[Outcome], count: int, seconds: float) -> Iterator[str]:
    """Yield the lines about ordinary messages; count is the number to be sent, seconds the time that it took."""
    delivered = [outcome for outcome in outcomes if outcome.delivered]
    refused = [outcome for outcome in outcomes if not outcome.delivered and not retried(outcome.status)]
    given_up = [outcome for outcome in outcomes if not outcome.delivered and retried(outcome.status)]
    again = [attempt for outcome in outcomes for attempt in outcome.attempts[:-1]]
    yield f"  sent       {count:,}, {len(outcomes) / seconds:,.0f} a second" if outcomes else "  sent       0"
    yield f"  200        {len(delivered):,}"
    yield f"  refused    {len(refused):,}  {_answers(outcome.attempts[-1] for outcome in refused)}".rstrip()
    yield f"  retried    {len(again):,}  {_answers(again)}".rstrip()
    yield f"  given up   {len(given_up):,}  {_answers(outcome.attempts[-1] for outcome in given_up)}".rstrip()
    if len(outcomes) < count:
        yield f"  unsettled  {count - len(outcomes):,}  interrupted before SNS would have given up"
    if delivered:
        yield f"  latency    {latencies(delivered)}, of the 200s"


def verdict(variant: Variant, answer: Answer) -> str:
    """Return "" when the answer is the right one; else what is wrong with it."""
    if 200 <= answer.status < 300:
        return "TAKEN: it must be refused"
    if answer.status != variant.status:
        return f"not {variant.status} {variant.reason}" + (": SNS would send it again" if retried(answer.status) else "")
    return ""


def of_variant(variant: Variant, answer: Answer) -> str:
    """Return the line about one hostile variant."""
    got = f"{answer.status or '-'} {reason(answer.body.decode('utf-8', 'replace'))}"
    wrong = verdict(variant, answer)
    return f"  {got:<24} {variant.name}" + (f"   <- {wrong}" if wrong else "")
