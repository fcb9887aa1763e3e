"""Loopback ports and waiting with a deadline: what every tool here needs."""

import os
import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on now, below the range that outgoing connections take theirs from.

    This process gets each port once: a broker that was stopped comes back to its own.
    """
    for port in _candidates():
        if port in _given:
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def _candidates() -> list[int]:
    # Random, not counted up: several test runs can go on at once. Each of pytest-xdist's workers has ports of its own, because
    # a port is free until the program that it is meant for has started.
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    return random.SystemRandom().sample(range(20000 + int(worker[2:]), 32000, int(workers)), 200)


def wait_for(what: str, seen: Callable[[], T], seconds: float = 10, every: float = 0.02) -> T:
    """Return the first true value of seen(), or fail saying what did not come in time."""
    end = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not seen within {seconds} s")
        time.sleep(every)


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
