"""The documentation is complete where that can be counted, and what it names exists. tests/docs runs its commands."""

import ast
import re

import pytest

from bridge import errors
from bridge.counters import OK
from bridge.settings import SETTINGS
from tests.tools.launch import ROOT

NAMES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "tests/README.md", "build/README.md")
DOCUMENTS = sorted([*(ROOT / name for name in NAMES), *(ROOT / "docs").glob("*.md")])
OUR_OWN = [ROOT / name for name in (*NAMES, "docs/architecture.md", "docs/supported.md")]
REASONS = {kind.reason: kind.status for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BridgeError)}


def table(text: str, columns: int) -> list[list[str]]:
    """The cells of the rows that have so many columns and whose first is code."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")]
    return [row for row in rows if len(row) == columns]


def test_every_reason_is_explained():
    rows = table((ROOT / "docs/reasons.md").read_text(), 4)
    assert {row[0].strip("`"): int(row[1]) for row in rows} == REASONS
    assert len(rows) == len(REASONS)
    assert all(what for _, _, what, _ in rows)


def test_the_readme_lists_every_reason_by_its_status():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it answers")[2].partition("\n## ")[0]
    listed = {}
    for statuses, reasons in re.findall(r"^\| ([0-9, ]+) \| (.+) \|$", text, re.MULTILINE):
        numbers, names = [int(one) for one in statuses.split(", ")], re.sub(r"\([^)]*\)", "", reasons).split(",")
        listed |= {name.strip(): numbers[min(at, len(numbers) - 1)] for at, name in enumerate(names)}
    own = {reason: status for reason, status in REASONS.items() if reason != errors.Retryable.reason}
    assert listed == own | dict.fromkeys(OK, 200)


def rules(path) -> set[str]:
    """What the marks `@pytest.mark.rule(...)` of a file name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rule":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def test_every_setting_and_every_reason_has_a_test():
    """tests/README.md says how to find it."""
    base = errors.Retryable.reason  # never answered itself
    wanted = {setting.variable for setting in SETTINGS} | set(REASONS) | set(OK)
    marked = set().union(*(rules(path) for path in (ROOT / "tests").rglob("test_*.py")))
    assert wanted - {base} - marked == set(), "mark a test of it: @pytest.mark.rule(...)"
    assert marked - wanted == set(), "no such setting or reason"


def test_every_event_of_the_log_is_explained():
    used = set()
    for path in set((ROOT / "bridge").rglob("*.py")) - set((ROOT / "bridge/simulate").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                level = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
                if level in ("debug", "info", "warning", "error") and isinstance(node.args[0].value, str):
                    used.add(node.args[0].value)
                elif level == "FollowedFiles":
                    used |= {f"{node.args[0].value}_read", f"{node.args[0].value}_unusable"}
    assert {"verdict", "listening", "broker_lost"} <= used
    howto = (ROOT / "docs/howto.md").read_text()
    explained = {word for row in table(howto.partition("## Read the log")[2], 3) for word in re.findall(r"`([a-z_]+)`", row[0])}
    assert explained == used


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_are_named_are_settings(document):
    known = {setting.variable for setting in SETTINGS}
    tests_own = {"BRIDGE_UNDER_TEST", "BRIDGE_IMAGE", "BRIDGE_REVISION"}
    named = set(re.findall(r"BRIDGE_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_*…])", document.read_text()))
    assert not named - known - tests_own


# Folders whose files the documents may name, and names that only a build or a run makes.
FOLDERS = ("bridge", "build", "docker", "docs", "tests", ".ci", ".github")
MADE = re.compile(r"dist/.*|\.cache.*|\.venv.*|sbom\.spdx\.json|size\.(?:json|svg)|partitions\.json")
FILE = r"[\w.-]+\.(?:py|c|h|md|toml|txt|mk|go|yaml|tf|html|css|js|json|svg|sh|service|pyi|in)"
PATH = re.compile(rf"(?:[\w.-]+/)*{FILE}|(?:[\w.-]+/)+[\w.-]*")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def words(document) -> list[str]:
    """The words in backticks outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))


def files() -> set[str]:
    found = {path.name for path in ROOT.iterdir()}
    for folder in FOLDERS:
        found |= {str(path.relative_to(ROOT)) + "/" * path.is_dir() for path in (ROOT / folder).rglob("*")}
    return found | {f"{folder}/" for folder in FOLDERS}


@pytest.mark.parametrize("document", OUR_OWN, ids=lambda path: path.name)
def test_paths_that_are_named_exist(document):
    known = files()
    named = {word for word in words(document) if PATH.fullmatch(word) and not MADE.fullmatch(word)}
    assert named
    assert {word for word in named if not any(f"/{path}".endswith(f"/{word}") for path in known)} == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "tests/README.md"])
def test_names_of_the_code_that_are_named_exist(name):
    sources = [path for folder in ("bridge", "build", "tests") for path in (ROOT / folder).rglob("*.py")]
    code = set(re.findall(r"\w+", "".join(path.read_text(encoding="utf-8") for path in sources)))
    named = {word for word in words(ROOT / name) if NAME.fullmatch(word) and not PATH.fullmatch(word)}
    assert named
    assert {word for word in named if not set(word.split(".")) <= code} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_targets_that_are_named_exist(document):
    makefiles = [ROOT / "Makefile", *ROOT.glob("build/*.mk"), *ROOT.glob("tests/*/*.mk")]
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", "".join(path.read_text(encoding="utf-8") for path in makefiles), re.MULTILINE))
    assert {"test", "image", "fault", "test-page"} <= targets
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`make\s([a-z][a-z0-9-]*)", text) + re.findall(r"^ {4}(?:.*&& )?make ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert named - {"docker-dependencies"} <= targets, "docker-dependencies is a target of the bridge of 2017"


@pytest.mark.parametrize("document", OUR_OWN, ids=lambda path: path.name)
def test_modules_that_are_run_exist(document):
    for module in re.findall(r"-m (tests\.[a-z_.]+)", document.read_text(encoding="utf-8")):
        assert (ROOT / module.replace(".", "/")).is_dir() or (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        name, _, fragment = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), f"{target} is not there"
        if fragment and path.suffix == ".md":
            text = path.read_text()
            places = {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}
            places |= set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
            assert fragment in places, f"{target}: no such heading"
