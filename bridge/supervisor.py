"""BRIDGE_PROCESSES: a parent that starts the processes, restarts one that dies or hangs, and passes signals on."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from time import monotonic

from bridge.errors import SettingError
from bridge.log import Log
from bridge.signals import IGNORED, STOP, explanation
from bridge.systemd import Systemd

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a restart
WELL = 10.0  # seconds; after a life of that length the pause before a restart is FIRST_PAUSE again
HUNG = 30.0  # seconds without a turn of its loop after which a process is killed
LOOKED_AWAY = 5.0  # seconds between two looks of the parent; it never sleeps so long, so it was stopped itself
SIGNALS = (*STOP, *IGNORED, signal.SIGCHLD)


class Child:
    """One of the processes; pid is 0 while it is dead."""

    __slots__ = ("deaths", "killed", "pause", "pid", "started", "wait_until")

    def __init__(self) -> None:
        self.pid = self.deaths = 0
        self.killed = False  # because it hung
        self.started = self.wait_until = 0.0
        self.pause = FIRST_PAUSE

    def put_off(self, pause: float) -> None:
        """Start it after so many seconds."""
        self.pause = pause
        self.wait_until = monotonic() + pause


def supervise(
    number: int,
    start: Callable[[int, int], int],
    died: Callable[[int], None],
    patience: float,
    log: Log,
    turned: Callable[[int], float] = lambda _process: monotonic(),
    systemd: Systemd | None = None,
) -> int:
    """Run start(process, parent) in `number` processes until a signal of STOP; return the exit status.

    parent is a pipe's end that reads as ended when this process is gone, however it ended. died(process) is called when one has ended.
    patience is how many seconds a child may take to drain before it is killed. A child that exits with 2 could not use its
    settings: then all end with 2, unless the child replaced one that could use them. turned(process) is when its loop turned last, in
    monotonic seconds, 0 before the first time; a process that hangs is killed and started again. systemd is told when all have turned,
    that the parent is alive, and that it stops.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    systemd = systemd or Systemd({})
    read_end, write_end = os.pipe()
    children = [Child() for _ in range(number)]
    status, kill_at = 0, 0.0
    looked = watched = monotonic()
    ready = False
    while True:
        now = monotonic()
        if now - looked > LOOKED_AWAY:  # the parent was stopped, the children perhaps too: they get time to turn
            watched = now
        looked = now
        for process, child in enumerate(children):
            if not child.pid and not kill_at and now >= child.wait_until:
                try:
                    child.pid, child.started, child.killed = _fork(start, process, read_end, write_end), now, False
                except OSError as error:  # the machine has no process or no memory left, and the others go on
                    if not child.deaths:
                        raise
                    child.put_off(min(child.pause * 2, LONGEST_PAUSE))
                    again = f"{error.strerror}; it is tried again in {child.pause:g} s"
                    log.error("process_not_started", process=process, explanation=again)
            if child.pid and not kill_at and not child.killed and now - max(turned(process), child.started, watched) > HUNG:
                child.killed = True
                log.error("process_hung", process=process, explanation=f"its loop has not turned for {HUNG:g} s; it is killed")
                os.kill(child.pid, signal.SIGKILL)
        if kill_at and not any(child.pid for child in children):
            return status
        systemd.alive()
        log.flush()
        if not ready and all(map(turned, range(number))):
            ready = True
            systemd.ready()
        got = signal.sigtimedwait(SIGNALS, _pause(children, bool(kill_at) or not ready, now))
        stop = got is not None and got.si_signo in STOP
        if got is not None and got.si_signo in IGNORED:
            log.info("signal_ignored", signal=got.si_signo, explanation=explanation(got.si_signo))
        if _reap(children, bool(kill_at or stop), died, log) and not kill_at:
            status, stop = 2, True
        if stop and not kill_at:
            kill_at = monotonic() + patience
            systemd.stopping()
            _signal_all(children, signal.SIGTERM)
        elif kill_at and monotonic() > kill_at:
            _signal_all(children, signal.SIGKILL)


def _pause(children: list[Child], soon: bool, now: float) -> float:
    """Return for how many seconds the parent may sleep."""
    return max(0.0, min([0.1 if soon else 1.0, *(child.wait_until - now for child in children if not child.pid)]))


def _signal_all(children: list[Child], number: int) -> None:
    for child in children:
        if child.pid:
            os.kill(child.pid, number)


def _fork(start: Callable[[int, int], int], process: int, read_end: int, write_end: int) -> int:
    """Start a child; return its pid. The child never returns."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.close(write_end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        status = start(process, read_end)
    except SettingError as error:
        print(f"bridge: {error}", file=sys.stderr, flush=True)
        status = 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _reap(children: list[Child], stopping: bool, died: Callable[[int], None], log: Log) -> bool:
    """Wait for dead children, as PID 1 for orphans too; return whether a child could not use its settings at its first start."""
    unusable = False
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return unusable
        if not pid:
            return unusable
        for process, child in enumerate(children):
            if child.pid == pid:
                status = os.waitstatus_to_exitcode(wait_status)
                unusable = unusable or (status == 2 and not child.deaths)
                child.pid = 0
                child.deaths += 1
                child.put_off(FIRST_PAUSE if monotonic() - child.started > WELL else min(child.pause * 2, LONGEST_PAUSE))
                died(process)
                if not stopping:
                    log.error("process_died", process=process, status=status, explanation=f"it is started again in {child.pause:g} s")
