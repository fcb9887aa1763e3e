"""Kept connections over TLS and through proxies, and the roots that they trust."""

import base64
import select
import socket
import ssl
import threading
import time

import pytest

from bridge.simulate.certificates import Authority
from bridge.sns import origin
from bridge.sns.egress import EgressError, default_ca_file, proxy_of
from bridge.sns.origin import Origin
from tests.unit.sns.scripted import OK, ask, refusal

pytestmark = pytest.mark.usefixtures("no_proxy")


class TestTLS:
    @pytest.fixture
    def authority(self, tmp_path):
        return Authority(tmp_path, "sqs")

    @pytest.fixture
    def tls(self, authority, tmp_path):
        files = authority.issue(tmp_path / "server", "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        return context

    @pytest.fixture
    def proxy(self, serve):
        """proxy(tls) -> one that honours CONNECT for user:pass@ alone."""

        def script(file, _):
            head, own = server.heads[-1], server.newest
            if f"Proxy-Authorization: Basic {base64.b64encode(b'user:p@ss').decode()}" not in head:
                file.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return None
            assert head[0].startswith("CONNECT localhost:")
            file.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
            file.flush()
            with socket.create_connection(("127.0.0.1", int(head[0].split()[1].partition(":")[2]))) as upstream:
                while True:  # in one thread, because OpenSSL takes no two for one connection
                    for one in [own] if isinstance(own, ssl.SSLSocket) and own.pending() else select.select([own, upstream], [], [])[0]:
                        some = one.recv(65536)
                        if not some:
                            return "close"
                        (own if one is upstream else upstream).sendall(some)

        server = None

        def started(tls=None):
            nonlocal server
            server = serve(script, tls)
            return server

        return started

    def test_the_right_roots_only(self, serve, authority, tls):
        server = serve(OK, tls)
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        assert [ask(origin, server.port, "https", "localhost") for _ in range(3)] == [(200, b"body")] * 3 and server.accepted == 1
        assert "certificate" in refusal(Origin(f"https://localhost:{server.port}/", default_ca_file()), server.port, "https", "localhost")
        other = Origin(f"https://127.0.0.1:{server.port}/", str(authority.ca_file))
        assert "IP address mismatch" in refusal(other, server.port, "https")

    def test_a_ca_file_that_has_changed_is_read_again(self, serve, authority, tls, tmp_path):
        file = tmp_path / "ca.pem"
        file.write_bytes(Authority(tmp_path / "other", "other").ca_file.read_bytes())
        server = serve(OK, tls)
        origin = Origin(f"https://localhost:{server.port}/", str(file))
        assert "certificate" in refusal(origin, server.port, "https", "localhost")
        file.write_bytes(authority.ca_file.read_bytes())
        assert ask(origin, server.port, "https", "localhost") == (200, b"body")
        file.unlink()
        origin._kept.clear()
        assert "No such file" in refusal(origin, server.port, "https", "localhost")

    @pytest.mark.parametrize("kind", ["http", "https"])
    def test_a_proxy_of_either_kind(self, serve, authority, tls, proxy, kind, monkeypatch):
        server, way = serve(OK, tls), proxy(tls if kind == "https" else None)
        monkeypatch.setenv("HTTPS_PROXY", f"{kind}://user:p%40ss@localhost:{way.port}")
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        assert [ask(origin, server.port, "https", "localhost") for _ in range(3)] == [(200, b"body")] * 3
        assert way.accepted == 1 and server.accepted == 1 and not any("Proxy-" in line for line in server.heads[0])

    @pytest.mark.parametrize("kind", ["http", "https"])
    def test_one_that_ends_in_mid_request_behind_a_proxy_is_asked_again(self, serve, authority, tls, proxy, kind, monkeypatch):
        def script(file, number):
            if number == 1 and len(server.heads) == 2:
                return "close"
            file.write(OK)
            return None

        server, way = serve(script, tls), proxy(tls if kind == "https" else None)
        monkeypatch.setenv("HTTPS_PROXY", f"{kind}://user:p%40ss@localhost:{way.port}")
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        assert [ask(origin, server.port, "https", "localhost") for _ in range(3)] == [(200, b"body")] * 3
        assert server.accepted == 2 and len(server.heads) == 4

    @pytest.mark.parametrize("kind", ["http", "https"])
    def test_an_answer_after_the_answer_is_nobodys_behind_a_proxy_either(self, serve, authority, tls, proxy, kind, monkeypatch):
        def script(file, _):
            for body in (b"body", b"evil"):
                file.write(OK.replace(b"body", body))
                file.flush()

        server, way = serve(script, tls), proxy(tls if kind == "https" else None)
        monkeypatch.setenv("HTTPS_PROXY", f"{kind}://user:p%40ss@localhost:{way.port}")
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        for _ in range(5):
            assert ask(origin, server.port, "https", "localhost") == (200, b"body")
            time.sleep(0.05)

    def test_a_proxy_that_refuses(self, authority, proxy, monkeypatch):
        way = proxy()
        monkeypatch.setenv("https_proxy", f"http://user:wrong@localhost:{way.port}")
        said = refusal(Origin("https://localhost:1/", str(authority.ca_file)), 1, "https", "localhost")
        assert said == "the proxy answered CONNECT with 407"

    def test_no_proxy_where_none_is_wanted(self, serve, authority, tls, monkeypatch):
        server = serve(OK, tls)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert "refused" in refusal(Origin(f"https://localhost:{server.port}/", str(authority.ca_file)), server.port, "https", "localhost")
        own = Origin(f"https://localhost:{server.port}/", str(authority.ca_file), proxies=False)
        assert ask(own, server.port, "https", "localhost") == (200, b"body")
        monkeypatch.setenv("NO_PROXY", "elsewhere,localhost")
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        assert ask(origin, server.port, "https", "localhost") == (200, b"body")


class TestProxies:
    @pytest.mark.parametrize(
        ("environment", "proxy"),
        [
            ({}, ""),
            ({"NO_PROXY": "a"}, ""),
            ({"HTTPS_PROXY": ""}, ""),
            ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
            ({"https_proxy": "p:1"}, "http://p:1"),
            ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
            ({"HTTP_PROXY": "http://p:1"}, ""),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".amazonaws.com"}, ""),
            ({"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, ""),
        ],
    )
    def test_the_environments(self, monkeypatch, environment, proxy):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert proxy_of("https://sqs.eu-central-1.amazonaws.com/") == proxy

    def test_another_kind_is_named_without_its_password(self, monkeypatch):
        monkeypatch.setenv("ALL_PROXY", "socks5h://user:secret@127.0.0.1:1080")
        with pytest.raises(EgressError) as caught:
            Origin("https://sqs.eu-central-1.amazonaws.com/", "")
        assert str(caught.value) == "ALL_PROXY names a socks5h:// proxy, which is not supported; give it an http:// one"


def test_threads_that_begin_at_once_share_one_copy_of_the_roots(monkeypatch):
    made, begin, found = [], threading.Barrier(8), set()

    def slowly(cafile):
        made.append(cafile)
        time.sleep(0.1)
        return object()

    def look():
        begin.wait(5)
        found.add(origin.tls_context(default_ca_file()))

    monkeypatch.setattr(origin, "_newest", None)
    monkeypatch.setattr(ssl, "create_default_context", slowly)
    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert made == [default_ca_file()] and len(found) == 1


def test_the_roots_are_read_again_when_their_file_has_changed(tmp_path):
    file = tmp_path / "roots.pem"
    file.write_bytes(Authority(tmp_path / "one", "one").ca_file.read_bytes())
    first = origin.tls_context(str(file))
    assert origin.tls_context(str(file)) is first
    file.write_bytes(Authority(tmp_path / "another", "another").ca_file.read_bytes() + b"\n")
    second = origin.tls_context(str(file))
    assert second is not first and second.get_ca_certs() != first.get_ca_certs()
