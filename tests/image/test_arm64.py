"""The image for arm64, by qemu-user on this machine, and the index of both: `make test-arm64` builds and runs them.

qemu's program is static, so podman starts it inside the container; the kernel need not know how to start arm64 programs.
"""

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.simulate.delivery import deliver_all
from bridge.simulate.sns import SNS
from tests.conftest import StartBridge
from tests.image.archive import DIST, PROMISES, Image
from tests.tools import bridge as under_test

pytestmark = pytest.mark.skipif(under_test.UNDER_TEST != "arm64", reason="make test-arm64")
ROOT = under_test.ROOT
ARM64, INDEX = DIST / "arm64", DIST / "image-index.tar"
AARCH64 = 183  # ELF's e_machine
QEMU = "/qemu"
PROGRAMS = [promise["path"] for promise in PROMISES["file"] if promise.get("static")]
# qemu itself wants more memory and other system calls than the two containers that are left out allow.
CONTAINERS = [container for container in PROMISES["container"] if container["name"] in ("as-it-is", "any-user", "locked-down")]
PODMAN = ("podman", "run", "--rm", "--pull", "never", "--runtime", "runc", "--network", "none")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@pytest.fixture(scope="module")
def image() -> Image:
    return Image(ARM64 / "image.tar")


@pytest.fixture(scope="module")
def loaded() -> str:
    """The image's own digest, so that the amd64 image of the same name is not met."""
    done = subprocess.run(["podman", "load", "--quiet", "--input", ARM64 / "image.tar"], capture_output=True, text=True, check=True)
    name = done.stdout.strip().rpartition("Loaded image: ")[2]
    done = subprocess.run(["podman", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_holds_exactly_the_eight_files(image: Image) -> None:
    assert sorted(image.files) == sorted(promise["path"] for promise in PROMISES["file"])
    assert len(image.files) == 8


def test_it_differs_from_the_other_in_its_programs_alone(image: Image) -> None:
    other = Image().files
    assert sorted(path for path in image.files if image.files[path] != other[path]) == sorted(PROGRAMS)


@pytest.mark.parametrize("path", PROGRAMS)
def test_a_program_is_for_arm64(image: Image, path: str) -> None:
    program = image.files[path]
    assert program[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<H", program, 18) == (AARCH64,)


def test_it_says_so(image: Image) -> None:
    assert (image.config["os"], image.config["architecture"]) == ("linux", "arm64")
    assert image.index["manifests"][0]["platform"] == {"os": "linux", "architecture": "arm64"}
    assert json.loads((ARM64 / "sbom.spdx.json").read_text())["name"].endswith("-arm64")


def test_its_sizes_are_the_truth_and_in_its_own_budget(image: Image) -> None:
    told = json.loads((ARM64 / "size.json").read_text())
    assert told["arch"] == "arm64"
    assert told["files"] == {path: len(data) for path, data in image.files.items()}
    assert told["sum"] == sum(map(len, image.files.values())) <= 2_000_000
    done = subprocess.run([sys.executable, ROOT / "build/size.py", ARM64 / "size.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container["name"])
@pytest.mark.parametrize("command", PROMISES["command"], ids=lambda command: command["name"])
def test_a_command(command: dict[str, Any], container: dict[str, Any], loaded: str) -> None:
    """Each program that an arm64 program starts is started by qemu again."""
    if command.get("as_root") and not container.get("root"):
        pytest.skip("only root has a user to change")
    words = [command.get("entrypoint", "/sbin/dumb-init"), *command["arguments"]]
    words = [word for part in words for word in ([QEMU, part] if part in PROGRAMS else [part])]
    place = ("--volume", f"{shutil.which('qemu-aarch64-static')}:{QEMU}:ro", "--entrypoint", QEMU)
    whole = [*PODMAN, *LIMITS, *container["options"], *place, loaded, *words[1:]]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=120)
    assert done.returncode == command["exit"], done.stderr
    assert re.search(command["output"], done.stdout + done.stderr)


@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_it_starts_whatever_the_size_of_a_page(size: int) -> None:
    """Kernels for arm64 are built with each of these; amd64 has one."""
    done = subprocess.run(["qemu-aarch64-static", "-p", str(size), ARM64 / "bridge", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith("bridge ")) == (0, True), done.stderr


def test_serving_takes_no_system_call_that_seccomp_json_refuses(start_bridge: StartBridge, sns: SNS, folder: Path) -> None:
    """qemu's own system calls are not the program's, so the list is held against what qemu saw the program ask for."""
    allowed = json.loads((ROOT / "docker/seccomp.json").read_text())
    assert "SCMP_ARCH_AARCH64" in allowed["architectures"]
    trace = folder / "trace"
    bridge = start_bridge(QEMU_STRACE="1", QEMU_LOG_FILENAME=str(trace))
    assert [outcome.status for outcome in deliver_all(list(sns.notifications(10)), bridge.endpoint())] == [200] * 10
    bridge.stop()
    asked = set(re.findall(r"^\d+ ([a-z]\w+)\(", trace.read_text(errors="replace"), re.M))
    assert {"epoll_create1", "socket", "connect", "accept4"} <= asked
    assert not asked - set(allowed["syscalls"][0]["names"])


def skopeo(*words: str | Path) -> str:
    return subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True).stdout


def test_the_index_names_both_platforms() -> None:
    told = json.loads(skopeo("inspect", "--raw", f"oci-archive:{INDEX}"))
    assert told["mediaType"] == "application/vnd.oci.image.index.v1+json"
    platforms = {manifest["platform"]["architecture"]: manifest["digest"] for manifest in told["manifests"]}
    single = {arch: Image(place / "image.tar").index["manifests"][0]["digest"] for arch, place in (("amd64", DIST), ("arm64", ARM64))}
    assert platforms == single


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_each_puller_gets_its_own_from_a_copy_of_the_index(tmp_path: Path, arch: str) -> None:
    skopeo("copy", "--all", "--quiet", f"oci-archive:{INDEX}", f"oci:{tmp_path}/both:tag")
    told = json.loads(skopeo("--override-arch", arch, "inspect", "--config", f"oci:{tmp_path}/both:tag"))
    assert told["architecture"] == arch
    assert told["config"]["Entrypoint"] == ["/sbin/dumb-init"]
