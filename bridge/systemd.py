"""Messages to systemd: the service is ready, alive, stopping (sd_notify(3))."""

import os
import socket
from collections.abc import Mapping
from time import monotonic


class Systemd:
    """Writes to the socket that systemd names in the environment; without one, every call does nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Reads NOTIFY_SOCKET and WATCHDOG_USEC; the latter is ignored when WATCHDOG_PID names another process."""
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        is_for_us = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "") if is_for_us else ""
        self._interval = int(microseconds) / 3e6 if microseconds.isdecimal() else 0.0  # in seconds; a third, so that one may be late
        self._said = 0.0

    def ready(self) -> None:
        """Tell that the bridge listens."""
        self._say(b"READY=1")

    def stopping(self) -> None:
        """Tell that the bridge drains."""
        self._say(b"STOPPING=1")

    def alive(self) -> None:
        """Tell the watchdog that the loop turns, as often as it asks for. To be called at least once a second."""
        now = monotonic()
        if self._interval and now - self._said >= self._interval:
            self._said = now
            self._say(b"WATCHDOG=1")

    def _say(self, state: bytes) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(state, socket.MSG_DONTWAIT, self._address)
        except OSError:
            pass  # systemd does not listen; the bridge works all the same
