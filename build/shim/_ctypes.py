"""The C half of the stand-in for ctypes: nothing."""
