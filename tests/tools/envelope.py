"""See bridge/simulate/envelope.py."""

from bridge.simulate.envelope import *  # noqa: F403
