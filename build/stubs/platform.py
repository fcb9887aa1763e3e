# What pika tells the broker of its client, and requests the server.
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
