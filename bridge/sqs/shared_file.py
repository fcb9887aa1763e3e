"""The grammar of ~/.aws/credentials. No sockets here.

Source: AWS SDKs and tools reference guide, "Shared config and credentials files"; Python's configparser, by which botocore reads it.
"""

import re

_SETTING = re.compile(r"([^=:]*)[=:](.*)")


def sections_of(text: str) -> dict[str, dict[str, str]]:
    """Return the settings of a file's text by their section, with names in lower case.

    A line that is indented by more than the setting above belongs to that; no setting that is read here has any.
    """
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    indent, below_setting = 0, False
    for line in text.split("\n"):
        words = line.strip()
        at = len(line) - len(line.lstrip())
        if not words or words[0] in "#;" or (below_setting and at > indent):
            continue
        indent, below_setting = at, not (words[0] == "[" and "]" in words)
        if not below_setting:
            section = sections.setdefault(words[1 : words.index("]")].strip(), {})
        elif setting := _SETTING.match(words):
            section[setting[1].strip().lower()] = setting[2].strip()
    return sections
