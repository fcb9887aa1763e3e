"""Something that is done again and again beside a test, by a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(every: float, call: Callable[[], object]) -> Iterator[None]:
    """Call it each `every` seconds, for the first time after one, until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
