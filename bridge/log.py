"""One line an event, with fixed field names; never a body, a Token or a secret. A log that can't be written never holds up a delivery."""

import json
import os
import select
import time

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
MAX_LINE = 4096  # bytes: PIPE_BUF; a pipe that polls as writable takes so many without blocking (pipe(7))


class Log:
    """Writes events to a file descriptor, or drops them and counts: a full disk or a stuck reader is not the messages' fault."""

    def __init__(self, level: str = "info", form: str = "json", fd: int = 1) -> None:
        """level is one of LEVELS, form one of FORMATS."""
        self._least = LEVELS.index(level)
        self._json = form == "json"
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._torn = b""  # a newline, after a line of which a full disk took a part
        self.dropped = 0
        self.debugs = self._least == 0

    def debug(self, event: str, **fields: object) -> None:
        """What happens at every delivery."""
        self._write(0, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What an operator wants to see once."""
        self._write(1, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What went wrong and mends itself, or was refused."""
        self._write(2, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What somebody has to look at."""
        self._write(3, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if level < self._least:
            return
        line = self._torn + self._line(LEVELS[level], event, fields)
        try:
            if self._poll.poll(0):
                whole = os.write(self._fd, line) == len(line)
                self._torn = b"" if whole else b"\n"
                if whole:
                    return
        except OSError:
            pass  # ENOSPC, EPIPE: nobody to tell
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
