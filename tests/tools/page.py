"""bridge/admin/page.py, made of page.html, page.css and page.js beside it.

python -m tests.tools.page        # write it

The module holds one text: the page with the style and the script in it, without comments and needless blanks. Its
Content-Security-Policy names their hashes.
"""

import base64
import hashlib
from pathlib import Path

import rcssmin
import rjsmin

FOLDER = Path(__file__).resolve().parents[2] / "bridge/admin"
MODULE = FOLDER / "page.py"
STYLE, SCRIPT = '<link rel="stylesheet" href="page.css">', '<script src="page.js"></script>'
TEMPLATE = '''\
"""The status page: one HTML file that requests only /status.json, again and again.

Made by tests/tools/page.py from page.html, page.css and page.js. Change those.
"""

# The hashes of the style and the script, as a browser sees them. By this policy nothing else on the page can be style or script.
POLICY = (
    "default-src 'none'; style-src 'sha256-{style_hash}'; "
    "script-src 'sha256-{script_hash}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = r"""{page}"""
'''


def made() -> str:
    """The module's text. Raises ValueError when the page can't be put into it."""
    style, script = rcssmin.cssmin(_read("page.css")), rjsmin.jsmin(_read("page.js"))
    page = "".join(line.strip() for line in _read("page.html").splitlines() if not line.startswith("<!--"))
    page = _put(page, STYLE, f"<style>{style}</style>")
    page = _put(page, SCRIPT, f"<script>{script}</script>")
    if not page.isascii() or '"""' in page or "</" in style + script:
        raise ValueError("the page has characters that are not ASCII, three quotes, or a closing tag in its style or script")
    return TEMPLATE.format(style_hash=_hash(style), script_hash=_hash(script), page=page + "\n")


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _put(page: str, tag: str, inline: str) -> str:
    if page.count(tag) != 1:
        raise ValueError(f"page.html needs one {tag}")
    return page.replace(tag, inline)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


if __name__ == "__main__":
    MODULE.write_text(made(), encoding="utf-8")
