"""BRIDGE_PROCESSES: a parent that starts the processes, restarts one that dies, and passes signals on."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from time import monotonic

from bridge.errors import SettingError
from bridge.log import Log

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a restart
WELL = 10.0  # seconds of life after which a death counts as the first again
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Child:
    """One of the processes, or its place while it is dead."""

    __slots__ = ("deaths", "pause", "pid", "started", "wait_until")

    def __init__(self) -> None:
        self.pid = self.deaths = 0
        self.started = self.wait_until = 0.0
        self.pause = FIRST_PAUSE


def supervise(number: int, start: Callable[[int, int], int], died: Callable[[int], None], patience: float, log: Log) -> int:
    """Run start(process, parent) in `number` processes until SIGTERM or SIGINT; return the exit status.

    parent is a pipe's end that reads as ended when this process is gone, however it went. died(process) hears of each end.
    patience is how many seconds a child may take to drain before it is killed. A child that exits with 2 could not use its
    settings: all end with 2, unless it takes the place of one that could.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    ours, theirs = os.pipe()
    children = [Child() for _ in range(number)]
    status, kill_at = 0, 0.0
    while True:
        now = monotonic()
        for place, child in enumerate(children):
            if not child.pid and not kill_at and now >= child.wait_until:
                child.pid, child.started = _fork(start, place, ours, theirs), now
        if kill_at and not any(child.pid for child in children):
            return status
        got = signal.sigtimedwait(SIGNALS, 0.1 if kill_at else min([1.0, *(c.wait_until - now for c in children if not c.pid)]))
        stop = got is not None and got.si_signo != signal.SIGCHLD
        if _reap(children, bool(kill_at or stop), died, log) and not kill_at:
            status, stop = 2, True
        if stop and not kill_at:
            kill_at = monotonic() + patience
            _signal_all(children, signal.SIGTERM)
        elif kill_at and monotonic() > kill_at:
            _signal_all(children, signal.SIGKILL)


def _signal_all(children: list[Child], number: int) -> None:
    for child in children:
        if child.pid:
            os.kill(child.pid, number)


def _fork(start: Callable[[int, int], int], place: int, ours: int, theirs: int) -> int:
    """Start a child; return its pid. The child never returns."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.close(theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        status = start(place, ours)
    except SettingError as error:
        print(f"bridge: {error}", file=sys.stderr, flush=True)
        status = 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _reap(children: list[Child], stopping: bool, died: Callable[[int], None], log: Log) -> bool:
    """Take note of the dead, our children and, as PID 1, anybody's; return whether one could not use its settings at its first start."""
    unusable = False
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return unusable
        if not pid:
            return unusable
        for place, child in enumerate(children):
            if child.pid == pid:
                status = os.waitstatus_to_exitcode(wait_status)
                unusable = unusable or (status == 2 and not child.deaths)
                now = monotonic()
                child.pid = 0
                child.deaths += 1
                child.pause = FIRST_PAUSE if now - child.started > WELL else min(child.pause * 2, LONGEST_PAUSE)
                child.wait_until = now + child.pause
                died(place)
                if not stopping:
                    log.error("process_died", process=place, status=status, explanation=f"it is started again in {child.pause:g} s")
