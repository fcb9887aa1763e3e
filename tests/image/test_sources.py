"""From the archive that `make sources` writes, and nothing else, without any network, comes the image that `make image` gives."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.image.archive import DIST


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_the_archive_alone_without_a_network_gives_the_same_image(folder: Path) -> None:
    with tarfile.open(DIST / "sources.tar") as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    home = folder / "home"  # with an empty cache
    home.mkdir()
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    routes = subprocess.run([*alone, "cat", "/proc/net/route"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(routes) <= 1, "beside the heading of the table nothing: there is no way out"
    settings = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run([*alone, "make", "image"], cwd=tree, env=settings, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "from the folder" in done.stderr
    for name in ("bridge.unpacked", "bridge", "sbom.spdx.json", "image.tar"):
        assert sha256(tree / "dist" / name) == sha256(DIST / name), name
    shutil.rmtree(home)
