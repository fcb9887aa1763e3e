"""Kept connections: closed by the other side, through proxies, over TLS, and with answers that are too long, too slow or cut off."""

import base64
import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from bridge.simulate.certificates import Authority
from bridge.sns import origin
from bridge.sns.egress import EgressError, default_ca_file, proxy_of
from bridge.sns.origin import Origin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


class Server:
    """Plays a script on every connection: script(file, number of the connection), a request's head having been read."""

    def __init__(self, script, tls=None):
        self.script, self.tls, self.heads, self.accepted = script, tls, [], 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                self.accepted += 1
                threading.Thread(target=self.serve, args=(sock, self.accepted), daemon=True).start()

    def serve(self, sock, number):
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock, sock.makefile("rwb") as file:
                while head := self.head(file):
                    self.heads.append(head)
                    if self.script(file, number) == "close":
                        return
                    file.flush()

    def head(self, file):
        lines = []
        while line := file.readline().strip().decode():
            lines.append(line)
        return lines


@pytest.fixture
def serve():
    servers = []

    def started(script, tls=None):
        servers.append(Server(script if callable(script) else lambda file, _: file.write(script) and None, tls))
        return servers[-1]

    yield started
    for server in servers:
        server.socket.close()


def ask(origin, port, scheme="http", host="127.0.0.1", limit=1000, total=5.0, read=5.0):
    return origin.exchange("GET", f"{scheme}://{host}:{port}/a?b=c", {"X-Own": "1"}, None, limit, connect=2.0, read=read, total=total)


def refusal(*arguments, **words):
    with pytest.raises(EgressError) as caught:
        ask(*arguments, **words)
    return str(caught.value)


class TestKept:
    def test_one_connection_serves_many_requests(self, serve):
        server = serve(OK)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert [ask(origin, server.port) for _ in range(5)] == [(200, b"body")] * 5
        assert server.accepted == 1 and server.heads[0][0] == "GET /a?b=c HTTP/1.1"
        fields = {"Host": f"127.0.0.1:{server.port}", "Accept-Encoding": "identity", "User-Agent": "sns-to-rabbitmq", "X-Own": "1"}
        assert dict(line.split(": ") for line in server.heads[0][1:]) == fields

    def test_one_that_the_other_side_has_closed_is_not_taken(self, serve):
        server = serve(lambda file, _: file.write(OK) and "close")
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        for _ in range(3):
            assert ask(origin, server.port) == (200, b"body")
            time.sleep(0.05)
        assert server.accepted == 3 and len(server.heads) == 3

    def test_one_that_is_closed_as_the_request_comes_is_asked_again_on_a_new_one(self, serve):
        def script(file, number):
            if number == 1 and len(server.heads) == 2:
                return "close"
            file.write(OK)
            return None

        server = serve(script)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert [ask(origin, server.port) for _ in range(3)] == [(200, b"body")] * 3
        assert server.accepted == 2 and len(server.heads) == 4

    def test_a_new_one_that_is_closed_is_an_error_and_not_asked_for_ever(self, serve):
        server = serve(lambda *_: "close")
        assert "RemoteDisconnected" in refusal(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port)
        assert server.accepted == 1

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
        ],
    )
    def test_one_that_is_announced_to_end_is_not_kept(self, serve, answer):
        server = serve(answer)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port) == ask(origin, server.port) == (200, b"body")
        assert server.accepted == 2

    def test_an_answer_after_the_answer_is_nobodys(self, serve):
        """A second answer in the same bytes is not taken for the next request's."""
        server = serve(OK + OK.replace(b"body", b"evil"))
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert [ask(origin, server.port) for _ in range(3)] == [(200, b"body")] * 3


class TestAnswers:
    def test_chunks(self, serve):
        server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port) == ask(origin, server.port) == (200, b"body") and server.accepted == 1
        assert refusal(origin, server.port, limit=3) == "the answer is longer than 3 bytes"

    def test_a_body_that_ends_with_the_connection(self, serve):
        server = serve(lambda file, _: file.write(b"HTTP/1.1 200 OK\r\n\r\nbody") and "close")
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port) == (200, b"body")
        assert refusal(origin, server.port, limit=3) == "the answer is longer than 3 bytes"

    def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not_even_read(self, serve):
        server = serve(OK)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port, limit=4) == (200, b"body")
        assert refusal(origin, server.port, limit=3) == "the answer is longer than 3 bytes"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "IncompleteRead"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", "IncompleteRead"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", "IncompleteRead"),
            (b"HTTP/1.1 20", "BadStatusLine"),
            (b"SSH-2.0-OpenSSH\r\n", "BadStatusLine"),
            (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, "LineTooLong"),
            (b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 200, "HTTPException"),
        ],
    )
    def test_what_is_no_answer(self, serve, answer, said):
        server = serve(lambda file, _: file.write(answer) and "close")
        assert said in refusal(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port)

    @pytest.mark.parametrize(
        "start",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nA: ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00",
        ],
    )
    def test_one_that_drips_ends_in_time_wherever_it_drips(self, serve, start):
        over = threading.Event()

        def drip(file, _):
            file.write(start)
            while not over.wait(0.02):
                file.write(b"0")
                file.flush()

        server, begun = serve(drip), time.monotonic()
        assert refusal(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port, total=0.4) == "the answer took longer than 0.4 s"
        assert time.monotonic() - begun < 1
        over.set()

    def test_one_that_says_nothing_ends_after_a_step(self, serve):
        over = threading.Event()
        server = serve(lambda *_: over.wait(5))
        assert refusal(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port, read=0.2) == "no byte for 0.2 s"
        over.set()

    def test_a_redirect_is_an_answer(self, serve):
        server = serve(b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        assert ask(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port) == (307, b"")

    def test_continue_without_end_ends_in_time(self, serve):
        server = serve(lambda file, _: [file.write(b"HTTP/1.1 100 Continue\r\n\r\n") for _ in iter(int, 1)])
        assert "longer than 0.3 s" in refusal(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port, total=0.3)

    @pytest.mark.parametrize("url", ["http:///a", "http://host:99999/", "nonsense", "http://[::1/"])
    def test_a_url_without_a_host_is_refused(self, url):
        with pytest.raises(EgressError, match="no host"):
            Origin(url, "")


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
            head = server.heads[-1]
            if f"Proxy-Authorization: Basic {base64.b64encode(b'user:p@ss').decode()}" not in head:
                file.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return None
            assert head[0].startswith("CONNECT localhost:")
            file.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
            file.flush()
            upstream = socket.create_connection(("127.0.0.1", int(head[0].split()[1].partition(":")[2])))

            def back():
                with contextlib.suppress(OSError, ValueError):
                    while some := upstream.recv(65536):
                        file.write(some)
                        file.flush()

            threading.Thread(target=back, daemon=True).start()
            while some := file.read1(65536):
                upstream.sendall(some)
            return "close"

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
        origin.close()
        assert "No such file" in refusal(origin, server.port, "https", "localhost")

    @pytest.mark.parametrize("kind", ["http", "https"])
    def test_a_proxy_of_either_kind(self, serve, authority, tls, proxy, kind, monkeypatch):
        server, way = serve(OK, tls), proxy(tls if kind == "https" else None)
        monkeypatch.setenv("HTTPS_PROXY", f"{kind}://user:p%40ss@localhost:{way.port}")
        origin = Origin(f"https://localhost:{server.port}/", str(authority.ca_file))
        assert [ask(origin, server.port, "https", "localhost") for _ in range(3)] == [(200, b"body")] * 3
        assert way.accepted == 1 and server.accepted == 1 and not any("Proxy-" in line for line in server.heads[0])

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


def test_a_bridge_that_polls_does_not_load_requests():
    """It and its parts took 5 MiB from source, half of it in the binary."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    code = """
import sys
import bridge.commands.serve
from bridge.sqs import receiver
from bridge.sqs.credentials import CredentialChain, ask
from bridge.sqs.queue import Queue
from bridge.sqs.queue_url import QueueURL
url = QueueURL("https://sqs.eu-central-1.amazonaws.com/123456789012/q")
queue = Queue(url, sys.argv[1], CredentialChain({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "eu-central-1", ask("")), "")
assert queue.receive(1, 0, 1) == []
print(sorted({"requests", "urllib3"} & set(sys.modules)))
"""
    with http.server.HTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        words = [sys.executable, "-c", code, f"http://127.0.0.1:{server.server_port}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.stdout == "[]\n", done.stderr
