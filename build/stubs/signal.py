# Signals are the numbers that the C half gives and takes.
from _signal import *  # noqa: F403
