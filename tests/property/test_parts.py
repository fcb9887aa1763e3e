"""Before JSON is parsed, its strings, brackets and commas are counted, but nothing inside a string."""

import json
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from bridge.sns import message

TEXT = st.text(st.sampled_from('ab"\\\\[]{},:\n\x00é😀'), max_size=20)
VALUE = st.recursive(
    TEXT | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=40,
)


def parts(body):
    """The same, character by character."""
    found, inside, escaped = 0, False, False
    for character in body:
        if not inside:
            found += character in b'"[{,'
            inside = character == ord('"')
        elif escaped:
            escaped = False
        elif character == ord("\\"):
            escaped = True
        elif character == ord('"'):
            inside = False
    return found


@given(VALUE, st.booleans())
def test_it_agrees_with_counting_character_by_character(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    expected = parts(body)
    for limit in (max(expected - 1, 0), expected, expected + 1):
        with patch.object(message, "MAX_PARTS", limit):
            assert message._too_many_parts(body) == (expected > limit)
