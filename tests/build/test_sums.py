"""dist/SHA256SUMS is about the files that lie beside it, whichever step wrote last."""

import subprocess

import binary
import pytest
import sums


@pytest.fixture
def dist(monkeypatch, tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    for module in (sums, binary):
        monkeypatch.setattr(module, "DIST", dist)
    return dist


def check(dist) -> str:
    return subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, text=True, check=True).stdout


def test_a_new_binary_beside_an_image_of_before(dist, monkeypatch, tmp_path):
    for name in ("bridge", "bridge.unpacked", "image.tar", "size.json"):
        (dist / name).write_text(f"the {name} of before")
    sums.write()
    assert check(dist).count(": OK") == 4
    for name in ("bridge", "bridge.unpacked", "offsets.json"):
        (tmp_path / name).write_text(f"the new {name}")
    monkeypatch.setattr(binary.pack, "build", lambda: tmp_path)
    if hasattr(binary, "freeze"):
        monkeypatch.setattr(binary.freeze, "objects", lambda: tmp_path)
    binary.place()
    assert "bridge.unpacked: OK" in check(dist) and "image.tar: OK" in check(dist)


def test_what_is_not_there_has_no_line(dist):
    sums.write()
    assert (dist / "SHA256SUMS").read_text() == ""
