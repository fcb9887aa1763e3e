"""See bridge/simulate/delivery.py."""

from bridge.simulate.delivery import *  # noqa: F403
