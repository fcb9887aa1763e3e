"""The build's demands on its machine: the mirrors of its apt, and the number of open files."""

import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import binary
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


def test_a_machine_that_lets_a_process_open_too_few_files_says_so_at_once():
    with pytest.raises(BuildError, match="ulimit -n 4096"):
        binary.check_limit(1024)
    binary.check_limit(4096)
    binary.check_limit(resource.RLIM_INFINITY)
