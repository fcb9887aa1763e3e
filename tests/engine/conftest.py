"""A Debian machine in a folder, with Docker's engine from Debian's packages, in the network of tests/deploy/alone.sh."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.tools.bridge import ROOT
from tests.tools.checkout import copy_checkout
from tests.tools.ports import wait_for

ENGINE = ROOT / ".engine"
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
RABBITMQ = """\
FROM services
ENV HOME=/var/lib/rabbitmq LANG=C.UTF-8
VOLUME /var/lib/rabbitmq
CMD printf 'default_user = %s\\ndefault_pass = %s\\nloopback_users = none\\n' "$RABBITMQ_DEFAULT_USER" "$RABBITMQ_DEFAULT_PASS" \\
  > /etc/rabbitmq/rabbitmq.conf && exec rabbitmq-server
"""
LOCALSTACK = """\
FROM services
COPY localstack /opt/localstack
COPY awscli /opt/awscli
COPY awslocal /usr/local/bin/
ENV FILESYSTEM_ROOT=/tmp/localstack DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 LANG=C.UTF-8 GATEWAY_LISTEN=0.0.0.0:4566
ENV PYTHONPATH=/opt/localstack
CMD ["python3", "-m", "localstack.runtime.main"]
"""
AWSLOCAL = """\
#!/bin/sh
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_ENDPOINT_URL=http://localhost:4566
PYTHONPATH=/opt/awscli exec python3 -m awscli "$@"
"""


class Machine:
    """Runs commands where the engine is, in the checkout's folder."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def words(self, script: str, **settings: str) -> list[str]:
        environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"} | settings
        given = [f"{name}={value}" for name, value in environment.items()]
        inside = ["nsenter", "--target", str(self._pid), "--mount", "--pid", "--root", "--wdns=/root/checkout"]
        return [*inside, "env", "-i", *given, "sh", "-euc", script]

    def run(self, script: str, **settings: str) -> str:
        """Run a shell script to its end, within five minutes; return what it printed."""
        done = subprocess.run(self.words(script, **settings), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def succeeds(self, script: str) -> bool:
        return subprocess.run(self.words(script), capture_output=True, timeout=60, check=False).returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("BRIDGE_ALONE") != "1" or os.geteuid() != 0 or not (ENGINE / ".ready").exists():
        for item in items:
            if item.path.is_relative_to(ROOT / "tests/engine"):
                item.add_marker(pytest.mark.skip(reason="`make test-docker` runs these, as root, in a network of their own"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    (checkout / "dist").mkdir()
    shutil.copyfile(ROOT / "dist/image.tar", checkout / "dist/image.tar")
    log = tmp_path_factory.mktemp("engine") / "log"
    tree = ENGINE / "machine"
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with log.open("wb") as out:
        engine = ["dockerd", "--exec-opt", "native.cgroupdriver=cgroupfs"]
        process = subprocess.Popen([*apart, "sh", ROOT / "tests/engine/machine.sh", tree, checkout, *engine], stdout=out, stderr=out)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for("the machine", lambda: process.poll() is not None or children.read_text(), 10)
        machine = Machine(int(children.read_text()))
        wait_for("Docker's engine", lambda: process.poll() is not None or machine.succeeds("docker version"), 60)
        assert process.poll() is None, log.read_text()[-3000:]
        yield machine
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            shutil.rmtree(tree / "var/lib/docker")


@pytest.fixture(scope="session")
def services(machine: Machine) -> None:
    """Images under the names that docker/compose.yaml gives, made of Debian's packages and of PyPI's: no registry is asked here."""
    packed = ["tar", "--directory", ENGINE / "services", "--create", "."]
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
        subprocess.run(machine.words("docker import - services"), stdin=tar.stdout, check=True, capture_output=True, timeout=300)
    rabbitmq, localstack = (folder(ENGINE / "machine/tmp" / name) for name in ("rabbitmq", "localstack"))
    (rabbitmq / "Dockerfile").write_text(RABBITMQ)
    (localstack / "Dockerfile").write_text(LOCALSTACK)
    (localstack / "awslocal").write_text(AWSLOCAL)
    (localstack / "awslocal").chmod(0o755)
    for name, environment in (("localstack", ".venv-localstack"), ("awscli", ".venv-deploy")):
        (packages,) = (ROOT / environment).glob("lib/python3.*/site-packages")
        shutil.copytree(packages, localstack / name, symlinks=True)
    for name in ("rabbitmq", "localstack"):
        machine.run(f"docker build --quiet --tag {COMPOSE[name]['image']} /tmp/{name}")


def folder(path: Path) -> Path:
    """Make an empty folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path
