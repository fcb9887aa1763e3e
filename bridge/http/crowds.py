"""The number of connections by network: a client's IPv4 address, or the /64 of its IPv6 address, which one client has to itself."""

import socket

FEW = 16  # connections; networks that have fewer are alike


class Crowds(dict[str, int]):
    """Connections by the network that they come from. A network without one has no entry."""

    def add(self, network: str) -> None:
        """Count one more."""
        self[network] = self.get(network, 0) + 1

    def remove(self, network: str) -> None:
        """Count one less."""
        left = self[network] - 1
        if left:
            self[network] = left
        else:
            del self[network]

    def level(self, network: str) -> int:
        """Return 0 for a network with fewer than FEW, 1 with fewer than twice FEW, 2 with fewer than four times FEW, and so on."""
        return (self.get(network, 0) // FEW).bit_length()

    def largest(self) -> str:
        """Return the network that has most; there must be one."""
        return max(self, key=self.__getitem__)

    def elsewhere(self, network: str) -> bool:
        """Tell whether another network has connections."""
        return len(self) > (network in self)


def network_of(host: str) -> str:
    """Return the network of an address as getpeername(2) gives it. An IPv4 client of an IPv6 socket is ::ffff:192.0.2.1 there."""
    if ":" not in host or host.startswith("::ffff:"):
        return host
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8].hex()
