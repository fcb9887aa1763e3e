"""The bridge under test: from source, the frozen binary, or the container. The environment chooses, the tests do not change.

BRIDGE_UNDER_TEST  source (default): sys.executable -m bridge
                   binary, unpacked: dist/bridge, dist/bridge.unpacked
                   arm64: qemu-user runs dist/arm64/bridge
                   image: podman runs dist/image.tar (or the image that BRIDGE_IMAGE names) with runc, on the host's network

    with Bridge(BRIDGE_TOPICS=..., BRIDGE_AMQP_URL=...) as bridge:       # waits until it listens
        deliver_all(posts, bridge.endpoint())
        bridge.wait_for("broker_lost")
    # leaving: SIGTERM, exit status 0, nothing on standard error, every log line was JSON
    done = run("verify", "FILE")                                        # a command that ends: a CompletedProcess
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.simulate.delivery import Policy
from bridge.simulate.envelope import Post
from bridge.simulate.post import Answer, Connection, Endpoint
from tests.tools.launch import ROOT, UNDER_TEST, command, environment, image, run
from tests.tools.ports import free_port, wait_for

__all__ = ["ROOT", "UNDER_TEST", "Bridge", "command", "environment", "image", "recommended", "run"]


def recommended() -> Policy:
    """The DeliveryPolicy in what `bridge policy` prints."""
    text = run("policy").stdout.partition("# DeliveryPolicy\n")[2]
    return Policy.of(json.JSONDecoder().raw_decode(text)[0])


class Bridge:
    """A bridge that serves. Settings are environment variables; BRIDGE_LISTEN gets a free port of 127.0.0.1 when it is not given,
    BRIDGE_ADMIN_LISTEN is off then, because its default is free for only one bridge on a machine ("default": that one).

    Attributes: process, log (the parsed lines), host, port.
    """

    def __init__(self, *arguments: str, container: tuple[str, ...] = (), **settings: str) -> None:
        settings.setdefault("BRIDGE_LISTEN", f"127.0.0.1:{free_port()}")
        if settings.setdefault("BRIDGE_ADMIN_LISTEN", "off") == "default":
            del settings["BRIDGE_ADMIN_LISTEN"]
        host, _, port = settings["BRIDGE_LISTEN"].rpartition(":")
        self.host, self.port = host.strip("[]") or "127.0.0.1", int(port) if port.isdigit() else 0  # "off"
        self.settings, self.arguments = settings, arguments
        self.log: list[dict[str, Any]] = []
        self.not_json: list[str] = []
        self.name = f"bridge-test-{secrets.token_hex(6)}"
        self._container = container
        self.process: subprocess.Popen[str] | None = None

    def start(self, wait: bool = True) -> Self:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read until the end of the test
        self.log, self.not_json = [], []
        self._asked = False
        self.process = subprocess.Popen(
            [*command(self.settings, self.name, self._container), *self.arguments],
            env=environment(self.settings),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_for("listening", seconds=30)
        return self

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.not_json.append(line)

    # ---- what it says

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The log lines of this event whose fields are these."""
        return [line for line in self.log if line.get("event") == name and fields.items() <= line.items()]

    def wait_for(self, event: str, seconds: float = 10, more_than: int = 0, **fields: Any) -> dict[str, Any]:
        """Wait until the log has more than `more_than` such lines; return the last."""

        def seen() -> dict[str, Any] | None:
            found = self.events(event, **fields)
            if len(found) > more_than:
                return found[-1]
            assert self.running(), (
                f"the bridge ended with {self.process and self.process.returncode}: {self.errors()}{self.log[-3:]}{self.not_json[-3:]}"
            )
            return None

        try:
            found = wait_for(f"{event} {fields or ''} in the bridge's log", seen, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; its last lines: {self.log[-5:]}") from None
        assert found is not None
        return found

    def errors(self) -> str:
        """What it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()

    # ---- reaching it

    def endpoint(
        self, credentials: str = "", path: str = "/", ca_file: Path | None = None, client: tuple[Path, Path] | None = None
    ) -> Endpoint:
        """The endpoint as it is given to SNS; credentials are "user:password"; ca_file makes it https."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = f"{credentials}{'@' if credentials else ''}{host}:{self.port}"
        return Endpoint(f"http{'s' if ca_file else ''}://{authority}{path}", ca_file, client, "localhost")

    def connect(self, timeout: float = 15) -> Connection:
        return Connection(self.host, self.port, timeout=timeout)

    def deliver(self, post: Post, path: str = "/", extra: dict[str, str] | None = None) -> Answer:
        """One POST on a connection of its own."""
        with self.connect() as connection:
            return connection.deliver(post, path, extra)

    def pid(self) -> int:
        """The bridge's own process (in a container, as the host counts)."""
        assert self.process is not None
        if UNDER_TEST != "image":
            return self.process.pid
        done = subprocess.run(["podman", "inspect", "--format", "{{.State.Pid}}", self.name], capture_output=True, text=True, check=False)
        pid = int(done.stdout.strip() or 0)
        if pid <= 0:  # and a signal to 0 would go to ourselves
            raise ProcessLookupError(f"the container {self.name} does not run")
        return pid

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid()}/task"))

    # ---- its end

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number: int) -> None:
        """Send a signal to the bridge itself, if it still runs."""
        self._asked = self._asked or number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(), number)

    def kill(self) -> None:
        """kill -9."""
        if self.running():
            self.send_signal(signal.SIGKILL)
        self._end(None)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> float:
        """Ask it to stop, unless that was done; it must exit 0, with nothing but JSON in its log. Returns the seconds it took."""
        start = time.monotonic()
        if self.running() and not self._asked:
            self.send_signal(number)
        self._end(seconds)
        assert self.process is not None
        assert self.process.returncode == 0, f"exit status {self.process.returncode}: {self.errors()}{self.log[-5:]}"
        if UNDER_TEST != "image":  # podman has warnings of its own
            assert not self.errors(), self.errors()
        assert not self.not_json or self.settings.get("BRIDGE_LOG_FORMAT") == "text", self.not_json
        return time.monotonic() - start

    def _end(self, seconds: float | None) -> None:
        assert self.process is not None
        try:
            self.process.wait(seconds or 20)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            self.process.wait(20)
            raise AssertionError(f"the bridge did not stop within {seconds} s; its last lines: {self.log[-5:]}") from None
        self._reader.join(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            if self.running():
                self.kill()
        elif self.process is not None and self.process.returncode is None:
            self.stop()
