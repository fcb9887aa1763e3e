# The names by which pika tells the broker, and requests the server, about its client.
import os
import sys


def python_version():
    return "{}.{}.{}".format(*sys.version_info)


def python_implementation():
    return "CPython"


def system():
    return os.uname().sysname


def release():
    return os.uname().release
