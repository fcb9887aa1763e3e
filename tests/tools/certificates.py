"""See bridge/simulate/certificates.py."""

from bridge.simulate.certificates import *  # noqa: F403
