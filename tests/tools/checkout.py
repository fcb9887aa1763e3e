"""The sources as in a fresh clone of the repository."""

import shutil
import subprocess
from pathlib import Path

from tests.tools.bridge import ROOT


def copy_checkout(folder: Path) -> Path:
    """Copy the files that git tracks, and new ones, but none that it ignores, into the folder. Returns the folder."""
    words = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder
