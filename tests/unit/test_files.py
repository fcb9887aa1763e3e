"""Followed files: new contents are used; contents that can't be used are tried until they can, and logged once."""

import json
import os
import time

import pytest

from bridge.errors import SettingError
from bridge.files import MAX_FILE, SETTLED, FollowedFiles
from bridge.log import Log


class Followed:
    """Two files that are followed, what was used of them, and what was logged."""

    def __init__(self, folder):
        self.one, self.two, self.log_file = folder / "one", folder / "two", folder / "log"
        self.used = []
        self.refuse = ""
        self.one.write_bytes(b"1")
        self.two.write_bytes(b"2")
        log = Log(fd=os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        self.files = FollowedFiles("things", {"BRIDGE_ONE": str(self.one), "BRIDGE_NONE": "", "BRIDGE_TWO": str(self.two)}, self.use, log)

    def use(self, contents):
        if self.refuse:
            raise SettingError("BRIDGE_ONE", self.refuse)
        self.used.append((contents["BRIDGE_ONE"], contents["BRIDGE_TWO"]))

    @property
    def log(self):
        return [(line["event"], line["explanation"]) for line in map(json.loads, self.log_file.read_text().splitlines())]


@pytest.fixture
def followed(tmp_path):
    followed = Followed(tmp_path)
    assert followed.files.read()
    assert followed.used == [(b"1", b"2")]
    return followed


def test_without_a_file_nothing_is_used():
    files = FollowedFiles("things", {"BRIDGE_ONE": ""}, lambda contents: pytest.fail("used"), Log())
    assert not files.read()
    files.follow()


def test_the_first_read_says_which_setting_is_at_fault(tmp_path):
    files = FollowedFiles("things", {"BRIDGE_ONE": str(tmp_path / "none")}, lambda contents: None, Log())
    with pytest.raises(SettingError, match=r"^BRIDGE_ONE: .*/none can't be read: No such file"):
        files.read()


def test_what_has_changed_is_used_once_and_logged(followed):
    for _ in range(3):
        followed.files.follow()
    assert followed.used == [(b"1", b"2")] and not followed.log
    followed.two.write_bytes(b"3")
    for _ in range(3):
        followed.files.follow()
    assert followed.used == [(b"1", b"2"), (b"1", b"3")]
    assert followed.log == [("things_read", "BRIDGE_ONE and BRIDGE_TWO changed; the new content is in use")]


@pytest.mark.parametrize("times", ["kept", "forged"])
def test_a_change_within_a_tick_of_the_clock_and_of_the_same_size_is_seen(followed, times):
    before = followed.one.stat()
    followed.one.write_bytes(b"x")
    if times == "kept":
        os.utime(followed.one, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        os.utime(followed.one, ns=(0, 0))
    followed.files.follow()
    assert followed.used[-1] == (b"x", b"2")


def test_a_change_that_leaves_the_contents_is_no_change(followed):
    os.utime(followed.one)
    fresh = followed.two.with_name("fresh")
    fresh.write_bytes(b"2")
    os.replace(fresh, followed.two)
    followed.files.follow()
    assert len(followed.used) == 1 and not followed.log


def test_files_that_rest_are_not_read_again_and_again(followed, monkeypatch):
    later = time.time() + SETTLED + 1
    monkeypatch.setattr("bridge.files.time", lambda: later)
    followed.files.follow()
    monkeypatch.setattr("bridge.files.content", lambda *_: pytest.fail("read"))
    followed.files.follow()


def test_a_file_that_is_gone_for_a_while_is_complained_about_once_and_used_when_it_is_back(followed):
    followed.one.unlink()
    for _ in range(3):
        followed.files.follow()
    assert [event for event, _ in followed.log] == ["things_unusable"]
    assert "No such file" in followed.log[0][1]
    followed.one.write_bytes(b"back")
    followed.files.follow()
    assert followed.used[-1] == (b"back", b"2")
    followed.one.unlink()
    followed.files.follow()
    assert [event for event, _ in followed.log] == ["things_unusable", "things_read", "things_unusable"]


def test_what_could_not_be_used_is_tried_again_though_no_file_has_changed(followed, monkeypatch):
    later = time.time() + SETTLED + 1
    monkeypatch.setattr("bridge.files.time", lambda: later)
    followed.one.write_bytes(b"new")
    followed.refuse = "no descriptors"
    for _ in range(3):
        followed.files.follow()
    followed.refuse = "half of it"
    followed.files.follow()
    followed.refuse = "no descriptors"
    followed.files.follow()
    assert len(followed.used) == 1
    assert followed.log == [("things_unusable", "BRIDGE_ONE: no descriptors"), ("things_unusable", "BRIDGE_ONE: half of it")]
    followed.refuse = ""
    followed.files.follow()
    assert followed.used[-1] == (b"new", b"2")


def test_a_file_without_an_end_is_refused(followed):
    with open(followed.one, "wb") as file:
        file.truncate(MAX_FILE + 1)
    followed.files.follow()
    assert len(followed.used) == 1 and "more than" in followed.log[0][1]


def test_a_pipe_is_read_once():
    reader, writer = os.pipe()
    used = []
    os.write(writer, b"sns:secret\n")
    os.close(writer)
    try:
        files = FollowedFiles("things", {"BRIDGE_ONE": f"/dev/fd/{reader}"}, used.append, Log())
        assert files.read()
        files.follow()
        assert used == [{"BRIDGE_ONE": b"sns:secret\n"}]
    finally:
        os.close(reader)
