"""The manual page and the completion are those of today's commands and settings, and bash completes by them."""

import subprocess

import pytest

from bridge.bodies.formats import FORMATS
from bridge.cli import COMMANDS
from bridge.settings import SETTINGS
from tests.tools import manual

PAGE, SCRIPT = manual.FILES


@pytest.mark.parametrize("path", manual.FILES, ids=lambda path: path.name)
def test_the_files_are_made_from_the_tables(path):
    assert path.read_text(encoding="utf-8") == manual.FILES[path](), "run .venv/bin/python -m tests.tools.settings_table README.md"


def test_the_page_names_every_command_and_setting():
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    assert all(f"\n.B {name}\n" in text for name in COMMANDS)
    assert all(f"\\fB{setting.flag}\\fR \\fI" in text and f"\\fB{setting.variable}\\fR\n" in text for setting in SETTINGS)


@pytest.mark.parametrize(
    ("text", "made"), [("a-b", "a\\-b"), ("`x` **y**", "\\fBx\\fR \\fBy\\fR"), (".x", "\\&.x"), ("\\", "\\e"), ("a…", "a...")]
)
def test_text_is_roff(text, made):
    assert manual.roff(text) == made


def completed(*words):
    """What bash offers for the last of these words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bridge; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "-", SCRIPT, "bridge", *words], capture_output=True, text=True, cwd=manual.ROOT, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ver"], ["verify"]),
        (["--amqp-c"], ["--amqp-ca-file", "--amqp-cert"]),
        (["serve", "--body", ""], list(FORMATS)),
        (["--raw", "o"], ["on", "off"]),
        (["--listen", ""], []),
        (["--routes", "pyproj"], ["pyproject.toml"]),
        (["--certificates", "docs/comp"], ["docs/completion"]),
        (["verify", "SECUR"], ["SECURITY.md"]),
        (["verify", "--at"], ["--at"]),
    ],
)
def test_bash_completes(words, offered):
    assert completed(*words) == offered


def test_bash_offers_every_command_and_setting():
    assert set(completed("")) == {*COMMANDS, *(setting.flag for setting in SETTINGS), "--help", "--version"}
