# No modules come from files. These are the names that CPython's start, and each module before its code runs, asks for.
def _install(bootstrap):
    pass


def _get_cached(filename):
    return None


def _fix_up_module(ns, name, pathname, cpathname=None):
    ns["__file__"], ns["__cached__"] = pathname, cpathname
