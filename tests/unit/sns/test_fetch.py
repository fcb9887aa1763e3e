"""The two requests that leave the bridge: bounded, given up in time, and reported without a Token."""

import http.server
import queue
import threading
import time

import pytest

from bridge.errors import ConfirmationFailed
from bridge.sns import fetch as module
from bridge.sns.egress import EgressError, default_ca_file
from bridge.sns.fetch import Egress, fetch
from bridge.sns.subscription import confirm, confirmation_url
from bridge.sns.topic import TopicArn

TOKEN = "5ec2e7" * 20
PATIENCE = 10  # seconds


class Loop:
    """The two calls that Egress needs of a loop; a test turns it by hand."""

    def __init__(self):
        self.calls = queue.SimpleQueue()
        self.timers = []

    def call_later(self, delay, call):
        self.timers.append((delay, call))

    def turn(self):
        self.calls.get(timeout=PATIENCE)()

    def ring(self):
        """Fire all timers."""
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def egress(loop):
    return Egress(loop.calls.put, loop.call_later, "")


@pytest.fixture
def gate(monkeypatch, egress, loop):
    """Fetches start, and then hang until the gate is opened."""
    opened = threading.Event()
    started = queue.SimpleQueue()

    def hanging(url, ca_file, limit):
        started.put(url)
        opened.wait(PATIENCE)
        return 200, url.encode()

    monkeypatch.setattr(module, "fetch", hanging)
    opened.started = started
    yield opened
    opened.set()
    while egress._threads:  # one that begins late would be the next test's
        loop.turn()


def answers(egress, number, results):
    for at in range(number):
        egress.get(f"https://host/{at}", 10, lambda *answer: results.append(answer))


class TestBounds:
    def test_a_few_fetches_run_and_the_others_wait(self, egress, loop, gate):
        results = []
        answers(egress, 20, results)
        for _ in range(module.AT_ONCE):
            gate.started.get(timeout=PATIENCE)
        assert gate.started.empty() and not results
        gate.set()
        for _ in range(20):
            loop.turn()
        assert sorted(results) == sorted((200, b"https://host/%d" % at, "") for at in range(20))

    def test_too_many_that_wait_are_told_so_and_never_at_once(self, egress, loop, gate):
        results = []
        answers(egress, module.AT_ONCE + module.WAITING, [])
        egress.get("https://host/more", 10, lambda *answer: results.append(answer))
        assert not results
        loop.turn()
        assert results == [(0, b"", "too many fetches are waiting")]

    def test_one_that_hangs_is_given_up_and_makes_room(self, egress, loop, gate):
        results = []
        answers(egress, module.AT_ONCE + 1, results)
        for _ in range(module.AT_ONCE):
            gate.started.get(timeout=PATIENCE)
        assert {delay for delay, _ in loop.timers} == {module.TOTAL + 0.5}
        loop.ring()
        assert [answer[:2] for answer in results] == [(0, b"")] * module.AT_ONCE and "no answer" in results[0][2]
        gate.started.get(timeout=PATIENCE)  # the one that waited

    def test_an_answer_after_the_end_is_nobodys(self, egress, loop, gate):
        results = []
        answers(egress, 1, results)
        loop.ring()
        gate.set()
        loop.turn()
        assert len(results) == 1

    def test_hanging_threads_are_bounded_and_all_come_back(self, egress, loop, gate):
        results = []
        answers(egress, module.THREADS + 3, results)
        for _ in range(module.THREADS):
            gate.started.get(timeout=PATIENCE)
            if gate.started.empty():
                loop.ring()
        loop.ring()
        assert gate.started.empty() and len(results) == module.THREADS
        gate.set()
        for _ in range(module.THREADS + 3):
            loop.turn()
        assert len(results) == module.THREADS + 3 and results[-1][0] == 200

    def test_a_machine_that_has_no_thread_left_is_a_failed_fetch_and_no_more(self, egress, loop, monkeypatch):
        def no_thread(*_):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(module, "fetch", lambda url, ca_file, limit: (200, b""))
        results = []
        with monkeypatch.context() as patch:
            patch.setattr(module, "start_new_thread", no_thread)
            answers(egress, 2 * module.THREADS, results)
            assert not results
            for _ in range(2 * module.THREADS):
                loop.turn()
            assert {answer[0] for answer in results} == {0} and "thread" in results[0][2]
        answers(egress, 1, results)
        loop.turn()
        assert results[-1] == (200, b"", "")

    def test_a_bug_in_the_thread_is_told_to_who_waits(self, egress, loop, monkeypatch):
        def broken(*_):
            raise ZeroDivisionError

        monkeypatch.setattr(module, "fetch", broken)
        results = []
        answers(egress, 1, results)
        loop.turn()
        assert results == [(0, b"", "ZeroDivisionError in fetch")]


# ---- fetch, from a server on this machine


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Site) as server:
        server.seen, server.answer = [], (200, {}, b"body")
        server.url = f"http://127.0.0.1:{server.server_port}/?Action=ConfirmSubscription&Token={TOKEN}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal(*arguments):
    with pytest.raises(EgressError) as caught:
        fetch(*arguments)
    said = str(caught.value)
    assert said and "\n" not in said and TOKEN not in said and "Action" not in said
    return said


class TestFetch:
    def test_status_and_body_come_back(self, site):
        assert fetch(site.url, "", 100) == (200, b"body")
        assert site.seen[0][0].endswith(TOKEN)

    def test_a_redirect_is_an_answer_and_not_followed(self, site):
        site.answer = 302, {"Location": f"http://127.0.0.1:{site.server_port}/elsewhere", "Content-Length": "0"}, b""
        assert fetch(site.url, "", 100) == (302, b"")
        assert len(site.seen) == 1

    def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(self, site):
        site.answer = 200, {}, b"x" * 100
        assert fetch(site.url, "", 100) == (200, b"x" * 100)
        assert refusal(site.url, "", 99) == "the answer is longer than 99 bytes"

    def test_a_compressed_bomb_is_not_unpacked(self, site):
        site.answer = 200, {"Content-Encoding": "gzip", "Content-Length": "4"}, b"\x1f\x8b\x08\x00"
        assert fetch(site.url, "", 100) == (200, b"\x1f\x8b\x08\x00")

    def test_a_body_that_ends_early_is_no_body(self, site):
        site.answer = 200, {"Content-Length": "100"}, b"half"
        refusal(site.url, "", 1000)

    def test_a_slow_drip_ends_in_time(self, site, monkeypatch):
        monkeypatch.setattr(module, "TOTAL", 0.2)
        dripping = threading.Event()

        def drip(self):
            self.send_response(200)
            self.end_headers()
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and not dripping.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        monkeypatch.setattr(Site, "do_GET", drip)
        try:
            assert refusal(site.url, "", 1000) == "the answer took longer than 0.2 s"
        finally:
            dripping.set()

    def test_a_refused_connection_is_one_sentence_without_the_query(self, site):
        site.shutdown()
        site.server_close()
        assert "refused" in refusal(site.url, "", 100)

    def test_a_host_that_is_no_host_is_one_sentence_without_the_query(self):
        refusal(f"http://host.invalid.:1/?Action=x&Token={TOKEN}", "", 100)
        refusal(f"http://[::1/?Action=x&Token={TOKEN}", "", 100)

    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    @pytest.mark.parametrize("kind", ["socks5", "socks5h", "socks4", "ftp"])
    def test_a_proxy_of_another_kind_is_named_with_its_variable_and_without_its_password(self, site, monkeypatch, variable, kind):
        monkeypatch.setenv(variable, f"{kind}://user:secret@127.0.0.1:1080")
        said = refusal(f"https://localhost:1/?Token={TOKEN}", default_ca_file(), 100)
        assert said == f"{variable} names a {kind}:// proxy, which is not supported; give it an http:// one"

    def test_a_proxy_that_refuses_is_no_wrong_kind(self, site, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert "refused" in refusal(f"https://localhost:1/?Token={TOKEN}", default_ca_file(), 100)

    def test_a_certificate_of_another_authority_is_said_so(self, tmp_path, monkeypatch):
        import ssl

        from bridge.simulate.certificates import Authority

        monkeypatch.setenv("NO_PROXY", "localhost")
        authority, other = Authority(tmp_path / "a", "a"), Authority(tmp_path / "b", "b")
        files = authority.issue(tmp_path / "server", "localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        with http.server.HTTPServer(("127.0.0.1", 0), Site) as server:
            server.seen, server.answer = [], (200, {}, b"body")
            server.handle_error = lambda *_: None
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                url = f"https://localhost:{server.server_port}/?Token={TOKEN}"
                assert fetch(url, str(authority.ca_file), 100) == (200, b"body")
                assert "unable to get local issuer certificate" in refusal(url, str(other.ca_file), 100)
            finally:
                server.shutdown()
                thread.join()

    def test_a_ca_file_of_the_environment_does_not_take_the_settings_place(self, site, tmp_path, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "none.pem"))
        assert fetch(site.url, default_ca_file(), 100)[0] == 200


# ---- ConfirmSubscription


TOPIC = TopicArn("arn:aws-cn:sns:cn-north-1:123456789012:orders")


def test_the_confirmations_url_is_built_from_signed_fields():
    built = confirmation_url(TOPIC, "2336412f37", "")
    assert built == f"https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&TopicArn={TOPIC.arn}&Token=2336412f37"


def test_the_confirmation_goes_to_the_endpoint_when_there_is_one():
    assert confirmation_url(TOPIC, "ab", "http://127.0.0.1:4566").startswith("http://127.0.0.1:4566/?Action=ConfirmSubscription&")


@pytest.mark.parametrize(
    ("status", "why", "said"),
    [(403, "", "403"), (301, "", "301"), (201, "", "201"), (0, "ConnectTimeout: timed out", "timed out")],
)
def test_all_but_200_is_503_so_that_sns_sends_the_confirmation_again(status, why, said):
    class Answering:
        def get(self, url, limit, then):
            then(status, b"<Error/>", why)

    results = []
    confirm(Answering(), TOPIC, TOKEN, "", results.append)
    assert isinstance(results[0], ConfirmationFailed) and results[0].status == 503
    assert said in str(results[0]) and TOKEN not in str(results[0])


def test_200_is_confirmed():
    class Answering:
        def get(self, url, limit, then):
            then(200, b"", "")

    results = []
    confirm(Answering(), TOPIC, TOKEN, "", results.append)
    assert results == [None]
