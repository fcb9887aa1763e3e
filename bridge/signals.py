"""The meaning of each signal to the bridge, the same in the parent and in each of its processes."""

import signal

# These ask the bridge to stop: it drains. SIGQUIT is Ctrl-\\ on a terminal; some container runtimes stop by it.
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

_FAULTS = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
_HARMLESS = {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
_OF_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores them: the write fails instead

# By default each of these would end the bridge at once, with deliveries in flight. The bridge logs them and goes on.
IGNORED = tuple(sorted(signal.valid_signals() - _FAULTS - _HARMLESS - _UNSTOPPABLE - _OF_PYTHON - set(STOP)))


def ignore() -> None:
    """Ignore SIGPIPE and the signals of IGNORED from the first moment on; forked processes inherit this."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def explanation(number: int) -> str:
    """Return a sentence on why a signal of IGNORED does nothing."""
    if number == signal.SIGHUP:
        return "files that changed are read again without a signal; other settings need a restart"
    return "this signal has no meaning for the bridge; SIGTERM stops it"
