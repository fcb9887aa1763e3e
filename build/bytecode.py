"""Run by the built CPython: bytecode without docstrings, assertions and line tables, written as C.

bytecode.py MODULE SOURCE.py HEADER.h         refreezes one module, transformed as modules.toml says, into its header
bytecode.py --startup SOURCES.i HEADER.h      compiles the sources (C string literals, each after a line @@)
bytecode.py --sizes FOLDER                    prints the size of each module's bytecode there, as JSON
"""

import ast
import json
import re
import sys
from marshal import dumps
from pathlib import Path
from types import CodeType

sys.path.insert(0, str(Path(__file__).resolve().parent))

from transform import transform


def bare(code: CodeType) -> CodeType:
    """Return the code, inner code too, without its line table and without names that only a reader needs: those of a function's own
    variables (not of its arguments), and the qualified name of a function (`Class.method` becomes `method`)."""
    consts = tuple(bare(const) if isinstance(const, CodeType) else const for const in code.co_consts)
    arguments = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & 4) // 4 + (code.co_flags & 8) // 8
    names = tuple(name if at < arguments else "" for at, name in enumerate(code.co_varnames))
    return code.replace(co_linetable=b"", co_firstlineno=1, co_consts=consts, co_varnames=names, co_qualname=code.co_name)


def array(name: str, content: bytes) -> str:
    """Return the bytes as a C array."""
    lines = [",".join(map(str, content[at : at + 24])) for at in range(0, len(content), 24)]
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def refreeze(module: str, source: Path, header: Path) -> None:
    """Replace the array in a header of Python/frozen_modules. Its name, and the file's name in tracebacks and C, stay."""
    name = re.search(r"const unsigned char (\w+)\[\]", header.read_text())
    if name is None:
        sys.exit(f"{header} has no array")
    code = compile(transform(module, source.read_text()), f"<frozen {header.stem}>", "exec", dont_inherit=True, optimize=2)
    header.write_text(array(name[1], dumps(bare(code))).replace("static ", "", 1))


def startup(sources: Path, header: Path) -> None:
    """Write the table in which nocompiler.c looks up sources."""
    text, rows = "", []
    for number, part in enumerate(sources.read_text().split("@@")[1:]):
        source = "".join(ast.literal_eval(literal) for literal in re.findall(r'"(?:[^"\\]|\\.)*"', part))
        code = compile(source, "<exec>", "exec", dont_inherit=True)
        # Every compiled function uses the line table of the "empty" function, so that one stays whole.
        content = dumps(code if "def empty" in source else bare(code))
        text += array(f"code{number}", content)
        escaped = "".join(f"\\{byte:03o}" for byte in source.encode())
        rows.append(f'    {{"{escaped}", code{number}, {len(content)}}},\n')
    text += f"#define STARTUP {len(rows)}\n"
    text += "static const struct { const char *source; const unsigned char *code; int size; } startup[STARTUP] = {\n"
    header.write_text(text + "".join(rows) + "};\n")


def sizes(folder: Path) -> dict[str, int]:
    """Return module -> bytes."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        found[name] = len(dumps(bare(compile(path.read_text(), str(path.name), "exec", dont_inherit=True, optimize=2))))
    return found


if __name__ == "__main__":
    if sys.argv[1] == "--sizes":
        print(json.dumps(sizes(Path(sys.argv[2]))))
    elif sys.argv[1] == "--startup":
        startup(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        refreeze(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
