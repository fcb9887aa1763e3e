# What was here in Python is in the C half.
from _stat import *  # noqa: F403
