"""`bridge serve`: puts the parts of one process together, runs them, and drains them."""

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from time import monotonic, time

from bridge.admin import listener as admin_listener
from bridge.admin.reports import Reports
from bridge.amqp.loop import Loop
from bridge.amqp.publisher import Publisher
from bridge.bodies.routing import Route
from bridge.config import Config, routes_of
from bridge.counters import Counters
from bridge.errors import BridgeError, NotFound
from bridge.files import FollowedFiles
from bridge.http.arrivals import FEWEST, MOST
from bridge.http.basic_auth import Credentials
from bridge.http.connection import Service
from bridge.http.listener import SWEEP, Listener, bind, describe
from bridge.http.tls import ListenerTLS
from bridge.log import Log
from bridge.pending import PendingRequests
from bridge.pipeline import Pipeline
from bridge.signals import IGNORED, STOP, explanation, ignore
from bridge.sns.certificates import Certificates
from bridge.sns.fetch import Egress
from bridge.sns.signature import RSA_ENGINE
from bridge.sockets import READ
from bridge.supervisor import supervise
from bridge.systemd import Systemd
from bridge.verdicts import Verdicts
from bridge.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridge.sqs.receivers import Receivers

TICK = 0.25  # seconds between two looks at files and readiness
RESERVE = 32 + admin_listener.MAX_CONNECTIONS  # descriptors for the broker, the log, files, fetches, the admin listener
GOODBYE = 1.0  # seconds for AMQP's own way of closing


def insecure(config: Config) -> list[str]:
    """Return an explanation for each setting by which AWS is asked in plain HTTP."""
    found = []
    if config.sns_endpoint.startswith("http://"):
        found.append("BRIDGE_SNS_ENDPOINT is not https: anybody on its network can forge messages")
    setting, origins = "BRIDGE_SQS_ENDPOINT", [config.sqs_endpoint]
    if not config.sqs_endpoint:
        setting, origins = "BRIDGE_SQS_QUEUES", [one.origin for one in config.sqs_queues]
    if any(origin.startswith("http://") for origin in origins):
        found.append(f"{setting} is not https: anybody on its network can delete messages")
    return found


class Process:
    """One process of the bridge: a loop, a listener, a connection to the broker."""

    def __init__(self, config: Config, counters: Counters, reports: Reports, log: Log, admin: socket.socket | None) -> None:
        """admin is the admin listener's socket, which all processes have. Raises SettingError when something can't be set up."""
        self._config, self._counters, self._reports, self._log = config, counters, reports, log
        self._loop = loop = Loop()
        loop.on_bug = log.bug
        self._credentials = Credentials(config.basic_auth_file, log)
        egress = Egress(loop.call_soon, loop.call_later, config.ca_file)
        certificates = Certificates(config.certificates, egress, time, counters.add, config.max_buffered // 4)
        self._publisher = Publisher(loop, config.broker, config.queue_to_declare(), log, counters)
        loop.on_amqp_bug = self._publisher.broken
        shared = config.processes > 1
        deadline = config.deadline - SWEEP - 0.1  # the sweep may be so late, and the answer must still be in time
        self._requests = PendingRequests(config.max_in_flight, config.max_buffered, deadline, Verdicts(counters, log), log)
        loop.services.count = self._requests.count
        pipeline = Pipeline(config, certificates, egress, self._publisher, self._credentials, log)
        self._receivers: Receivers | None = None
        if config.sqs_queues:
            from bridge.sqs import receivers  # not at the top, because most bridges do not pull

            self._receivers = receivers.Receivers(config, loop, pipeline, self._requests, self._publisher, counters, log)
        service = Service(loop, self._requests, config.max_body, self._healthy, pipeline.receive)
        self._listener: Listener | None = None
        self._tls: ListenerTLS | None = None
        if config.listens:
            connections, waiting = descriptors(config, log)
            self._listener = Listener(bind(config.listen, "BRIDGE_LISTEN", shared), service, connections, log, waiting)
            self._requests.make_room = self._listener.make_room
            self._tls = ListenerTLS(config, log, self._listener.use_tls) if config.tls_cert else None
        self._follow = [self._credentials.follow, self._publisher.follow, follow_routes(config, pipeline.use_routes, log)]
        if self._tls is not None:
            self._follow.append(self._tls.follow)
        if admin is not None:
            port = self._listener.socket.getsockname()[1] if self._listener is not None else 0
            pages = admin_listener.AdminPages(counters, reports, port, self._report)
            admin_listener.listen(admin, loop, pages.get, deadline, counters.statuses, log)
            log.info("admin_listening", address=describe(admin))
        self._stop_by = 0.0
        self._reported_at = monotonic()
        self._parent: int | None = None

    def run(self, parent: int | None = None, systemd: Systemd | None = None) -> int:
        """Run until a signal comes, or until the other end of the pipe `parent` is closed; return the exit status. systemd is told."""
        self._systemd = systemd or Systemd({})
        self._loop.on_signal((*STOP, *IGNORED), self._on_signal)
        self._parent = parent
        if parent is not None:
            self._loop.add(parent, self._orphaned, READ)
        self._publisher.connect()
        self._counters.put("started", 1)
        self._counters.put("pid", os.getpid())
        self._tick()
        address = describe(self._listener.socket) if self._listener is not None else "off"
        self._log.info("listening", address=address, version=VERSION, verifier=RSA_ENGINE, tls=self._tls is not None)
        for warning in insecure(self._config):
            self._log.warning("insecure_endpoint", explanation=warning)
        self._systemd.ready()
        self._loop.run()
        for number in (*STOP, *IGNORED):  # at its end the interpreter restores their default, which would kill it
            signal.signal(number, signal.SIG_IGN)
        self._counters.put("started", 0)
        self._log.info("stopped")
        return 0

    def _report(self) -> None:
        """Write state and numbers where every process can read them."""
        counters, publisher, now = self._counters, self._publisher, monotonic()
        counters.put("ready", int(publisher.ready and not self._stop_by))
        counters.put("blocked", int(publisher.blocked))
        counters.put("draining", int(self._stop_by > 0))
        if publisher.blocked:
            counters.add("blocked_milliseconds", int((now - self._reported_at) * 1000))
        self._reported_at = now
        counters.put("turned", int(now * 1000))
        if self._listener is not None:
            counters.put("connections", self._listener.connections)
        counters.put("in_flight", len(self._requests))
        counters.put("log_lines_dropped_total", self._log.dropped)
        counters.flush()
        self._reports.trouble = publisher.trouble
        self._reports.update(counters, publisher.address, time())

    def _healthy(self, target: str) -> tuple[int, str, str]:
        """GET /healthy tells that the process answers, and nothing about the broker. Raises NotFound."""
        if target.partition("?")[0] != "/healthy":
            raise NotFound("GET answers /healthy only")
        self._counters.add("healthy")
        return 200, "", ""

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        self._requests.expire(monotonic())
        if self._receivers is not None:
            self._receivers.tick()
        self._report()
        self._systemd.alive()
        self._log.flush()
        for follow in self._follow:
            follow()

    def _orphaned(self, parent: int, _events: int) -> None:
        self._loop.remove(parent)
        self._on_signal(0)

    def _on_signal(self, number: int) -> None:
        if number in IGNORED:
            self._log.info("signal_ignored", signal=number, explanation=explanation(number))
            return
        if self._stop_by:
            if self._parent is None:  # else the second signal is the parent's, after one to the whole process group
                self._loop.stop()  # an operator has asked twice
            return
        self._stop_by = monotonic() + self._config.deadline
        self._report()
        self._log.info("draining", in_flight=len(self._requests), signal=number)
        self._systemd.stopping()
        self._requests.draining = True
        if self._listener is not None:
            self._listener.drain()
        self._drained()

    def _drained(self) -> None:
        """Wait until the last delivery has its answer and all published messages of SQS are deleted; then close the link to the broker."""
        busy = len(self._requests) > 0 or (self._receivers is not None and not self._receivers.idle)
        if busy and monotonic() < self._stop_by:
            self._loop.call_later(0.01, self._drained)
            return
        self._publisher.close()
        self._stop_by = monotonic() + GOODBYE
        self._gone()

    def _gone(self) -> None:
        if self._publisher.closed or monotonic() >= self._stop_by:
            self._loop.stop()
        else:
            self._loop.call_later(0.01, self._gone)


def descriptors(config: Config, log: Log) -> tuple[int, int]:
    """Raise this process's limit on open files to what it needs; return how many connections the limit allows, and how many sockets that
    wait for a TLS handshake. Logs `few_descriptors` when it is too low.
    """
    reserve = RESERVE + 20 * len(config.sqs_queues) + (FEWEST if config.tls_cert else 0)
    wanted = config.max_connections + reserve
    best = wanted + (MOST - FEWEST if config.tls_cert else 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < best:
        soft = best if hard == resource.RLIM_INFINITY else min(best, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if soft < wanted:
            most = max(soft - reserve, 1)
            advice = f"BRIDGE_MAX_CONNECTIONS={config.max_connections} needs {wanted}"
            log.warning("few_descriptors", explanation=f"the limit on open files is {soft}: {most} connections at most; {advice}")
            return most, FEWEST
        best = min(soft, best)
    return config.max_connections, best - wanted + FEWEST


def failures() -> list[type[BridgeError]]:
    """Return every class of errors.py that a delivery can end with."""
    classes: list[type[BridgeError]] = [BridgeError]
    for one in classes:
        classes += one.__subclasses__()
    return classes


def keep_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed. Else a socket would get its number, and the log would be sent there."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def follow_routes(config: Config, use: Callable[[list[Route]], None], log: Log) -> Callable[[], None]:
    """Return a function that reads the BRIDGE_ROUTES file again if it has changed; use(rules) gets its rules. Raises SettingError."""
    path, default = config.routes_file, config.routes[-1]
    if not os.path.isfile(path):  # none, or a pipe that has been read
        path = ""
    file = FollowedFiles("routes", {"BRIDGE_ROUTES": path}, lambda contents: use(routes_of(contents["BRIDGE_ROUTES"], path, default)), log)
    file.read()
    return file.follow


def serve(config: Config) -> int:
    """Run the bridge, in one process or in BRIDGE_PROCESSES of them; return the exit status. Raises SettingError."""
    gc.freeze()  # the modules stay, so the collector need not look at them again
    gc.enable()  # the binary starts with the collector off
    ignore()
    keep_standard_streams()
    log = Log(config.log_level, config.log_format)
    statuses = {one.reason: one.status for one in failures()}
    counters, reports = Counters(config.processes, statuses), Reports(config.processes, statuses)
    admin = admin_listener.bind_admin(config, log)
    systemd = Systemd(os.environ)
    if config.processes == 1:
        return Process(config, counters, reports, log, admin).run(systemd=systemd)

    def start(number: int, parent: int) -> int:
        counters.use(number)
        reports.use(number)
        log.dropped = counters.own("log_lines_dropped_total")
        return Process(config, counters, reports, log, admin).run(parent)

    def turned(number: int) -> float:
        return counters.of(number, "turned") / 1000

    return supervise(config.processes, start, counters.forget, config.deadline + 2 * GOODBYE, log, turned, systemd)
