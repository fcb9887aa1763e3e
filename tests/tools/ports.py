"""Loopback ports and waiting with a deadline: what every tool here needs."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
BLOCK = 50  # ports that a process claims at a time


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on now, below the range that outgoing connections take theirs from.

    Nobody else who calls this on the machine gets it while this process lives: a port is free until the program that it is meant for has
    started, and a broker that was stopped comes back to its own.
    """
    for port in _ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def _claimed() -> Iterator[int]:
    """Yield ports of blocks that this process has claimed. A claim is a name of a Unix socket without a file: it ends with the process."""
    blocks = list(range(20000, 32000, BLOCK))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0ports {first} of the bridge's tests")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        yield from range(first, first + BLOCK)


_claims: list[socket.socket] = []
_ports = _claimed()


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
