"""The one loop that everything runs on: pika's own, turned here, so that a turn is bounded and its writes leave in few sends.

Sources: pika's `AbstractSelectorIOLoop` (the interface that pika's connection uses).
"""

import select
import signal
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

from pika.adapters.select_connection import IOLoop, PollEvents

from bridge.amqp.transport import Services
from bridge.sockets import READ

TURN = 128  # visits of a lane in one turn at least
FLUSH = 32  # visits after which their writes leave, so that the broker has work while the others wait
Visit = Callable[[], None]


class Lane(deque[Visit]):
    """Visits that wait for their turn."""

    def __init__(self, budget: float, chained: bool = False) -> None:
        """budget is the time that a turn has for the lane, in seconds. chained: a visit brings others, which are made in the same turn."""
        super().__init__()
        self.budget, self.chained = budget, chained
        self.waiting = self  # empty when no visit waits


class Line:
    """The visits of one network, and when each was asked for, in monotonic seconds. The oldest are first."""

    __slots__ = ("late", "young")

    def __init__(self) -> None:
        self.young: OrderedDict[Visit, float] = OrderedDict()
        self.late: dict[Visit, float] = {}

    def add(self, visit: Visit) -> bool:
        """Put it at the end. Return False when it stands there already."""
        if visit in self.young or visit in self.late:
            return False
        self.young[visit] = monotonic()
        return True

    def next(self, patience: float) -> Visit:
        """Take out the visit that `FairLane` serves next."""
        young, since = self.young, monotonic() - patience
        while young:
            visit, asked = young.popitem(last=False)
            if asked > since:
                return visit
            self.late[visit] = asked
        return self.late.popitem()[0]


class FairLane:
    """Visits that wait for their turn, one of each network after the other: however many a network has, it holds up only itself."""

    chained = False

    def __init__(self, budget: float, patience: float = float("inf")) -> None:
        """budget is Lane's. Of one network the oldest goes first of those that have waited for less than patience, in seconds. The others
        are late: they go when none of these is left, the newest first.
        """
        self.budget, self._patience = budget, patience
        self.waiting = OrderedDict[str, Line]()  # by network, the next one first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, visit: Visit, network: str = "") -> None:
        """Put a visit at the end of its network's line, unless it stands there already."""
        line = self.waiting.get(network)
        if line is None:
            line = self.waiting[network] = Line()
        self._length += line.add(visit)

    def popleft(self) -> Visit:
        """Take the next visit out."""
        network, line = self.waiting.popitem(last=False)
        visit = line.next(self._patience)
        if line.young or line.late:
            self.waiting[network] = line
        self._length -= 1
        return visit

    def remove(self, visit: Visit, network: str) -> None:
        """Take a visit out, if it is there: in a flood more clients come and go in a turn than it has visits."""
        line = self.waiting.get(network)
        if line is not None and (line.young.pop(visit, 0.0) or line.late.pop(visit, 0.0)):
            if not line.young and not line.late:
                del self.waiting[network]
            self._length -= 1


class Guarded:
    """An I/O loop whose callbacks can't end it: an exception of one is handed to `broken`, and the loop goes on.

    It has the methods of pika's `AbstractSelectorIOLoop`, whose contracts the docstrings there give.
    """

    READ, WRITE, ERROR = PollEvents.READ, PollEvents.WRITE, PollEvents.ERROR

    def __init__(self, ioloop: IOLoop, broken: Callable[[Exception], None]) -> None:
        """broken(error) is called on the loop."""
        self._ioloop, self._broken = ioloop, broken
        self.update_handler: Callable[[int, int], None] = ioloop.update_handler
        self.remove_handler: Callable[[int], None] = ioloop.remove_handler
        self.remove_timeout: Callable[[object], None] = ioloop.remove_timeout

    def _guard(self, callback: Callable[[], object]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                callback()
            except Exception as error:
                self._broken(error)

        return guarded

    def add_handler(self, descriptor: int, callback: Callable[[int, int], None], events: int) -> None:
        """Call callback(descriptor, events) whenever one of the events comes."""

        def guarded(descriptor: int, events: int) -> None:
            try:
                callback(descriptor, events)
            except Exception as error:
                self._broken(error)

        self._ioloop.add_handler(descriptor, guarded, events)

    def call_later(self, delay: float, callback: Callable[[], object]) -> object:
        """Call callback() after so many seconds; return what `remove_timeout` takes."""
        return self._ioloop.call_later(delay, self._guard(callback))

    def add_callback_threadsafe(self, callback: Callable[[], object]) -> None:
        """Call callback() in the next turn. Any thread may call this."""
        self._ioloop.add_callback_threadsafe(self._guard(callback))

    add_callback = add_callback_threadsafe


class Loop:
    """pika's IOLoop, its I/O services with our transport, lanes, and signals as events.

    One thread; only `call_soon` may be called from others. An exception of a callback goes to `on_bug`; one of the AMQP connection's
    own callbacks goes to `on_amqp_bug` too, because pika is in an unknown state then.
    """

    def __init__(self) -> None:
        self._ioloop = IOLoop()
        self.on_bug: Callable[[Exception], None] = lambda _error: None
        self.on_amqp_bug: Callable[[Exception], None] = lambda _error: None
        guarded = Guarded(self._ioloop, lambda error: self.on_bug(error))
        self.services = Services(Guarded(self._ioloop, self._amqp_broken))
        self.call_soon: Callable[[Callable[[], object]], None] = guarded.add_callback_threadsafe
        self.call_later: Callable[[float, Callable[[], object]], object] = guarded.call_later
        self.cancel: Callable[[object], None] = guarded.remove_timeout
        self.add: Callable[[int, Callable[[int, int], None], int], None] = guarded.add_handler
        self.remove: Callable[[int], None] = guarded.remove_handler
        # Clients have a poller of their own inside pika's, because pika takes 0.6 us for each event, and this 0.3 us.
        self._clients = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self.update: Callable[[int, int], None] = self._clients.modify
        self._ioloop.add_handler(self._clients.fileno(), self._queue_ready, READ)
        # In the order in which a turn serves them. Connections that a genuine message came over go first; newcomers get a part of each
        # turn. The start of a TLS handshake costs as much as fifty messages. When more begin than can be made, each would wait for all in
        # their order; so those that have waited little go first. Not the newest, because clients that were served come again, before it.
        self.trusted, self.newcomers, self.handshakes = Lane(0.02), FairLane(0.02), FairLane(0.01, patience=0.4)
        # Calls to SQS and the messages that they bring. Requests by HTTP should not notice them.
        self.letters = Lane(0.02, chained=True)
        lanes: tuple[Lane | FairLane, ...] = (self.trusted, self.newcomers, self.handshakes, self.letters)
        self._lanes = [(lane.waiting, lane) for lane in lanes]
        self.turn = TURN  # visits of a lane in one turn; grows with the number of clients, because a turn's poll reports all that are ready
        self._running = False

    def watch(self, descriptor: int, ready: Callable[[], None], event: int = READ) -> None:
        """Call ready() in each turn in which a client's socket can be read, or another event has come (this one, or that of `update`).

        It must not raise. Raises OSError when the kernel refuses, and ValueError when the socket is closed; then nothing is watched.
        """
        self._clients.register(descriptor, event)
        self._ready[descriptor] = ready

    def unwatch(self, descriptor: int) -> None:
        """Do not watch it any more."""
        del self._ready[descriptor]
        self._clients.unregister(descriptor)

    def _queue_ready(self, _descriptor: int, _events: int) -> None:
        ready = self._ready
        for descriptor, _ in self._clients.poll(0):
            ready[descriptor]()

    def _amqp_broken(self, error: Exception) -> None:
        self.on_bug(error)
        self.on_amqp_bug(error)

    def run(self) -> None:
        """Turn until `stop`."""
        ioloop, flush = self._ioloop, self.services.flush
        ioloop.activate_poller()
        self._running = True
        try:
            while self._running:
                try:
                    ioloop.poll()
                    ioloop.process_timeouts()
                    self._serve()
                    flush()
                except Exception as error:
                    self._amqp_broken(error)
        finally:
            ioloop.deactivate_poller()

    def _serve(self) -> None:
        """Make a turn's visits. Those that are left come in the next turn, and its poll does not wait."""
        for waiting, lane in self._lanes:
            if waiting:
                until = monotonic() + lane.budget
                visits = self.turn if lane.chained else min(self.turn, len(lane))
                for number in range(1, visits + 1):
                    try:
                        lane.popleft()()
                    except Exception as error:
                        self.on_bug(error)
                    if monotonic() >= until or not waiting:
                        break
                    if number % FLUSH == 0:
                        self.services.flush()
        for waiting, _ in self._lanes:
            if waiting:
                self._ioloop.add_callback_threadsafe(_nothing)
                return

    def forget(self, visit: Visit, network: str) -> None:
        """Make no visit to a client that has gone."""
        self.newcomers.remove(visit, network)
        self.handshakes.remove(visit, network)

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


def _nothing() -> None:
    """A callback that is due keeps the next poll from waiting."""
