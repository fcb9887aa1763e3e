"""BRIDGE_PROCESSES: real forks with short lives, supervised in a process of their own."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

PATIENCE = 20  # seconds

# A child runs the body of start(place, parent), and prints a line for what happens.
PROGRAM = """
{before}
import mmap, os, signal, struct, sys, time
from bridge import supervisor
from bridge.errors import SettingError
from bridge.log import Log

supervisor.FIRST_PAUSE, supervisor.LONGEST_PAUSE, supervisor.WELL = {pauses}
supervisor.HUNG, supervisor.LOOKED_AWAY = {hung}
turns = mmap.mmap(-1, 64)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def on_term():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

def turn(place, now=None):
    struct.pack_into("d", turns, place * 8, time.monotonic() if now is None else now)

def turned(place):
    return struct.unpack_from("d", turns, place * 8)[0]

def died(place):
    turn(place, 0.0)
    say("died", place)

def start(place, parent):
    say("started", place, os.getpid())
{child}

status = supervisor.supervise({number}, start, died, {patience}, Log(), turned)
say("status", status)
sys.exit(status)
"""


class Supervisor:
    """The program, and its output, line by line."""

    def __init__(self, child, number=2, patience=10, pauses="0.01, 0.05, 10", before="", hung="30, 5"):
        body = "\n".join("    " + line for line in child.strip().splitlines())
        program = PROGRAM.format(child=body, number=number, patience=patience, pauses=pauses, before=before, hung=hung)
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.seen = []

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.decode().strip())
        self._lines.put(None)

    def wait_for(self, start):
        """The rest of the next line that starts so."""
        until = time.monotonic() + PATIENCE
        while True:
            line = self._lines.get(timeout=max(0.1, until - time.monotonic()))
            assert line is not None, f"ended without {start!r}: {self.seen}"
            self.seen.append(line)
            if line.startswith(start):
                return line[len(start) :].strip()

    def started(self, number):
        """The pids of the next children, by their place."""
        return {int(place): int(pid) for place, pid in (self.wait_for("started").split() for _ in range(number))}

    def end(self):
        """(exit status, standard error), once it has ended by itself."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status, self.process.stderr.read().decode()


@pytest.fixture
def supervise():
    running = []

    def run(*arguments, **options):
        running.append(Supervisor(*arguments, **options))
        return running[-1]

    yield run
    for supervisor in running:
        if supervisor.process.poll() is None:
            supervisor.process.terminate()  # and not kill(): its children would be left behind
            supervisor.process.wait(PATIENCE)


def gone(pid):
    """Whether a process has ended (a zombie has not)."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


# Short sleeps, because a signal that comes just before one waits for its end.
STAYS = "on_term()\nwhile True: time.sleep(0.05)"


@pytest.mark.parametrize("number", [1, 3])
def test_each_process_is_started_once_with_its_place(supervise, number):
    supervisor = supervise(STAYS, number)
    pids = supervisor.started(number)
    assert set(pids) == set(range(number)) and len(set(pids.values())) == number
    supervisor.process.terminate()
    supervisor.wait_for("status 0")


# The third, fourth and fifth call fail with an OSError.
FAILS = "import os\nreal, tries = os.fork, iter(range(99))\nos.fork = lambda: os.open('/-', 0) if next(tries) in (2, 3, 4) else real()"


def test_when_no_process_can_be_made_for_a_while_the_others_go_on_and_it_is_tried_again(supervise):
    supervisor = supervise("on_term()\nif place == 1: os._exit(3)\nwhile True: time.sleep(0.05)", before=FAILS)
    first = supervisor.started(2)[0]
    assert 1 in supervisor.started(1)
    os.kill(first, 0)
    lines = [json.loads(line) for line in supervisor.seen if line.startswith("{")]
    assert [(line["event"], line["process"]) for line in lines] == [("process_died", 1), *[("process_not_started", 1)] * 3]
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_is_passed_on_and_all_drain_to_exit_0(supervise, number):
    supervisor = supervise(
        "signal.signal(signal.SIGTERM, lambda *_: (say('drained', place), os._exit(0)))\nsay('ready')\nwhile True: time.sleep(0.05)"
    )
    pids = supervisor.started(2)
    while supervisor.seen.count("ready") < 2:
        supervisor.wait_for("ready")
    supervisor.process.send_signal(number)
    assert {supervisor.wait_for("drained") for _ in range(2)} == {"0", "1"}
    assert supervisor.end()[0] == 0
    assert all(map(gone, pids.values()))


@pytest.mark.parametrize(
    "how", ["return 1", "return 0", "os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGSEGV)", "1 / 0"]
)
def test_one_that_died_is_started_again_and_the_other_one_lives_on(supervise, how):
    supervisor = supervise(f"on_term()\nif place == 1:\n    {how}\nwhile True: time.sleep(0.05)")
    pids = [supervisor.started(1) for _ in range(6)]
    first = next(pid[0] for pid in pids if 0 in pid)
    ones = [pid[1] for pid in pids if 1 in pid]
    assert len(ones) == 5 == len(set(ones))
    os.kill(first, 0)
    died = [json.loads(line) for line in supervisor.seen if line.startswith("{")]
    assert {(line["event"], line["level"], line["process"]) for line in died} == {("process_died", "error", 1)}
    assert "died 1" in supervisor.seen and "died 0" not in supervisor.seen
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0


def test_one_that_dies_at_once_is_started_ever_more_slowly(supervise):
    supervisor = supervise("say('at', time.monotonic())\nreturn 1", 1, pauses="0.05, 0.4, 10")
    times = [float(supervisor.wait_for("at")) for _ in range(6)]
    assert times[-1] - times[0] > 0.6, "they sum to 1.5, less what the first was late"
    pauses = [json.loads(line)["explanation"].split()[-2] for line in supervisor.seen if line.startswith("{")]
    assert pauses[:5] == ["0.1", "0.2", "0.4", "0.4", "0.4"]
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0


def test_one_that_lived_well_is_started_again_soon(supervise):
    supervisor = supervise("time.sleep(0.05)\nreturn 1", 1, pauses="0.01, 60, 0.02")
    for _ in range(5):
        supervisor.started(1)
    assert {json.loads(line)["explanation"] for line in supervisor.seen if line.startswith("{")} == {"it is started again in 0.01 s"}


@pytest.mark.parametrize("how", ["return 2", "os._exit(2)"])
def test_one_that_cant_use_its_settings_ends_all_with_2(supervise, how):
    supervisor = supervise(f"on_term()\nif place == 1:\n    {how}\nwhile True: time.sleep(0.05)", 3)
    supervisor.wait_for("status 2")
    assert supervisor.end()[0] == 2


def test_a_setting_that_cant_be_used_is_one_line_and_exit_2(supervise):
    supervisor = supervise("raise SettingError('BRIDGE_LISTEN', 'is taken')", 1)
    assert supervisor.end() == (2, "bridge: BRIDGE_LISTEN: is taken\n")


def test_a_bug_in_a_child_is_told_on_standard_error(supervise):
    supervisor = supervise("1 / 0", 1)
    supervisor.started(1)
    supervisor.wait_for("died 0")
    supervisor.process.terminate()
    status, said = supervisor.end()
    assert status == 0 and "ZeroDivisionError" in said


def test_one_that_does_not_drain_is_killed_when_patience_ends(supervise):
    supervisor = supervise("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('deaf')\nwhile True: time.sleep(0.05)", 1, patience=0.3)
    pids = supervisor.started(1)
    supervisor.wait_for("deaf")
    start = time.monotonic()
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0
    assert 0.25 < time.monotonic() - start < PATIENCE and gone(pids[0])


def test_one_that_died_while_all_stop_is_not_started_again(supervise):
    supervisor = supervise("signal.signal(signal.SIGTERM, lambda *_: os._exit(1))\nsay('ready')\nwhile True: time.sleep(0.05)", 1)
    supervisor.wait_for("ready")
    supervisor.process.terminate()
    supervisor.wait_for("status 0")
    assert sum(line.startswith("started") for line in supervisor.seen) == 1
    assert not any("process_died" in line for line in supervisor.seen)


def test_when_the_parent_is_killed_each_child_hears_of_it(supervise):
    supervisor = supervise("os.read(parent, 1)\nsay('orphan', place)\nreturn 0")
    pids = supervisor.started(2)
    supervisor.process.kill()
    assert {supervisor.wait_for("orphan") for _ in range(2)} == {"0", "1"}
    assert all(map(gone, pids.values()))


def test_while_the_parent_lives_nobody_is_told_otherwise(supervise):
    program = """
on_term()
os.set_blocking(parent, False)
try:
    os.read(parent, 1)
except BlockingIOError:
    say("alive")
while True: time.sleep(0.05)
"""
    supervisor = supervise(program, 3)
    for _ in range(3):
        supervisor.wait_for("alive")


def test_a_strangers_orphan_is_reaped_too(supervise):
    """As PID 1 the supervisor inherits every orphan; here it is made a reaper of its own."""
    program = """
on_term()
if not os.fork():
    if not os.fork():
        say("orphan", os.getpid())
    os._exit(0)
os.wait()
while True: time.sleep(0.05)
"""
    supervisor = supervise(program, 1, before="import ctypes; assert not ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER")
    pid = int(supervisor.wait_for("orphan"))
    assert gone(pid)
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0


def test_a_restarted_process_that_cannot_use_its_settings_does_not_end_the_others(supervise, tmp_path):
    supervisor = supervise(
        f"""
lives = "{tmp_path}/lives"
with open(lives, "a") as file:
    file.write("x")
if os.path.getsize(lives) == 1:
    os._exit(1)
if os.path.getsize(lives) == 2:
    raise SettingError("BRIDGE_TLS_CERT", "is bad for a moment")
on_term()
say("serving", place)
time.sleep(60)
""",
        number=1,
    )
    supervisor.wait_for("serving")
    supervisor.process.send_signal(signal.SIGTERM)
    assert supervisor.end()[0] == 0


TURNS = "on_term()\nwhile True:\n    turn(place)\n    time.sleep(0.01)"


def test_one_whose_loop_does_not_turn_is_killed_and_replaced_and_the_other_one_lives_on(supervise):
    supervisor = supervise(TURNS, hung="1, 60")
    pids = supervisor.started(2)
    os.kill(pids[1], signal.SIGSTOP)
    assert set(supervisor.started(1)) == {1}
    lines = [json.loads(line) for line in supervisor.seen if line.startswith("{")]
    assert [(line["event"], line["process"], line.get("status")) for line in lines] == [("process_hung", 1, None), ("process_died", 1, -9)]
    assert gone(pids[1])
    os.kill(pids[0], 0)
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0


def test_one_that_never_turns_is_killed_as_long_after_its_start(supervise):
    supervisor = supervise(STAYS, 1, hung="0.5, 60")
    start = time.monotonic()
    supervisor.started(1)
    supervisor.started(1)
    assert time.monotonic() - start > 0.4


def test_when_the_parent_was_stopped_too_the_children_get_their_time_to_turn(supervise):
    """After a paused container or a laptop's sleep no process has hung."""
    supervisor = supervise(TURNS, hung="4, 1")
    pids = supervisor.started(2)
    everybody = [supervisor.process.pid, *pids.values()]
    time.sleep(0.2)
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(supervisor.process.pid, signal.SIGCONT)
    time.sleep(0.5)  # in which the parent looks at children that are still stopped
    for pid in pids.values():
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0
    assert not [line for line in supervisor.seen if line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGIO, signal.SIGRTMIN + 1])
def test_a_signal_that_means_nothing_is_logged_and_ends_nobody(supervise, number):
    supervisor = supervise(STAYS, 1)
    pids = supervisor.started(1)
    supervisor.process.send_signal(number)
    line = json.loads("{" + supervisor.wait_for("{"))
    assert (line["event"], line["level"], line["signal"]) == ("signal_ignored", "info", number)
    os.kill(pids[0], 0)
    supervisor.process.terminate()
    assert supervisor.end()[0] == 0
