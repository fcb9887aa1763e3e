"""HTTPS_PROXY and NO_PROXY: the certificate and the confirmation go through a forward proxy when one is set."""

import socket
import threading

import pytest

from tests.tools.ports import free_port


class Forward:
    """A forward proxy that knows CONNECT; `asked` has the host:port of each."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        target = head.split()[1].decode()
        self.asked.append(target)
        host, _, port = target.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join(10)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def proxy():
    forward = Forward()
    yield forward
    forward.close()


def test_https_goes_through_the_proxy(start_bridge, sns, proxy):
    bridge = start_bridge(HTTPS_PROXY=proxy.url)
    assert bridge.deliver(sns.subscription_confirmation()).status == 200
    host = sns.endpoint.removeprefix("https://")
    assert proxy.asked == [host, host]  # the certificate, then ConfirmSubscription


def test_no_proxy_is_honoured(start_bridge, sns, proxy):
    bridge = start_bridge(HTTPS_PROXY=proxy.url, NO_PROXY="localhost")
    assert bridge.deliver(sns.subscription_confirmation()).status == 200
    assert proxy.asked == []


@pytest.mark.rule("certificate-unavailable")
def test_a_proxy_that_is_not_there_is_503_and_said(start_bridge, sns):
    bridge = start_bridge(HTTPS_PROXY=f"http://127.0.0.1:{free_port()}")
    assert bridge.deliver(sns.notification()).status == 503
    assert "HTTPS_PROXY" in bridge.wait_for("verdict", reason="certificate-unavailable")["explanation"]


def test_a_socks_proxy_is_503_and_the_log_says_which_variable_names_it(start_bridge, sns):
    bridge = start_bridge(HTTPS_PROXY="socks5h://user:secret@127.0.0.1:1080")
    assert bridge.deliver(sns.notification()).status == 503
    explanation = bridge.wait_for("verdict", reason="certificate-unavailable")["explanation"]
    assert "HTTPS_PROXY names a socks5h:// proxy, which is not supported" in explanation and "secret" not in explanation
