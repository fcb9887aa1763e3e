"""marshal's format with few references: what is read is what was written."""

import marshal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build"))

import bytecode  # noqa: E402
import marshalled  # noqa: E402

EMPTY = compile("", "empty.py", "exec")

plain = (
    st.none()
    | st.booleans()
    | st.just(...)
    | st.integers(-(1 << 80), 1 << 80)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(), max_size=300)  # surrogates too
)
constants = st.recursive(plain, lambda inner: st.lists(inner, max_size=300).map(tuple) | st.frozensets(inner, max_size=5), max_leaves=40)


@given(st.lists(constants, max_size=20).map(tuple))
def test_constants_of_all_kinds_come_back_as_they_were(values: tuple[object, ...]) -> None:
    read = marshal.loads(marshalled.dumps(EMPTY.replace(co_consts=values)))
    assert read == EMPTY.replace(co_consts=values)
    assert list(map(type, read.co_consts)) == list(map(type, values))


@pytest.mark.parametrize("path", sorted((ROOT / "bridge").rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_s_code_comes_back_as_it_was(path: Path) -> None:
    code = bytecode.bare(compile(path.read_text(), path.name, "exec", dont_inherit=True, optimize=2))
    assert marshal.loads(marshalled.dumps(code)) == code


def test_a_string_that_comes_again_is_written_once_and_a_short_one_each_time() -> None:
    code = EMPTY.replace(co_consts=("twice it comes", ("twice it comes", "ab"), "ab", b"bytes stay", (b"bytes stay",)))
    written = marshalled.dumps(code)
    assert [written.count(text) for text in (b"twice it comes", b"ab", b"bytes stay")] == [1, 2, 2]
    assert marshal.loads(written) == code


def test_what_is_not_code_is_refused_and_not_written_wrong() -> None:
    with pytest.raises(ValueError, match="not known"):
        marshalled.dumps(EMPTY.replace(co_consts=({"a": 1},)))  # type: ignore[arg-type]
