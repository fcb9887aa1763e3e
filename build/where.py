"""`make where PLACE="module.function+offset < …"`: the files and lines of the `place` in a log's line "bug", for the program in dist.

Only the build knows them (offsets.py): dist/offsets.json is that of the last build, and the log's line names the revision to build.
"""

import json
import sys
from pathlib import Path
from typing import Any

from recipe import DIST, ROOT, BuildError, main


def line_at(stretches: list[int], offset: int) -> int:
    """Return the line of the instruction at the offset; 0 when the code has none there, or the instruction comes from no line."""
    if offset >= stretches[-1]:
        return 0
    return next((line for start, line in reversed(list(zip(stretches[:-1:2], stretches[1:-1:2], strict=True))) if start <= offset), 0)


def found(frame: str, modules: dict[str, Any]) -> list[str]:
    """Return "file:line" for each function that the frame can mean: more than one when a module has several of that name."""
    name, _, offset = frame.strip().rpartition("+")
    module, _, function = name.rpartition(".")
    if not offset.isdigit() or module not in modules:
        return []
    file, code = modules[module]["file"], modules[module]["code"]
    lines = [line_at(stretches, int(offset)) for called, stretches in code if called == function]
    return [f"{file}:{line}" for line in sorted(set(lines)) if line]


def look_up(place: str, known: dict[str, Any], root: Path = ROOT) -> str:
    """Return a line for each frame of the place, the innermost first, with the source's own line where the file is in the checkout."""
    out = []
    for frame in place.split("<"):
        rows = found(frame, known["modules"])
        out.append(f"{frame.strip()}  {' or '.join(rows) or 'is in no module of this revision'}")
        for file, _, line in (row.rpartition(":") for row in rows):
            if (root / file).is_file():
                out.append(f"    {(root / file).read_text().splitlines()[int(line) - 1].strip()}")
    return "\n".join(out)


def where() -> str:
    """Return the text that `make where` prints."""
    if len(sys.argv) != 2 or not sys.argv[1]:
        raise BuildError('make where PLACE="…": the place as the log gives it')
    path = DIST / "offsets.json"
    if not path.exists():
        raise BuildError("dist/offsets.json is not there: git checkout the revision that the log's line gives, then make binary")
    known = json.loads(path.read_text())
    return f"revision {known['revision']}: it must be the one in the log's line\n{look_up(sys.argv[1], known)}"


if __name__ == "__main__":
    main(where)
