"""The words and the environment that start the bridge under test; see tests/tools/bridge.py for what chooses it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNDER_TEST = os.environ.get("BRIDGE_UNDER_TEST", "source")
INHERITED = ("PATH", "LANG", "TZ", "HOME", "XDG_RUNTIME_DIR", "COVERAGE_PROCESS_START")
# Inside the container the files of the tests are where they are outside. Options seen to work with cgroup v1 and lowered limits too.
PODMAN = (
    "podman",
    "run",
    "--rm",
    "--pull",
    "never",
    "--runtime",
    "runc",
    "--network",
    "host",
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--security-opt",
    f"seccomp={ROOT / 'docker/seccomp.json'}",
    "--user",
    "65534",
    "--ulimit",
    "nofile=4096:4096",
    "--ulimit",
    "nproc=1024:1024",
    "--volume",
    f"{tempfile.gettempdir()}:{tempfile.gettempdir()}:ro",
    "--volume",
    f"{ROOT}:{ROOT}:ro",
    "--workdir",
    str(ROOT),
)
_loaded: list[str] = []


def image() -> str:
    """The name of the image under test; dist/image.tar is loaded once."""
    if not _loaded:
        name = os.environ.get("BRIDGE_IMAGE", "")
        if not name:
            done = subprocess.run(
                ["podman", "load", "--quiet", "--input", ROOT / "dist/image.tar"], capture_output=True, text=True, check=True
            )
            name = done.stdout.strip().rpartition("Loaded image: ")[2]
        _loaded.append(name)
    return _loaded[0]


def command(settings: dict[str, str], name: str = "", options: tuple[str, ...] = ()) -> list[str]:
    """The words that start the bridge under test, without its own arguments. name and options are the container's."""
    if UNDER_TEST == "source":
        return [sys.executable, "-m", "bridge"]
    if UNDER_TEST == "binary":
        return [str(ROOT / "dist/bridge")]
    if UNDER_TEST == "unpacked":
        return [str(ROOT / "dist/bridge.unpacked")]
    if UNDER_TEST == "arm64":
        return ["qemu-aarch64-static", str(ROOT / "dist/arm64/bridge")]
    assert UNDER_TEST == "image", f"BRIDGE_UNDER_TEST={UNDER_TEST} is none of source, binary, unpacked, arm64, image"
    passed = [word for key in settings for word in ("--env", key)]
    return [*PODMAN, *options, *(("--name", name) if name else ()), *passed, "--entrypoint", "/bin/bridge", image()]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Only what a test sets: no proxy, no setting of the person who runs the tests."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | settings


def run(*arguments: str, timeout: float = 60, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the bridge to its end."""
    return subprocess.run(
        [*command(settings), *arguments], env=environment(settings), cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=timeout
    )
