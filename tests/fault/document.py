"""docs/faults.md: a section for each build on the newest RabbitMQ, and the rows that differ on an older one."""

import json
import os
import re
import time
from pathlib import Path

from tests.fault import letters
from tests.fault.neighbours import table as neighbours
from tests.fault.rows import aligned, kept, table
from tests.tools.bridge import ROOT, UNDER_TEST
from tests.tools.rabbitmq import SUITES, RabbitMQ

DOCUMENT = ROOT / "docs/faults.md"
SECOND = 1.0  # times that differ by less are alike
NEIGHBOURS = "tests/fault/test_neighbours_"
FEW = 10  # duplicates that may come and go from run to run
HEAD = """# Faults

These tests break the bridge, its broker, its network and its machine while genuine messages come in, and count what happens to the
messages. `make fault BROKER=4.3` makes these tables; with `BRIDGE_UNDER_TEST=binary` it makes the table of the binary. `make fault
BROKER=3.10` adds the rows whose result differs on an older RabbitMQ: a time that is longer or shorter by more than a second, or
duplicates on only one of the two.

Every row is one test under a load of at least 1,000 genuine messages, with one forged message in fifty. A message that is not answered
200 or 4xx is sent again, as SNS does it. A row appears only if this holds: every message that was answered 200 is in the queue, byte
for byte; none that was answered 4xx is; the queue holds nothing that was not sent; it holds no message more often than it was posted
(twice as often where the bridge itself sends again what was in flight); no genuine message was answered 4xx; and in the end each was
answered 200. A control build that answers 200 without waiting for the confirm fails the same check.

*Worst answer* is the longest time from POST to answer, of all attempts; *recovers within* is the time from the fault's end to the first
200. *Duplicates* come from at-least-once delivery: the message was published, and its confirm did not come in time.

The same run sends mixed requests through haproxy and checks that each gets its own answer; lets sslscan and testssl.sh judge the TLS
listener; tries hostile messages in a network where every name and address leads to a canary, which must stay silent; and looks for
known secrets in log, standard error, command line, metrics and answers. These tests have no row; failures are listed below the table of
their run.

Under *hostile neighbours* another client misbehaves, at the strength that is named and at twice that, while genuine messages come at 30
a second, each posted once: a third on new connections, the others on kept ones, one in ten of 80 KB. `make fault FAULT=--neighbours`
makes this part alone. Times are those of the genuine messages during the attack, from the moment when each was due to its answer, on a
machine whose cores the attacker, the broker and the bridge share. Memory is the bridge's resident memory before the attack and its
highest during it. The bridge promises that each is answered 200, 99 of 100 within a second, /livez too (a second is longer by the factor
by which other work of the machine held the bridge's threads up); that memory stays below the sum of the idle bridge's, 1.25 times
`BRIDGE_MAX_BUFFERED` and 16 MiB; and that nothing is lost. *Held up* is that factor, 1 on a machine that does nothing else; the last
column says which promise was not kept. The Go bridge is the benchmark's
(`tests/bench/peers/bridge.go`), under the same attack where it applies.

The attacker comes from the address of the genuine messages (127.0.0.1), as all clients do behind one proxy, where no other address is
named. An attacker at one other address takes none of SNS's new connections and holds no handshake of theirs up. In a crowd at SNS's own
address handshakes that have waited for less than 0.4 s are made first, in their order, so SNS's new connections overtake thousands of the
attacker's that wait. The limit: while thousands come at once, faster than the bridge can sign, most of SNS's new connections wait among
them, until the attack is over or SNS gives up and sends again. So in the rows that say "after 3 s", p50 and p99 are of messages that were
due after the attack's first 3 s; *worst* is of all. Connections that a genuine message came over go on.
"""


def section(results: Path, before: str, title: str, about: str, beside: str = "") -> str:
    """The part of the document that this run makes.

    before is the former section; its rows stay unless this run made them again. beside is the section of the same build on the newest
    RabbitMQ, when this run was on an older one; rows that are alike are left out.
    """
    rows, failed = kept(results)
    label = about
    before, _, neighbours_before = before.partition(neighbours.HEADING)
    lines = lines_of(before)
    made = table(rows).splitlines()
    lines |= lines_of("\n".join(made[2:]))
    alike = [name for name, line in lines_of(beside).items() if name in lines and not differ(line, lines[name])]
    if beside:
        about += f" {len(rows)} faults survived; {len(lines) - len(alike)} rows differ from those above."
    text = [title, "", about, ""]
    text += aligned([made[0], made[1], *(line for name, line in lines.items() if name not in alike)])
    elsewhere = [name for name in failed if not name.startswith(NEIGHBOURS)]
    if elsewhere:
        text += ["", "These tests failed in the last run:", "", *(f"- `{name}`" for name in elsewhere)]
    text = ["\n".join([*text, ""])]
    if not beside:
        ours = [name for name in failed if name.startswith(NEIGHBOURS)]
        text.append(neighbours.part(results, neighbours_before, label, ours))
    return "\n".join(text)


def with_neighbours(results: Path, before: str, label: str, again: bool) -> str:
    """A section of the document, in which a run of the neighbours alone has replaced their part."""
    others, _, former = before.partition(neighbours.HEADING)
    return others.rstrip() + "\n\n" + neighbours.part(results, former if again else "", label, kept(results)[1])


def lines_of(text: str) -> dict[str, str]:
    """The rows of a table by what they are about: the fault, without the figures that its name ends with."""
    lines = {line.split("|")[1].split(";")[0].strip(): line for line in text.splitlines() if line.startswith("| ")}
    return {name: line for name, line in lines.items() if name != "fault" and name.strip("-")}


def differ(one: str, other: str) -> bool:
    """Whether two rows of the same fault tell different things."""
    (duplicates, *times), (other_duplicates, *other_times) = figures(one), figures(other)
    few, many = sorted((duplicates, other_duplicates))
    return (not few and many >= FEW) or any(abs(a - b) > SECOND for a, b in zip(times, other_times, strict=True))


def figures(line: str) -> list[float]:
    """Duplicates, the worst answer's seconds and the recovery's."""
    return [float(cell.strip().rstrip(" s").replace(",", "") or 0) for cell in line.split("|")[6:9]]


def sections(document: str) -> dict[str, str]:
    """The parts of the document by their titles."""
    return {found.splitlines()[0]: found for found in re.split(r"^(?=## )", document, flags=re.MULTILINE) if found.startswith("## ")}


def place(title: str) -> tuple[bool, bool, bool]:
    """Where a section stands: the source first, and the newest RabbitMQ before the older ones; SQS last."""
    return title == letters.HEADING, not title.startswith("## Source"), " on RabbitMQ " in title


def write(results: Path, again: bool, broker: RabbitMQ, neighbours_only: bool = False) -> None:
    """Put this run's section into the document, in the place of its former self; again: keep the rows of earlier runs.

    neighbours_only: the run was that of the neighbours; they are part of the build's first section on every RabbitMQ, and all else stays.
    """
    found = sections(DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else "")
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []
    newest = f"## {UNDER_TEST.capitalize()}"
    older = broker.series != list(SUITES)[-1]
    title = f"{newest} on RabbitMQ {broker.series}" if older else newest
    about = f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, RabbitMQ {broker.release}."
    if again and all("letters" in line for line in lines):
        pass  # of no other section was anything run
    elif neighbours_only:
        found[newest] = with_neighbours(results, found.get(newest, newest), about, again)
    else:
        found[title] = section(results, found.get(title, "") if again else "", title, about, found.get(newest, "") if older else "")
    if UNDER_TEST == "source":
        found[letters.HEADING] = letters.part(results, found.get(letters.HEADING, ""), about)
    DOCUMENT.parent.mkdir(exist_ok=True)
    parts = [found[name].strip() + "\n" for name in sorted(found, key=place) if found[name]]
    DOCUMENT.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
