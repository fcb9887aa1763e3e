"""`bridge check`: what it makes of the version that a broker tells."""

from types import SimpleNamespace

import pytest

from bridge.commands.check import _BrokerCheck


@pytest.mark.parametrize(
    ("told", "version"),
    [("4.3.6", (4, 3)), ("3.10.8+deb", (3, 10)), ("4.2-rc.1", (4,)), ("", ()), ("dev", ()), ("\u00b2.\u00b9", ()), (b"4.3", ())],
)
def test_a_version_is_read_as_far_as_it_is_numbers(told, version):
    link = SimpleNamespace(connection=SimpleNamespace(server_properties={"version": told}))
    assert _BrokerCheck._version(link) == version
