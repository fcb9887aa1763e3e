"""The quick part of the fuzzing: the kept corpus, mutations of it, and a few seconds of atheris a target."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.differential import mutated_bytes
from tests.fuzz.run import CORPUS, ROOT
from tests.fuzz.targets import TARGETS


def corpus(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_kept_corpus(name):
    files = corpus(name)
    assert len(files) >= 5
    for path in files:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_the_corpus(name):
    random_ = random.Random(20)
    seeds = [path.read_bytes() for path in corpus(name)]
    for _ in range(3000):
        data = random_.choice(seeds)
        for _ in range(random_.choice((1, 1, 2, 4))):
            data = mutated_bytes(random_, data)
        TARGETS[name](data)


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed (it has no wheel for this Python)")
@pytest.mark.parametrize("name", TARGETS)
def test_a_few_seconds_of_atheris(name, tmp_path):
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", "3", "--found", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{name}: nothing found" in done.stdout
