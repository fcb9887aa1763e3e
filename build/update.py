"""`make update`: the newest version of every pin; shown, written, built, tested, with the sizes before and after.

    make update                     all pins
    make update ONLY=openssl        one pin, or several: ONLY="openssl requests"
    make update LOOK=1              only the table

The pins are changed in the work tree; `git diff` shows them. dist/update.md is the report: the changes, the results, the sizes, what was
passed over, the changelogs. Digests come from apt's signed lists and from the package index.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cmp_to_key
from pathlib import Path
from typing import NamedTuple

import fetch
import news
import size
from recipe import DIST, HERE, ROOT, SOURCES, BuildError, run, say

REQUIREMENTS = HERE / SOURCES["pypi"]["requirements"]
# An image above its budget is built and tested all the same, so that the report has its sizes; `make size` tells at last.
LARGER = "LARGER=allowed"
IMAGE = ["make", "image", LARGER]
QUICK = ["make", "pytest", "TESTS=tests/unit tests/build"]
SUITES = (["make", "lint", "types"], QUICK, ["make", "test-binary"], ["make", "test-image", LARGER], ["make", "size"])
TOLD = 25  # lines of the output of what failed
LIMIT = 65_000  # characters of the report, because a pull request's text has at most 65,536


class Pin(NamedTuple):
    """One pinned thing: `kind` is source, package or pypi."""

    kind: str
    name: str
    version: str
    sha256: str


class PassedOver(NamedTuple):
    """A version that apt's lists have and no place: its pin, whether it is the security team's, and what each place answered."""

    pin: Pin
    security: bool
    said: list[str]


class Change(NamedTuple):
    """A pin, its newest version, one line about its changelog, and the whole changelog."""

    old: Pin
    new: Pin
    word: str
    text: str = ""


def pins() -> list[Pin]:
    """Return everything that is pinned, in the order of the files."""
    found = [Pin("source", name, table["version"], table["dsc"]) for name, table in SOURCES["source"].items()]
    found += [Pin("package", name, table["version"], table["amd64"]) for name, table in SOURCES["package"].items()]
    lines = re.findall(r"^(\S+)==(\S+) --hash=sha256:(\w+)$", REQUIREMENTS.read_text(), re.M)
    return found + [Pin("pypi", *line) for line in lines]


def chosen(only: list[str]) -> list[Pin]:
    """Return the pins with these names, all when none is given. Raises BuildError for a name that no pin has."""
    found = [pin for pin in pins() if not only or pin.name in only]
    unknown = set(only) - {pin.name for pin in found}
    if unknown:
        raise BuildError(f"nothing is pinned as {', '.join(sorted(unknown))}: ONLY takes {' '.join(pin.name for pin in pins())}")
    return found


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Return the paragraphs of a Debian control file: field -> value, further lines included."""
    for block in re.split(r"\n\s*\n", text.strip()):
        yield dict(re.findall(r"^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", block, re.M))


def newer_debian(pin: Pin, shown: str) -> list[Pin]:
    """Return the newer versions among what `apt-cache showsrc` or `apt-cache show` printed, the newest first."""
    found: list[Pin] = []
    for fields in stanzas(shown):
        version = fields.get("Version", "")
        if pin.kind == "source":
            digests = re.findall(r"^\s*([0-9a-f]{64}) \d+ \S+\.dsc$", fields.get("Checksums-Sha256", ""), re.M)
        else:
            digests = [fields.get("SHA256", "")] if fields.get("Architecture", "amd64") in ("amd64", "all") else []
        if version and digests and news.newer(version, pin.version):
            found.append(pin._replace(version=version, sha256=digests[0]))
    return sorted(set(found), key=cmp_to_key(lambda one, other: news.newer(other.version, one.version) or -1))


def apt_cache(suite: str, *words: str) -> str:
    """Return what apt-cache prints with the build's own configuration, or the one for another suite."""
    more = os.environ | {"APT_CONFIG": str(fetch.apt(suite)), "LC_ALL": "C.UTF-8"}
    return subprocess.run(["apt-cache", *words], capture_output=True, text=True, env=more).stdout


def newest_pypi(pin: Pin) -> Pin:
    """Return the newest version that pip finds, and the digest of its file."""
    options = re.findall(r"^(--no-binary) (\S+)$", REQUIREMENTS.read_text(), re.M)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    words = [*pip, "--quiet", "--report", "-", *(word for option in options for word in option), pin.name]
    found = subprocess.run(words, capture_output=True, text=True)
    if found.returncode:
        raise BuildError(f"pip can't tell the newest {pin.name}:\n{found.stderr[-1500:]}")
    (one,) = json.loads(found.stdout)["install"]
    return pin._replace(version=one["metadata"]["version"], sha256=one["download_info"]["archive_info"]["hashes"]["sha256"])


def newest(pin: Pin, passed_over: list[PassedOver], suite: str = "") -> Pin:
    """Return the newest version of a pin whose files exist, because a mirror's lists can be ahead of its files.

    What is newer and has no files is added to `passed_over`. `suite` names another one of Debian's than those of sources.toml."""
    if pin.kind == "pypi":
        return newest_pypi(pin)
    name = pin.name if pin.kind == "package" else SOURCES["source"][pin.name]["package"]
    words = ["show", name] if pin.kind == "package" else ["showsrc", "--only-source", name]
    for new in newer_debian(pin, apt_cache(suite, *words)):
        try:
            unpacked(new)
            return new
        except BuildError as error:
            said = re.findall(r"(?m)^  (.+)", str(error)) or [str(error).splitlines()[0]]
            passed_over.append(PassedOver(new, of_security_team(apt_cache(suite, "madison", name), new.version), said))
    return pin


def of_security_team(madison: str, version: str) -> bool:
    """Return whether `apt-cache madison` printed the version for a suite of the security team's ("package | version | address suite/…")."""
    rows = [[word.strip() for word in line.split("|")] for line in madison.splitlines()]
    return any(len(row) == 3 and row[1] == version and "-security/" in row[2] for row in rows)


def unpacked(pin: Pin) -> Path:
    """Return the unpacked Debian package of a version that is not pinned yet."""
    table = SOURCES[pin.kind][pin.name] | {"version": pin.version}
    if pin.kind == "source":
        return fetch.source(pin.name, table | {"dsc": pin.sha256})
    return fetch.package(pin.name, table | {"amd64": pin.sha256})


def changelog(pin: Pin) -> str:
    """Return the changelog of a Debian package of this version."""
    tree = unpacked(pin)
    if pin.kind == "package":
        return news.of_package(tree, pin.name)
    return (tree / "debian/changelog").read_text(encoding="utf-8", errors="replace")


def change(old: Pin, new: Pin, advisories: dict[str, str]) -> Change:
    """Return the change with what is known about it."""
    if old.kind == "pypi":
        return Change(old, new, advisories.get(old.name, "unknown, because PyPI's advisories could not be read"))
    entries = news.entries(changelog(new), old.version)
    try:
        before = changelog(old)
    except BuildError:
        before = ""  # a version that is gone
    return Change(old, new, news.word(entries, before), "\n\n".join(entry.text for entry in entries))


def table(changes: list[Change]) -> list[str]:
    """Return the changes as a table of Markdown."""
    lines = ["| what | from | to | what changed |", "|---|---|---|---|"]
    return lines + [f"| {one.old.name} | {one.old.version} | {one.new.version} | {one.word} |" for one in changes]


def named(passed_over: list[PassedOver]) -> list[str]:
    """Return the versions that were passed over as a list of Markdown, with what each place answered; nothing when there are none."""
    lines = ["", "Passed over, because Debian's lists name these versions but their files could not be fetched:", ""]
    for one in passed_over:
        sign = ", **security**: Debian's security team published it" if one.security else ""
        lines += [f"- {one.pin.name} {one.pin.version}{sign}", *(f"  - {reason}" for reason in one.said)]
    return lines if passed_over else []


def written(text: str, old: Pin, new: Pin) -> str:
    """Return the text of a file of pins (sources.toml, requirements.txt, pyproject.toml, a .in) with the pin changed.

    Raises BuildError when it does not have it."""
    if old.kind == "pypi":
        pattern = rf"(?m)^(\s*\"?{re.escape(old.name)}==){re.escape(old.version)}(?=[\"\s]|$)"
        made, found = re.subn(pattern, rf"\g<1>{new.version}", text)
        made = made.replace(old.sha256, new.sha256)
    else:
        head, body = text.split(f"[{old.kind}.{old.name}]\n", 1) if f"[{old.kind}.{old.name}]\n" in text else (text, "")
        section, rest = [*body.split("\n[", 1), ""][:2]
        found = section.count(f'"{old.version}"')
        section = section.replace(f'"{old.version}"', f'"{new.version}"').replace(f'"{old.sha256}"', f'"{new.sha256}"')
        made = f"{head}[{old.kind}.{old.name}]\n{section}" + (f"\n[{rest}" if rest else "")
    if not found:
        raise BuildError(f"{old.name} {old.version} is not pinned where it should be")
    return made


def write(changes: list[Change]) -> bool:
    """Write the new pins to all files that name them; return whether the tests' requirements have to be resolved again."""
    again = False
    inputs = [ROOT / "pyproject.toml", *ROOT.glob("tests/**/*.in")]
    for one in changes:
        path = REQUIREMENTS if one.old.kind == "pypi" else HERE / "sources.toml"
        path.write_text(written(path.read_text(), one.old, one.new))
        for other in inputs if one.old.kind == "pypi" else []:
            try:
                other.write_text(written(other.read_text(), one.old, one.new))
                again = True
            except BuildError:
                continue  # most files name few of the projects
    return again


def sizes() -> list[str]:
    """Record the sizes of dist/size.json where they are documented; return them, before and after, as a table of Markdown."""
    told = json.loads((DIST / "size.json").read_text())
    text, now = (HERE / "size-budget.toml").read_text(), size.of(told)
    before, budget = size.table(text, told["arch"], "measured"), size.table(text, told["arch"], "budget")
    size.record(told, DIST / "size.svg")
    lines = [f"| {told['arch']}, bytes | recorded before | after | change | budget |", "|---|---:|---:|---:|---:|"]
    for name, new in now.items():
        old, limit = before.get(name, 0), budget.get(name, 0)
        lines.append(f"| {name} | {old:,} | {new:,} | {new - old:+,} | {limit:,}{', **exceeded**' if new > limit else ''} |")
    note = "The sizes before are those in size-budget.toml. What else has changed since they were recorded is in the difference too."
    return [*lines, "", note]


def bounded(report: str) -> str:
    """Return the report, cut at its end, where the changelogs are, when it is longer than the text of a pull request can be."""
    if len(report) <= LIMIT:
        return report
    kept = report[:LIMIT].rsplit("\n", 1)[0]
    return kept + ("\n```" if kept.count("```") % 2 else "") + "\n\nThe report was cut here, because it is too long for a pull request.\n"


def done(words: list[str], log: Callable[[str], None]) -> bool:
    """Run a command of the project and show its output; log its name, result and time, and its last lines when it failed.

    Return whether it succeeded. The output goes through a file, because a pipe would last as long as any process that has it."""
    began, path = time.monotonic(), DIST / "update.log"
    with path.open("ab") as out, path.open("rb") as told:
        start = told.seek(0, os.SEEK_END)
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        ended = False
        while not ended:
            ended = process.poll() is not None
            sys.stdout.write(told.read().decode(errors="replace"))
            sys.stdout.flush()
            time.sleep(0 if ended else 0.2)
        told.seek(start)
        last = told.read().decode(errors="replace").splitlines()[-TOLD:]
    good = process.returncode == 0
    log(f"- `{' '.join(words)}`: {'passed' if good else '**failed**'} ({time.monotonic() - began:.0f} s)")
    if not good:
        log("\n".join(["", "  ```", *(f"  {line[:300]}" for line in last), "  ```", ""]))
    return good


def warnings() -> list[str]:
    """Return what the build said of its profile, as a list of Markdown: a program without its profile passes all tests, but is slower."""
    lines = (DIST / "update.log").read_text(errors="replace").splitlines()
    return [f"- {' '.join(line.split())}" for line in lines if line.startswith("pgo.txt ")]


def main(only: list[str], look: bool) -> int:
    """Do it all; return the exit status: 1 when something that was built or tested failed."""
    wanted = chosen(only)
    DIST.mkdir(parents=True, exist_ok=True)
    for name in () if look else ("update.log", "update.md"):
        (DIST / name).unlink(missing_ok=True)
    if any(pin.kind != "pypi" for pin in wanted):
        run(["apt-get", "update"], DIST / "update.log", APT_CONFIG=str(fetch.apt()))
    passed_over: list[PassedOver] = []
    found = [(pin, newest(pin, passed_over)) for pin in wanted]
    advisories = news.advisories(ROOT, REQUIREMENTS) if any(old.kind == "pypi" and old != new for old, new in found) else {}
    changes = [change(old, new, advisories) for old, new in found if old.version != new.version]
    if not changes:
        print("\n".join(["nothing newer can be fetched", *named(passed_over)] if passed_over else ["everything is at its newest version"]))
        return 0
    report = [f"Update {', '.join(one.old.name for one in changes)}", "", *table(changes), *named(passed_over)]
    print("\n".join(report[2:]), flush=True)
    if look:
        return 0
    again = write(changes)
    results: list[str] = []
    good = done(["make", "requirements"], results.append) if again else True
    good = good and done(IMAGE, results.append)
    results += warnings()
    measured = sizes() if good else []
    for suite in SUITES if good else ():
        good = done(suite, results.append) and good
    if not good and len(changes) > 1:
        results += ["", "One of them may be at fault: `git stash` puts all aside, then `make update ONLY=NAME` tries one."]
    changelogs = [f"{one.old.name}:\n\n```\n{one.text}\n```" for one in changes if one.text]
    report += ["", *results, "", *measured, "", *changelogs]
    (DIST / "update.md").write_text(bounded("\n".join(report) + "\n"))
    print("\n".join(["", *results, "", *measured]))
    say("dist/update.md", "the report; git diff shows the new pins")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main(" ".join(sys.argv[1:]).replace(",", " ").split(), bool(os.environ.get("LOOK"))))
    except BuildError as error:
        sys.exit(f"{error}")
