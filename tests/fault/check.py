"""The one check behind every fault test: a message that was answered 200 is in the queue, whatever happened meanwhile.

    S  sent and genuine          A  answered 200 at least once        R  answered 4xx
    U  no answer, or another     Q  in the queue after recovery

A is in Q; Q is in A or U; R and Q share nothing; every body is byte-equal; a message lies in the queue no more often than
it was posted, or twice as often where the bridge itself sends again what was in flight.
A genuine message that is answered 4xx is lost as well: SNS never sends it again.
Pure: no sockets, no clock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

NO_ANSWER = 0


class Verdict(NamedTuple):
    """Ids by what is wrong with them, and the figures of the row. All is well when `faults` is empty."""

    sent: int
    answered: int
    queued: int
    duplicates: int
    lost: frozenset[str]
    invented: frozenset[str]
    refused: frozenset[str]
    let_in: frozenset[str]
    changed: frozenset[str]
    multiplied: frozenset[str]

    @property
    def faults(self) -> dict[str, list[str]]:
        """What is wrong: its name and up to three ids."""
        return {name: sorted(getattr(self, name))[:3] for name in EXPLANATIONS if getattr(self, name)}

    def __str__(self) -> str:
        return (
            "; ".join(f"{len(getattr(self, name))} {EXPLANATIONS[name]}, such as {', '.join(ids)}" for name, ids in self.faults.items())
            or "nothing lost"
        )


EXPLANATIONS = {
    "lost": "answered 200 and not in the queue",
    "invented": "in the queue and never sent, or never in doubt",
    "refused": "genuine and answered 4xx",
    "let_in": "answered 4xx and in the queue",
    "changed": "in the queue with another body",
    "multiplied": "more often in the queue than posted",
}


def judge(
    sent: Mapping[str, bytes], answers: Mapping[str, Sequence[int]], queue: Iterable[tuple[str, bytes]], publishes: int = 1
) -> Verdict:
    """Compare what was sent with what came out.

    sent: id -> body of every genuine message. answers: id -> the status of every POST of it (0: none), forged ones too.
    queue: (id, body) of every message that lay in the queue. publishes: how often the bridge may publish what was posted once.
    """
    stored = list(queue)
    copies = Counter(identity for identity, _ in stored)
    answered = {identity for identity, statuses in answers.items() if any(200 <= status < 300 for status in statuses)}
    refused = {identity for identity, statuses in answers.items() if any(400 <= status < 500 for status in statuses)}
    doubtful = {
        identity
        for identity, statuses in answers.items()
        if any(status == NO_ANSWER or status >= 500 or 300 <= status < 400 for status in statuses)
    }
    queued = set(copies)
    return Verdict(
        sent=len(sent),
        answered=len(answered),
        queued=len(stored),
        duplicates=len(stored) - len(copies),
        lost=frozenset(answered - queued),
        invented=frozenset(queued - (answered | doubtful)) - frozenset(refused),
        refused=frozenset(refused & sent.keys()),
        let_in=frozenset(refused & queued),
        changed=frozenset(identity for identity, body in stored if body != sent.get(identity, body))
        | frozenset(queued - sent.keys()) - frozenset(refused),
        multiplied=frozenset(identity for identity, count in copies.items() if count > publishes * len(answers.get(identity, ()))),
    )
