"""The log can't be written, and deliveries go on. Every delivery has a line here (BRIDGE_LOG_LEVEL=debug), so the log is long."""

import contextlib
import fcntl
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import settings_for
from tests.fault.load import Load
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import UNDER_TEST

pytestmark = [pytest.mark.quick, pytest.mark.skipif(UNDER_TEST == "image", reason="podman holds the container's log")]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def settings(sns, broker, queue):
    return settings_for(sns, broker.url, queue) | {"BRIDGE_LOG_LEVEL": "debug"}


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk has to be mounted, which needs root")
def test_the_disk_is_full(broker, queue, sns, folder, record):
    with small_disk(folder / "disk") as disk, open(disk / "log", "ab") as log:
        with Wrapped(log=log, **settings(sns, broker, queue)) as bridge:
            with Load(sns, bridge.endpoint()) as load:
                load.wait_for_sent(300)
                load.over()
            assert os.statvfs(disk).f_bavail == 0, "the disk never got full"
        assert b'"published"' in (disk / "log").read_bytes()
    record("log: disk full", load, broker.take(queue))
    assert load.statuses() == {200, 403}
    assert load.worst() < 5


def pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


@pytest.mark.parametrize("fault", ["blocked", "closed"])
def test_the_pipe_is(fault, broker, queue, sns, record):
    reader, writer = pipe()
    try:
        with Wrapped(log=writer, **settings(sns, broker, queue)) as bridge, Load(sns, bridge.endpoint()) as load:
            load.wait_for_sent(300)
            if fault == "closed":
                os.close(reader)
            load.over()
        record(f"log: pipe {fault}", load, broker.take(queue))
    finally:
        os.close(writer)
        if fault == "blocked":
            os.close(reader)
    assert load.statuses() == {200, 403}
    assert load.worst() < 5


def test_the_pipe_is_read_again(broker, queue, sns, record):
    """The file has whole lines up to the full disk, and the log goes on."""
    reader, writer = pipe()
    lines = []
    with Wrapped(log=writer, **settings(sns, broker, queue)) as bridge, os.fdopen(reader, encoding="utf-8") as log:
        os.close(writer)
        with Load(sns, bridge.endpoint()) as load:
            load.wait_for_sent(400)
            thread = threading.Thread(target=lambda: lines.extend(log), daemon=True)
            thread.start()
            load.wait_for_sent(400)
        bridge.stop()
        thread.join(10)
    events = [json.loads(line)["event"] for line in lines]
    assert events[0] != "stopped"
    assert events[-1] == "stopped"
    record("log: pipe blocked, read again", load, broker.take(queue))
    assert load.statuses() == {200, 403}
