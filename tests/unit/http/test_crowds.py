"""Whose connections are whose: the network of an address, and how many connections it has."""

import pytest

from bridge.http.crowds import FEW, Crowds, network_of


def test_an_ipv4_address_is_a_network_of_its_own():
    assert network_of("192.0.2.1") != network_of("192.0.2.2")


def test_an_ipv4_client_of_an_ipv6_socket_too():
    """All of IPv4 lies in one /64 there."""
    assert network_of("::ffff:192.0.2.1") != network_of("::ffff:192.0.2.2")


@pytest.mark.parametrize("other", ["2001:db8:1:2::2", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::1%eth0"])
def test_of_ipv6_a_64_is_one(other):
    """One client has 2 to the 64 addresses."""
    assert network_of("2001:db8:1:2::1") == network_of(other)


@pytest.mark.parametrize("other", ["2001:db8:1:3::1", "2001:db8::1", "::1"])
def test_of_ipv6_two_64_are_two(other):
    assert network_of("2001:db8:1:2::1") != network_of(other)


def test_a_network_without_connections_has_no_entry():
    crowds = Crowds()
    for _ in range(3):
        crowds.add("a")
    for _ in range(3):
        assert crowds
        crowds.remove("a")
    assert not crowds


def test_networks_that_have_few_are_alike_and_so_are_those_that_have_about_as_many():
    crowds = Crowds(a=1, b=FEW - 1, c=FEW, d=2 * FEW - 1, e=2 * FEW, f=60 * FEW)
    assert [crowds.level(network) for network in "zabcdef"] == [0, 0, 0, 1, 1, 2, 6]


def test_whether_there_are_some_elsewhere():
    assert not Crowds().elsewhere("a") and not Crowds(a=5).elsewhere("a")
    assert Crowds(b=1).elsewhere("a") and Crowds(a=5, b=1).elsewhere("a")
