"""The modules of the binary, found without Nuitka: every import that the transformed sources can reach.

closure.py FOLDER    writes them there as they are frozen, for a trial under the built interpreter: seconds, not minutes
"""

import ast
import subprocess
import sys
from pathlib import Path

import cpython
import fetch
from freeze import ENTRY, LIBRARIES, START
from library import BUILTINS
from recipe import HERE, ROOT, main
from transform import left_out, transform


def find(module: str, roots: list[Path]) -> Path | None:
    """Return the source file of a module, or None."""
    for root in roots:
        for path in (root / (module.replace(".", "/") + ".py"), root / module.replace(".", "/") / "__init__.py"):
            if path.exists():
                return path
    return None


def imports(module: str, is_package: bool, source: str) -> list[str]:
    """Return the modules that a source may import; of `from a import b` both a and a.b."""
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def closure() -> dict[str, tuple[Path, str]]:
    """Return the file and the frozen source of every module that is reached."""
    library = cpython.interpreter() / "lib/python3.13"
    roots = [ROOT, library, *(fetch.unpacked(name) for name in LIBRARIES)]
    reached: dict[str, tuple[Path, str]] = {}
    waiting = [*START, "bridge.cli", *imports("bridge_main", False, ENTRY)]
    while waiting:
        module = waiting.pop()
        if module in reached or left_out(module) or module in BUILTINS:
            continue
        path = find(module, roots)
        if path is None:
            continue
        source = transform(module, path.read_text())
        reached[module] = path, source
        parents = [module.rpartition(".")[0]] if "." in module else []
        waiting += parents + imports(module, path.name == "__init__.py", source)
    return reached


def write(folder: Path) -> Path:
    """Write the frozen sources as an importable folder."""
    for module, (path, source) in closure().items():
        package = path.name == "__init__.py"
        place = folder / module.replace(".", "/") / "__init__.py" if package else folder / (module.replace(".", "/") + ".py")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source)
    subprocess.run([cpython.interpreter() / "bin/python3.13", "-I", HERE / "patterns.py", folder], check=True)
    return folder


if __name__ == "__main__":
    main(lambda: write(Path(sys.argv[1])))
