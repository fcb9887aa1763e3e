"""docs/bridge.service: systemd-analyze finds nothing, and a real systemd runs dist/bridge by it, unchanged.

The second needs root, and a kernel and a machine that let it make namespaces and mount an overlay; elsewhere it is skipped.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.simulate.delivery import deliver_all
from bridge.simulate.post import Endpoint
from tests.conftest import settings_for
from tests.tools.bridge import ROOT
from tests.tools.ports import free_port, listening, wait_for

UNIT = ROOT / "docs/bridge.service"
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is missing: apt-get install systemd")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a systemd of its own")
CGROUP2 = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
MOST_EXPOSED = 1.2  # of 10, by `systemd-analyze security`; what is left is the network, which is what the bridge is for


def lay_out(files: Path, binary: str, **settings: str) -> None:
    """What the howto says to install, as a tree of files."""
    for folder in ("usr/local/bin", "etc/systemd/system", "etc/bridge"):
        (files / folder).mkdir(parents=True)
    shutil.copy(ROOT / "dist" / binary, files / "usr/local/bin/bridge")
    shutil.copy(UNIT, files / "etc/systemd/system")
    (files / "etc/bridge/amqp-password").write_text("guest\n")
    (files / "etc/bridge/bridge.env").write_text("".join(f"{name}={text}\n" for name, text in settings.items()))
    for secret in (files / "etc/bridge").iterdir():
        secret.chmod(0o600)


class Booted:
    """A systemd that runs as PID 1 of its own namespaces, with the bridge as its one unit."""

    def __init__(self, folder: Path, files: Path) -> None:
        hierarchy = next((path for path in CGROUP2 if (path / "cgroup.procs").exists()), None)
        if hierarchy is None:
            pytest.skip("there is no cgroup v2 hierarchy here")
        self._cgroup = hierarchy / f"bridge-test-{os.getpid()}"
        (folder / "mount").mkdir()
        self._log = open(folder / "console", "w+b")  # noqa: SIM115 - read until the end of the test
        words = ["sh", ROOT / "tests/deploy/boot.sh", folder / "mount", self._cgroup, files]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def init(self) -> int:
        """Its PID 1, as seen from here; 0 before it is there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd" else 0

    def run(self, *words: str) -> str:
        inside = ["nsenter", "-t", str(self.init()), "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--root", "--wd=/"]
        return subprocess.run([*inside, *words], capture_output=True, text=True, timeout=60, check=False).stdout

    def console(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def wait_for(self, port: int) -> None:
        """Wait until the bridge listens; a machine that can't do this at all skips the test."""

        def seen() -> bool:
            if self.process.poll() is not None:
                pytest.skip(f"no systemd can be booted here: {self.console()[-300:]}")
            return listening(port)

        try:
            wait_for("the bridge under systemd", seen, 40, 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.run('journalctl', '--no-pager', '-n', '20')}") from None

    def close(self) -> None:
        if self.process.poll() is None:
            init = self.init()
            os.kill(init or self.process.pid, 9)  # --kill-child and the pid namespace take the rest along
        self.process.wait(20)
        self._log.close()
        for folder in sorted(self._cgroup.rglob("*/"), reverse=True):
            wait_for("an empty cgroup", lambda folder=folder: gone(folder), 10)
        wait_for("an empty cgroup", lambda: gone(self._cgroup), 10)


def gone(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def files(folder: Path) -> Iterator[Path]:
    path = folder / "files"
    path.mkdir()
    yield path


def test_verify_finds_nothing(files):
    lay_out(files, "bridge")
    words = ["systemd-analyze", "verify", "--recursive-errors=no", f"--root={files}", "bridge.service"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_it_is_hardly_exposed():
    words = ["systemd-analyze", "security", "--offline=yes", f"--threshold={int(MOST_EXPOSED * 10)}", UNIT]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    exposure = float(re.search(r"exposure level for bridge.service: ([0-9.]+)", done.stdout)[1])
    assert exposure <= MOST_EXPOSED, done.stdout
    assert done.returncode == 0, done.stderr


@pytest.fixture
def boot(folder, files, broker, queue, sns):
    """boot(binary, processes) -> (a systemd that runs the bridge, the bridge's port)."""
    machines = []

    def start(binary: str, processes: str) -> tuple[Booted, int]:
        port, admin = free_port(), free_port()
        url = broker.url.replace("guest:guest@", "guest@")  # the password is the credential's
        settings = settings_for(sns, url, queue) | {
            "BRIDGE_LISTEN": f"127.0.0.1:{port}",
            "BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "BRIDGE_PROCESSES": processes,
        }
        (files / "etc/ssl").mkdir(parents=True)
        shutil.copy(sns.ca_file, files / "etc/ssl/sns.pem")  # /tmp is not what it was
        lay_out(files, binary, **settings | {"BRIDGE_CA_FILE": "/etc/ssl/sns.pem"})
        if binary == "bridge.unpacked":  # as the unit's comment says
            unit = files / "etc/systemd/system/bridge.service"
            unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nMemoryDenyWriteExecute=yes\n"))
        machines.append(Booted(folder, files))
        machines[0].wait_for(port)
        return machines[0], port

    yield start
    for machine in machines:
        machine.close()


def shown(machine: Booted, *names: str) -> dict[str, str]:
    """Properties of the unit."""
    lines = machine.run("systemctl", "show", "bridge", "-p", ",".join(names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def journal(machine: Booted) -> str:
    """What the bridge has logged last."""
    return machine.run("journalctl", "--unit=bridge", "--no-pager", "--output=cat", "--lines=20")


@needs_root
@pytest.mark.parametrize(("binary", "processes"), [("bridge", "1"), ("bridge", "2"), ("bridge.unpacked", "1")])
def test_a_real_systemd_runs_it(binary, processes, boot, broker, queue, sns):
    machine, port = boot(binary, processes)
    sent = list(sns.notifications(50))
    outcomes = deliver_all(sent, Endpoint(f"http://127.0.0.1:{port}/"), connections=4)
    assert [outcome.status for outcome in outcomes] == [200] * 50, journal(machine)
    assert sorted(broker.ids(queue)) == sorted(post.message_id for post in sent)
    wait_for("the word that it is ready", lambda: shown(machine, "SubState")["SubState"] == "running", 20, 0.2)
    unit = shown(machine, "ActiveState", "NRestarts", "MainPID", "DynamicUser", "WatchdogUSec", "WatchdogTimestamp")
    assert (unit["ActiveState"], unit["NRestarts"], unit["DynamicUser"], unit["WatchdogUSec"]) == ("active", "0", "yes", "30s")
    assert unit["WatchdogTimestamp"], "the watchdog has heard of it"
    status = machine.run("cat", f"/proc/{unit['MainPID']}/status")
    assert re.search(r"^Uid:\t(?!0\t)", status, re.MULTILINE), status
    for line in (r"CapEff:\t0+", r"CapBnd:\t0+", r"NoNewPrivs:\t1", r"Seccomp:\t2"):
        assert re.search(f"^{line}$", status, re.MULTILINE), (line, status)
    start = time.monotonic()
    machine.run("systemctl", "stop", "bridge")
    assert time.monotonic() - start < 20
    assert shown(machine, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert '"event": "stopped"' in journal(machine)


@needs_root
def test_a_real_systemd_replaces_one_that_hangs(boot, sns):
    machine, port = boot("bridge", "1")
    wait_for("the word that it is ready", lambda: shown(machine, "SubState")["SubState"] == "running", 20, 0.2)
    hung = shown(machine, "MainPID")["MainPID"]
    machine.run("kill", "-STOP", hung)
    wait_for("a restart", lambda: shown(machine, "NRestarts")["NRestarts"] == "1", 60, 0.5)
    wait_for("the bridge", lambda: listening(port), 20, 0.2)
    outcomes = deliver_all(sns.notifications(5), Endpoint(f"http://127.0.0.1:{port}/"), connections=1)
    assert [outcome.status for outcome in outcomes] == [200] * 5, journal(machine)
    assert shown(machine, "MainPID")["MainPID"] != hung
