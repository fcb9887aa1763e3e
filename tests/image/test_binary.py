"""The program in dist, packed and unpacked: the properties that its build gives it."""

import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.simulate.sns import SNS
from tests.conftest import StartBridge
from tests.image.archive import DIST
from tests.tools import bridge as tools
from tests.tools import launch
from tests.tools.bridge import Bridge

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import pack

SETTINGS = {"BRIDGE_TOPICS": "arn:aws:sns:eu-central-1:123456789012:orders", "BRIDGE_AMQP_URL": "amqp://127.0.0.1:1/"}


@pytest.fixture(params=["binary", "unpacked"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for module in (launch, tools):
        monkeypatch.setattr(module, "UNDER_TEST", request.param)
    return str(request.param)


def writable(pid: int) -> Iterator[bytes]:
    """Yield each part of a process's memory that it may write to."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            places, flags = line.split()[:2]
            start, end = (int(place, 16) for place in places.split("-"))
            if flags.startswith("rw") and end - start < 1 << 28:
                memory.seek(start)
                yield memory.read(end - start)


def hashes(pid: int, word: bytes) -> set[int]:
    """Return the hash that a running CPython keeps of this text: 16 bytes before the characters, after their number."""
    found = set()
    for part in writable(pid):
        for match in re.finditer(re.escape(word) + b"\0", part):
            if match.start() >= 24:
                size, value = struct.unpack_from("<qq", part, match.start() - 24)
                if size == len(word) and value not in (-1, 0):
                    found.add(value)
    return found


def test_strings_hash_by_a_key_of_each_start(program: str) -> None:
    """With the key anybody can make a thousand names that all hash alike, so no variable for CPython chooses it."""
    seen = []
    for _ in range(2):
        with Bridge(**SETTINGS, PYTHONHASHSEED="0") as bridge:
            found = hashes(bridge.pid(), b"x-amz-sns-topic-arn") | hashes(bridge.pid(), b"MessageAttributes")
            assert found
            seen.append(found)
    assert not seen[0] & seen[1]


def test_libcrypto_knows_the_processor(program: str) -> None:
    """Else verification runs on code for any of them."""
    place = re.search(r"^ *([0-9a-f]+) .* OPENSSL_ia32cap_P$", (pack.build() / "bridge.map").read_text(), re.M)
    assert place
    with Bridge(**SETTINGS) as bridge, open(f"/proc/{bridge.pid()}/mem", "rb") as memory:
        memory.seek(int(place[1], 16))
        assert memory.read(16) != bytes(16)


def test_no_variable_for_python_changes_it() -> None:
    words = {"PYTHONHASHSEED": "none", "PYTHONVERBOSE": "1", "PYTHONINSPECT": "1", "PYTHONMALLOC": "debug", "PYTHONDEVMODE": "1"}
    done = subprocess.run([DIST / "bridge", "--version"], env=os.environ | words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stripped_copy_runs_and_delivers(folder: Path, monkeypatch: pytest.MonkeyPatch, start_bridge: StartBridge, sns: SNS) -> None:
    """Packagers strip what they ship. The packed program can't be stripped: it has no sections."""
    stripped = folder / "bridge"
    subprocess.run(["strip", "-o", stripped, DIST / "bridge.unpacked"], check=True)
    for module in (launch, tools):  # no container is under test here, and monkeypatch is undone after start_bridge
        monkeypatch.setattr(module, "UNDER_TEST", "unpacked")
    monkeypatch.setattr(tools, "command", lambda *_: [str(stripped)])
    done = subprocess.run([stripped, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and "verifier libcrypto" in done.stdout
    assert start_bridge().deliver(sns.notification()).status == 200
    refused = subprocess.run(["strip", "-o", folder / "packed", DIST / "bridge"], capture_output=True, text=True)
    assert refused.returncode and "no sections" in refused.stderr
