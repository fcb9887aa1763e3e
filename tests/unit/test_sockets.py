"""What a socket waits for is read off the error, on a plain socket and on one of TLS."""

import select
import socket
import ssl

import pytest
from pika.adapters.select_connection import PollEvents

from bridge.simulate.certificates import Authority
from bridge.sockets import READ, WRITE, awaited, is_tls, shake_hands

FULL = 1 << 16  # bytes a send: a socket that nobody reads takes a few of these


@pytest.fixture
def plain():
    """Two ends of a connection that do not wait."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def tls(plain, tmp_path):
    """The two ends as TLS, before the handshake: the server's, the client's."""
    authority = Authority(tmp_path, "sockets")
    files = authority.issue(tmp_path / "server", "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(authority.ca_file))
    ends = (
        server.wrap_socket(plain[0], server_side=True, do_handshake_on_connect=False),
        client.wrap_socket(plain[1], server_hostname="localhost", do_handshake_on_connect=False),
    )
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def shaken(tls):
    """The two ends after the handshake."""
    for _ in range(10):
        if [shake_hands(end) for end in tls] == [0, 0]:
            return tls
    raise AssertionError("the handshake does not end")


def refusal(operation):
    with pytest.raises(OSError) as error:
        while True:
            operation()
    return error.value


def test_the_events_are_those_of_every_poller():
    assert (READ, WRITE) == (PollEvents.READ, PollEvents.WRITE) == (select.EPOLLIN, select.EPOLLOUT)


def test_a_plain_socket_waits_for_what_the_operation_needs(plain):
    assert not is_tls(plain[0])
    assert awaited(refusal(lambda: plain[0].recv(1)), READ) == READ
    assert awaited(refusal(lambda: plain[0].send(bytes(FULL))), WRITE) == WRITE


def test_a_handshake_waits_for_the_other_side(tls):
    assert is_tls(tls[0])
    assert shake_hands(tls[0]) == READ


def test_a_handshake_that_can_not_send_waits_to_write(tls):
    client = tls[1]
    raw = socket.socket(fileno=socket.dup(client.fileno()))
    try:
        raw.setblocking(False)
        refusal(lambda: raw.send(bytes(FULL)))
    finally:
        raw.close()
    assert shake_hands(client) == WRITE


def test_a_handshake_with_something_else_fails(tls):
    raw = socket.socket(fileno=socket.dup(tls[1].fileno()))
    try:
        raw.send(b"GET / HTTP/1.1\r\n\r\n")
    finally:
        raw.close()
    with pytest.raises(ssl.SSLError):
        shake_hands(tls[0])


def test_tls_tells_which_it_waits_for_whatever_the_operation(shaken):
    ours, _ = shaken
    assert awaited(refusal(lambda: ours.recv(1)), WRITE) == READ
    assert awaited(refusal(lambda: ours.send(bytes(FULL))), READ) == WRITE


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), FileNotFoundError(2, "none"), ssl.SSLError(1, "bad"), ValueError()])
def test_any_other_error_waits_for_nothing(error):
    assert awaited(error, READ) == awaited(error, WRITE) == 0
