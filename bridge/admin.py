"""/livez, /readyz and /metrics, on a listener of its own. Source: Prometheus text exposition format 0.0.4."""

from typing import TYPE_CHECKING

from bridge.connection import Connection
from bridge.errors import NotFound
from bridge.framing import Request
from bridge.server import Server

if TYPE_CHECKING:
    from bridge.counters import Counters
    from bridge.delivery import Delivery

_GAUGES = {
    "connections": "Open connections of clients.",
    "in_flight": "Deliveries that wait for their confirm.",
    "ready": "Processes with a channel to the broker that is not blocked.",
    "started": "Processes that run.",
}
_COUNTERS = {
    "broker_connections_total": "Connections to the broker that came up.",
    "log_lines_dropped_total": "Log lines that could not be written.",
}
_OK = ("published", "confirmed", "unsubscribed", "healthy")


def metrics(counters: "Counters", statuses: dict[str, int]) -> str:
    """Return all numbers in Prometheus' text format; statuses maps the reasons to their HTTP status."""
    lines = ["# HELP bridge_verdicts_total Requests by the answer they got.", "# TYPE bridge_verdicts_total counter"]
    for reason, status in [*((reason, 200) for reason in _OK), *statuses.items()]:
        lines.append(f'bridge_verdicts_total{{status="{status}",reason="{reason}"}} {counters.total(reason)}')
    for kind, names in (("gauge", _GAUGES), ("counter", _COUNTERS)):
        for name, meaning in names.items():
            lines += [f"# HELP bridge_{name} {meaning}", f"# TYPE bridge_{name} {kind}", f"bridge_{name} {counters.total(name)}"]
    return "\n".join(lines) + "\n"


class AdminConnection(Connection):
    """Answers GET only."""

    site: "Admin"

    def do_GET(self, request: Request, _body: bytes, delivery: "Delivery") -> None:
        """Raises NotFound."""
        counters, headers = self.site.shown, ""
        if request.target == "/livez":
            status, text = 200, "alive\n"
        elif request.target == "/readyz":
            ready, processes = counters.total("ready"), self.site.processes
            status, text = (200 if ready == processes else 503), f"{ready} of {processes} ready\n"
        elif request.target == "/metrics":
            status, text, headers = 200, metrics(counters, self.site.statuses), "Content-Type: text/plain; version=0.0.4\r\n"
        else:
            raise NotFound("there are /livez, /readyz and /metrics")
        delivery.connection = None
        self.site.leave(delivery, "")
        self.answer_text(status, text, headers, delivery.keep_alive)

    do_HEAD = do_GET
    do_POST = None  # type: ignore[assignment]


class Admin(Server):
    """The listener of BRIDGE_ADMIN_LISTEN."""

    connection_class = AdminConnection
    processes = 1
    shown: "Counters"  # its own requests are not counted in there
    statuses: dict[str, int]
