"""The loop's turns: how much one takes on, and that nothing is forgotten by it."""

import socket
from types import SimpleNamespace

from bridge.amqp.loop import TURN, Loop
from bridge.http.connection import Connection


def test_a_turn_reads_from_some_clients_and_the_next_turns_from_all_others():
    loop = Loop()
    site = SimpleNamespace(loop=loop, limits=SimpleNamespace(max_body=1000))
    read, read_by_turn = [], []

    class Reading(Connection):
        def _readable(self):
            read.append(self.connection.recv(10))

    class Transport:
        def flush(self):
            read_by_turn.append(len(read))
            if len(read) == len(pairs):
                loop.stop()

    pairs = [socket.socketpair() for _ in range(100)]
    loop.services.transport = Transport()
    connections = [Reading(ours, ("", 0), site) for ours, _ in pairs]
    for number, (_, theirs) in enumerate(pairs):
        theirs.send(b"%d" % number)
    loop.run()
    assert sorted(map(int, read)) == list(range(100))
    assert all(after - before <= TURN for before, after in zip([0, *read_by_turn], read_by_turn, strict=False))
    assert len(connections) == 100 and len(read_by_turn) >= 100 / TURN
    for pair in pairs:
        for sock in pair:
            sock.close()
