"""What commands print: texts of a broker or of SQS do nothing to a terminal, and end no command."""

import pytest

from bridge.console import say
from bridge.sqs.check import _check_queue
from bridge.sqs.queue import SQSError
from bridge.sqs.queue_url import QueueURL


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("queue 'Größe ✓ 😀': exists", "queue 'Größe ✓ 😀': exists"),
        ("no\nqueue 'x': exists", "no?queue 'x': exists"),
        ("\x1b[2J\x1b]0;title\x07", "?[2J?]0;title?"),
        ("a lone \ud800 surrogate, \u202eright to left, \x9b1m", "a lone ? surrogate, ?right to left, ?1m"),
    ],
)
def test_a_character_that_is_not_printable_becomes_a_question_mark(line, printed, capsys):
    say(line)
    assert capsys.readouterr().out == printed + "\n"


def test_sqss_error_forges_no_line(capsys):
    class Queue:
        def attributes(self):
            raise SQSError("unavailable", "no\nqueue 'x': all is well \ud800")
            yield

    url = QueueURL("https://sqs.eu-central-1.amazonaws.com/123456789012/orders", "")
    assert not _check_queue(url, Queue())
    assert capsys.readouterr().out == f"queue {url.url}: no?queue 'x': all is well ?\n"
