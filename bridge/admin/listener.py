"""The admin listener: /livez, /readyz, /metrics, and the status page. It only shows; no request changes anything."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.amqp.loop import Loop
from bridge.config import Config
from bridge.counters import Counters
from bridge.errors import NotFound, SettingError
from bridge.http.connection import Service
from bridge.http.listener import Listener, bind
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.verdicts import Verdicts

if TYPE_CHECKING:
    from bridge.admin.reports import Reports

SETTING = "BRIDGE_ADMIN_LISTEN"
MAX_CONNECTIONS = 32
MAX_BODY = 4096  # bytes; no request here needs a body
SAFE = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"


def bind_admin(config: Config, log: Log) -> socket.socket | None:
    """Return the admin listener's socket, one for all processes; None when it is off, or the default address is in use.

    Raises SettingError when an address that was set can't be used.
    """
    if config.admin_listen is None:
        return None
    try:
        if not config.admin_given and config.admin_listen[1] == config.listen[1]:
            raise SettingError(SETTING, f"{config.listen[1]} is BRIDGE_LISTEN's port")
        return bind(config.admin_listen, SETTING)
    except SettingError as error:
        if config.admin_given:
            raise
        log.warning("admin_unavailable", explanation=f"{error}; the bridge serves without it")
        return None


def listen(
    bound: socket.socket, loop: Loop, get: Callable[[str], tuple[int, str, str]], deadline: float, statuses: dict[str, int], log: Log
) -> Listener:
    """Answer GET on a socket that `bind_admin` returned. get is as in `Service`, deadline in seconds, statuses as in `Counters`.

    Its requests appear in no metric.
    """
    counters = Counters(1, statuses)
    requests = PendingRequests(MAX_CONNECTIONS, 1 << 20, deadline, Verdicts(counters, log), log)
    return Listener(bound, Service(loop, requests, MAX_BODY, get, None, trusted=True), MAX_CONNECTIONS, log)


class AdminPages:
    """The pages of the admin listener. A page's modules are imported at its first request."""

    def __init__(self, counters: Counters, reports: "Reports", port: int, refresh: Callable[[], None]) -> None:
        """counters and reports are those of all processes; refresh() updates this process's part of them; port is BRIDGE_LISTEN's."""
        self._counters, self._reports, self._port, self._refresh = counters, reports, port, refresh

    def get(self, target: str) -> tuple[int, str, str]:
        """Return status, text (ASCII) and header lines for a request's target. Raises NotFound."""
        self._refresh()
        path, _, query = target.partition("?")
        # `bridge healthcheck` asks with the port, because another bridge may have taken this listener's address
        if path == "/readyz" and (not query.startswith("port=") or query == f"port={self._port}"):
            return self._readyz()
        if path == "/livez":
            return self._livez()
        if path == "/metrics":
            from bridge.admin.metrics import metrics

            return 200, metrics(self._counters), f"Content-Type: text/plain; version=0.0.4\r\n{SAFE}"
        if path == "/status.json":
            from bridge.admin.status import status

            return 200, status(self._counters, self._reports), f"Content-Type: application/json\r\n{SAFE}"
        if path == "/":
            from bridge.admin.page import PAGE, POLICY

            return 200, PAGE, f"Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: {POLICY}\r\n{SAFE}"
        raise NotFound("the paths are /, /status.json, /livez, /readyz and /metrics")

    def _readyz(self) -> tuple[int, str, str]:
        from bridge.admin.status import states

        all_states = states(self._counters)
        ready = all_states.count("ready")
        text = f"{ready} of {len(all_states)} ready"
        if ready == len(all_states):
            return 200, text + "\n", SAFE
        return 503, f"{text}: {', '.join(sorted(set(all_states) - {'ready'}))}\n", SAFE

    def _livez(self) -> tuple[int, str, str]:
        """Look at the loops of the other processes; that of this one turns, because it answers."""
        from bridge.admin.status import states

        stuck = [str(process) for process, state in enumerate(states(self._counters)) if state == "stuck"]
        return (503, f"stuck: process {', '.join(stuck)}\n", SAFE) if stuck else (200, "alive\n", SAFE)
