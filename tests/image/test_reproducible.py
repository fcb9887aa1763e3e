"""A second build, of the same commit in another folder by another user's settings, gives the same bytes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.archive import DIST

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sns-to-rabbitmq-bridge"
# What was fetched, and checked by its digest, need not be fetched again.
FETCHED = ("source-", "package-", "pypi", "apt-")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_another_folder_umask_locale_and_time_zone_give_the_same_image(tmp_path: Path) -> None:
    tree, cache = tmp_path / "elsewhere" / "a-tree", tmp_path / "another cache".replace(" ", "-")
    tree.mkdir(parents=True)
    for name in ("bridge", "build", "docker", "pyproject.toml"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, tree / name)
    (cache / "sns-to-rabbitmq-bridge").mkdir(parents=True)
    for path in CACHE.iterdir():
        if path.is_dir() and path.name.startswith(FETCHED) and not path.name.startswith("apt-"):
            shutil.copytree(path, cache / "sns-to-rabbitmq-bridge" / path.name, symlinks=True)
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "--", "bridge"], capture_output=True, text=True).stdout.strip()
    settings = {
        "XDG_CACHE_HOME": str(cache),
        "DIST": str(tmp_path / "dist"),
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "TZ": "Asia/Kolkata",
        "BRIDGE_REVISION": git.stdout.strip() + ("+" if changed else ""),
        "PYTHONHASHSEED": "7",
    }
    for step in ("binary.py", "image.py"):
        command = ["sh", "-c", 'umask 077; exec "$@"', "sh", sys.executable, tree / "build" / step]
        subprocess.run(command, env=os.environ | settings, check=True, timeout=3000)
    for name in ("bridge.unpacked", "bridge", "sbom.spdx.json", "image.tar"):
        assert sha256(tmp_path / "dist" / name) == sha256(DIST / name), name
