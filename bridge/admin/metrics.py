"""/metrics: the numbers of all processes in Prometheus' text format 0.0.4. Source: Prometheus documentation, "Exposition formats"."""

import os
import sys

from bridge.counters import BOUNDS, OK, SQS_ERRORS, Counters
from bridge.errors import ConfirmationFailed, stays_in_queue
from bridge.sns.signature import RSA_ENGINE
from bridge.version import REVISION, VERSION

_NUMBERS = (  # name without bridge_, type, meaning, name in the counters, the counters' units in one of the metric's
    ("connections", "gauge", "Open connections of clients.", "connections", 1),
    ("in_flight", "gauge", "Deliveries that have no answer yet.", "in_flight", 1),
    ("processes_running", "gauge", "Processes that are running, out of BRIDGE_PROCESSES.", "started", 1),
    ("processes_ready", "gauge", "Processes whose broker takes messages and that are not stopping.", "ready", 1),
    ("broker_blocked", "gauge", "Processes whose connection the broker has blocked.", "blocked", 1),
    (
        "broker_connections_total",
        "counter",
        "Connections to the broker that were opened, reconnects included.",
        "broker_connections_total",
        1,
    ),
    ("broker_blocked_seconds_total", "counter", "Time during which the broker had blocked a connection.", "blocked_milliseconds", 1000),
    ("broker_returns_total", "counter", "Messages that the broker returned because no queue is bound.", "returns_total", 1),
    (
        "attributes_left_out_total",
        "counter",
        "Message attributes without a header: they are malformed or do not fit.",
        "attributes_left_out_total",
        1,
    ),
    ("certificate_fetches_total", "counter", "Fetches of a signing certificate, whatever their result.", "certificate_fetches_total", 1),
    ("certificate_fetch_failures_total", "counter", "Certificate fetches that failed.", "certificate_fetch_failures_total", 1),
    ("subscription_confirmations_total", "counter", "Subscriptions that were confirmed.", "confirmed", 1),
    (
        "subscription_confirmation_failures_total",
        "counter",
        "Confirmations that SNS did not answer with 200.",
        ConfirmationFailed.reason,
        1,
    ),
    ("log_lines_dropped_total", "counter", "Log lines that could not be written.", "log_lines_dropped_total", 1),
)
_SQS = (  # name without bridge_sqs_, meaning
    ("polls_total", "ReceiveMessage calls on the queues of BRIDGE_SQS_QUEUES."),
    ("received_total", "Messages received from SQS, repeated receives included."),
    ("published_total", "Messages of queues that the broker has confirmed."),
    ("confirmed_total", "Subscriptions of queues that were confirmed."),
    ("deleted_total", "Messages deleted from their queue after the broker's confirm."),
    ("delete_failures_total", "Deletes that failed and are tried again."),
)
_DURATIONS = {
    "publish": "Time from a request's first byte to the broker's confirm, after which it is answered.",
    "confirm": "Time from publishing a message to the broker's confirm.",
}


def metrics(counters: Counters) -> str:
    """Return all metrics as text, each line ended by LF. Nothing that SNS sends becomes a label."""
    lines = _family("bridge_verdicts_total", "counter", "Requests by the reason of their answer.")
    for reason, status in [*((reason, 200) for reason in OK), *counters.statuses.items()]:
        lines.append(f'bridge_verdicts_total{{status="{status}",reason="{reason}"}} {counters.total(reason)}')
    for name, meaning in _DURATIONS.items():
        lines += _histogram(f"bridge_{name}_duration_seconds", meaning, *counters.histogram(name))
    for name, kind, meaning, counted, parts in _NUMBERS:
        value = counters.total(counted)
        lines += [*_family("bridge_" + name, kind, meaning), f"bridge_{name} {value / parts if parts > 1 else value}"]
    lines += _sqs(counters)
    lines += _family("bridge_build_info", "gauge", "Always 1; the labels tell which version is running.")
    python = sys.version.split()[0]
    lines.append(f'bridge_build_info{{version="{VERSION}",revision="{REVISION}",python="{python}",verifier="{RSA_ENGINE}"}} 1')
    return "\n".join([*lines, *_processes(counters), ""])


def _sqs(counters: Counters) -> list[str]:
    """Return the lines about SQS. Their reasons are those for which a message stays in its queue."""
    lines = []
    for name, meaning in _SQS:
        lines += [*_family("bridge_sqs_" + name, "counter", meaning), f"bridge_sqs_{name} {counters.total('sqs_' + name)}"]
    lines += _family("bridge_sqs_refused_total", "counter", "Messages of queues that were refused for good; they stay in the queue.")
    for reason, status in counters.statuses.items():
        if stays_in_queue(status, reason):
            lines.append(f'bridge_sqs_refused_total{{reason="{reason}"}} {counters.total("sqs:" + reason)}')
    lines += _family("bridge_sqs_errors_total", "counter", "Calls to SQS that failed.")
    lines += [f'bridge_sqs_errors_total{{kind="{kind}"}} {counters.total("sqs_errors:" + kind)}' for kind in SQS_ERRORS]
    waiting = max(counters.of(process, "sqs_waiting") for process in range(counters.processes))  # each process asks SQS by itself
    lines += _family("bridge_sqs_messages_waiting", "gauge", "Messages waiting in the queues, as SQS estimates it.")
    return [*lines, f"bridge_sqs_messages_waiting {waiting}"]


def _family(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


def _histogram(name: str, meaning: str, buckets: list[int], seconds: float) -> list[str]:
    lines = _family(name, "histogram", meaning)
    below = 0
    for bound, number in zip((*BOUNDS, "+Inf"), buckets, strict=True):
        below += number
        lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
    return [*lines, f"{name}_sum {seconds}", f"{name}_count {below}"]


def _processes(counters: Counters) -> list[str]:
    """Return the process_* lines that Prometheus' client libraries export, for all processes together; none without /proc (proc(5))."""
    main, began = counters.main
    pids = {main, *(counters.of(process, "pid") for process in range(counters.processes))} - {0}
    ticks = pages = descriptors = 0
    try:
        with open("/proc/self/limits", "rb") as file:
            limit = next(line for line in file if line.startswith(b"Max open files")).split()[3].decode()
        for pid in pids:
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            except (FileNotFoundError, ProcessLookupError):  # the process has just ended
                continue
            # utime, stime; the parent's line also has the time of children that are gone
            ticks += sum(map(int, fields[11 : 15 if pid == main else 13]))
            pages += int(fields[21])
        per_second, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, StopIteration):
        return []
    lines = []
    for name, kind, meaning, value in (
        ("start_time_seconds", "gauge", "When the bridge started, in Unix time.", f"{began:.2f}"),
        ("cpu_seconds_total", "counter", "Processor time of all processes.", f"{ticks / per_second:.2f}"),
        ("resident_memory_bytes", "gauge", "Resident memory of all processes; shared pages count for each of them.", pages * page),
        ("open_fds", "gauge", "Open file descriptors of all processes.", descriptors),
        ("max_fds", "gauge", "Limit of open file descriptors of one process.", limit.replace("unlimited", "+Inf")),
    ):
        lines += [*_family("process_" + name, kind, meaning), f"process_{name} {value}"]
    return lines
