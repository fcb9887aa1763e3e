"""The four calls: the request that SQS gets, and our error for each of its errors. botocore checks every signature (tests/tools/sqs.py)."""

import gzip
import threading
import time

import pytest

from bridge.counters import SQS_ERRORS
from bridge.simulate.certificates import Authority
from bridge.sns.egress import default_ca_file
from bridge.sqs import queue as module
from bridge.sqs.credentials import CredentialChain
from bridge.sqs.queue import Queue, SQSError
from bridge.sqs.queue_url import QueueURL, parse_queue_urls
from tests.tools.sqs import REGION, SQS, Refused


@pytest.fixture
def sqs():
    with SQS() as sqs:
        yield sqs


@pytest.fixture
def open_queue(sqs):
    def opened(name="orders", now=time.time, endpoint=None, **environment):
        chain = CredentialChain(sqs.environment | environment, REGION, None)
        return Queue(QueueURL(sqs.url("orders").replace("orders", name)), endpoint or sqs.endpoint, chain, default_ca_file(), now)

    return opened


class TestCalls:
    def test_messages_are_received_byte_for_byte_and_deleted(self, sqs, open_queue):
        queue = open_queue()
        bodies = ["hello", 'Größe ✓ 😀 "quoted" \\ \n\t', "x" * 262_144]
        sqs.send("orders", *bodies)
        received = queue.receive(10, 0, 30)
        assert [message.body.decode() for message in received] == bodies and {message.count for message in received} == {1}
        assert queue.delete([message.receipt for message in received]) == {}
        assert sqs.bodies("orders") == []

    def test_an_empty_queue_is_waited_at(self, sqs, open_queue):
        start = time.monotonic()
        assert open_queue().receive(10, 1, 30) == [] and time.monotonic() - start >= 1

    def test_entries_that_fail_are_told_one_by_one(self, sqs, open_queue):
        queue = open_queue()
        sqs.send("orders", "a", "b", "c")
        receipts = [message.receipt for message in queue.receive(10, 0, 30)]
        sqs.entry_fault = lambda _operation, entry: "InternalError" if entry["Id"] == "1" else None
        assert queue.delete(receipts) == {1: "InternalError"} and sqs.bodies("orders") == ["b"]
        sqs.entry_fault = None
        assert queue.change_visibility([(receipts[1], 0), ("nonsense", 5)]) == {1: "ReceiptHandleIsInvalid"}
        assert [message.count for message in queue.receive(10, 0, 30)] == [2]

    def test_an_entry_of_which_sqs_says_nothing_is_not_done(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Successful": [{"Id": "1"}, "x"]})
        assert open_queue().delete(["a/", "b/"]) == {0: "no answer"}

    @pytest.mark.parametrize(
        ("answer", "failed"),
        [
            ({"Successful": [{"Id": "0"}, {"Id": "0"}, {"Id": "7"}]}, {1: "no answer"}),
            ({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [{"Id": "1", "Code": "InternalError"}]}, {1: "InternalError"}),
            ({"Successful": [{"Id": ["0"]}, {"Id": 1}, {}], "Failed": 5}, {0: "no answer"}),
            ({"Successful": {"Id": "0"}}, {0: "no answer", 1: "no answer"}),
        ],
    )
    def test_ids_that_are_double_foreign_or_none(self, sqs, open_queue, answer, failed):
        sqs.fault = lambda *_: (200, answer)
        assert open_queue().delete(["a/", "b/"]) == failed

    def test_md5s_are_not_looked_at(self, sqs, open_queue):
        """MD5OfBody proves nothing against who can alter the body; the signature in it does (tests/integration/test_sqs.py)."""
        member = {"MessageId": "i", "ReceiptHandle": "r", "Body": "hello", "MD5OfBody": "0" * 32}
        sqs.fault = lambda *_: (200, {"Messages": [member]})
        assert [message.body for message in open_queue().receive(1, 0, 30)] == [b"hello"]

    def test_a_count_below_one_is_one(self, sqs, open_queue):
        member = {"MessageId": "i", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": "-5"}}
        sqs.fault = lambda *_: (200, {"Messages": [member]})
        assert [message.count for message in open_queue().receive(1, 0, 30)] == [1]

    def test_attributes_of_odd_kinds_are_text(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Attributes": {"ApproximateNumberOfMessages": 5, "x": None}})
        assert open_queue().attributes() == {"ApproximateNumberOfMessages": "5", "x": "None"}

    def test_attributes(self, sqs, open_queue):
        sqs.send("orders", "a")
        assert open_queue().attributes()["ApproximateNumberOfMessages"] == "1"

    def test_connections_are_kept(self, sqs, open_queue):
        queue, seen = open_queue(), set()
        sqs.fault = lambda *_: lambda handler: seen.add(handler.client_address) or handler.answer(200, {})
        for _ in range(5):
            queue.receive(10, 0, 30)
        assert len(seen) == 1


class TestRoom:
    """The bytes of answers are counted before they are read."""

    @pytest.fixture
    def queue(self, open_queue):
        queue = open_queue()
        queue.room = module.Room(20_000)
        return queue

    def test_a_batch_holds_its_bytes_until_they_are_given_back(self, sqs, queue):
        sqs.send("orders", "x" * 5000, "y")
        batch = queue.receive(10, 0, 30)
        assert len(batch) == 2 and 5000 < batch.size == queue.room.held < 6000

    def test_a_call_that_fails_holds_nothing(self, sqs, queue):
        sqs.fault = lambda *_: (200, {"Messages": [{"MessageId": 5}]})
        with pytest.raises(SQSError):
            queue.receive(10, 0, 30)
        sqs.fault = lambda *_: lambda handler: handler.connection.close()
        with pytest.raises(SQSError):
            queue.receive(10, 0, 30)
        assert queue.room.held == 0

    def test_an_answer_waits_until_another_is_given_back(self, sqs, queue):
        for _ in range(2):
            sqs.send("orders", "x" * 15_000)
        first, second = queue.receive(1, 0, 30), []
        thread = threading.Thread(target=lambda: second.append(queue.receive(1, 0, 30)))
        thread.start()
        time.sleep(0.3)
        assert not second and queue.room.held == first.size
        queue.room.give(first.size)
        thread.join(5)
        assert queue.room.held == second[0].size

    def test_an_answer_that_waits_too_long_is_given_up(self, sqs, queue, monkeypatch):
        monkeypatch.setattr(module, "TOTAL", 0.4)
        sqs.send("orders", "x" * 15_000, "x" * 15_000)
        first = queue.receive(1, 0, 30)
        with pytest.raises(SQSError, match=r"took longer than 0\.4 s"):
            queue.receive(1, 0, 30)
        assert queue.room.held == first.size

    def test_what_is_longer_than_the_room_is_not_read_unless_it_is_one_message(self, sqs, queue, monkeypatch):
        monkeypatch.setattr(module, "MAX_MESSAGE", 40_000)
        sqs.send("orders", *("x" * 15_000 for _ in range(10)))
        with pytest.raises(module.TooLong, match="ReceiveMessage on queue orders: the answer is longer than 80960 bytes; fewer messages"):
            queue.receive(10, 0, 30)
        sqs.show("orders")
        assert len(queue.receive(1, 0, 30)) == 1


class TestErrors:
    """Each says which call, which queue and what to do."""

    def failed(self, queue, call="receive", *arguments):
        with pytest.raises(SQSError) as caught:
            getattr(queue, call)(*(arguments or (10, 0, 30)))
        assert "secret/key" not in str(caught.value)
        return caught.value.kind, str(caught.value)

    @pytest.mark.parametrize(
        ("code", "message", "status", "kind", "problem"),
        [
            ("com.amazon.coral.service#AccessDeniedException", "User: arn:… is not authorized", 400, "access-denied", "`bridge policy`"),
            ("AWS.SimpleQueueService.NonExistentQueue", "", 400, "no-such-queue", "region, account and name"),
            ("com.amazonaws.sqs#QueueDoesNotExist", "", 400, "no-such-queue", "region, account and name"),
            ("com.amazon.coral.service#ExpiredTokenException", "", 403, "no-credentials", "expired"),
            ("InvalidClientTokenId", "", 403, "no-credentials", "does not know the access key"),
            ("com.amazon.coral.service#UnrecognizedClientException", "", 403, "no-credentials", "does not know the access key"),
            ("SignatureDoesNotMatch", "Signature expired: 2026… is now earlier than", 403, "clock", "clock is wrong"),
            ("SignatureDoesNotMatch", "Signature not yet current: …", 403, "clock", "clock is wrong"),
            ("SignatureDoesNotMatch", "…x-amz-security-token:secret/key", 403, "no-credentials", "secret key does not belong"),
            ("RequestThrottled", "", 400, "throttled", "throttled"),
            ("ThrottlingException:http://internal.amazon.com/", "", 400, "throttled", "throttled"),
            ("", "", 429, "throttled", "throttled"),
            ("KmsAccessDenied", "", 400, "access-denied", "kms:Decrypt"),
            ("InternalFailure", "secret/key", 500, "unavailable", "500 InternalFailure"),
            ("UnsupportedOperation", "Not for this queue", 400, "unavailable", "Not for this queue"),
        ],
    )
    def test_what_sqs_answers(self, sqs, open_queue, code, message, status, kind, problem):
        sqs.fault = lambda *_: (status, {"__type": code, "message": message})
        found, text = self.failed(open_queue())
        assert found == kind and problem in text and text.startswith("ReceiveMessage on queue orders")
        assert kind in SQS_ERRORS

    @pytest.mark.parametrize(
        ("status", "answer", "kind", "problem"),
        [
            (
                403,
                b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
                "no-credentials",
                "does not know the access key",
            ),
            (
                403,
                b"<Response><Errors><Error><Code>AuthFailure</Code></Error></Errors></Response>",
                "no-credentials",
                "does not know the access key",
            ),
            (403, b"<Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 2</Message></Error>", "clock", "clock is wrong"),
            (403, b"<Error><Code>\n AccessDenied </Code><Message>User: x</Message></Error>", "access-denied", "`bridge policy`"),
            (400, b"<Error><Code>AWS.SimpleQueueService.NonExistentQueue</Code></Error>", "no-such-queue", "region, account and name"),
            (
                400,
                b"<Error><Code>InvalidAction</Code><Message>The action is not valid.</Message></Error>",
                "unavailable",
                "400 InvalidAction: The action is not valid.",
            ),
            (503, b"<Error><Code>ServiceUnavailable</Code></Error>", "unavailable", "503 ServiceUnavailable"),
            (403, b"<html><h1>Forbidden</h1></html>", "access-denied", "answered 403, and not as SQS does (BRIDGE_SQS_ENDPOINT"),
            (502, b"", "unavailable", "answered 502, and not as SQS does"),
            (200, b"<html>Please log in</html>", "unavailable", "answered 200, and not as SQS does"),
            (200, gzip.compress(b"{}", mtime=0), "unavailable", "answered 200, and not as SQS does"),
            (403, b"\xff<Code>" + b"x" * 5000, "access-denied", "not as SQS does"),
        ],
    )
    def test_answers_that_are_no_json(self, sqs, open_queue, status, answer, kind, problem):
        """Of emulators, of AWS's older protocol, of proxies. A gzip that nobody asked for is one of them."""

        def behave(handler):
            assert handler.headers["Accept-Encoding"] == "identity"
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)

        sqs.fault = lambda *_: behave
        found, text = self.failed(open_queue())
        assert found == kind and problem in text and text.startswith("ReceiveMessage on queue orders ")
        assert sqs.calls == ["ReceiveMessage"]

    def test_no_such_queue(self, open_queue):
        assert self.failed(open_queue("others"), "receive")[0] == "no-such-queue"

    def test_a_wrong_secret_key(self, open_queue):
        assert self.failed(open_queue(AWS_SECRET_ACCESS_KEY="wrong"))[0] == "no-credentials"

    def test_a_wrong_clock(self, open_queue):
        assert self.failed(open_queue(now=lambda: time.time() - 3600))[0] == "clock"

    def test_no_credentials(self, open_queue):
        kind, text = self.failed(open_queue(AWS_SECRET_ACCESS_KEY=""))
        assert kind == "no-credentials" and "the secret key is missing" in text

    def test_expired_credentials_are_looked_for_again(self, sqs, open_queue):
        queue = open_queue()
        queue.receive(10, 0, 30)
        sqs.access = {"AKIDNEW": ("new", "token")}
        assert self.failed(queue)[0] == "no-credentials"
        queue._chain._environment.update(AWS_ACCESS_KEY_ID="AKIDNEW", AWS_SECRET_ACCESS_KEY="new", AWS_SESSION_TOKEN="token")
        assert queue.receive(10, 0, 30) == []

    @pytest.mark.rule("BRIDGE_SQS_ENDPOINT")
    def test_nobody_is_there(self, open_queue):
        kind, text = self.failed(open_queue(endpoint="http://127.0.0.1:1"))
        assert kind == "unavailable" and "BRIDGE_SQS_ENDPOINT" in text

    @pytest.mark.parametrize(
        "members",
        [
            [],
            {"Messages": 5},
            {"Messages": ["x"]},
            {"Messages": [{"MessageId": "x"}]},
            {"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": 5}]},
            {"Messages": [{"MessageId": ["i"], "ReceiptHandle": "r", "Body": "b"}]},
            {"Messages": [{"MessageId": 5, "ReceiptHandle": "r", "Body": "b"}]},
            {"Messages": [{"MessageId": "i", "ReceiptHandle": {}, "Body": "b"}]},
            {"Messages": {"MessageId": "i"}},
            {"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": "many"}}]},
        ],
    )
    def test_an_answer_that_is_not_sqss(self, sqs, open_queue, members):
        sqs.fault = lambda *_: (200, members)
        assert self.failed(open_queue())[0] == "unavailable"

    def test_an_answer_that_is_no_json(self, sqs, open_queue):
        def behave(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "6")
            handler.end_headers()
            handler.wfile.write(b"<html>")

        sqs.fault = lambda *_: behave
        assert self.failed(open_queue())[0] == "unavailable"

    def test_a_body_with_a_lone_surrogate_is_no_utf8(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": "\ud800"}]})
        [message] = open_queue().receive(1, 0, 30)
        with pytest.raises(UnicodeDecodeError):
            message.body.decode()

    def test_an_answer_that_drips_ends_in_time(self, sqs, open_queue, monkeypatch):
        monkeypatch.setattr(module, "TOTAL", 0.5)

        def drip(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(50):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)

        sqs.fault = lambda *_: drip
        start = time.monotonic()
        kind, text = self.failed(open_queue())
        assert kind == "unavailable" and "longer than 0.5 s" in text and time.monotonic() - start < 2

    def test_the_simulated_sqs_refuses_what_botocore_would_not_have_signed(self, sqs, open_queue):
        """Else the tests here would prove nothing."""
        sqs.access["AKIDEXAMPLE"] = ("another", "")
        with pytest.raises(SQSError, match="secret key does not belong"):
            open_queue().receive(10, 0, 30)
        assert issubclass(Refused, Exception)


class TestQueueURLs:
    @pytest.mark.parametrize(
        ("url", "region", "arn"),
        [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/a_B-9", "eu-central-1", "arn:aws:sqs:eu-central-1:123456789012:a_B-9"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1", "arn:aws-cn:sqs:cn-north-1:123456789012:q"),
            ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1", "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q"),
            ("https://eu-west-1.queue.amazonaws.com/123456789012/q", "eu-west-1", "arn:aws:sqs:eu-west-1:123456789012:q"),
            ("https://vpce-0a1b-2c.sqs.us-east-1.vpce.amazonaws.com/123456789012/q", "us-east-1", "arn:aws:sqs:us-east-1:123456789012:q"),
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q", "us-east-1", "arn:aws:sqs:us-east-1:000000000000:q"),
            ("http://localhost:4566/queue/us-east-2/000000000000/q", "us-east-2", "arn:aws:sqs:us-east-2:000000000000:q"),
            ("http://[::1]:9324/000000000000/q", "eu-west-3", "arn:aws:sqs:eu-west-3:000000000000:q"),
        ],
    )
    def test_region_and_arn(self, url, region, arn):
        queue = QueueURL(url, "eu-west-3")
        assert (queue.region, queue.arn, queue.url) == (region, arn, url)

    @pytest.mark.parametrize(
        "url",
        [
            "orders",
            "arn:aws:sqs:eu-central-1:123456789012:orders",
            "https://sqs.eu-central-1.amazonaws.com/orders",
            "https://u:p@sqs.x/123456789012/q",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/q?x",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/q/",
            "ftp://h/123456789012/q",
        ],
    )
    def test_what_is_no_queues_url(self, url):
        with pytest.raises(ValueError, match="is not a queue's URL"):
            QueueURL(url)

    def test_a_region_is_needed(self):
        with pytest.raises(ValueError, match="names no region; set AWS_REGION"):
            QueueURL("http://localhost:9324/000000000000/q")

    def test_fifo_queues_are_explained(self):
        with pytest.raises(ValueError, match="FIFO"):
            QueueURL("https://sqs.eu-central-1.amazonaws.com/123456789012/q.fifo")

    def test_lists(self):
        one, two = "https://sqs.eu-central-1.amazonaws.com/123456789012/a", "https://sqs.eu-west-1.amazonaws.com/123456789012/a"
        assert [queue.url for queue in parse_queue_urls(f"{one}, {two},")] == [one, two] and parse_queue_urls("") == []
        with pytest.raises(ValueError, match="twice"):
            parse_queue_urls(f"{one},{one}")


class TestTheWay:
    """Through a proxy, and over TLS, as requests would go; a certificate of somebody else's is refused."""

    def test_tls_to_a_host_with_the_right_roots_only(self, open_queue, tmp_path):
        authority = Authority(tmp_path, "sqs")
        with SQS(tls=authority.issue(tmp_path / "server", "localhost")) as sqs:
            sqs.url("orders")
            with pytest.raises(SQSError, match="certificate"):
                open_queue(endpoint=sqs.endpoint).receive(10, 0, 30)
            queue = open_queue(endpoint=sqs.endpoint)
            queue._ca_file = str(authority.ca_file)
            assert queue.receive(10, 0, 30) == []

    def test_http_through_a_proxy(self, sqs, open_queue, monkeypatch):
        asked = []
        sqs.fault = lambda *_: lambda handler: asked.append(handler.path) or handler.answer(200, {})
        monkeypatch.setenv("HTTP_PROXY", sqs.endpoint)
        monkeypatch.setenv("NO_PROXY", "elsewhere")
        assert open_queue(endpoint="http://sqs.eu-central-1.example.com").receive(10, 0, 30) == []
        assert asked == ["http://sqs.eu-central-1.example.com/"]
