"""Kept connections: closed by the other side, and with answers that are too long, too slow or cut off."""

import http.server
import subprocess
import sys
import threading
import time

import pytest

from bridge.sns.egress import EgressError
from bridge.sns.origin import Origin
from tests.unit.sns.scripted import OK, ask, refusal

pytestmark = pytest.mark.usefixtures("no_proxy")


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

    def test_when_one_is_silent_the_others_are_not_tried(self, serve):
        """A path that drops what it once let through says nothing: each kept connection would take its whole time."""
        together, silent, over = threading.Barrier(3), threading.Event(), threading.Event()

        def script(file, number):
            if number <= 3 and silent.is_set():
                over.wait(5)
                return "close"
            if number <= 3:
                together.wait(5)
            file.write(OK)
            return None

        server = serve(script)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        threads = [threading.Thread(target=ask, args=(origin, server.port)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        silent.set()
        assert server.accepted == 3 and refusal(origin, server.port, read=0.2) == "no byte for 0.2 s"
        assert ask(origin, server.port, read=0.2) == (200, b"body") and server.accepted == 4
        over.set()

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

    @pytest.mark.parametrize(
        ("fields", "accepted"),
        [
            (b"content-length:4\r\nconnection: Keep-Alive\r\nx-amzn-RequestId: 7\r\n", 1),
            (b"Content-Length: 4\r\nConnection: close\r\n", 2),
            (b"Connection: keep-alive, close\r\nContent-Length: 4\r\n", 2),
            (b"Content-Length: 4\r\nContent-Length: 4\r\n", 1),
            (b"A: b\r\n folded\r\nContent-Length: 4\r\n", 1),
            (b"Date: \xfc\r\nContent-Length: 4\r\n", 1),
        ],
    )
    def test_heads_plain_or_not_say_how_long_the_body_is_and_what_becomes_of_the_connection(self, serve, fields, accepted):
        server = serve(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nbody")
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port) == ask(origin, server.port) == (200, b"body") and server.accepted == accepted

    def test_chunks_are_read_whatever_content_length_says(self, serve):
        """RFC 9112 section 6.3."""
        fields = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
        server = serve(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n4\r\nbody\r\n0\r\n\r\n")
        assert ask(Origin(f"http://127.0.0.1:{server.port}/", ""), server.port) == (200, b"body")

    @pytest.mark.parametrize(
        "head",
        [
            b"Content-Length: 4\r\nContent-Length: 5",
            b"Content-Length: 4, 4",
            b"Content-Length: -4",
            b"Content-Length: +4",
            b"Content-Length: \xb2",
        ],
    )
    def test_a_length_that_is_no_number_is_an_error_and_the_connection_ends(self, serve, head):
        """RFC 9112 section 6.3: what one reader takes for the body's end, another takes for the next answer."""
        server = serve(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nbody")
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert [refusal(origin, server.port) for _ in range(2)] == ["Content-Length is not a number"] * 2 and server.accepted == 2

    def test_early_hints_are_not_the_answer_and_the_answer_is_not_that_of_the_next_request(self, serve):
        def script(file, _):
            file.write(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
            file.flush()
            time.sleep(0.05)
            file.write(OK.replace(b"body", str(len(server.heads)).zfill(4).encode()))

        server = serve(script)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert [ask(origin, server.port) for _ in range(3)] == [(200, b"0001"), (200, b"0002"), (200, b"0003")] and server.accepted == 1

    def test_continue_before_the_answer_is_passed_over(self, serve):
        server = serve(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + OK)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        assert ask(origin, server.port) == ask(origin, server.port) == (200, b"body") and server.accepted == 1

    @pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\0", "ab\u2713"])
    def test_what_a_header_cannot_carry_is_not_sent(self, serve, value):
        server = serve(OK)
        origin = Origin(f"http://127.0.0.1:{server.port}/", "")
        with pytest.raises(EgressError) as caught:
            origin.exchange("GET", f"http://127.0.0.1:{server.port}/", {"X-Own": value}, None, 10, connect=1.0, read=1.0, total=1.0)
        assert value not in str(caught.value) and not server.heads

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
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", "a chunk's size is not hexadecimal"),
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
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n",
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


def test_a_bridge_that_polls_does_not_load_requests():
    """What an import loads stays in memory."""

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
from bridge.sns.steps import drive
from bridge.sqs import receiver
from bridge.sqs.credentials import CredentialChain, ask
from bridge.sqs.queue import Queue
from bridge.sqs.queue_url import QueueURL
url = QueueURL("https://sqs.eu-central-1.amazonaws.com/123456789012/q")
queue = Queue(url, sys.argv[1], CredentialChain({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "eu-central-1", ask("")), "")
assert drive(queue.receive(1, 0, 1)) == []
print(sorted({"requests", "urllib3"} & set(sys.modules)))
"""
    with http.server.HTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        words = [sys.executable, "-c", code, f"http://127.0.0.1:{server.server_port}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.stdout == "[]\n", done.stderr
