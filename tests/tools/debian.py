"""Debian's rabbitmq-server: present, installed when we are root, or one line that tells what to install."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BIN = Path(os.environ.get("RABBITMQ_LIB", "/usr/lib/rabbitmq/bin"))  # not /usr/sbin: the wrappers there change user and folder
MISSING = "rabbitmq-server is missing: apt-get install rabbitmq-server (or set BRIDGE_AMQP_URL where a command takes it)"


def require_rabbitmq() -> None:
    """Install rabbitmq-server when we are root and it is missing; say what to install otherwise."""
    if (BIN / "rabbitmq-server").exists() and shutil.which("epmd"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise SystemExit(MISSING)
    with open(Path(tempfile.gettempdir()) / "installing-rabbitmq-server", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests' processes ask for it at once
        if not (BIN / "rabbitmq-server").exists():
            print("installing rabbitmq-server (once)", flush=True)
            install("rabbitmq-server", "rabbitmq-server.service", "epmd.socket", "epmd.service")
    if not (BIN / "rabbitmq-server").exists():
        raise SystemExit(MISSING)


def install(package: str, *services: str) -> None:
    """Install a Debian package, its services off."""
    # Debian starts a package's service at its installation unless this script forbids it. The tests run a node of their own.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    try:
        if subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode:
            subprocess.run(["apt-get", "update", "-qq"], env=quiet, stdin=subprocess.DEVNULL, check=False)
            subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        if shutil.which("systemctl"):
            disable = ["systemctl", "disable", "--quiet", *services]
            subprocess.run(disable, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    finally:
        if ours:
            policy.unlink()
