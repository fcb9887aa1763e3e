"""The bridge under test, started by another command (as PID 1, in a mount namespace, ...) or with its log going somewhere else."""

import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Self

from tests.tools.bridge import ROOT, Bridge, command, environment
from tests.tools.ports import wait_for

PID_1 = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class Wrapped(Bridge):
    """prefix: words before the bridge's own; words: in place of those. log: a file or descriptor that takes standard output, unread."""

    def __init__(
        self, *, prefix: tuple[str, ...] = (), words: tuple[str, ...] = (), log: "IO[Any] | int | None" = None, **settings: str
    ) -> None:
        super().__init__(**settings)
        self._prefix, self._words, self._log = prefix, words, log

    def start(self, wait: bool = True) -> Self:
        if self._log is None and not self._prefix and not self._words:
            return super().start(wait)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read until the end of the test
        self.log, self.not_json = [], []
        self._asked = False
        words = [*self._prefix, *(self._words or command(self.settings, self.name, self._container))]
        self.process = subprocess.Popen(
            words,
            env=environment(self.settings),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._log is None else self._log,
            stderr=self._errors,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            wait_for("the bridge's listener", self.answers, 30)
        return self

    def _read(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is not None:
            super()._read(process)

    def answers(self) -> bool:
        """Whether GET /healthy is answered."""
        assert self.running(), self.errors()
        try:
            with self.connect(timeout=2) as connection:
                return connection.get("/healthy").status == 200
        except OSError:
            return False

    def pid(self) -> int:
        """The bridge itself: behind `unshare --fork` it is the child."""
        pid = super().pid()
        if "--fork" in self._prefix:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(children[0]) if children else pid
        return pid


def descriptors(bridge: Bridge) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{bridge.pid()}/fd"))


def processor_seconds(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
