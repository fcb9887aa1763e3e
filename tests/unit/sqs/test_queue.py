"""The four calls: the request that SQS gets, its answer and the room for it. botocore checks every signature (tests/tools/sqs.py)."""

import threading
import time

import pytest

from bridge.simulate.certificates import Authority
from bridge.sqs import queue as module
from bridge.sqs.queue import SQSError
from tests.tools.sqs import SQS


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
        assert queue.delete(receipts) == {1: ("InternalError", False)} and sqs.bodies("orders") == ["b"]
        sqs.entry_fault = None
        assert queue.change_visibility([(receipts[1], 0), ("nonsense", 5)]) == {1: ("ReceiptHandleIsInvalid", False)}
        assert [message.count for message in queue.receive(10, 0, 30)] == [2]

    def test_an_entry_of_which_sqs_says_nothing_is_not_done(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Successful": [{"Id": "1"}, "x"]})
        assert open_queue().delete(["a/", "b/"]) == {0: ("no answer", False)}

    @pytest.mark.parametrize(
        ("answer", "failed"),
        [
            ({"Successful": [{"Id": "0"}, {"Id": "0"}, {"Id": "7"}]}, {1: ("no answer", False)}),
            ({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [{"Id": "1", "Code": "InternalError"}]}, {1: ("InternalError", False)}),
            ({"Successful": [{"Id": ["0"]}, {"Id": 1}, {}], "Failed": 5}, {0: ("no answer", False)}),
            ({"Successful": [{"Id": "1"}], "Failed": [{"Id": "0", "Code": "X", "SenderFault": True}]}, {0: ("X", True)}),
            ({"Successful": [{"Id": "1"}], "Failed": [{"Id": "0", "Code": "X", "SenderFault": "false"}]}, {0: ("X", False)}),
            (
                {"Successful": [{"Id": "1"}], "Failed": [{"Id": "0", "Code": "AccessDenied", "SenderFault": True}]},
                {0: ("AccessDenied", False)},
            ),
            ({"Successful": {"Id": "0"}}, {0: ("no answer", False), 1: ("no answer", False)}),
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

    @pytest.mark.parametrize("attributes", [{}, {"Attributes": None}, {"Attributes": {}}])
    def test_a_message_without_attributes_is_one_like_the_others(self, sqs, open_queue, attributes):
        usual = {"MessageId": "i", "ReceiptHandle": "r", "Body": "a", "Attributes": {"ApproximateReceiveCount": "2"}}
        sqs.fault = lambda *_: (200, {"Messages": [usual, {"MessageId": "j", "ReceiptHandle": "r", "Body": "b"} | attributes]})
        assert [(message.body, message.count) for message in open_queue().receive(10, 0, 30)] == [(b"a", 2), (b"b", 1)]

    def test_attributes_of_odd_kinds_are_text(self, sqs, open_queue):
        sqs.fault = lambda *_: (200, {"Attributes": {"MessageRetentionPeriod": 5, "x": None}})
        assert open_queue().attributes() == {"MessageRetentionPeriod": "5", "x": "None"}

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
