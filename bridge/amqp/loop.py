"""The one loop that everything runs on: pika's own, turned by us so that what a turn has written leaves in one send."""

import signal
import socket
from collections.abc import Callable

from pika.adapters.select_connection import IOLoop, PollEvents

from bridge.amqp.transport import Services

TURN = 32  # clients' sockets that are read in one turn at least: the broker has work while the rest is read
READ: int = PollEvents.READ
WRITE: int = PollEvents.WRITE


class Loop:
    """pika's IOLoop, its I/O services with our transport, and signals as events. One thread; only `call_soon` may be called from others."""

    def __init__(self) -> None:
        self._ioloop = IOLoop()
        self.services = Services(self._ioloop)
        self.call_soon: Callable[[Callable[[], None]], None] = self._ioloop.add_callback_threadsafe
        self.call_later: Callable[[float, Callable[[], None]], object] = self._ioloop.call_later
        self.add: Callable[[int, Callable[[int, int], None], int], None] = self._ioloop.add_handler
        self.update: Callable[[int, int], None] = self._ioloop.update_handler
        self.remove: Callable[[int], None] = self._ioloop.remove_handler
        self.turn = self.reads_left = TURN  # clients that a turn reads, and those of this one
        self._running = False

    def run(self) -> None:
        """Turn until `stop`."""
        ioloop, flush = self._ioloop, self.services.flush
        ioloop.activate_poller()
        self._running = True
        try:
            while self._running:
                self.reads_left = self.turn
                ioloop.poll()
                ioloop.process_timeouts()
                flush()
        finally:
            ioloop.deactivate_poller()

    def stop(self) -> None:
        """End `run` after the turn under way."""
        self._running = False

    def on_signal(self, signals: tuple[int, ...], then: Callable[[int], None]) -> None:
        """Call then(number) on the loop when one of the signals comes.

        The wake-up descriptor is written by C code at once; a Python-level signal function could interrupt the loop while it
        holds the lock that waking it needs.
        """
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: None)

        def woken(_fd: int, _events: int) -> None:
            for number in reader.recv(64):
                if number in signals:
                    then(number)

        self._signals = reader, writer  # kept open
        self.add(reader.fileno(), woken, READ)
