"""Our error for each error of SQS, and for each answer that is none of SQS's."""

import gzip
import time

import pytest

from bridge.counters import SQS_ERRORS
from bridge.errors import MalformedMessage
from bridge.sns.message import parse
from bridge.sqs import queue as module
from bridge.sqs.queue import SQSError
from bridge.sqs.signing import Credentials
from tests.tools.sqs import Refused


def answering(body):
    """What answers a call with 200 and these bytes."""

    def behave(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return behave


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
            ("com.amazonaws.sqs#TokenRefreshRequired", "", 400, "no-credentials", "expired"),
            ("com.amazon.coral.service#IncompleteSignatureException", "", 400, "no-credentials", "credentials are not right"),
            ("com.amazon.coral.service#MissingAuthenticationTokenException", "", 403, "no-credentials", "credentials are not right"),
            ("InvalidClientTokenId", "", 403, "no-credentials", "does not know the access key"),
            ("com.amazon.coral.service#UnrecognizedClientException", "", 403, "no-credentials", "does not know the access key"),
            ("SignatureDoesNotMatch", "Signature expired: 2026… is now earlier than", 403, "clock", "clock is wrong"),
            ("SignatureDoesNotMatch", "Signature not yet current: …", 403, "clock", "clock is wrong"),
            ("SignatureDoesNotMatch", "…x-amz-security-token:secret/key", 403, "no-credentials", "secret key does not belong"),
            ("InvalidSignatureException", "Credential should be scoped to a valid region. ", 403, "no-such-queue", "region eu-central-1"),
            (
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region, not 'x'.",
                403,
                "no-such-queue",
                "not in region eu-central-1",
            ),
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
            (200, b"", "unavailable", "answered 200, and not as SQS does (BRIDGE_SQS_ENDPOINT, HTTPS_PROXY?)"),
            (403, b"\xff<Code>" + b"x" * 5000, "access-denied", "not as SQS does"),
            (403, b"<Code>" + b" " * 1_000_000, "access-denied", "not as SQS does"),
            (403, b"<Code> " * 100_000, "access-denied", "not as SQS does"),
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

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"status": "ok"}', b'{"Attributes": {"QueueArn": 5}}', b'{"Attributes": []}'])
    def test_attributes_that_are_no_queues(self, sqs, open_queue, body):
        """A web server that answers anything with 200 is no empty queue."""
        sqs.fault = lambda *_: answering(body)
        text = "GetQueueAttributes on queue orders was answered 200, and not as SQS does (BRIDGE_SQS_ENDPOINT, HTTPS_PROXY?)"
        with pytest.raises(SQSError) as caught:
            open_queue().attributes()
        assert (caught.value.kind, str(caught.value)) == ("unavailable", text)

    @pytest.mark.parametrize("attributes", [{"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q"}, {"MessageRetentionPeriod": 345600}])
    def test_attributes_of_which_an_emulator_lacks_some(self, sqs, open_queue, attributes):
        sqs.fault = lambda *_: (200, {"Attributes": attributes})
        assert open_queue().attributes() == {name: str(value) for name, value in attributes.items()}

    @pytest.mark.parametrize("call", ["delete", "change_visibility"])
    def test_an_empty_answer_deletes_and_hides_nothing(self, sqs, open_queue, call):
        sqs.fault = lambda *_: answering(b"")
        assert self.failed(open_queue(), call, [("r/", 0)] if call == "change_visibility" else ["r/"])[0] == "unavailable"

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

    def test_credentials_for_another_region_are_not_forgotten(self, sqs, open_queue):
        queue, looked = open_queue(), []
        get = queue._chain.get
        queue._chain.get = lambda: looked.append(True) or get()
        message = "Credential should be scoped to a valid region. "
        sqs.fault = lambda *_: (403, {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": message})
        for _ in range(3):
            _, text = self.failed(queue)
        assert all(name in text for name in ("BRIDGE_SQS_QUEUES", "BRIDGE_SQS_ENDPOINT", "AWS_REGION")) and len(looked) == 1

    @pytest.mark.parametrize("code", ["AccessDeniedException", "IncompleteSignatureException", "TokenRefreshRequired", "ExpiredToken"])
    def test_a_file_of_keys_is_read_again_after_a_refusal(self, sqs, open_queue, tmp_path, code):
        path = tmp_path / "credentials"
        path.write_text("[default]\naws_access_key_id = AKIDOLD\naws_secret_access_key = old\n")
        queue = open_queue(AWS_ACCESS_KEY_ID="", AWS_SHARED_CREDENTIALS_FILE=str(path))
        sqs.access = {"AKIDOLD": ("old", ""), "AKIDNEW": ("new", "")}
        sqs.fault = lambda *_: (403, {"__type": code})
        self.failed(queue)
        path.write_text("[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = new\n")
        sqs.fault, sqs.access = None, {"AKIDNEW": ("new", "")}
        assert queue.receive(10, 0, 30) == []

    def test_a_roles_credentials_are_kept_when_its_policy_does_not_allow_the_call(self, sqs, open_queue):
        """They are renewed in time; STS is not asked again for each poll that is refused."""
        queue = open_queue()
        queue._chain._kept = kept = Credentials("AKIDEXAMPLE", "secret/key+example", "", time.time() + 3600)
        sqs.fault = lambda *_: (400, {"__type": "AccessDeniedException"})
        assert self.failed(queue)[0] == "access-denied" and queue._chain.at_hand() is kept

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
            {"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": "b"}] * 11},
            {"Messages": [], "Odd": [[]] * 60_000},
            {"Messages": [], "Odd": [[]] * 300_000},
        ],
    )
    def test_an_answer_that_is_not_sqss(self, sqs, open_queue, members):
        """More messages than were asked for, or JSON that would become very many objects, are not SQS's either."""
        sqs.fault = lambda *_: (200, members)
        assert self.failed(open_queue())[0] == "unavailable"

    @pytest.mark.parametrize("count", ['"many"', '"1_0"', '"\u0661"', "1e999", "Infinity", "-5", "null", "[]", '""'])
    def test_a_count_of_receives_that_is_no_number_is_one(self, sqs, open_queue, count):
        text = '{"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": %s}}]}'
        sqs.fault = lambda *_: answering(text.replace("%s", count).encode())
        [message] = open_queue().receive(10, 0, 30)
        assert message.count == 1

    @pytest.mark.parametrize("neighbour", [b"none", b"\\u00e9"])
    def test_a_body_that_is_not_utf8_is_kept_as_it_is_not_mended(self, sqs, open_queue, neighbour):
        """`parse` refuses it then, whatever else is in the answer."""
        body = b'{\\"Type\\": \\"\xc3\\"}'
        answer = b'{"Messages": [{"MessageId": "i", "ReceiptHandle": "%s", "Body": "%s"}]}' % (neighbour, body)
        sqs.fault = lambda *_: answering(answer)
        [message] = open_queue().receive(10, 0, 30)
        with pytest.raises(MalformedMessage, match="not UTF-8"):
            parse(message.body, message.encoding)

    @pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b'{"Messages":' * 50_000])
    def test_an_answer_that_is_no_json(self, sqs, open_queue, body):
        sqs.fault = lambda *_: answering(body)
        assert self.failed(open_queue())[0] == "unavailable"

    def test_a_body_with_a_lone_surrogate_is_no_utf8(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "Body": "\ud800"}]})
        [message] = open_queue().receive(1, 0, 30)
        with pytest.raises(UnicodeDecodeError):
            message.body.decode()

    def test_an_answer_that_drips_ends_in_time(self, sqs, open_queue, monkeypatch):
        monkeypatch.setattr(module, "TOTAL", 0.5)
        sqs.fault = lambda *_: lambda handler: handler.drip(1000, 0.05)
        start = time.monotonic()
        kind, text = self.failed(open_queue())
        assert kind == "unavailable" and "longer than 0.5 s" in text and time.monotonic() - start < 2

    def test_the_simulated_sqs_refuses_what_botocore_would_not_have_signed(self, sqs, open_queue):
        """Else the tests here would prove nothing."""
        sqs.access["AKIDEXAMPLE"] = ("another", "")
        with pytest.raises(SQSError, match="secret key does not belong"):
            open_queue().receive(10, 0, 30)
        assert issubclass(Refused, Exception)
