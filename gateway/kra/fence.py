"""Which addresses a session may connect to, whatever a name resolves to: a harmless name may change its mind."""

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as in `10.0.0.0/8`. Raises ValueError for what is none."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())


def is_inside(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address in digits lies in one of the networks. Raises ValueError for a name."""
    read = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(read, ipaddress.IPv6Address) and read.ipv4_mapped is not None:
        read = read.ipv4_mapped
    return any(read.version == network.version and read in network for network in networks)


class FencedResolver(AbstractResolver):
    """Resolves names to addresses inside the networks, and to nothing else. Addresses in digits never come here."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        inside = [one for one in found if is_inside(one["host"], self._networks)]
        if not inside:
            raise OSError(None, f"{host} is at no address where a VSCU may be reached")
        return inside

    async def close(self) -> None:
        await self._resolver.close()
