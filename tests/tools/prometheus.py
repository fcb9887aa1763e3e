"""Debian's promtool and prometheus: there, installed when we are root, or one line that says what to install.

with Prometheus(port_of_a_bridge) as prometheus:       # scrapes it every second
    prometheus.query("bridge_in_flight")                # [] or [{"metric": {...}, "value": [time, "0"]}]
"""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.tools import debian
from tests.tools.ports import free_port, wait_for


def require() -> None:
    """Install the package prometheus when we are root and it is missing."""
    if shutil.which("promtool"):
        return
    if not os.geteuid() and shutil.which("apt-get"):
        print("installing prometheus (once)", flush=True)
        debian.install("prometheus", "prometheus.service")
    if not shutil.which("promtool"):
        raise SystemExit("promtool is missing: apt-get install prometheus")


def promtool(*words: str, stdin: str = "") -> str:
    """Run promtool; it must be content. Returns what it said."""
    done = subprocess.run(["promtool", *words], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """A server of its own on loopback, which scrapes one bridge and knows the rules."""

    def __init__(self, bridge: int, rules: Path) -> None:
        self.bridge, self.rules, self.port = bridge, rules, free_port()

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="prometheus-")
        job = {"job_name": "bridge", "static_configs": [{"targets": [f"127.0.0.1:{self.bridge}"]}]}
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self.rules)],
            "scrape_configs": [job],
        }
        (Path(self._folder) / "prometheus.yml").write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{self.port}"],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for("Prometheus", self._ready, 60)
            wait_for("the first figures", lambda: self.query("up == 1"), 60)
        except BaseException:
            self._end()
            raise
        return self

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return answer.status == 200  # type: ignore[no-any-return]
        except OSError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        """Ask the HTTP API; return the answer's data."""
        asked = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now."""
        return self.get("query", query=expression)["result"]  # type: ignore[no-any-return]

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
