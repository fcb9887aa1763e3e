"""Newcomers that wait for a TLS handshake: each is counted, none waits without end, and one that has gone costs no signature."""

import socket
import struct
from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.amqp.loop import Loop
from bridge.http.arrivals import MOST, PARTS, UNREAD, WAIT_FOR, WAITING_BYTES, Arrivals
from tests.tools.ports import wait_for

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a RST


class World:
    """A listening socket, its clients, and those whose turn came."""

    def __init__(self, most: int, max_buffered: int = 64 << 20) -> None:
        self.requests = SimpleNamespace(buffered=0, max_buffered=max_buffered)
        self.loop = Loop()
        self.lane = self.loop.handshakes
        service: Any = SimpleNamespace(requests=self.requests, loop=self.loop)
        self.turns: list[socket.socket] = []
        self.arrivals = Arrivals(service, most, lambda sock, _address: self.turns.append(sock))
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.clients: list[socket.socket] = []
        self.accepted: list[socket.socket] = []

    def come(self, address: str = "127.0.0.1") -> int:
        """One more client; return its number."""
        self.clients.append(socket.create_connection(self.listening.getsockname(), source_address=(address, 0)))
        sock, peer = self.listening.accept()
        self.accepted.append(sock)
        self.arrivals.add(sock, peer)
        return len(self.accepted) - 1

    def turn(self) -> None:
        self.lane.popleft()()

    def sweep(self, now: float) -> None:
        """As many sweeps as it takes to look at all."""
        for _ in range(PARTS):
            self.arrivals.expire(now)

    def served(self) -> list[int]:
        return [self.accepted.index(sock) for sock in self.turns]

    def closed(self) -> list[int]:
        return [number for number, sock in enumerate(self.accepted) if sock.fileno() < 0]

    def nothing_is_left(self) -> bool:
        tables = self.loop._ready, self.lane.waiting, self.arrivals._waiting
        return not (any(tables) or len(self.arrivals) or len(self.lane) or self.requests.buffered)


@pytest.fixture
def world() -> Iterator[World]:
    world = World(8)
    yield world
    for sock in (*world.clients, *world.accepted, world.listening):
        sock.close()


def test_networks_go_by_turns(world):
    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
        world.come(address)
    for _ in range(5):
        world.turn()
    assert world.served() == [0, 3, 1, 4, 2] and not world.closed()
    assert world.nothing_is_left()


def test_each_is_counted_as_long_as_it_waits(world):
    for number in range(4):
        world.come()
        assert len(world.arrivals) == number + 1 and world.requests.buffered == (number + 1) * WAITING_BYTES
    world.turn()
    assert world.requests.buffered == 3 * WAITING_BYTES


def test_in_a_full_room_the_oldest_of_the_largest_network_makes_place(world):
    world.come("127.0.0.1")
    for _ in range(6):
        world.come("127.0.0.2")
    assert not world.arrivals.full and not world.closed()
    world.come("127.0.0.3")
    assert world.arrivals.full and world.arrivals.largest() == "127.0.0.2"
    world.come("127.0.0.1")
    world.come("127.0.0.1")
    assert world.closed() == [1, 2] and len(world.arrivals) == 8


@pytest.mark.parametrize(("most", "mebibytes", "allowed"), [(8, 64, 8), (9000, 256, MOST), (9000, 64, 8192), (9000, 4, 512), (9000, 0, 1)])
def test_the_room_takes_half_of_max_buffered_at_most(most, mebibytes, allowed):
    world = World(most, mebibytes << 20)
    assert world.arrivals._most == allowed
    world.listening.close()


@pytest.mark.parametrize("how", ["reset", "closed", "half closed"])
@pytest.mark.parametrize("when", ["its turn", "before"])
def test_a_client_that_has_gone_costs_no_handshake(world, how, when):
    world.come()
    client = world.clients[0]
    client.send(b"\x16\x03\x01")
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half closed":
        client.shutdown(socket.SHUT_WR)
    else:
        client.close()
    wait_for("the kernel to know", lambda: next(iter(world.arrivals._waiting["127.0.0.1"])).gone, 5)
    if when == "its turn":
        world.turn()
    else:
        world.loop._queue_ready(0, 0)
    assert world.closed() == [0] and not world.turns and world.nothing_is_left()


def test_what_sends_more_than_a_client_hello_is_closed_because_the_kernel_keeps_it(world):
    world.come()
    world.come()
    world.clients[0].send(b"\x16" * 4096)
    world.clients[1].send(b"\x16" * UNREAD)
    one, other = world.arrivals._waiting["127.0.0.1"]
    wait_for("the bytes", lambda: one.unread >= 4096 and other.unread > UNREAD, 5)
    world.sweep(monotonic())
    assert world.closed() == [1]


def test_a_kernel_that_does_not_tell_how_much_it_keeps_costs_nobody_his_place(world, monkeypatch):
    world.come()
    monkeypatch.setattr("bridge.http.arrivals.SO_MEMINFO", 9999)  # ENOPROTOOPT
    world.sweep(monotonic())
    assert not world.closed()


def test_none_waits_for_ever(world):
    world.come()
    began = monotonic()
    world.sweep(began + WAIT_FOR - 1)
    assert not world.closed()
    world.sweep(began + WAIT_FOR)
    assert world.closed() == [0] and world.nothing_is_left()


def test_a_drain_closes_all(world):
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
        world.come(address)
    world.arrivals.close()
    assert world.closed() == [0, 1, 2] and world.nothing_is_left()
    assert not world.arrivals.drop_one()


def test_another_visit_of_the_lane_is_left_alone(world):
    """A connection whose ClientHello came in pieces stands in the same lane."""
    seen = []
    world.lane.append(lambda: seen.append("visit"), "127.0.0.1")
    world.come()
    assert world.arrivals.drop_one() and len(world.lane) == 1
    world.turn()
    assert seen == ["visit"] and world.nothing_is_left()
