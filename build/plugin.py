"""Nuitka user plugin: which modules go in, in what form. It imports Nuitka's internals (AGPL-3.0 with its run-time library
exception) and runs inside Nuitka when the binary is built; none of it is in the binary.
"""

import os
import sys
from pathlib import Path
from types import CodeType

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bytecode import bare
from nuitka.freezer import ImportDetection
from nuitka.plugins.PluginBase import NuitkaPluginBase
from patterns import precompiled
from transform import transform

# Nuitka would take in all of the stdlib and import all encodings early; the binary's own imports are what is wanted.
EARLY = "import encodings.utf_8,encodings.aliases;import importlib._bootstrap,inspect"
ImportDetection._detectEarlyImports = lambda: ImportDetection._detectImports(command=EARLY)
ImportDetection._detectStdlibAutoInclusionModules = lambda: set()

COMPILED = os.environ["BRIDGE_COMPILED"].split()


class Frozen(NuitkaPluginBase):  # type: ignore[misc]
    """Applies modules.toml, and compiles to C what BRIDGE_COMPILED names; the rest stays bytecode."""

    plugin_name = "frozen"
    plugin_desc = "what the binary is made of"

    def decideCompilation(self, module_name: object) -> str:
        name = str(module_name)
        mine = name in ("__main__", "__parents_main__") or any(name == p or name.startswith(p + ".") for p in COMPILED)
        return "compiled" if mine else "bytecode"

    def onModuleSourceCode(self, module_name: object, source_filename: str, source_code: str) -> str:
        return precompiled(str(module_name), transform(str(module_name), source_code))

    def onFrozenModuleBytecode(self, module_name: object, is_package: bool, bytecode: CodeType) -> CodeType:
        return bare(bytecode)
