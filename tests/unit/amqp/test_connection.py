"""A connection and what a broker may send over it."""

import socket
import struct
import threading
from contextlib import suppress

import pytest
from pika import spec
from pika.exceptions import InvalidFrameError
from pika.frame import Heartbeat, Method

from bridge.amqp.broker import BrokerSettings
from bridge.amqp.connection import BrokerLink, LinkOwner
from bridge.amqp.loop import Loop
from bridge.amqp.url import LARGEST_FRAME, BrokerURL
from bridge.counters import Counters

PATIENCE = 20  # seconds
START = Method(0, spec.Connection.Start(0, 9, {"product": "RabbitMQ", "version": "4.3.6"}, "PLAIN", "en_US")).marshal()
ENDLESS = struct.pack(">BHI", 1, 0, 0xFFFFFFFF)  # the head of a frame of 4 GiB


class Owner(LinkOwner):
    """Ends the loop when the connection has ended."""

    def __init__(self, loop):
        self.loop, self.error = loop, None

    def link_lost(self, link, error):
        self.error = error
        self.loop.stop()


@pytest.fixture
def hostile_broker():
    """A server that sends `sends`, then zeros until the other side has had enough."""

    class Server:
        sends, sent = b"", 0

    server = Server()
    listening = socket.create_server(("127.0.0.1", 0))
    server.url = f"amqp://guest@127.0.0.1:{listening.getsockname()[1]}/%2F"

    def serve():
        with listening, listening.accept()[0] as client, suppress(OSError):
            client.settimeout(PATIENCE)
            assert client.recv(8) == b"AMQP\0\0\x09\x01"
            client.sendall(server.sends)
            while server.sent < 64 << 20:
                server.sent += client.send(bytes(65536))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server
    thread.join(PATIENCE)


@pytest.mark.parametrize("begins", [b"", START], ids=["at once", "after Connection.Start"])
def test_a_frame_longer_than_any_that_may_come_ends_the_connection(hostile_broker, begins):
    """pika would keep all of it: 4 GiB, copied at each read."""
    hostile_broker.sends = begins + ENDLESS
    loop = Loop()
    owner = Owner(loop)
    settings = BrokerSettings((hostile_broker.url,), "", "", "", "", 10)
    link = BrokerLink(owner, loop, settings, BrokerURL(hostile_broker.url), None, Counters(1, {}))
    loop.call_later(PATIENCE, loop.stop)
    loop.call_later(0, lambda: link.connect("guest"))
    loop.run()
    assert owner.error is not None and str(LARGEST_FRAME) in repr(owner.error), repr(owner.error)
    assert hostile_broker.sent < 32 << 20  # the kernel's buffers have some MiB
    assert InvalidFrameError.__name__ in repr(owner.error)


# What a broker says until the connection is open. After that only its heartbeats come, which RabbitMQ sends by a process of their own.
OPEN = [START, Method(0, spec.Connection.Tune(2047, 131072, 10)).marshal(), Method(0, spec.Connection.OpenOk()).marshal()]


@pytest.fixture
def stuck_broker():
    """A server that opens a connection, and then sends heartbeats alone."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        with listening, listening.accept()[0] as client, suppress(OSError):
            client.settimeout(PATIENCE)
            for said in OPEN:
                client.recv(4096)
                client.sendall(said)
            while not over.wait(0.05):
                client.sendall(Heartbeat().marshal())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"amqp://guest@127.0.0.1:{listening.getsockname()[1]}/%2F"
    over.set()
    thread.join(PATIENCE)


@pytest.mark.parametrize("queue", [None, ("orders", "", "")], ids=["a channel", "the queue"])
def test_a_broker_that_opens_the_connection_and_answers_no_more_is_given_up(stuck_broker, queue, monkeypatch):
    """Then the next address of BRIDGE_AMQP_URL is tried."""
    monkeypatch.setattr("bridge.amqp.connection.ANSWER", 0.5)
    loop = Loop()
    owner = Owner(loop)
    settings = BrokerSettings((stuck_broker,), "", "", "", "", 10)
    link = BrokerLink(owner, loop, settings, BrokerURL(stuck_broker), queue, Counters(1, {}))
    loop.call_later(PATIENCE, loop.stop)
    loop.call_later(0, lambda: link.connect("guest"))
    loop.run()
    assert str(owner.error) == "the broker does not answer" and link.ended
