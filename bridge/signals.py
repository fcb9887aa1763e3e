"""What each signal means to the bridge, the same in the parent and in each of its processes."""

import signal

# These ask it to stop: it drains. SIGQUIT is Ctrl-\\ on a terminal, and what some container images are stopped by.
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

_FAULTS = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
_HARMLESS = {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
_OF_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}  # ignored in silence: the write says so

# By default each of these would end it at once, with deliveries in flight. It logs them and goes on.
IGNORED = tuple(sorted(signal.valid_signals() - _FAULTS - _HARMLESS - _UNSTOPPABLE - _OF_PYTHON - set(STOP)))


def ignore() -> None:
    """Ignore them from the first moment on; processes that are forked inherit it."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def explanation(number: int) -> str:
    """Say why a signal that is ignored does nothing."""
    if number == signal.SIGHUP:
        return "files that changed are read again without a signal; other settings need a restart"
    return "it means nothing to the bridge; SIGTERM stops it"
