# The libraries' log goes nowhere: the bridge writes its own, one line an event (bridge/log.py).
CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET = 50, 40, 30, 20, 10, 0


class Handler:
    def __init__(self, *args):
        pass

    setFormatter = setLevel = __init__


class NullHandler(Handler):
    pass


class StreamHandler(Handler):
    pass


class Formatter(Handler):
    pass


class Logger:
    def __init__(self, name):
        self.name = name

    def isEnabledFor(self, level):
        return False

    def log(self, *args, **kwargs):
        pass

    debug = info = warning = error = exception = critical = addHandler = setLevel = log


_loggers = {}


def getLogger(name="root"):
    if name not in _loggers:
        _loggers[name] = Logger(name)
    return _loggers[name]
