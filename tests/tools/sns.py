"""See bridge/simulate/sns.py."""

from bridge.simulate.sns import *  # noqa: F403
