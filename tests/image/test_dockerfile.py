"""docker/Dockerfile, built by buildah on a base that debootstrap makes, gives the image that `make image` gives."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.image.archive import Image

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sns-to-rabbitmq-bridge"
FETCHED = ("source-", "package-", "pypi")  # checked by their digests: they need not be fetched again
SUITE = "trixie"
INSIDE = "/root/.cache/sns-to-rabbitmq-bridge"


class Built(NamedTuple):
    """What the Dockerfile makes: files (path -> mode, content) and the image's configuration."""

    files: dict[str, tuple[int, bytes]]
    config: dict[str, Any]


def buildah(*words: object) -> str:
    """What buildah printed; its own storage, so that nothing of another user's is met."""
    done = subprocess.run(["buildah", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, words
    return done.stdout


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, ...]]:
    folder = tmp_path_factory.mktemp("storage")
    options = "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"
    yield options
    buildah(*options, "rm", "--all")
    buildah(*options, "rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


def mirror() -> str:
    """The Debian mirror that this machine uses."""
    told = subprocess.run(["apt-cache", "policy"], capture_output=True, text=True, check=True).stdout.split()
    return next((word for word in told if word.startswith("http") and word.rstrip("/").endswith("/debian")), "http://deb.debian.org/debian")


@pytest.fixture(scope="module")
def base(storage: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A minimal Debian as an image."""
    folder = tmp_path_factory.mktemp("base")
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, folder / "tree", mirror()], check=True)
    shutil.rmtree(folder / "tree/dev")  # devices, which every container gets of its own
    (folder / "tree/dev").mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY tree /\n")
    buildah(*storage, "bud", "--isolation", "chroot", "-t", "localhost/base", folder)
    shutil.rmtree(folder / "tree")
    return "localhost/base"


@pytest.fixture(scope="module")
def built(storage: tuple[object, ...], base: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    cache = tmp_path_factory.mktemp("cache")
    for path in CACHE.iterdir():
        if path.is_dir() and path.name.startswith(FETCHED):
            shutil.copytree(path, cache / path.name, symlinks=True)
    given: list[object] = ["-v", f"{cache}:{INSIDE}"]
    for place in ("/etc/pip.conf", "/etc/ssl/certs"):  # how this machine reaches its package registry; not --env, which stays in the image
        if Path(place).exists():
            given += ["-v", f"{place}:{place}:ro"]
    tag = "localhost/by-dockerfile"
    arguments = ["--ulimit", "nofile=4096:4096", "--build-arg", f"BASE={base}", "-t", tag, "-f", "docker/Dockerfile", "."]
    buildah(*storage, "bud", "--isolation", "chroot", "--pull-never", "--format", "docker", *given, *arguments)
    config = json.loads(buildah(*storage, "inspect", "--type", "image", tag))["Docker"]["config"]
    out = tmp_path_factory.mktemp("out") / "image.tar"
    buildah(*storage, "push", tag, f"docker-archive:{out}")
    files = {}
    with tarfile.open(out) as archive:
        (described,) = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        for name in described["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                for entry in layer:
                    if entry.isfile():
                        files["/" + entry.name] = entry.mode, layer.extractfile(entry).read()  # type: ignore[union-attr]
    return Built(files, config)


@pytest.mark.long
def test_the_same_files(built: Built) -> None:
    image, files = Image(), built.files
    assert sorted(files) == sorted(image.files)
    assert {path for path, (_, content) in files.items() if content != image.files[path]} == set()
    modes = {"/" + entry.name: entry.mode for entry in image.entries if entry.isfile()}
    assert {path: mode & 0o7777 for path, (mode, _) in files.items()} == modes


@pytest.mark.long
def test_the_same_configuration(built: Built) -> None:
    ours, theirs = Image().config["config"], built.config
    for key in ("Entrypoint", "Cmd", "Env", "ExposedPorts", "StopSignal", "WorkingDir"):
        assert theirs[key] == ours[key], key
    for key in ("Test", "Interval", "Timeout"):
        assert theirs["Healthcheck"][key] == ours["Healthcheck"][key], key
    labels = {name: value for name, value in theirs["Labels"].items() if name.startswith("org.opencontainers.image.")}
    assert labels and labels.items() <= ours["Labels"].items()
