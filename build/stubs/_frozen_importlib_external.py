# Modules from files: there are none. What CPython's start asks for, and each module's own before its code runs.
def _install(bootstrap):
    pass


def _get_cached(filename):
    return None


def _fix_up_module(ns, name, pathname, cpathname=None):
    ns["__file__"], ns["__cached__"] = pathname, cpathname
