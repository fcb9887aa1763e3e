"""The log: one line an event, with fixed field names; never a body, a Token or a secret. A log that can't be written delays no delivery."""

import json
import os
import select
import socket
import stat
import time
from collections.abc import Callable

from bridge.version import REVISION

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
MAX_LINE = 4096  # bytes: PIPE_BUF; a pipe takes a write of so many whole or not at all (pipe(7))
MAX_KEPT = 1 << 20  # bytes, more than a pipe holds


def place(error: BaseException) -> str:
    """Return where the error was raised, the innermost function first: "module.function:line < module.function:line".

    The binary has no line tables. There it is "module.function+offset" with the instruction's offset in bytes; `make where` turns that
    into a line.
    """
    places = []
    trace = error.__traceback__
    while trace is not None:
        line = trace.tb_lineno or -1  # Python 3.11.2, Debian 12's, says -1 where there is none, later ones None
        where = f":{line}" if line > 0 else f"+{trace.tb_lasti}"
        places.append(f"{trace.tb_frame.f_globals.get('__name__')}.{trace.tb_frame.f_code.co_name}{where}")
        trace = trace.tb_next
    return " < ".join(reversed(places))


class Log:
    """Writes events to a file descriptor. A line that can't be written is dropped and counted; it stops nothing."""

    def __init__(self, level: str = "info", form: str = "json", fd: int = 1) -> None:
        """level, one of LEVELS, is the least severe that is written; form is one of FORMATS."""
        self._least = LEVELS.index(level)
        self._json = form == "json"
        self._write_now, self._flush_now = writer(fd)
        self._torn = b""  # a newline when a full disk has taken only a part of the last line
        self.dropped = 0
        self.debugs = self._least == 0

    def debug(self, event: str, **fields: object) -> None:
        """Log what happens at every delivery."""
        self._write(0, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what an operator wants to see once."""
        self._write(1, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a refusal, or a failure that ends by itself."""
        self._write(2, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what an operator has to look at."""
        self._write(3, event, fields)

    def flush(self) -> None:
        """Hand on the lines that wait for the reader to make room. To be called now and then."""
        try:
            self._flush_now()
        except OSError:
            pass

    def bug(self, error: BaseException) -> None:
        """Log an exception that nobody expected, and its place: names of modules and functions, never values."""
        self.error("bug", explanation=type(error).__name__, place=place(error), revision=REVISION)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if level < self._least:
            return
        line = self._torn + self._line(LEVELS[level], event, fields)
        try:
            whole = self._write_now(line) == len(line)
            self._torn = b"" if whole else b"\n"
            if whole:
                return
        except OSError:
            pass  # ENOSPC, EPIPE, EAGAIN: the line is dropped
        self.dropped += 1

    def _line(self, level: str, event: str, fields: dict[str, object]) -> bytes:
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
        if self._json:
            text = json.dumps({"time": stamp, "level": level, "event": event, **fields})
            for most in (200, 30):  # characters, of which each may take 12 bytes
                if len(text) >= MAX_LINE:
                    cut = {name: value[:most] if isinstance(value, str) else value for name, value in fields.items()}
                    text = json.dumps({"time": stamp, "level": level, "event": event, **cut})
        else:
            rest = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
            text = f"{stamp} {level:<7} {event} {rest}".rstrip()
        return text.encode("ascii", "backslashreplace")[: MAX_LINE - 1] + b"\n"


def writer(fd: int) -> tuple[Callable[[bytes], int], Callable[[], None]]:
    """Return write(line) and flush() for a descriptor; neither ever waits, and both raise OSError.

    write takes at most MAX_LINE bytes and tells how many it took; flush hands on what found no room yet. Other programs share the
    descriptor's flags, so O_NONBLOCK must not be set on it. poll() is no answer where several processes write: all of them hear that
    a pipe has room, and the second one waits in write() for a reader that may stand still.
    """
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):  # journald's
            journal = socket.socket(fileno=os.dup(fd))
            return lambda line: journal.send(line, socket.MSG_DONTWAIT), _nothing
        if stat.S_ISFIFO(mode) or os.isatty(fd):
            try:  # the same pipe, opened once more: flags of its own
                own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                return lambda line: os.write(own, line), _nothing
            except OSError:  # another user's pipe, as in a container whose program starts as root; or no /proc
                if stat.S_ISFIFO(mode):
                    return _splicer(fd)
    except (OSError, AttributeError):
        pass  # closed, or a system without splice()
    return _poller(fd), _nothing


def _nothing() -> None:
    """Nothing waits to be handed on."""


def _splicer(fd: int) -> tuple[Callable[[bytes], int], Callable[[], None]]:
    """Write to a pipe of our own; splice(2) moves its pages into the other pipe without waiting, whatever the other one's flags are.

    Only in our pipe do lines share pages: 16 pages of the other one may be 16 lines. Lines without room there wait in ours. Neither a
    write nor a move tears a line, so several processes can share both pipes.
    """
    source, filled = os.pipe()
    os.set_blocking(source, False)
    os.set_blocking(filled, False)
    os.splice(source, fd, 0)  # raises where it is not allowed

    def flush() -> None:
        try:
            os.splice(source, fd, MAX_KEPT, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            pass  # the other pipe is full, or ours is empty
        except OSError:  # the reader is gone
            os.read(source, MAX_KEPT)
            raise

    def write(line: bytes) -> int:
        written = os.write(filled, line)
        flush()
        return written

    return write, flush


def _poller(fd: int) -> Callable[[bytes], int]:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def write(line: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, line)

    return write
