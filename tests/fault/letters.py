"""Dead letters in SQS, and their rows: kept in the file that FAULT_RESULTS names, and laid out for docs/faults.md."""

import json
import random
from pathlib import Path
from typing import Any

from bridge.simulate.sns import SNS
from tests.fault import rows
from tests.fault.load import ONE_FORGED_IN, forged
from tests.tools.broker import Broker
from tests.tools.sqs import SQS

QUEUE = "letters"
HEADING = "## SQS"
COLUMNS = ("fault", "genuine letters", "forged", "in RabbitMQ", "lost", "duplicates", "forged left in SQS")
Row = dict[str, Any]


class Letters:
    """Dead letters, the SQS that has them, and the messages that RabbitMQ has to get."""

    def __init__(self, sns: SNS, sqs: SQS, number: int, later: int = 0) -> None:
        """number of them are in the queue at once, and `later` more with `send`, because thousands of signatures take seconds."""
        self.sns, self.sqs = sns, sqs
        self.genuine: set[str] = set()
        self.forged: set[str] = set()
        self.stored: set[str] = set()
        self.copies = 0
        self._later = self._written(later)
        self.add(number)

    def _written(self, number: int) -> list[str]:
        posts = list(self.sns.notifications(number))
        genuine = [post.body.decode() for post in posts]
        false = [forged(post).body.decode() for post in posts[::ONE_FORGED_IN]]
        self.genuine.update(genuine)
        self.forged.update(false)
        mixed = [*genuine, *false]
        random.Random(21).shuffle(mixed)
        return mixed

    def add(self, number: int) -> None:
        """Put more into the queue."""
        self.sqs.url(QUEUE)
        self.sqs.send(QUEUE, *self._written(number))

    def send(self) -> None:
        """Put those into the queue that were written for later."""
        self.sqs.send(QUEUE, *self._later)
        self._later = []

    def collect(self, broker: Broker, queue: str) -> None:
        """Take what is in RabbitMQ."""
        stored = [message.body.decode() for message in broker.take(queue)]
        self.copies += len(stored)
        self.stored |= set(stored)

    def faults(self) -> dict[str, int]:
        """What is wrong, in words; nothing when all is well. To be asked when all that is in RabbitMQ was collected."""
        deleted, left = set(self.sqs.deleted()), set(self.sqs.bodies(QUEUE))
        found = {
            "deleted and not in RabbitMQ": deleted - self.stored,
            "forged and in RabbitMQ": self.forged & self.stored,
            "forged and deleted": self.forged - left,
            "in RabbitMQ and never sent": self.stored - self.genuine - self.forged,
            "gone from both": self.genuine - self.stored - left,
        }
        return {name: len(which) for name, which in found.items() if which}

    @property
    def drained(self) -> bool:
        return len(self.sqs.bodies(QUEUE)) <= len(self.forged)


def row(fault: str, letters: Letters) -> Row:
    """The row of one fault, whose letters were all checked."""
    left = letters.forged & set(letters.sqs.bodies(QUEUE))
    figures = len(letters.genuine), len(letters.forged), letters.copies, 0, letters.copies - len(letters.stored), len(left)
    return {"letters": fault, "cells": [fault, *(f"{figure:,}" for figure in figures)]}


def keep(one: Row) -> None:
    """Append a row to FAULT_RESULTS, if it is set."""
    rows.keep(one)


def part(path: Path, before: str, about: str) -> str:
    """The section of the document: the rows of the file, and those of the section before that were not made again; "" for none."""
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in before.splitlines() if line.startswith("| ")]
    cells = {line[0].split(";")[0]: line for line in lines[2:] if len(line) == len(COLUMNS)}
    made = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    cells |= {one["letters"].split(";")[0]: one["cells"] for one in made if "letters" in one}
    if not cells:
        return ""
    text = [HEADING, "", ABOUT, "", about, ""]
    text += rows.aligned([f"| {' | '.join(line)} |" for line in (COLUMNS, ["-"] * len(COLUMNS), *cells.values())])
    return "\n".join([*text, ""])


ABOUT = """Dead letters lie in a simulated SQS: half of them from the start, half from the fault on. The table tells how many are forged.
A row appears only if every genuine letter is in RabbitMQ in the end, byte for byte; if none was deleted that is not there; and if all
forged ones are left in SQS. A minute of a visibility timeout takes a second here. Two control builds, which delete before the confirm
and in a `finally`, fail the same check. Duplicates are letters that were published, but not yet deleted, when they came again."""
