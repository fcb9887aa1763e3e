"""`make sources`: dist/sources.tar, the checkout with all that its build fetches. The image can be built from it without a network.

The fetched files lie in the folder `sources`, which fetch.py reads instead of the network, beside REVISION, the commit's name.
"""

import io
import subprocess
import tarfile
from pathlib import Path

import fetch
import freeze
import image
import sums
from recipe import DIST, EPOCH, NAME, ROOT, SOURCES, BuildError, main, say


def checkout() -> list[Path]:
    """Return the files that git tracks, and new ones, but none that it ignores. Raises BuildError outside of a checkout."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(words, capture_output=True, text=True)
    if found.returncode or not (ROOT / ".git").exists():
        raise BuildError("make sources needs git and a checkout of the project")
    return sorted(path for path in {ROOT / name for name in found.stdout.split("\0") if name} if path.is_file())


def fetched() -> list[Path]:
    """Return the files of all Debian packages and of PyPI's that the build reads."""
    packages = [fetch.pinned_source(table) for table in SOURCES["source"].values()]
    packages += [fetch.pinned_package(name, table) for name, table in SOURCES["package"].items()]
    folders = [fetch.files(wanted) for wanted in packages]
    found = [path for folder in folders for path in folder.iterdir() if path.name != "log"]
    return sorted([*found, *fetch.wheels().iterdir()], key=lambda path: path.name)


def pack() -> Path:
    """Write dist/sources.tar; return its path. The same files give the same bytes."""
    top = f"{NAME}-{image.version()}"
    DIST.mkdir(parents=True, exist_ok=True)
    new = DIST / ".sources.tar"
    with tarfile.open(new, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, size: int, data: io.BufferedIOBase, mode: int = 0o644) -> None:
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode, entry.mtime = size, mode, EPOCH
            tar.addfile(entry, data)

        for path in checkout():
            with path.open("rb") as file:
                add(str(path.relative_to(ROOT)), path.stat().st_size, file, 0o755 if path.stat().st_mode & 0o100 else 0o644)
        for path in fetched():
            with path.open("rb") as file:
                add(f"sources/{path.name}", path.stat().st_size, file)
        revision = f"{freeze.revision()}\n".encode()
        add("sources/REVISION", len(revision), io.BytesIO(revision))
    new.replace(DIST / "sources.tar")
    sums.write()
    say("dist/sources.tar", f"{(DIST / 'sources.tar').stat().st_size} bytes")
    return DIST / "sources.tar"


if __name__ == "__main__":
    main(pack)
