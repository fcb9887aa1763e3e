"""A private RabbitMQ for one test run: Debian's rabbitmq-server with its own node name, ports, cookie and data folder, on loopback only.
BROKER, or the argument `version`, chooses which (tests/tools/rabbitmq.py).

    with Broker() as broker:
        broker.declare("orders")
        ... BRIDGE_AMQP_URL=broker.url ...
        broker.kill(); broker.start()            # kill -9 and a restart with the same data
        messages = broker.take("orders")         # every message with its properties, removed from the queue

Several can run at once, as root or not. Nothing is shared with the distribution's own service, which is never started.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pika.exceptions

from tests.tools.node import Node
from tests.tools.ports import free_port, listening, wait_for
from tests.tools.rabbitmq import RabbitMQ, rabbitmq


class Epmd:
    """Erlang's port mapper on a port of its own, in the foreground so that it ends with us. One serves all nodes of a cluster."""

    def __init__(self, version: str = "") -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            rabbitmq(version).words("epmd", "-port", str(self.port), "-address", "127.0.0.1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for("epmd", lambda: listening(self.port))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Broker(Node):
    """One RabbitMQ node. `tls` (a bridge.simulate.certificates.Authority) adds a TLS listener that asks for client certificates.

    Attributes: rabbitmq (which it is), port, url; with tls: tls_port, tls_url; with ipv6: url6.
    """

    started: ClassVar[set[RabbitMQ]] = set()  # all of this run

    def __init__(
        self,
        *,
        tls: Any = None,
        require_client_certificate: bool = False,
        ipv6: bool = False,
        plugins: tuple[str, ...] = (),
        settings: str = "",
        epmd: Epmd | None = None,
        cookie: str = "",
        version: str = "",
    ) -> None:
        self.rabbitmq = rabbitmq(version)
        self.folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        self.port = free_port()
        self.node = f"test{self.port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self.url6 = f"amqp://guest:guest@[::1]:{self.port}/%2F"
        self._own_epmd = epmd is None
        self.epmd = epmd or Epmd(version)
        self.process: subprocess.Popen[bytes] | None = None
        self.alarms = set()
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "loopback_users = none",
            "log.file.level = warning",
            "log.console = false",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.absolute = 1GB",
        ]
        if ipv6:
            lines.append(f"listeners.tcp.2 = ::1:{self.port}")
        if tls is not None:
            lines += self._tls_lines(tls, require_client_certificate)
            plugins = (*plugins, "rabbitmq_auth_mechanism_ssl")
        (self.folder / "rabbitmq.conf").write_text("\n".join([*lines, settings, ""]))
        (self.folder / "plugins").write_text(f"[{','.join(plugins)}].\n")
        self._write_cookie(cookie or secrets.token_hex(20))
        self.environment = self._environment()

    def _tls_lines(self, tls: Any, require_client_certificate: bool) -> list[str]:
        self.tls_port = free_port()
        self.tls_url = f"amqps://localhost:{self.tls_port}/%2F"
        self.tls_files = tls.issue(self.folder / "tls", "localhost", "127.0.0.1", "::1")
        return [
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.cacertfile = {tls.ca_file}",
            f"ssl_options.certfile = {self.tls_files.certificate}",
            f"ssl_options.keyfile = {self.tls_files.key}",
            "ssl_options.verify = verify_peer",
            f"ssl_options.fail_if_no_peer_cert = {str(require_client_certificate).lower()}",
            "ssl_options.versions.1 = tlsv1.3",
            "ssl_options.versions.2 = tlsv1.2",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = AMQPLAIN",
            "auth_mechanisms.3 = EXTERNAL",
            "ssl_cert_login_from = common_name",
        ]

    def _write_cookie(self, cookie: str) -> None:
        path = self.folder / ".erlang.cookie"
        path.write_text(cookie)
        path.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        loopback = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
        folder = str(self.folder)
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": folder,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/none.config",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} +sbwt none +sbwtdcpu none +sbwtdio none",  # no busy waiting: cores are few
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "ERL_EPMD_PORT": str(self.epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # makes rabbitmq-server exec the node: then its pid is the node's own
        }

    # ---- life

    def start(self, wait: bool = True) -> Self:
        """Start (again, with the same data) and wait until AMQP connections are accepted."""
        self.alarms.clear()  # they do not outlive the node
        self.started.add(self.rabbitmq)
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                self.rabbitmq.words("rabbitmq-server"),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = 90) -> None:
        wait_for(f"RabbitMQ's start (see {self.folder}/out)", self._accepts, seconds, 0.1)

    def _accepts(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"RabbitMQ ended: {(self.folder / 'out').read_text()[-2000:]}")
        try:
            with self.channel():
                return True
        except (pika.exceptions.AMQPError, OSError):
            return False

    def kill(self) -> None:
        """kill -9 of the node and all that it started."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """An orderly stop (SIGTERM); the data stays for the next start()."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers. Its threads may go on for some milliseconds, which is waited for."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")
        wait_for("stopped threads", lambda: all(state(thread) == "T" for thread in threads.iterdir()), 10, 0.001)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def log_text(self) -> str:
        """All that the node has logged (warnings and worse)."""
        return "".join(path.read_text(errors="replace") for path in (self.folder / "log").glob("*.log"))

    def mend(self) -> None:
        """Make it as new for the next test: running, no alarm."""
        if self.process is None or self.process.poll() is not None:
            self.start()
            return
        self.thaw()
        for alarm in tuple(self.alarms):
            self.memory_alarm(False) if alarm == "memory" else self.disk_alarm(False)

    def close(self) -> None:
        """Kill the node, end its epmd, remove its data."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self._own_epmd:
            self.epmd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start() if self.process is None else self
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def state(task: Path) -> str:
    """The state of a process or thread by its folder in /proc: T is stopped, X is gone (proc(5), stat)."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
