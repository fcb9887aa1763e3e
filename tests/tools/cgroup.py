"""A cgroup with a memory limit, version 1 or 2, below the one that we are in.

with MemoryGroup(128 << 20) as group:
    subprocess.Popen([*group.prefix, "program"])       # started inside, so that all of it counts
    group.highest(), group.killed()                     # bytes at most; how often the kernel killed for want of memory
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from tests.tools.ports import wait_for

ROOT = Path("/sys/fs/cgroup")


def _parents() -> Iterator[tuple[Path, bool]]:
    """Our own cgroup under each hierarchy that could have the memory controller; whether it is of version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield ROOT / "memory" / path.strip("/"), False
        elif not controllers:
            yield ROOT / path.strip("/"), True


class MemoryGroup:
    """Raises OSError where none can be made: it takes root, and a hierarchy that may be written."""

    def __init__(self, limit: int) -> None:
        """limit: bytes."""
        tried = []
        for parent, version_2 in _parents():
            self._path, self._version_2 = parent / f"test-{secrets.token_hex(6)}", version_2
            try:
                self._path.mkdir()
                self._file("memory.max", "memory.limit_in_bytes").write_text(str(limit))
            except OSError as error:
                tried.append(str(error))
                if self._path.exists():
                    self._path.rmdir()
            else:
                self.prefix = ("sh", "-c", f'echo $$ > {self._path}/cgroup.procs && exec "$@"', "sh")
                return
        raise OSError(f"no cgroup with a memory limit can be made: {tried}")

    def _file(self, version_2: str, version_1: str) -> Path:
        return self._path / (version_2 if self._version_2 else version_1)

    def highest(self) -> int:
        """Bytes at most so far, the kernel's for its files and sockets with them."""
        return int(self._file("memory.peak", "memory.max_usage_in_bytes").read_text())

    def killed(self) -> int:
        """How many processes of it the kernel has killed because of the limit."""
        lines = self._file("memory.events", "memory.oom_control").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def __enter__(self) -> "MemoryGroup":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (self._path / "cgroup.procs").read_text().split():
            os.kill(int(pid), 9)
        wait_for("an empty cgroup", lambda: not (self._path / "cgroup.procs").read_text().strip())
        self._path.rmdir()
