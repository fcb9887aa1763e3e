"""The sources as in a fresh clone of the repository."""

import shutil
import subprocess
from pathlib import Path

from tests.tools.bridge import ROOT


def files() -> list[Path]:
    """Return the files that git tracks, and new ones, but none that it ignores, relative to the checkout."""
    words = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_file()]


def copy_checkout(folder: Path) -> Path:
    """Copy these files into the folder. Returns the folder."""
    for name in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder
