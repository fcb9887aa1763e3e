"""HTTP answers, read again by http.client and h11."""

import http.client
import io
from email.utils import parsedate_to_datetime

import h11
import pytest

from bridge.commands.serve import failures
from bridge.http import responses as module
from bridge.http.responses import Responses


class Wire(io.BytesIO):
    def makefile(self, _mode):
        return self


def read(answer):
    """(status, headers, body), as http.client reads them; nothing is left over."""
    wire = Wire(answer)
    response = http.client.HTTPResponse(wire)
    response.begin()
    length = int(response.headers["Content-Length"])
    body = response.read()
    assert len(body) == length and answer.endswith(b"\r\n\r\n" + body)
    return response.status, response.headers, body


@pytest.fixture
def clock(monkeypatch):
    now = [1772826938.9]
    monkeypatch.setattr(module, "time", lambda: now[0])
    return now


def test_200_has_a_date_and_no_body(clock):
    status, headers, body = read(Responses().ok(True))
    assert (status, body, headers["Connection"], headers["Content-Type"]) == (200, b"", None, None)
    assert parsedate_to_datetime(headers["Date"]).timestamp() == 1772826938 and headers["Date"].endswith(" GMT")


def test_the_200_is_made_once_a_second(clock):
    answers = Responses()
    answers.ok(True)
    first = answers.ok(True)
    clock[0] += 0.05
    assert answers.ok(True) is first
    clock[0] += 0.1
    assert answers.ok(True) != first
    assert parsedate_to_datetime(read(answers.ok(True))[1]["Date"]).timestamp() == 1772826939


def test_another_answer_in_between_does_not_make_the_200_old(clock):
    answers = Responses()
    answers.ok(True)
    clock[0] += 1
    answers.make(503, "x", "", True)
    assert parsedate_to_datetime(read(answers.ok(True))[1]["Date"]).timestamp() == 1772826939


def test_the_last_answer_says_that_it_is_the_last():
    answers = Responses()
    assert read(answers.ok(True))[1]["Connection"] is None
    assert read(answers.ok(False))[1]["Connection"] == "close"
    assert read(answers.make(503, "x\n", "", False))[1]["Connection"] == "close"
    assert read(answers.ok(True))[1]["Connection"] is None


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("error", failures(), ids=lambda error: error.__name__)
def test_every_errors_answer_is_good_http(error, keep_alive):
    answer = Responses().make(error.status, error.reason + "\n", error.headers, keep_alive)
    status, headers, body = read(answer)
    assert (status, body.decode()) == (error.status, error.reason + "\n")
    assert headers["Content-Type"] == "text/plain"
    for line in error.headers.splitlines():
        name, _, value = line.partition(": ")
        assert headers[name] == value
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    events = [client.next_event() for _ in range(3)]
    assert events[0].status_code == error.status and events[0].reason and type(events[2]) is h11.EndOfMessage


def test_every_reason_has_one_status_of_the_table():
    for error in failures():
        assert error.status in module.PHRASES and error.status >= 400
        assert error.reason == error.reason.lower() and " " not in error.reason
    statuses = {}
    for error in failures():
        assert statuses.setdefault(error.reason, error.status) == error.status


@pytest.mark.parametrize("error", [error for error in failures() if error.status == 503], ids=lambda error: error.__name__)
def test_503_says_when_to_come_again(error):
    assert error.headers == "Retry-After: 5\r\n"
