"""Nuitka user plugin: which modules go into the binary, and in what form. It imports Nuitka's internals (AGPL-3.0 with its run-time
library exception) and runs inside Nuitka when the binary is built; none of it is in the binary.
"""

import ast
import json
import os
import sys
from pathlib import Path
from types import CodeType
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bytecode import bare
from nuitka.freezer import ImportDetection
from nuitka.plugins.PluginBase import NuitkaPluginBase
from offsets import lines, origins, source_of
from patterns import precompile
from transform import left_out, transformed

# Nuitka would include all of the stdlib, all encodings, and all that inspect imports. Needed are the binary's own imports alone, and what
# the interpreter wants before them. The binary's inspect imports nothing (freeze.py includes it).
EARLY = "import encodings.utf_8,encodings.aliases;import importlib._bootstrap,importlib.machinery"
ImportDetection._detectEarlyImports = lambda: {name for name in ImportDetection._detectImports(command=EARLY) if not left_out(str(name))}
ImportDetection._detectStdlibAutoInclusionModules = lambda: set()

COMPILED = os.environ["BRIDGE_COMPILED"].split()
OFFSETS = Path(os.environ["BRIDGE_OFFSETS"])  # the folder for the offsets that where.py looks up


class Frozen(NuitkaPluginBase):  # type: ignore[misc]
    """Applies modules.toml, and compiles to C what BRIDGE_COMPILED names; the rest stays bytecode."""

    plugin_name = "frozen"
    plugin_desc = "what the binary is made of"
    sources: ClassVar[dict[str, tuple[str, dict[int, int]]]] = {}  # module -> its file, and the lines that its statements had

    def decideCompilation(self, module_name: object) -> str:
        name = str(module_name)
        mine = name in ("__main__", "__parents_main__") or any(name == p or name.startswith(p + ".") for p in COMPILED)
        return "compiled" if mine else "bytecode"

    def onModuleSourceCode(self, module_name: object, source_filename: str, source_code: str) -> str:
        name = str(module_name)
        tree = precompile(name, transformed(name, source_code))
        text = ast.unparse(tree)
        self.sources[name] = source_filename, origins(tree, text)
        return text

    def onFrozenModuleBytecode(self, module_name: object, is_package: bool, bytecode: CodeType) -> CodeType:
        name = str(module_name)
        if name in self.sources:
            file, known = self.sources[name]
            (OFFSETS / name).write_text(json.dumps({"file": source_of(name, Path(file)), "code": lines(bytecode, known)}))
        return bare(bytecode)
