"""Which RabbitMQ the tests start: the machine's own, or the one of another Debian, unpacked by debootstrap under .cache/brokers.

    python -m tests.tools.rabbitmq [VERSION ...]     get these (all of them without words), and print which release each is

The environment variable BROKER chooses the version for everything that starts a Broker without naming one; without it, the
machine's own is started. `newest` is the newest that Debian has. A program of another Debian runs with that Debian's folder as its
root (chroot), in a mount namespace of its own that also shows it /dev, /proc and the folder of temporary files: it shares the
network, process ids and files with the tests, as a program of this machine does. That takes root.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.tools.debian import BIN, install, require_rabbitmq

CACHE = Path(__file__).resolve().parents[2] / ".cache/brokers"
SUITES = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}  # in the order of their age
SCRIPT = "/usr/share/debootstrap/scripts/sid"  # the one for all of Debian's suites: an older debootstrap does not know the newer names
INSIDE = """\
tree=$1 temporary=$2; shift 2
for folder in /dev /proc "$temporary"; do mkdir -p "$tree$folder"; mount --rbind "$folder" "$tree$folder"; done
[ -d "$tree$PWD" ] || cd /
exec chroot "$tree" env --chdir="$PWD" "$@"
"""


class RabbitMQ(NamedTuple):
    """A rabbitmq-server that is there. `release` is such as 4.3.6; `tree` is the root folder of its Debian, None for this machine's."""

    release: str
    tree: Path | None = None

    @property
    def series(self) -> str:
        """Such as 4.3."""
        return ".".join(self.release.split(".")[:2])

    def words(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of its programs (rabbitmq-server, rabbitmqctl, epmd). The process that it starts becomes the program."""
        path = program if program == "epmd" else str(BIN / program)
        if self.tree is None:
            return [path, *arguments]
        return ["unshare", "--mount", "sh", "-euc", INSIDE, "sh", str(self.tree), tempfile.gettempdir(), path, *arguments]

    def __str__(self) -> str:
        return f"RabbitMQ {self.release}, " + (f"from Debian {self.tree.name}" if self.tree else "this machine's own")


def rabbitmq(version: str = "") -> RabbitMQ:
    """Return the RabbitMQ of this version (3.10, 4.0, 4.3, newest), got now when it is not there; "" is what BROKER names.

    Raises SystemExit with one line when it can't be fetched.
    """
    version = version or os.environ.get("BROKER", "")
    version = list(SUITES)[-1] if version == "newest" else version
    if version and version not in SUITES:
        raise SystemExit(f"BROKER={version} is none of {', '.join(SUITES)}, newest")
    if not version or _release(Path("/")).startswith(f"{version}."):
        require_rabbitmq()
        return RabbitMQ(_release(Path("/")))
    tree = CACHE / SUITES[version]
    if not _release(tree):
        _unpack(tree)
    return RabbitMQ(_release(tree), tree)


def _release(tree: Path) -> str:
    """The release that is unpacked there, "" when none is."""
    for folder in (tree / BIN.relative_to("/")).parent.glob("lib/rabbitmq_server-*"):
        return folder.name.rpartition("-")[2]
    return ""


def _unpack(tree: Path) -> None:
    """Get Debian's suite of the folder's name with its rabbitmq-server: about 400 MB, in one to two minutes."""
    if os.geteuid():
        raise SystemExit(f"RabbitMQ of Debian {tree.name} takes root: debootstrap unpacks it and chroot runs it")
    tree.parent.mkdir(parents=True, exist_ok=True)
    with open(tree.with_suffix(".log"), "a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)  # another run may be getting it
        if _release(tree):
            return
        print(f"unpacking RabbitMQ of Debian {tree.name} in {tree} (once)", file=sys.stderr, flush=True)
        if not shutil.which("debootstrap"):
            install("debootstrap")
        part = tree.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        # debootstrap checks the signature of the suite's Release file, but not how long that file is valid: an old mirror is good enough.
        words = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", tree.name, str(part)]
        words += [os.environ.get("MIRROR") or "http://deb.debian.org/debian", SCRIPT]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=900, check=False).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SystemExit(f"RabbitMQ of Debian {tree.name} can't be fetched: {error}") from None
        if done:
            raise SystemExit(f"RabbitMQ of Debian {tree.name} can't be fetched: debootstrap ended with {done}, see {log.name}")
        (part / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        shutil.rmtree(part / "var/cache/apt", ignore_errors=True)
        part.rename(tree)


def main() -> int:
    """Exit status 1 when one of them can't be fetched or does not run here."""
    missing = 0
    for version in sys.argv[1:] or list(SUITES):
        try:
            found = rabbitmq(version)
            done = subprocess.run(found.words("epmd", "-h"), capture_output=True, check=False)
            if b"usage" not in (done.stdout + done.stderr).lower():
                raise SystemExit(f"{found} does not run here: {done.stderr.decode(errors='replace').strip()}")
        except SystemExit as error:
            missing, found = 1, f"no RabbitMQ {version}: {error}"
        print(found, flush=True)
    return missing


if __name__ == "__main__":
    sys.exit(main())
