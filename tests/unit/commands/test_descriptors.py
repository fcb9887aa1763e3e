"""How many connections, and how many that wait for a TLS handshake, the limit on open files allows."""

import resource
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.commands import serve
from bridge.http.arrivals import FEWEST, MOST

OTHERS = serve.RESERVE


@pytest.mark.parametrize(
    ("tls", "hard", "expected", "raised"),
    [
        ("", 1 << 20, 1000, 1000 + OTHERS),
        ("cert", 1 << 20, (1000, MOST), 1000 + OTHERS + MOST),
        ("cert", resource.RLIM_INFINITY, (1000, MOST), 1000 + OTHERS + MOST),
        ("cert", 4096, (1000, 4096 - 1000 - OTHERS), 4096),
        ("cert", 1000 + OTHERS + FEWEST, (1000, FEWEST), 1000 + OTHERS + FEWEST),
        ("cert", 512, (512 - OTHERS - FEWEST, FEWEST), 512),
        ("", 512, 512 - OTHERS, 512),
    ],
)
def test_the_limit_is_raised_and_where_it_is_too_low_fewer_wait_and_then_fewer_connect(monkeypatch, tls, hard, expected, raised):
    limits, warned = [(256, hard)], []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limit: limits.append(limit))
    config: Any = SimpleNamespace(max_connections=1000, tls_cert=tls, sqs_queues=[])
    log: Any = SimpleNamespace(warning=lambda *words, **_more: warned.append(words[0]))
    connections, waiting = serve.descriptors(config, log)
    assert ((connections, waiting) if tls else connections) == expected
    assert limits[-1] == (raised, hard) and warned == (["few_descriptors"] if hard == 512 else [])


def test_without_a_limit_nothing_is_raised(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    config: Any = SimpleNamespace(max_connections=1000, tls_cert="cert", sqs_queues=[])
    assert serve.descriptors(config, None) == (1000, MOST)
