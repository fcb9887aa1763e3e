"""bridge/admin/page.py is made of today's page.html, page.css and page.js."""

import re

import pytest

from bridge.admin.page import PAGE, POLICY
from tests.tools import page


def test_the_module_is_up_to_date():
    assert page.MODULE.read_text(encoding="utf-8") == page.made(), "run .venv/bin/python -m tests.tools.page"


@pytest.mark.parametrize("tag", ["style", "script"])
def test_the_policy_names_the_hash_of_what_stands_in_the_page(tag):
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    assert f"{tag}-src 'sha256-{page._hash(content)}';" in POLICY


def test_every_element_that_the_script_asks_for_is_there():
    script = (page.FOLDER / "page.js").read_text()
    asked = set(re.findall(r'(?:\$|fill|draw)\("([a-z]+)"', script))
    assert {"state", "tiles", "topics", "published"} <= asked <= set(re.findall(r'id="([a-z-]+)"', PAGE))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("page.html", "<html></html>", "needs one <link"),
        ("page.css", 'a::before { content: "\u00b7" }', "not ASCII"),
        ("page.js", 'const end = "</script>";', "closing tag"),
    ],
)
def test_what_can_not_stand_in_the_page_is_refused(name, content, problem, tmp_path, monkeypatch):
    for source in ("page.html", "page.css", "page.js"):
        (tmp_path / source).write_text(content if source == name else (page.FOLDER / source).read_text(), encoding="utf-8")
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=problem):
        page.made()
