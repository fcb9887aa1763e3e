"""Step 6: libpython3.13.a for the binary: without the compiler and the frozen copies of the stdlib, with only the builtins listed.

It is cut from the tree that the interpreter was compiled in: the same objects, except those made again here.
"""

import re
import shutil
from pathlib import Path

import cpython
import fetch
import recipe
import toolchain
from openssl import edit
from recipe import ARCH, HERE, ROOT, SECTIONS, SMALL, cached, digest, main, run

# The extension modules of the binary. What is not named here is not linked in.
BUILTINS = """
_abc _bisect _codecs _collections _datetime _functools _heapq _imp _io _json _operator _queue _signal _socket _sre _ssl _stat
_struct _thread _warnings _weakref atexit binascii builtins errno fcntl gc itertools marshal mmap
posix pwd resource select sys time zlib
""".split()

# The RSA verification that CPython gets as a builtin module: its source, and its name.
VERIFIER = next((ROOT / "bridge").rglob("_rsa.c"))
VERIFIER_NAME = ".".join(VERIFIER.relative_to(ROOT).with_suffix("").parts)

# The scripts that make bytecode of a module, here and in freeze.py: inputs of both.
BYTECODE = ("bytecode.py", "transform.py", "modules.toml", "stubs")

# The objects of the parser and the compiler; c/nocompiler.c answers in their place.
COMPILER = """
pegen pegen_errors action_helpers parser string_parser peg_api buffer lexer state file_tokenizer readline_tokenizer
string_tokenizer utf8_tokenizer helpers Python-ast Python-tokenize asdl assemble ast ast_opt ast_unparse compile flowgraph future
instruction_sequence symtable
""".split()

# The modules that CPython starts with: their names in modules.toml, their headers' names, their sources.
FROZEN = [
    ("_frozen_importlib", "importlib._bootstrap", "Lib/importlib/_bootstrap.py"),
    ("_frozen_importlib_external", "importlib._bootstrap_external", "Lib/importlib/_bootstrap_external.py"),
    ("getpath", "getpath", "Modules/getpath.py"),
]

# The objects whose sources are changed here.
AGAIN = """
Python/frozen.o Python/preconfig.o Python/initconfig.o Python/pystate.o Python/pylifecycle.o Modules/getpath.o
""".split()


def cut_frozen(tree: Path, log: Path) -> None:
    """Empty frozen.c's lists (the binary brings its own bytecode) and freeze the rest again as modules.toml has it."""
    path = tree / "Python/frozen.c"
    for name in ("stdlib_modules", "test_modules"):
        edit(path, rf"(?s:(_frozen {name}\[\] = \{{).*?(    \{{0, 0, 0\}}))", r"\g<1>\n\g<2>")
    edit(path, r'^    \{"zipimport".*\n', "")
    for module, header, source in FROZEN:
        words = [HERE / "bytecode.py", module, tree / source, tree / f"Python/frozen_modules/{header}.h"]
        run([cpython.interpreter() / "bin/python3.13", "-I", *words], log)


def cut_runtime(tree: Path) -> None:
    """Keep one copy of the initial runtime state, not two, because the binary has no subinterpreters and no second start. The collector
    stays off until `serve` or `verify` turns it on."""
    path = tree / "Python/pystate.c"
    edit(path, r"^static const _PyRuntimeState initial = .*$", "static const _PyThreadStateImpl initial_thread = _PyThreadStateImpl_INIT;")
    edit(path, r"memcpy\(runtime, &initial, sizeof\(\*runtime\)\);", 'Py_FatalError("no second start in this build");')
    edit(path, r"memcpy\(interp, &initial\._main_interpreter, sizeof\(\*interp\)\);", 'Py_FatalError("no subinterpreters in this build");')
    edit(path, r"&initial\._main_interpreter\._initial_thread", "&initial_thread")
    edit(tree / "Include/internal/pycore_runtime_init.h", r"(\.gc = \{ \\\n\s*\.enabled = )1", r"\g<1>0")


def isolate(tree: Path) -> None:
    """Read no PYTHON... variable, because none is a setting of the bridge, and PYTHONHASHSEED would make the hashes of strings known."""
    edit(tree / "Python/preconfig.c", r"^(    config->use_environment = )1;$", r"\g<1>0;")
    edit(tree / "Python/initconfig.c", r"^(    config->use_environment = )-1;$", r"\g<1>0;")


def config(tree: Path, extra: dict[str, str]) -> str:
    """Return config.c with the table of builtins cut to BUILTINS, and `extra` (module name -> init function) added."""
    kept = []
    for line in (tree / "Modules/config.c").read_text().splitlines():
        found = re.search(r'\{"(\w+)", PyInit|extern PyObject\* PyInit_(\w+)\(', line)
        if found and (found[1] or found[2]) not in BUILTINS:
            continue
        if line.startswith("/* -- ADDMODULE MARKER 1"):
            kept += [f"extern PyObject* {init}(void);" for init in extra.values()]
        if line.startswith("/* -- ADDMODULE MARKER 2"):
            kept += [f'    {{"{module}", {init}}},' for module, init in extra.items()]
        kept.append(line)
    return "\n".join(kept) + "\n"


def startup(log: Path, tools: Path, out: Path) -> None:
    """Write startup.h: the sources that Nuitka's start-up code compiles, and their bytecode."""
    nuitka = fetch.unpacked("nuitka") / "nuitka/build/static_src"
    wanted = {
        "CompiledFrameType.c": r'Py_CompileString\(\s*((?:"[^"]*"\s*)+), "<exec>"',
        "InspectPatcher.c": r"wrapper_enhancement_code = (.*?);\n\n",
    }
    text = ""
    for name, pattern in wanted.items():
        found = re.search(pattern, (nuitka / name).read_text(), re.S)
        if not found:
            raise recipe.BuildError(f"{name}: Nuitka's start-up source is not where it was; look at a new version of it")
        text += f"\n@@\n{found[1]}"
    snippet = out.with_name("startup.c")
    snippet.write_text(text)
    run([tools / "cc", "-E", "-P", "-DPYTHON_VERSION=0x3d0", "-x", "c", snippet, "-o", out.with_suffix(".i")], log)
    run([cpython.interpreter() / "bin/python3.13", HERE / "bytecode.py", "--startup", out.with_suffix(".i"), out], log)


def headers() -> Path:
    """Return the folder of the target's headers."""
    made = cpython.compile_tree()

    def make(work: Path) -> None:
        shutil.copytree(made / "Include", work, dirs_exist_ok=True)
        shutil.copy(made / "pyconfig.h", work / "pyconfig.h")

    return cached(f"headers-{ARCH}", digest(made.parent.name), make)


def build() -> Path:
    """Return the folder with libpython3.13.a and malloc.o."""
    tools, made = toolchain.tools(), cpython.compile_tree()
    parts = [HERE / name for name in ("library.py", "c", *BYTECODE)]

    def make(work: Path) -> None:
        tree, log = work / "tree", work / "log"
        shutil.copytree(made, tree, symlinks=True, ignore=shutil.ignore_patterns("debian", "build"))
        cut_frozen(tree, log)
        cut_runtime(tree)
        isolate(tree)
        old = [word for name in ("Makefile", "Programs/_freeze_module", "_bootstrap_python") for word in ("-o", name)]
        run(["make", *old, *AGAIN], log, tree)
        startup(log, tools, work / "startup.h")
        (tree / "config.c").write_text(config(tree, {VERIFIER_NAME: "PyInit__rsa"}))
        include = [f"-I{work}", f"-I{tree}", f"-I{tree}/Include", f"-I{tree}/Include/internal", f"-I{tree}/Include/internal/mimalloc"]
        flags = [*SECTIONS, "-std=gnu11", "-DNDEBUG", "-DPy_BUILD_CORE", *include, f"-ffile-prefix-map={work}=."]
        run([tools / "cc", "-c", *SMALL, *flags, tree / "config.c", "-o", work / "config.o"], log)
        run([tools / "cc", "-c", *SMALL, *flags, HERE / "c/nocompiler.c", "-o", work / "nocompiler.o"], log)
        memory = ["-DMI_MALLOC_OVERRIDE", f"-I{tree}/Objects/mimalloc"]
        run([tools / "cc", "-c", *SMALL, *flags, *memory, HERE / "c/malloc.c", "-o", work / "malloc.o"], log)
        archive(tree, work, tools, log)
        shutil.rmtree(tree)

    return cached(f"libpython-{ARCH}", digest(made.parent.name, VERIFIER_NAME, *parts), make)


def archive(tree: Path, work: Path, tools: Path, log: Path) -> None:
    """Write libpython3.13.a: the tree's, less the compiler, with the objects made again."""
    library = work / "libpython3.13.a"
    shutil.copy(tree / "libpython3.13.a", library)
    run([tools / "ar", "d", library, "config.o", *(f"{name}.o" for name in COMPILER)], log)
    again = [tree / name for name in AGAIN]
    run([tools / "ar", "rcD", library, *again, work / "config.o", work / "nocompiler.o"], log)


if __name__ == "__main__":
    main(build)
