"""The tests' own tools: which RabbitMQ a word chooses, and what a token says."""

import base64
import json
import re
import time
from pathlib import Path

import pytest

from tests.tools import rabbitmq
from tests.tools.oauth import Issuer


def test_an_unknown_version_is_an_error_that_lists_the_known_ones(monkeypatch):
    monkeypatch.setenv("BROKER", "2.8")
    with pytest.raises(SystemExit, match=re.escape(f"BROKER=2.8 is none of {', '.join(rabbitmq.SUITES)}, newest")):
        rabbitmq.rabbitmq()


@pytest.fixture
def none_installed(monkeypatch):
    """Hide the machine's own RabbitMQ, which may be one of the versions."""
    release = rabbitmq._release
    monkeypatch.setattr(rabbitmq, "_release", lambda tree: "" if tree == Path("/") else release(tree))


@pytest.mark.usefixtures("none_installed")
def test_a_version_is_unpacked_once(monkeypatch, tmp_path):
    unpacked = []
    newest, suite = list(rabbitmq.SUITES.items())[-1]

    def unpack(tree: Path) -> None:
        unpacked.append(tree.name)
        (tree / f"usr/lib/rabbitmq/lib/rabbitmq_server-{newest}.99").mkdir(parents=True)

    monkeypatch.setattr(rabbitmq, "CACHE", tmp_path)
    monkeypatch.setattr(rabbitmq, "_unpack", unpack)
    for word in ("newest", newest):
        found = rabbitmq.rabbitmq(word)
        assert (found.release, found.series, found.tree) == (f"{newest}.99", newest, tmp_path / suite)
    assert unpacked == [suite]


@pytest.mark.usefixtures("none_installed")
def test_a_version_that_cannot_be_had_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(rabbitmq, "CACHE", tmp_path)
    monkeypatch.setenv("MIRROR", "http://127.0.0.1:9/debian")
    monkeypatch.setattr(rabbitmq.shutil, "which", lambda name: name)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "debootstrap").write_text("#!/bin/sh\nexit 3\n")
    (commands / "debootstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setattr(rabbitmq.os, "geteuid", lambda: 0)
    with pytest.raises(SystemExit, match=r"RabbitMQ of Debian trixie can't be fetched: debootstrap ended with 3, see .*trixie\.log"):
        rabbitmq.rabbitmq("4.0")
    monkeypatch.setattr(rabbitmq.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="takes root"):
        rabbitmq.rabbitmq("4.0")


def test_a_token_ends_when_it_should(tmp_path):
    issuer = Issuer(tmp_path)
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in issuer.token(20, user="me").split("."))
    assert json.loads(head)["alg"] == "RS256"
    assert len(signature) == 256
    said = json.loads(claims)
    assert 19 < said["exp"] - time.time() <= 21
    assert said["aud"] == ["rabbitmq"]
    assert "rabbitmq.write:*/*" in said["scope"]
    issuer.write(tmp_path / "token", 20)
    assert (tmp_path / "token").read_text().endswith("\n")
