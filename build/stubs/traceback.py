# Names of files and functions; lines are not in the binary. The innermost call comes last, as in Python's own.
import sys


def walk_tb(tb):
    while tb is not None:
        yield tb.tb_frame, -1
        tb = tb.tb_next


def format_tb(tb, limit=None):
    return [f'  File "{f.f_code.co_filename}", in {f.f_code.co_qualname}\n' for f, _ in walk_tb(tb)][:limit]


def format_exception_only(exc, value=None):
    exc = exc if isinstance(exc, BaseException) else value
    text = str(exc)
    return [type(exc).__qualname__ + (": " + text if text else "") + "\n"]


def format_exception(exc, value=None, tb=None, limit=None, chain=True):
    exc = exc if isinstance(exc, BaseException) else value
    if exc is None:
        return ["NoneType: None\n"]
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    lines = format_exception(before) if chain and before is not None else []
    return [*lines, "Traceback (most recent call last):\n", *format_tb(exc.__traceback__, limit), *format_exception_only(exc)]


def format_exc(limit=None, chain=True):
    return "".join(format_exception(sys.exception(), limit=limit, chain=chain))


def print_exception(exc, value=None, tb=None, limit=None, file=None, chain=True):
    (file or sys.stderr).write("".join(format_exception(exc, value, tb, limit, chain)))


def print_exc(limit=None, file=None, chain=True):
    print_exception(sys.exception(), limit=limit, file=file, chain=chain)
