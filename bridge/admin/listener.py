"""The admin listener: /livez, /readyz, /metrics, and the status page. It only ever shows; there is nothing to set."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from bridge.config import Config
from bridge.errors import NotFound, SettingError
from bridge.http.connection import Connection
from bridge.http.framing import Request
from bridge.http.listener import Server, bind
from bridge.log import Log

if TYPE_CHECKING:
    from bridge.admin.reports import Reports
    from bridge.counters import Counters
    from bridge.pending import Delivery

SETTING = "BRIDGE_ADMIN_LISTEN"
ANSWER = 1 << 18  # bytes that the kernel shall take of an answer at once
SAFE = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"


def bind_admin(config: Config, log: Log) -> socket.socket | None:
    """Return the admin listener's socket, one for all processes; None when there shall be none.

    Raises SettingError when an address that was given can't be had. Without the default's, the bridge still does its work.
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


class AdminConnection(Connection):
    """Answers GET only."""

    site: "Admin"

    def do_GET(self, request: Request, _body: bytes, delivery: "Delivery") -> None:
        """Raises NotFound."""
        answer = self.site.answer(request.target)
        if answer is None:
            raise NotFound("there are /, /status.json, /livez, /readyz and /metrics")
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ANSWER)
        delivery.connection = None
        self.site.leave(delivery, "")
        self.answer_text(*answer, delivery.keep_alive)

    do_HEAD = do_GET
    do_POST = None  # type: ignore[assignment]


class Admin(Server):
    """What listens on BRIDGE_ADMIN_LISTEN. Its own requests are counted nowhere. What it answers with is only imported when asked for."""

    connection_class = AdminConnection

    def show(self, counters: "Counters", activity: "Reports", port: int, tell: Callable[[], None]) -> Self:
        """Show these numbers and accounts of all processes; tell() brings this process's up to date. port is BRIDGE_LISTEN's."""
        self._shown, self._activity, self._port, self._tell = counters, activity, port, tell
        return self

    def answer(self, target: str) -> tuple[int, str, str] | None:
        """Return status, text (ASCII) and headers for a request's target; None for one that is not there."""
        self._tell()
        if target in ("/readyz", f"/readyz?port={self._port}"):  # `bridge healthcheck` asks so, for there may be another bridge
            return self._readyz()
        if target == "/livez":
            return self._livez()
        if target == "/metrics":
            from bridge.admin.metrics import metrics

            return 200, metrics(self._shown), f"Content-Type: text/plain; version=0.0.4\r\n{SAFE}"
        if target == "/status.json":
            from bridge.admin.status import status

            return 200, status(self._shown, self._activity), f"Content-Type: application/json\r\n{SAFE}"
        if target == "/":
            from bridge.admin.page import PAGE, POLICY

            return 200, PAGE, f"Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: {POLICY}\r\n{SAFE}"
        return None

    def _readyz(self) -> tuple[int, str, str]:
        from bridge.admin.status import states

        all_states = states(self._shown)
        ready = all_states.count("ready")
        text = f"{ready} of {len(all_states)} ready"
        if ready == len(all_states):
            return 200, text + "\n", SAFE
        return 503, f"{text}: {', '.join(sorted(set(all_states) - {'ready'}))}\n", SAFE

    def _livez(self) -> tuple[int, str, str]:
        """The loop of this process turns, or it would not answer; the others' are looked at."""
        from bridge.admin.status import states

        stuck = [str(process) for process, state in enumerate(states(self._shown)) if state == "stuck"]
        return (503, f"stuck: process {', '.join(stuck)}\n", SAFE) if stuck else (200, "alive\n", SAFE)
