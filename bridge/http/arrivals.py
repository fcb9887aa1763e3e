"""Accepted sockets that wait for their TLS handshake, which costs a signature. The loop's lane `handshakes` has their order.

Nothing is made for a socket that waits, so thousands may. In the kernel's queue, which is first in, first out, a newcomer would stand
behind all of them.
"""

import select
import socket
import sys
from collections.abc import Callable
from time import monotonic

from bridge.http.connection import Service
from bridge.http.crowds import network_of

FEWEST, MOST = 64, 8192  # sockets that may wait, where descriptors are few and where they are not
WAITING_BYTES = 4096  # what one takes in the kernel and here, as measured; a ClientHello takes a page more there
SHARE = 2  # one part in so many of BRIDGE_MAX_BUFFERED is for them
UNREAD = 16384  # bytes that the kernel may keep for one, as it counts them: a ClientHello takes 1,300 to 5,000
PARTS = 4  # a sweep looks at one part of all that wait, because thousands of looks would hold up the loop for 10 ms
WAIT_FOR = 75.0  # seconds; SNS waits for 15, but clients that are closed come again, all before those that wait
SO_MEMINFO = 55  # of which the first number says what the kernel keeps (Linux 4.12, net/core/sock.c, sk_get_meminfo)
ESTABLISHED = b"\1"  # the first byte of TCP_INFO (tcp(7), TCP_ESTABLISHED)


class Arrival:
    """A socket that waits. The loop calls it when it has its turn."""

    __slots__ = ("_room", "address", "network", "since", "sock")

    def __init__(self, sock: socket.socket, address: tuple[str, int], room: "Arrivals") -> None:
        self.sock, self.address, self._room = sock, address, room
        self.network = network_of(address[0])
        self.since = monotonic()

    def __call__(self) -> None:
        self._room.begin(self)

    def leave(self) -> None:
        """Its client has closed or reset the connection."""
        self._room.drop(self)

    @property
    def gone(self) -> bool:
        """Whether its client has closed or reset the connection."""
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != ESTABLISHED

    @property
    def unread(self) -> int:
        """Bytes that the kernel keeps for it; 0 from a kernel that does not tell."""
        try:
            return int.from_bytes(self.sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4), sys.byteorder)
        except OSError:
            return 0


class Arrivals:
    """All that wait, in the loop's lane `handshakes`. Each counts in `PendingRequests.buffered`."""

    def __init__(self, service: Service, most: int, then: Callable[[socket.socket, tuple[str, int]], None]) -> None:
        """At most `most` wait, and what BRIDGE_MAX_BUFFERED allows. then(socket, address) begins a handshake."""
        self._requests, self._loop, self._then = service.requests, service.loop, then
        self._most = max(1, min(most, MOST, service.requests.max_buffered // SHARE // WAITING_BYTES))
        self._waiting: dict[str, dict[Arrival, None]] = {}  # by network, and there the oldest first
        self._length = 0
        self._part = 0  # that the last sweep looked at

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether one more takes the place of another."""
        return self._length >= self._most

    def largest(self) -> str:
        """Return the network that has most; there must be one."""
        return max(self._waiting, key=lambda network: len(self._waiting[network]))

    def add(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Let a socket wait. When too many do, one is closed for it."""
        if self.full:
            self.drop_one()
        one = Arrival(sock, address, self)
        self._loop.watch(sock.fileno(), one.leave, select.EPOLLRDHUP)
        self._waiting.setdefault(one.network, {})[one] = None
        self._length += 1
        self._requests.buffered += WAITING_BYTES
        self._loop.handshakes.append(one, one.network)

    def begin(self, one: Arrival) -> None:
        """It has left the lane, because it has its turn."""
        self._leave(one)
        if one.gone:
            one.sock.close()
        else:
            self._then(one.sock, one.address)

    def drop_one(self) -> bool:
        """Close one that has waited longest, of the network that has most; tell whether there was one."""
        if not self._waiting:
            return False
        self.drop(next(iter(self._waiting[self.largest()])))
        return True

    def expire(self, now: float) -> None:
        """Close those that have waited too long or sent too much, in one part of all; now is monotonic seconds."""
        self._part = (self._part + 1) % PARTS
        for one in self._all():
            if one.sock.fileno() % PARTS == self._part and (now - one.since >= WAIT_FOR or one.unread > UNREAD):
                self.drop(one)

    def close(self) -> None:
        """Close all."""
        for one in self._all():
            self.drop(one)

    def _all(self) -> list[Arrival]:
        return [one for network in self._waiting.values() for one in network]

    def drop(self, one: Arrival) -> None:
        """Close one."""
        self._loop.handshakes.remove(one, one.network)
        self._leave(one)
        one.sock.close()

    def _leave(self, one: Arrival) -> None:
        network = self._waiting[one.network]
        del network[one]
        self._loop.unwatch(one.sock.fileno())
        if not network:
            del self._waiting[one.network]
        self._length -= 1
        self._requests.buffered -= WAITING_BYTES
