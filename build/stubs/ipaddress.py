# Addresses by the C library's own parser. Networks are not in the binary: the bridge compares addresses as bytes.
import socket


class AddressValueError(ValueError):
    pass


class _Address:
    def __init__(self, address):
        try:
            if not isinstance(address, bytes):
                text, zone, _ = str(address).partition("%")
                address = socket.inet_pton(self.family, text) if self.size == 16 or not zone else b""
        except OSError:
            address = b""
        if len(address) != self.size:
            raise AddressValueError(address)
        self.packed = address

    def __str__(self):
        return socket.inet_ntop(self.family, self.packed)

    def __eq__(self, other):
        return type(self) is type(other) and self.packed == other.packed

    def __hash__(self):
        return hash(self.packed)


class IPv4Address(_Address):
    version, family, size = 4, socket.AF_INET, 4


class IPv6Address(_Address):
    version, family, size = 6, socket.AF_INET6, 16


def ip_address(address):
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(address)
        except AddressValueError:
            pass
    raise ValueError(f"{address!r} does not appear to be an IPv4 or IPv6 address")
