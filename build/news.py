"""The changes between two versions, and whether they are about security by changelogs and advisories."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

URGENT = ("high", "emergency", "critical")


class Entry(NamedTuple):
    """One entry of a Debian changelog (Debian policy, 4.4)."""

    version: str
    distributions: str
    urgency: str
    text: str


def newer(version: str, other: str) -> bool:
    """Return whether a Debian version is newer than another, as dpkg orders them."""
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", other], capture_output=True).returncode == 0


def entries(changelog: str, since: str) -> list[Entry]:
    """Return the changelog's entries from the newest down to the first that is not newer than `since`."""
    found = []
    for block in re.split(r"(?m)^(?=\S+ \([^)]+\) [^;\n]*;)", changelog):
        head = re.match(r"\S+ \(([^)]+)\) ([^;\n]*);.*?urgency=(\w+)", block)
        if not head:
            continue
        if not newer(head[1], since):
            break
        found.append(Entry(head[1], head[2], head[3].lower(), block.strip()))
    return found


def cves(text: str) -> set[str]:
    """Return the CVE numbers that a text names."""
    return set(re.findall(r"CVE-\d{4}-\d{4,}", text))


def word(found: list[Entry], before: str = "") -> str:
    """Return one line about the entries: security, by which sign, or not. CVEs that the changelog before names were fixed already."""
    new = cves("\n".join(entry.text for entry in found)) - cves(before)
    if new:
        return f"**security**: {', '.join(sorted(new, key=lambda name: [int(part) for part in name.split('-')[1:]]))}"
    if any("-security" in entry.distributions for entry in found):
        return "**security**: published by Debian's security team"
    urgent = next((entry.urgency for entry in found if entry.urgency in URGENT), "")
    if urgent:
        return f"**security, maybe**: urgency {urgent}"
    if not found:
        return "the changelog says nothing"
    return "not security, as far as the changelog says"


def of_package(tree: Path, name: str) -> str:
    """Return the changelog of an unpacked binary package, "" when it has none."""
    for file in ("changelog.Debian.gz", "changelog.Debian.amd64.gz", "changelog.gz"):
        path = tree / "usr/share/doc" / name / file
        if path.exists():
            return gzip.decompress(path.read_bytes()).decode(errors="replace")
    return ""


def audited(report: str) -> dict[str, str]:
    """Return one line about each project in pip-audit's JSON; a project that could not be asked about is left out."""
    found = {}
    for one in json.loads(report)["dependencies"]:
        if "skip_reason" in one:
            continue
        names = [next((alias for alias in flaw["aliases"] if alias.startswith("CVE-")), flaw["id"]) for flaw in one["vulns"]]
        found[one["name"]] = f"**security**: {', '.join(names)}" if names else "not security: no advisory names the version before"
    return found


def advisories(root: Path, requirements: Path) -> dict[str, str]:
    """Return what PyPI's advisories say of the pinned versions: project -> one line; {} when they can't be asked."""
    words = [root / ".venv/bin/pip-audit", "--disable-pip", "--no-deps", "--format", "json", "--requirement", requirements]
    done = subprocess.run(words, capture_output=True, text=True)
    try:
        return audited(done.stdout)
    except (ValueError, KeyError, TypeError):
        return {}
