"""A bug's place in the binary, which has no line tables, leads to a line of the sources (build/where.py)."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.archive import DIST

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import cpython
import offsets
import where
from recipe import ROOT

KNOWN = {
    "file": "bridge/sns/topic.py",
    "code": [["parse", [0, 10, 8, 12, 20, 0, 24, 13, 30]], ["__init__", [0, 3, 6]], ["__init__", [0, 33, 40]]],
}

# A module as it is frozen: its bytecode, as hexadecimal digits, and the place that its function gives when it fails.
FROZEN = """
import ast, json, sys, types
sys.path[:0] = sys.argv[1:3]
from bytecode import bare
from offsets import codes
from patterns import precompile
from transform import transformed
from bridge.log import place
module, path = "bridge.sns.timestamp", sys.argv[2] + "/bridge/sns/timestamp.py"
def frozen(name, path):
    text = ast.unparse(precompile(name, transformed(name, open(path).read())))
    return bare(compile(text, path, "exec", dont_inherit=True, optimize=2))
code = frozen(module, path)
made = types.ModuleType(module)
exec(code, made.__dict__)
try:
    made.unix_seconds("2024-01-01T0x:00:00.000Z")
except Exception as error:
    told = place(error)
print(json.dumps([told, [each.co_code.hex() for each in codes(code)]]))
"""


@pytest.fixture(scope="module")
def known() -> dict[str, object]:
    return json.loads((DIST / "offsets.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def frozen() -> tuple[str, list[bytes]]:
    words = [cpython.interpreter() / "bin/python3.13", "-I", "-c", FROZEN, ROOT / "build", ROOT]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    told, codes = json.loads(done.stdout)
    return told, [bytes.fromhex(code) for code in codes]


def test_the_lines_of_a_transformed_source_are_those_of_the_source():
    source = "import a\n\n\nclass B:\n    '''No line of this stays.'''\n\n    def c(self):\n        return (1,\n                2)\n"
    tree = ast.parse(source)
    del tree.body[1].body[0]
    text = ast.unparse(tree)
    told = offsets.origins(tree, text)
    assert [(text.splitlines()[line - 1].strip(), told[line]) for line in told] == [
        ("import a", 1),
        ("class B:", 4),
        ("def c(self):", 7),
        ("return (1, 2)", 8),
    ]


@pytest.mark.parametrize(("offset", "line"), [(0, 10), (6, 10), (8, 12), (18, 12), (22, 0), (28, 13), (30, 0)])
def test_an_offset_is_the_line_of_its_stretch(offset: int, line: int) -> None:
    assert where.line_at(KNOWN["code"][0][1], offset) == line  # type: ignore[arg-type]


def test_each_function_that_a_frame_can_mean_is_named():
    modules = {"bridge.sns.topic": KNOWN}
    assert where.found("bridge.sns.topic.parse+8", modules) == ["bridge/sns/topic.py:12"]
    assert where.found(" bridge.sns.topic.__init__+4 ", modules) == ["bridge/sns/topic.py:3", "bridge/sns/topic.py:33"]
    assert where.found("bridge.sns.topic.__init__+20", modules) == ["bridge/sns/topic.py:33"]
    for wrong in ("bridge.sns.topic.parse+30", "bridge.sns.topic.gone+0", "bridge.gone.parse+0", "bridge.sns.topic.parse:8", ""):
        assert where.found(wrong, modules) == []


def test_the_bytecode_that_is_asked_here_is_in_the_program(frozen: tuple[str, list[bytes]]) -> None:
    program = (DIST / "bridge.unpacked").read_bytes()
    _, codes = frozen
    assert len(codes) >= 3  # the module, and its functions
    assert all(code in program for code in codes)


def test_a_place_that_the_frozen_bytecode_gives_leads_to_the_line(frozen: tuple[str, list[bytes]], known: dict[str, object]) -> None:
    told, _ = frozen
    inner, outer, _ = told.split(" < ")
    assert inner.startswith("bridge.sns.timestamp._start_of+") and outer.startswith("bridge.sns.timestamp.unix_seconds+")
    lines = where.look_up(f"{inner} < {outer}", known).splitlines()
    assert [line.strip() for line in lines[1::2]] == [
        "hour, past = int(minute[11:13]), int(minute[14:])",
        "start = _known_minutes[minute] = _start_of(minute)",
    ]
    source = (ROOT / "bridge/sns/timestamp.py").read_text().splitlines()
    for frame, line in zip(lines[::2], lines[1::2], strict=True):
        assert source[int(frame.rpartition(":")[2]) - 1].strip() == line.strip()


def test_every_module_of_the_bridge_is_known_with_its_file(known: dict[str, dict[str, dict[str, object]]]) -> None:
    own = {name: module["file"] for name, module in known["modules"].items() if name.split(".")[0] == "bridge"}
    assert {"bridge.cli", "bridge.http.listener", "bridge.sns.message"} <= own.keys()
    assert all((ROOT / str(file)).is_file() for name, file in own.items() if name != "bridge._revision")


def test_make_where_says_what_it_needs():
    done = subprocess.run([sys.executable, ROOT / "build/where.py", ""], capture_output=True, text=True)
    assert done.returncode == 1 and "PLACE" in done.stderr
