"""The source line of each instruction of the binary's bytecode, as a traceback would give it, written beside the binary.

The bytecode has no line tables, so the log gives a bug's place as module.function+offset. While Nuitka runs, plugin.py writes the line of
each offset before the tables are removed: lines of the source as written, not as transform.py changes it. where.py looks them up. It
runs under the built CPython.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from transform import MODULES


def statements(tree: ast.AST) -> Iterator[ast.stmt | ast.excepthandler]:
    """Yield the statements and handlers, in an order that is the same for trees of the same form."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler):
            yield node


def origins(tree: ast.Module, text: str) -> dict[int, int]:
    """Return the line that each statement had in the source that `tree` was read from, by its line in `text`, which is
    ast.unparse(tree). ValueError when the two do not have the same statements."""
    return {new.lineno: old.lineno for old, new in zip(statements(tree), statements(ast.parse(text)), strict=True)}


def line_of(line: int, known: dict[int, int]) -> int:
    """Return the line in the source, of the statement that starts at this line of the text or is the last one before it; 0: none."""
    return known[max((start for start in known if start <= line), default=0)] if known and line >= min(known) else 0


def source_of(module: str, path: Path) -> str:
    """Return the file's path for a reader: below the package's or library's folder, or the stub in the checkout."""
    if module in MODULES["stub"]:
        return f"build/stubs/{module}.py"
    return "/".join(path.parts[-module.count(".") - 1 - (path.stem == "__init__") :])


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code object and those inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes(const)


def lines(code: CodeType, known: dict[int, int]) -> list[tuple[str, list[int]]]:
    """Return the name of each code object with the offset at which each stretch of its instructions starts, and the stretch's line;
    the last offset is the code's end."""
    found = []
    for each in codes(code):
        stretches: list[int] = []
        for start, _, line in each.co_lines():
            origin = line_of(line or 0, known)
            if not stretches or stretches[-1] != origin:
                stretches += [start, origin]
        found.append((each.co_name, [*stretches, len(each.co_code)]))
    return found


def gathered(folder: Path, revision: str) -> str:
    """Return offsets.json: the revision, and what the plugin left in the folder for each module."""
    modules = {path.name: json.loads(path.read_text()) for path in sorted(folder.iterdir())}
    return json.dumps({"revision": revision, "modules": modules}, separators=(",", ":"))
