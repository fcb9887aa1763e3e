"""What unit tests put in the place of the clock and of the network."""


class Clock:
    """Unix seconds, which a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class NoNetwork:
    """Egress's interface. A fetch fails the test."""

    def get(self, url: str, *_: object) -> None:
        raise AssertionError(f"{url} was fetched")
