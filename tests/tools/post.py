"""See bridge/simulate/post.py."""

from bridge.simulate.post import *  # noqa: F403
