"""Stands in for ctypes while Nuitka runs: the static interpreter has no libffi, and on Linux only sizes are asked for."""

_SIZES = {
    "c_bool": 1,
    "c_char": 1,
    "c_short": 2,
    "c_int": 4,
    "c_uint": 4,
    "c_long": 8,
    "c_ulong": 8,
    "c_longlong": 8,
    "c_ulonglong": 8,
    "c_float": 4,
    "c_double": 8,
    "c_size_t": 8,
    "c_ssize_t": 8,
    "c_void_p": 8,
    "c_wchar": 4,
}


class _Type(type):
    size = 0

    def __mul__(cls, length):
        return cls


class _Value(metaclass=_Type):
    size = 0

    def __init__(self, *args, **kwargs):
        pass


class Structure(_Value):
    pass


class Union(_Value):
    pass


def sizeof(kind):
    return kind.size


def byref(value):
    return value


class _Function:
    def __call__(self, *args):
        return -1


class CDLL:
    """A library all of whose functions fail: Nuitka asks for performance counters, and copes."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        return _Function()


class _PythonAPI:
    def __getattr__(self, name):
        raise AttributeError(name)


pythonapi = _PythonAPI()


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Type(name, (_Value,), {"size": _SIZES.get(name, 0)})
