"""The compiler that Nuitka runs: zig cc for each C file; at the link it only lists the objects, in their order.

The flags that Nuitka adds for speed or for a dynamic program are replaced by those of a small static one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DROPPED = {"-rdynamic", "-fPIC", "-fpic", "-pie", "-export-dynamic", "-s", "-Wl,-s"}
SMALL = ["-Os", "-Xclang", "-Oz"]


def words(arguments: list[str]) -> list[str]:
    """Return the arguments with @files opened and flags replaced."""
    found: list[str] = []
    for word in arguments:
        if word.startswith("@"):
            found += words([line.strip().strip('"') for line in Path(word[1:]).read_text().split()])
        elif word in ("-O1", "-O2", "-O3"):
            found += SMALL
        elif word not in DROPPED:
            found.append(word)
    return found


def link(arguments: list[str]) -> None:
    """Keep copies of the objects, numbered in their order, and leave a placeholder where the program should be."""
    folder = Path(os.environ["BRIDGE_LINK"])
    names = [word for word in arguments if word.endswith(".o")]
    for number, name in enumerate(names):
        shutil.copy(name, folder / f"{number:03}-{Path(name).name}")
    output = Path(arguments[arguments.index("-o") + 1])
    # Nuitka wants an ELF program here: the one linked before, for --onefile, else its own interpreter.
    shutil.copy(os.environ.get("BRIDGE_PROGRAM") or sys.executable, output)
    output.chmod(0o755)


def main() -> None:
    """Compile, or note the link."""
    arguments = words(sys.argv[1:])
    compiling = "-c" in arguments
    linking = not compiling and any(word.endswith(".o") for word in arguments) and "-o" in arguments
    bootstrap = any("OnefileBootstrap" in word for word in arguments)
    if linking and not bootstrap:
        link(arguments)
        return
    host, include = os.environ["BRIDGE_HOST_INCLUDE"], os.environ["BRIDGE_INCLUDE"]
    arguments = [word.replace(host, include) for word in arguments]
    mapped = [f"-ffile-prefix-map={os.environ['BRIDGE_MAP']}=."] if compiling else []
    sys.exit(subprocess.run([os.environ["BRIDGE_CC"], *mapped, *arguments]).returncode)


if __name__ == "__main__":
    main()
