"""`make test-fresh`: README's two commands and `make image`, each within its time, on bare Debian 12 and 13 with only git and make.

Each machine is a folder that debootstrap makes (kept in .fresh), with mounts and processes of its own (tests/engine/machine.sh) and
this machine's network. It gets a clone of what is committed here. What a command printed is in .fresh/SUITE-COMMAND.log.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FRESH = ROOT / ".fresh"
SUITES = ("bookworm", "trixie")
LIMITS = {"demo": 90, "test": 15 * 60, "image": 10 * 60}  # seconds, on two cores
PATIENCE = 3  # a command that takes this many times its limit is stopped
# The files by which this machine reaches its package registries. Its own certificates come twice: to be used, and to be kept by an update.
GIVEN = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/hosts")
AUTHORITIES = "usr/local/share/ca-certificates"


def mirror() -> str:
    """Return the Debian mirror that this machine uses, or Debian's own."""
    told = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], capture_output=True, text=True)
    found = re.search(r"^Debian\|Debian\|(\S+)$", told.stdout, re.M)
    return found[1] if found else "http://deb.debian.org/debian"


def machine(suite: str) -> Path:
    """Return the folder of a new machine: Debian's smallest, with git and make."""
    base, tree = FRESH / f"{suite}-base", FRESH / suite
    if not base.exists():
        FRESH.mkdir(exist_ok=True)
        work = FRESH / f".{suite}"
        shutil.rmtree(work, ignore_errors=True)
        with (FRESH / f"{suite}-debootstrap.log").open("w") as log:
            words = ["debootstrap", "--variant=minbase", "--include=git,make", suite, str(work), mirror()]
            subprocess.run(words, stdout=log, stderr=log, check=True)
        work.rename(base)
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", base, tree], check=True)
    for given in filter(Path.exists, map(Path, GIVEN)):
        there = tree / given.relative_to("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.unlink(missing_ok=True)
        shutil.copyfile(given, there)
    if (Path("/") / AUTHORITIES).exists():
        shutil.copytree(Path("/") / AUTHORITIES, tree / AUTHORITIES, dirs_exist_ok=True)
    return tree


def checkout(suite: str) -> Path:
    """Return a clone of what is committed."""
    path = FRESH / f"{suite}-checkout"
    shutil.rmtree(path, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, path], check=True)
    return path


def done(tree: Path, clone: Path, command: str, log: Path) -> tuple[int, float]:
    """Run `make COMMAND` on the machine; return its exit status (124: it was stopped) and its seconds."""
    kept = ("http_proxy", "https_proxy", "no_proxy")
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    environment |= {name: os.environ[name] for name in kept if name in os.environ}
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", str(ROOT / "tests/engine/machine.sh"), str(tree), str(clone)]
    began = time.monotonic()
    with log.open("w") as out:
        try:
            limit = PATIENCE * LIMITS[command]
            run = subprocess.run(
                [*words, "make", command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, timeout=limit
            )
            status = run.returncode
        except subprocess.TimeoutExpired:
            status = 124
    return status, time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Run the commands on the suites that are named (by default all); print a line each; return the exit status."""
    if os.geteuid():
        print("make test-fresh needs root: it makes machines in folders", file=sys.stderr)
        return 2
    unknown = set(arguments) - {*SUITES, *LIMITS}
    if unknown:
        print(f"unknown: {' '.join(sorted(unknown))}; choose from {' '.join((*SUITES, *LIMITS))}", file=sys.stderr)
        return 2
    good = True
    print(f"{'suite':10}{'command':14}{'seconds':>8}{'limit':>7}")
    for suite in [name for name in SUITES if name in arguments] or SUITES:
        tree, clone = machine(suite), checkout(suite)
        for command in [name for name in LIMITS if name in arguments] or LIMITS:
            log = FRESH / f"{suite}-{command}.log"
            status, seconds = done(tree, clone, command, log)
            in_time = seconds <= LIMITS[command]
            good &= status == 0 and in_time
            verdict = "" if status == 0 and in_time else "  TOO LONG" if status == 0 else f"  FAILED ({status}): {log}"
            print(f"{suite:10}{'make ' + command:14}{seconds:8.0f}{LIMITS[command]:7}{verdict}", flush=True)
            for line in re.findall(r"^=+ (\d.*(?:passed|failed).*) =+$", log.read_text(errors="replace"), re.M):
                print(f"{'':10}{line}", flush=True)
        shutil.rmtree(tree)
        shutil.rmtree(clone)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
