"""Test runs go on side by side: no two of their processes get the same port."""

import subprocess
import sys

from tests.tools.bridge import ROOT
from tests.tools.ports import BLOCK, free_port

ASKS = f"""
from tests.tools.ports import free_port
print(*(free_port() for _ in range({2 * BLOCK})), flush=True)
input()
"""


def test_no_two_processes_get_the_same_port():
    others = [
        subprocess.Popen([sys.executable, "-c", ASKS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    try:
        ports = [free_port() for _ in range(2 * BLOCK)]
        for other in others:
            assert other.stdout is not None
            ports += [int(word) for word in other.stdout.readline().split()]
    finally:
        for other in others:
            other.communicate("\n", timeout=10)
    assert len(ports) == len(set(ports)) == 8 * BLOCK
