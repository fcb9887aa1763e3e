"""The archive: eight files and nothing else, the same for everybody, described as OCI asks."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.image.archive import DIST, PROMISES, Image
from tests.tools import elf

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def image() -> Image:
    return Image()


def test_it_holds_exactly_the_eight_files(image: Image) -> None:
    assert sorted(image.files) == sorted(promise["path"] for promise in PROMISES["file"])
    assert len(image.files) == 8


@pytest.mark.parametrize("promise", PROMISES["file"], ids=lambda promise: promise["path"])
def test_a_file_is_as_promised(image: Image, promise: dict[str, object]) -> None:
    path = str(promise["path"])
    (entry,) = [entry for entry in image.entries if "/" + entry.name == path]
    assert entry.mode == promise["mode"]
    for text in promise.get("contains", []):  # type: ignore[attr-defined]
        assert text in image.files[path].decode()


@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"])
def test_it_is_laid_out_for_the_dockerfile_as_it_is(image: Image, python: str, tmp_path: Path) -> None:
    """By Debian's own Python too: the build stage has no other."""
    if not Path(python).exists():
        pytest.skip(f"there is no {python}")
    done = subprocess.run([python, "-W", "error", ROOT / "build/unpack.py", DIST / "image.tar", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there = {"/" + str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in there.items()} == image.files
    modes = {"/" + entry.name: entry.mode for entry in image.entries if entry.isfile()}
    assert {name: path.stat().st_mode & 0o7777 for name, path in there.items()} == modes


@pytest.mark.parametrize("path", [promise["path"] for promise in PROMISES["file"] if promise.get("static")])
def test_a_program_is_static(image: Image, path: str) -> None:
    dynamic, interpreter = 2, 3
    program = image.files[path]
    assert program[:6] == b"\x7fELF\x02\x01"  # of 64 bits, little-endian
    assert not elf.kinds(program) & {dynamic, interpreter}


def test_nothing_of_the_builder_is_in_the_layer(image: Image) -> None:
    for entry in image.entries:
        assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", "")
        assert entry.mtime == 1700000000
        assert entry.mode in (0o755, 0o644)
    assert [entry.name for entry in image.entries if entry.isfile()] == sorted(e.name for e in image.entries if e.isfile())


def test_the_unpacked_binary_names_no_folder_of_the_builder() -> None:
    program = (DIST / "bridge.unpacked").read_bytes()
    found = set(re.findall(rb"/(?:root|home|work|tmp|build)/[\w./-]{3,60}", program))
    assert not found


def test_the_configuration(image: Image) -> None:
    config = image.config["config"]
    assert config["Entrypoint"] == ["/sbin/dumb-init"]
    assert config["Cmd"] == ["/sbin/su-exec", "bridge", "/bin/bridge"]
    assert config["ExposedPorts"] == {"3000/tcp": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "/bin/bridge", "healthcheck"]
    assert image.config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(image.layer).hexdigest()}"]
    for key in ("revision", "version", "licenses", "base.name"):
        assert image.manifest["annotations"][f"org.opencontainers.image.{key}"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert image.manifest["annotations"].get("org.opencontainers.image.source") == project.get("urls", {}).get("Source")
    assert image.manifest["annotations"] == config["Labels"]


def test_docker_finds_the_same_blobs(image: Image) -> None:
    (docker,) = json.loads(image.members["manifest.json"])
    assert json.loads(image.members[docker["Config"]]) == image.config
    assert [image.members[name] for name in docker["Layers"]] == [image.packed]
    assert docker["RepoTags"]


def test_the_sizes_are_the_truth(image: Image) -> None:
    """`make image` has held them to the budget."""
    told = json.loads((DIST / "size.json").read_text())
    assert told["files"] == {path: len(data) for path, data in image.files.items()}
    assert told["sum"] == sum(map(len, image.files.values())) <= 2_000_000
    assert told["layer"] == len(image.packed) <= 1_950_000


def test_a_byte_too_many_is_refused(tmp_path: Path) -> None:
    told = json.loads((DIST / "size.json").read_text())
    told["files"]["/bin/bridge"] = 10_000_000
    (tmp_path / "size.json").write_text(json.dumps(told))
    done = subprocess.run([sys.executable, ROOT / "build/size.py", tmp_path / "size.json"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "TOO MANY" in done.stdout


def test_the_bill_of_materials_names_the_files_and_modules(image: Image) -> None:
    bill = json.loads((DIST / "sbom.spdx.json").read_text())
    assert bill["spdxVersion"] == "SPDX-2.3"
    hashes = {file["fileName"].removeprefix("."): file["checksums"][1]["checksumValue"] for file in bill["files"]}
    assert hashes == {path: hashlib.sha256(data).hexdigest() for path, data in image.files.items()}
    whole, *parts = bill["packages"]
    modules = whole["comment"].split()
    assert {"bridge.pipeline", "pika.connection", "requests.sessions", "ssl", "tomllib"} <= set(modules)
    assert {part["name"] for part in parts} >= {"CPython", "OpenSSL", "musl", "pika", "requests", "urllib3", "dumb-init", "Nuitka"}


def test_the_notice_names_every_component_and_what_was_changed_in_it(image: Image) -> None:
    entries = image.files["/NOTICE"].decode().split("=" * 80 + "\n")[1:]
    _, *parts = json.loads((DIST / "sbom.spdx.json").read_text())["packages"]
    assert [entry.split("\n")[0] for entry in entries] == [
        f"{part['name']} {part['versionInfo']}: {part['licenseDeclared'].replace('AdditionRef-', '')}" for part in parts
    ]
    changed = {entry.split(" ")[0] for entry in entries if "\nChanged: " in entry}
    assert changed == {"CPython", "OpenSSL", "requests"}  # Python's licence and Apache's ask for it


def test_the_digests_beside_it() -> None:
    for line in (DIST / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest
