# Nuitka's start-up replaces some of these by versions that know compiled functions; nothing else asks.
import types

CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR = 128, 32, 256, 512
GEN_CREATED, GEN_RUNNING, GEN_SUSPENDED, GEN_CLOSED = "GEN_CREATED", "GEN_RUNNING", "GEN_SUSPENDED", "GEN_CLOSED"
CORO_CREATED, CORO_RUNNING, CORO_SUSPENDED, CORO_CLOSED = "CORO_CREATED", "CORO_RUNNING", "CORO_SUSPENDED", "CORO_CLOSED"


def isfunction(thing):
    return isinstance(thing, types.FunctionType)


def iscoroutinefunction(thing):
    return isfunction(thing) and bool(thing.__code__.co_flags & CO_COROUTINE)


def getgeneratorstate(generator):
    if generator.gi_running:
        return GEN_RUNNING
    return GEN_SUSPENDED if generator.gi_frame is not None else GEN_CLOSED


def getcoroutinestate(coroutine):
    if coroutine.cr_running:
        return CORO_RUNNING
    return CORO_SUSPENDED if coroutine.cr_frame is not None else CORO_CLOSED


def _get_code_position(code, instruction_index):
    return None, None, None, None
