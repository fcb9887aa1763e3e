"""The log has one line an event, and a log that can't be written delays nothing."""

import contextlib
import json
import mmap
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from bridge.log import LEVELS, MAX_LINE, Log, place
from tests.tools.ports import wait_for


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            pass


def lines(reader):
    try:
        return os.read(reader, 1 << 20).decode("ascii").splitlines()
    except BlockingIOError:
        return []


def test_json_has_time_level_and_event_first(pipe):
    Log(fd=pipe[1]).warning("verdict", status=503, reason="nack")
    [line] = lines(pipe[0])
    assert list(json.loads(line).items())[1:] == [("level", "warning"), ("event", "verdict"), ("status", 503), ("reason", "nack")]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", json.loads(line)["time"])


def test_text_is_the_same_for_people(pipe):
    Log(form="text", fd=pipe[1]).info("listening", address="[::]:3000", tls=False)
    Log(form="text", fd=pipe[1]).error("stopped")
    first, second = lines(pipe[0])
    assert re.fullmatch(r'\S+Z info    listening address="\[::\]:3000" tls=false', first)
    assert re.fullmatch(r"\S+Z error   stopped", second)


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_below_the_level_is_not_written(pipe, level):
    log = Log(level, fd=pipe[1])
    for name in LEVELS:
        getattr(log, name)("event")
    assert [json.loads(line)["level"] for line in lines(pipe[0])] == list(LEVELS[LEVELS.index(level) :])
    assert log.debugs is (level == "debug") and log.dropped == 0


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "\x1b[31m", "\0", "ß👋", "\ud800", "\u2028", '"', "\\", "}", "x" * 10000])
def test_no_value_makes_two_lines_or_writes_control_characters(pipe, form, value):
    Log(form=form, fd=pipe[1]).warning("verdict", explanation=value, message_id="last")
    [line] = lines(pipe[0])
    assert line.isascii() and line.isprintable()
    if form == "json":
        assert value.startswith(json.loads(line)["explanation"]) and json.loads(line)["message_id"] == "last"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("character", ["x", "ß", "👋", "\n", '"'])
def test_a_line_is_never_longer_than_a_pipe_takes_at_once(pipe, form, character):
    log = Log(form=form, fd=pipe[1])
    for length in [*range(0, 4200, 61), 100_000]:
        log.info(
            "event",
            **dict.fromkeys(("explanation", "topic_arn", "broker", "address", "place", "client"), character * length),
            status=503,
        )
        line = os.read(pipe[0], 1 << 20)
        assert len(line) <= MAX_LINE and line.endswith(b"\n") and line.count(b"\n") == 1
        if form == "json":
            assert json.loads(line)["status"] == 503
    assert log.dropped == 0


def test_a_reader_that_went_away_is_counted_and_no_more(pipe):
    log = Log(fd=pipe[1])
    os.close(pipe[0])
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        log.info("one")
        log.info("two")
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert log.dropped == 2


def test_a_reader_that_is_stuck_holds_nothing_up_and_sees_whole_lines_again_later(pipe):
    log = Log(fd=pipe[1])
    start = time.monotonic()
    for at in range(5000):
        log.info("event", number=at)
    assert time.monotonic() - start < 10
    assert 0 < log.dropped < 5000
    written = lines(pipe[0])
    assert [json.loads(line)["number"] for line in written] == list(range(5000 - log.dropped))
    log.info("again")
    assert json.loads(lines(pipe[0])[0])["event"] == "again"


def test_a_full_disk_is_counted():
    with open("/dev/full", "wb") as file:
        log = Log(fd=file.fileno())
        log.error("one")
    assert log.dropped == 1


def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(tmp_path):
    program = f"""
import resource, signal
from bridge.log import Log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = Log()
log.info("whole")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
log.info("torn")
log.info("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, {resource.getrlimit(resource.RLIMIT_FSIZE)})
log.info("next")
assert log.dropped == 2, log.dropped
"""
    with open(tmp_path / "log", "wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    whole, torn, following = (tmp_path / "log").read_text().splitlines()
    assert json.loads(whole)["event"] == "whole" and json.loads(following)["event"] == "next"
    assert len(whole) + 1 + len(torn) == 100


def test_a_closed_descriptor_is_counted(pipe):
    os.close(pipe[1])
    log = Log(fd=pipe[1])
    log.info("one")
    assert log.dropped == 1


def sink(kind):
    """Return the two ends (to read, to write), which block, as another program's descriptors do."""
    if kind == "socket":
        reader, writer = (end.detach() for end in socket.socketpair())
    elif kind == "terminal":
        reader, writer = pty.openpty()
    else:
        reader, writer = os.pipe()
    os.set_blocking(reader, False)
    return reader, writer


def refused(*_, **__):
    raise PermissionError


def drain(reader):
    """Read what is there; return how much."""
    read = 0
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reader, 1 << 20):
            read += len(piece)
    return read


@pytest.mark.parametrize("kind", ["pipe", "another user's pipe", "socket", "terminal"])
def test_two_processes_go_on_while_the_reader_they_share_stands_still(kind, monkeypatch):
    """One of them is stopped at a random point, at times after poll() has told it that the pipe has room; the other one takes the room."""
    reader, writer = sink(kind)
    if kind == "another user's pipe":
        monkeypatch.setattr("bridge.log.os.open", refused)
    log = Log(form="text", fd=writer)
    logged = memoryview(mmap.mmap(-1, 2 * 8)).cast("Q")
    dropped = memoryview(mmap.mmap(-1, 2 * 8)).cast("Q")
    children = []

    def waits_for_more(counts, number):
        before = counts[number]
        wait_for(f"process {number} to go on", lambda: counts[number] > before + 3, 5, 0.0005)

    try:
        for number in range(2):
            pid = os.fork()
            if not pid:
                signal.alarm(100)
                while True:
                    log.info("event", explanation="x" * 3000)  # no two in a page of the pipe
                    logged[number] += 1
                    dropped[number] = log.dropped
            children.append(pid)
        for _ in range(300 if kind == "pipe" else 100):
            waits_for_more(logged, 0)
            drain(reader)
            os.kill(children[0], signal.SIGSTOP)
            waits_for_more(dropped, 1)
            os.kill(children[0], signal.SIGCONT)
            waits_for_more(logged, 0)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(writer)
        os.close(reader)


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_the_descriptor_that_was_given_keeps_its_flags(kind):
    reader, writer = sink(kind)
    try:
        Log(fd=writer).info("event")
        assert os.get_blocking(writer)
        assert json.loads(os.read(reader, 4096))["event"] == "event"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("splice", ["allowed", "refused"])
def test_another_users_pipe_gets_whole_lines_and_a_reader_that_went_away_is_counted(splice, monkeypatch):
    """In a container the pipe is root's, and the bridge runs as another user."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    if splice == "refused":
        monkeypatch.setattr("bridge.log.os.splice", refused)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            log = Log(fd=writer)
            for at in range(500):
                log.info("event", number=at, explanation="x" * (3000 if at > 400 else 10))
            written = b""
            while piece := b"".join(pieces(reader)):
                written += piece
                log.flush()
            kept = 500 - log.dropped
            assert [json.loads(line)["number"] for line in written.splitlines()] == list(range(kept))
            assert kept > (300 if splice == "allowed" else 200), "short lines share a page"
            log.info("again")
            assert json.loads(os.read(reader, 4096))["event"] == "again"
            before = log.dropped
            os.close(reader)
            log.info("one")
            assert log.dropped == before + 1
            log.flush()
            status = 0
        finally:
            os._exit(status)
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def pieces(reader):
    """What is there, as it comes."""
    with contextlib.suppress(BlockingIOError):
        while True:
            yield os.read(reader, 1 << 20)


def fails() -> None:
    raise KeyError("a body")


def raised() -> KeyError:
    try:
        fails()
    except KeyError as error:
        return error
    raise AssertionError


def test_a_place_is_the_functions_that_led_there_the_innermost_first_and_no_value():
    first, line = fails.__code__.co_firstlineno, raised.__code__.co_firstlineno
    assert place(raised()) == f"{__name__}.fails:{first + 1} < {__name__}.raised:{line + 2}"


def test_without_line_tables_a_place_has_the_offset_of_the_instruction(monkeypatch):
    code = fails.__code__
    monkeypatch.setattr(fails, "__code__", code.replace(co_linetable=b""))
    inner, _, _ = place(raised()).partition(" < ")
    name, _, offset = inner.partition("+")
    assert name == f"{__name__}.fails"
    lines = {at: line for start, end, line in code.co_lines() for at in range(start, end)}
    assert lines[int(offset)] == code.co_firstlineno + 1
