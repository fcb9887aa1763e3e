"""Where the sources come from: the mirrors that this machine's apt uses."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import fetch
from recipe import BuildError

PLAIN = "Debian|Debian|http://deb.example.com/debian/\n"


def test_both_mirrors_as_apt_knows_them():
    targets = PLAIN + "Google|Cloud|https://packages.example.com/apt/\nDebian|Debian-Security|http://security.example.com/it/\n"
    assert fetch.mirrors_of(targets) == ("http://deb.example.com/debian", "http://security.example.com/it")


def test_a_machine_whose_security_lists_are_not_there_yet():
    assert fetch.mirrors_of(PLAIN) == ("http://deb.example.com/debian", "http://deb.example.com/debian-security")


def test_a_machine_without_lists_is_told_to_get_them():
    with pytest.raises(BuildError, match="apt-get update"):
        fetch.mirrors_of("")
