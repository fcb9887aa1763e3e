# The part of os that the binary uses: POSIX's calls, the environment and its encoding as text.
import abc
import posixpath as path
import sys
from _collections_abc import MutableMapping, _check_methods
from posix import *  # noqa: F403
from posix import _exit as _exit
from posix import environ as _inherited

sys.modules["os.path"] = path
from os.path import altsep, curdir, defpath, devnull, extsep, pardir, pathsep, sep  # noqa: E402, F401

name, linesep, error = "posix", "\n", OSError
SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2


def fsencode(filename):
    filename = fspath(filename)  # noqa: F405
    return filename if isinstance(filename, bytes) else filename.encode(sys.getfilesystemencoding(), "surrogateescape")


def fsdecode(filename):
    filename = fspath(filename)  # noqa: F405
    return filename if isinstance(filename, str) else filename.decode(sys.getfilesystemencoding(), "surrogateescape")


class _Environ(MutableMapping):
    """Names and values as text; what is set here is what a program that is started inherits."""

    def __init__(self, inherited):
        self._bytes = inherited

    def __getitem__(self, key):
        try:
            return fsdecode(self._bytes[fsencode(key)])
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key, value):
        key, value = fsencode(key), fsencode(value)
        putenv(key, value)  # noqa: F405
        self._bytes[key] = value

    def __delitem__(self, key):
        unsetenv(fsencode(key))  # noqa: F405
        try:
            del self._bytes[fsencode(key)]
        except KeyError:
            raise KeyError(key) from None

    def __iter__(self):
        return map(fsdecode, list(self._bytes))

    def __len__(self):
        return len(self._bytes)

    def copy(self):
        return dict(self)


environ = _Environ(_inherited)
getenv = environ.get


class PathLike(abc.ABC):
    @abc.abstractmethod
    def __fspath__(self):
        raise NotImplementedError

    @classmethod
    def __subclasshook__(cls, subclass):
        return _check_methods(subclass, "__fspath__") if cls is PathLike else NotImplemented
