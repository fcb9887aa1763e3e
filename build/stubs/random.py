# The kernel's numbers in place of the Mersenne Twister; no seed, so nothing can be repeated.
import os


def getrandbits(k):
    return int.from_bytes(os.urandom((k + 7) // 8), "big") >> -k % 8


def random():
    return getrandbits(53) / (1 << 53)


def uniform(a, b):
    return a + (b - a) * random()


def randrange(start, stop=None):
    start, stop = (0, start) if stop is None else (start, stop)
    if stop <= start:
        raise ValueError("empty range for randrange()")
    return start + getrandbits((stop - start).bit_length() + 64) % (stop - start)


def randint(a, b):
    return randrange(a, b + 1)


def choice(sequence):
    return sequence[randrange(len(sequence))]


def shuffle(items):
    for at in range(len(items) - 1, 0, -1):
        other = randrange(at + 1)
        items[at], items[other] = items[other], items[at]
