"""Numbers that all processes of the bridge share: each process has its row in one piece of memory, and any of them can add them up."""

import mmap

_NAMES = (
    "published", "confirmed", "unsubscribed", "healthy",  # the reasons of a 200
    "connections", "in_flight", "broker_connections_total", "log_lines_dropped_total", "ready", "started",
)  # fmt: skip


class Counters:
    """Whole numbers by name, summed over the processes."""

    def __init__(self, processes: int, reasons: tuple[str, ...]) -> None:
        """reasons are those of BridgeError's classes. The memory is anonymous and inherited by fork()."""
        self.reasons = reasons
        self._at = {name: at for at, name in enumerate((*_NAMES, *reasons))}
        self._width = len(self._at)
        self._all = memoryview(mmap.mmap(-1, processes * self._width * 8)).cast("Q")
        self._processes = processes
        self.row = self._all[: self._width]

    def use(self, process: int) -> None:
        """Write to the row of this process (0, 1, …) from now on. Counts of a predecessor stay: totals never fall."""
        self.row = self._all[process * self._width : (process + 1) * self._width]

    def forget(self, process: int) -> None:
        """A process has died: its gauges are 0."""
        for gauge in ("connections", "in_flight", "ready", "started"):
            self._all[process * self._width + self._at[gauge]] = 0

    def own(self, name: str) -> int:
        """Return this process's part."""
        return self.row[self._at[name]]

    def add(self, name: str) -> None:
        """Count one more."""
        self.row[self._at[name]] += 1

    def put(self, name: str, value: int) -> None:
        """Set a gauge of this process."""
        self.row[self._at[name]] = value

    def total(self, name: str) -> int:
        """Return the sum over all processes."""
        return sum(self._all[self._at[name] :: self._width])
