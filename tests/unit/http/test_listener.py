"""The listener's room for TLS newcomers: who gets in when it is full, and what becomes of those in it."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from socket import IPPROTO_TCP, TCP_DEFER_ACCEPT, create_connection, socket
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.amqp.loop import Loop
from bridge.errors import Draining
from bridge.http.arrivals import WAITING_BYTES
from bridge.http.connection import ANSWERING, HANDSHAKE_BYTES, TLS_BYTES, Service
from bridge.http.listener import Listener, bind
from bridge.pending import PendingRequests
from bridge.simulate.certificates import Authority
from tests.fault.neighbours.streams import hello


class World:
    """A TLS listener with two connections and a room for four, whose loop turns only in `turn`."""

    def __init__(self, folder: Any) -> None:
        self.refused: list[str] = []
        self.bugs: list[Exception] = []
        log: Any = SimpleNamespace(bug=self.bugs.append, error=print)
        verdicts: Any = SimpleNamespace(counters=SimpleNamespace(add=self.refused.append), refused=lambda *_: None)
        self.loop = Loop()
        self.loop.on_bug = self.bugs.append
        self.requests = PendingRequests(10, 1 << 20, 10.0, verdicts, log)
        self.service = Service(self.loop, self.requests, 1 << 20, lambda _target: (200, "", ""), None)
        self.listener = Listener(bind(("127.0.0.1", 0), "BRIDGE_LISTEN"), self.service, 2, log, 4)
        self.requests.make_room = self.listener.make_room
        files = Authority(folder, "listener").issue(folder / "listener", "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        self.listener.use_tls(context)
        self.clients: list[socket] = []

    @property
    def waiting(self) -> int:
        return len(self.listener._arrivals)

    def come(self, count: int, address: str = "127.0.0.1") -> None:
        for _ in range(count):
            client = create_connection(self.listener.socket.getsockname(), source_address=(address, 0))
            client.send(hello())
            self.clients.append(client)

    def accept(self, wanted: int) -> None:
        """Accept until so many wait."""
        deadline = monotonic() + 5
        while self.waiting < wanted and monotonic() < deadline:
            self.listener._acceptable(0, 0)
        assert self.waiting == wanted

    def turn(self) -> None:
        self.loop.handshakes.popleft()()


class TLSClient:
    """The only one, which has made its handshake."""

    def __init__(self, world: World) -> None:
        self._world = world
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self._socket = create_connection(world.listener.socket.getsockname())
        self._socket.settimeout(0.02)
        world.clients.append(self._socket)
        self.until(lambda: self._tls.do_handshake() or True)
        self.until(lambda: world.requests.buffered == TLS_BYTES)

    def until(self, step: Any) -> Any:
        """Take a step until it returns something, within 5 s; carry bytes and turn the loop between."""
        deadline = monotonic() + 5
        while monotonic() < deadline:
            with suppress(ssl.SSLWantReadError):
                if done := step():
                    return done
            self._socket.sendall(self._outgoing.read())
            self._world.listener._acceptable(0, 0)
            self._world.loop._queue_ready(0, 0)
            self._world.loop._serve()
            with suppress(TimeoutError):
                self._incoming.write(self._socket.recv(65536))
        raise TimeoutError

    def send(self, request: bytes) -> None:
        """Send it when the loop turns."""
        self._tls.write(request)

    def receive(self) -> bytes:
        """Return what the bridge has sent."""
        return self.until(lambda: self._tls.read())


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    assert not world.bugs
    world.listener.drain()
    for one in list(world.service.connections):
        one.close()
    for client in world.clients:
        client.close()
    assert not world.requests.buffered and not world.service.strangers and not world.loop.handshakes


def test_a_newcomer_takes_no_connection_before_its_turn_and_its_turn_answers_the_client_hello(world):
    world.come(1)
    world.accept(1)
    assert world.requests.buffered == WAITING_BYTES and not world.listener.connections
    world.turn()
    assert not world.waiting and world.requests.buffered == HANDSHAKE_BYTES
    world.clients[0].settimeout(5)
    assert world.clients[0].recv(1) == b"\x16"  # the server's handshake


def test_the_connection_that_began_first_makes_room(world):
    world.come(4)
    world.accept(4)
    for _ in range(4):
        world.turn()
    assert {one.client_address for one in world.service.connections} == {client.getsockname() for client in world.clients[2:]}
    assert not world.refused


def test_a_full_room_takes_no_more_from_the_same_network(world):
    world.come(6)
    world.accept(4)
    world.listener._acceptable(0, 0)
    assert world.waiting == 4
    world.turn()
    world.accept(4)


def test_a_full_room_takes_the_newcomers_of_the_network_that_a_genuine_message_came_from(world):
    world.come(4, "127.0.0.2")
    world.accept(4)
    world.service.known.add("127.0.0.1")
    world.come(1)
    deadline = monotonic() + 5
    while "127.0.0.1" not in world.listener._arrivals._waiting and monotonic() < deadline:
        world.listener._acceptable(0, 0)
    assert world.waiting == 4
    world.turn()
    world.turn()
    assert {one.network for one in world.service.connections} == {"127.0.0.1", "127.0.0.2"}
    world.service.known.remove("127.0.0.1")


def test_bytes_that_a_genuine_message_needs_are_taken_from_connections_first_and_then_from_those_that_wait(world):
    world.come(4)
    world.accept(4)
    world.turn()
    world.listener.make_room(world.requests.max_buffered - 3 * WAITING_BYTES)
    assert not world.listener.connections and world.waiting == 3
    world.listener.make_room(world.requests.max_buffered - WAITING_BYTES)
    assert world.waiting == 1


@pytest.mark.parametrize("room", [20_000, 5_000])
def test_no_connection_makes_room_for_its_own_request(world, room):
    """Messages in flight hold nearly all bytes. What TLS holds for this client is all that could be let go."""
    taken, client = [], TLSClient(world)
    world.service.post = lambda _request, _body, pending: taken.append(pending)
    world.requests.count(flying := world.requests.max_buffered - room - world.requests.buffered)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + bytes(10_000))
    if room > 10_000:
        (pending,) = client.until(lambda: taken)
        (connection,) = world.service.connections
        assert connection.state is ANSWERING and connection.pending is pending
        pending.failed(Draining("the bridge is stopping"))
    assert b" 503 " in client.receive() and len(taken) == (room > 10_000)
    world.requests.count(-flying)


def test_a_drain_closes_those_that_wait(world):
    world.come(3)
    world.accept(3)
    world.listener.drain()
    assert not world.waiting and not world.requests.buffered


def test_a_client_that_sends_nothing_stays_with_the_kernel_for_a_second(world):
    assert world.listener.socket.getsockopt(IPPROTO_TCP, TCP_DEFER_ACCEPT) == 1
    world.clients.append(create_connection(world.listener.socket.getsockname()))
    world.listener._acceptable(0, 0)
    assert not world.waiting
