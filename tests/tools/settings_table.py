"""README's table of settings, made from bridge.settings.SETTINGS.

python -m tests.tools.settings_table            # print it
python -m tests.tools.settings_table README.md  # put it between that file's markers, and make the manual page and the completion again
"""

import sys
from pathlib import Path

from bridge.settings import SETTINGS
from tests.tools import manual

BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


def table() -> str:
    """The table in Markdown, without a newline at its end."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.variable}` | {default} | {setting.meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def between_markers(text: str) -> str:
    """What stands between the two markers of a document. Raises ValueError when one of them is missing or there twice."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the document needs one {BEGIN} and, below it, one {END}")
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n")


def rewritten(text: str) -> str:
    """The document with the table of today between its markers. Raises ValueError."""
    between_markers(text)
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(table())
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
        manual.write()
