"""build/pgo.txt: the compiler accepts the profile, and a program's counters are read from its memory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.train import functions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import pgo
import recipe
import toolchain
from pgo import Function

PROGRAM = """
#include <unistd.h>
static __attribute__((noinline)) int odd(int n) { return n & 1 ? n : 0; }
__attribute__((noinline)) int sum(int n) { int s = 0; for (int i = 0; i < n; i++) s += odd(i); return s; }
int never(int n) { return n > 3 ? sum(n) : n; }
int main(void) { volatile int s = sum(1000); char c; if (write(1, "x", 1) == 1 && read(0, &c, 1) == 7) s = never(s); return 0; }
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "program.c"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def counted(source: Path) -> list[Function]:
    """What the program counts while it runs."""
    program = source.with_suffix("")
    flags = ["-O2", *pgo.BRANCHES, *pgo.COLLECTING]
    subprocess.run([toolchain.tools() / "cc", *flags, "-c", source.name, "-o", "program.o"], cwd=source.parent, check=True)
    subprocess.run([toolchain.tools() / "cc", "-static", "program.o", "-o", program], cwd=source.parent, check=True)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.read(1) == b"x"
        found = functions(program, running.pid)
        running.communicate(b"\n", timeout=10)
    return found


def test_what_a_program_counts_is_read_from_its_memory(counted: list[Function]):
    most = {name: max(counts) for name, _, counts in counted}
    assert most == {"main": 1, "sum": 1000, "program.c;odd": 1000, "never": 0}


def test_the_compiler_takes_the_counts(counted: list[Function], source: Path):
    told = [function._replace(counts=[7 * count for count in function.counts]) for function in counted]
    profile = source.with_name("profile")
    profile.write_bytes(pgo.indexed(told))
    flags = ["-O2", *pgo.BRANCHES, f"-fprofile-use={profile}", *pgo.USING]
    done = subprocess.run(
        [toolchain.tools() / "cc", *flags, "-S", "-emit-llvm", source.name, "-o", "program.ll"], cwd=source.parent, capture_output=True
    )
    assert done.returncode == 0 and b"mismatch" not in done.stderr, done.stderr
    code = source.with_suffix(".ll").read_text()
    entries = {int(count) for count in re.findall(r'"function_entry_count", i64 (\d+)', code)}
    assert entries == {0, 7, 7000}
    cold = re.search(r"@never\(.*#(\d+)", code)
    assert cold and re.search(rf"attributes #{cold[1]} = .*minsize", code), "what never runs is made small"


def test_what_is_written_is_read_again():
    told = [Function("a.c;f", 0xFFFFFFFFFFFFFFFF, [0, 0, 7, 7, 7, 1234567]), Function("g", 1, [1])]
    assert pgo.read(pgo.written(told)) == [told[0]._replace(counts=[0, 0, 7, 7, 7, 1230000]), told[1]]


def test_the_profile_holds_each_function_once_and_most_have_run():
    found = pgo.read(pgo.PROFILE.read_text())
    assert len({function.name for function in found}) == len(found) > 1000
    assert sum(sum(function.counts) > 0 for function in found) > len(found) / 2


def test_a_profile_of_other_sources_is_told_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(pgo, "PROFILE", tmp_path / "pgo.txt")
    pgo.PROFILE.write_text(pgo.written([Function(f"f{i}", i, [i]) for i in range(10)]))
    log = tmp_path / "log"
    line = "warning: f.c: function control flow change detected (hash mismatch) f{} Hash = 9 up to 18 count discarded [-Wbackend-plugin]\n"
    log.write_text(line.format(1))
    pgo.check(log)
    assert capsys.readouterr().err == ""
    log.write_text(line.format(1) + line.format(2))
    monkeypatch.setattr(recipe, "said", set())
    pgo.check(log)
    assert "2 of 10 functions have changed; make pgo counts again" in capsys.readouterr().err


def test_a_function_that_has_changed_is_compiled_without_counts(counted: list[Function], source: Path):
    told = [function._replace(flow=function.flow + (function.name == "sum")) for function in counted]
    profile = source.with_name("profile")
    profile.write_bytes(pgo.indexed(told))
    flags = ["-O2", *pgo.BRANCHES, f"-fprofile-use={profile}", *pgo.USING]
    done = subprocess.run([toolchain.tools() / "cc", *flags, "-c", source.name], cwd=source.parent, capture_output=True, text=True)
    assert done.returncode == 0
    assert "hash mismatch) sum" in done.stderr


def test_a_profile_that_the_compiler_cannot_read_is_told_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    assert f"-fprofile-use={pgo.build()}/profile" in pgo.flags()
    (tmp_path / "profile").write_bytes(b"\xfflprofi\x81" + bytes([99]) * 64)
    monkeypatch.setattr(pgo, "build", lambda: tmp_path)
    monkeypatch.setattr(recipe, "said", set())
    assert pgo.flags() == []
    assert "not used" in capsys.readouterr().err
