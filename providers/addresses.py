"""Which hosts are inside the company: the rule behind plain HTTP and behind the residency `local`."""

import asyncio
import socket
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

# RFC 1122 loopback, RFC 1918 private, RFC 3927 and RFC 4291 link-local, RFC 4193 unique local.
# Left out on purpose: 100.64/10 (a carrier's, not ours) and the documentation and benchmark ranges.
PRIVATE_NETWORKS: Final = tuple(
    IPv6Network(block) if ":" in block else IPv4Network(block)
    for block in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

# Suffixes that no public registry delegates: RFC 6761, RFC 6762, RFC 8375, ICANN's resolution of 2024-07-29.
PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".home.arpa", ".internal")


def is_private_host(host: str) -> bool:
    """An address of PRIVATE_NETWORKS, a name without a dot, or a name under PRIVATE_SUFFIXES.

    A name only promises: PrivateResolver checks what it resolves to, at every connection.
    """
    host = host.lower().rstrip(".")
    if ":" in host or host.replace(".", "").isdigit():
        # The client takes all of these for addresses and asks no resolver: "134744072" would be 8.8.8.8.
        return _is_address(host) and is_private_address(host)
    return bool(host) and ("." not in host or host.endswith(PRIVATE_SUFFIXES))


def is_private_address(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in PRIVATE_NETWORKS)


class PrivateResolver(AbstractResolver):
    """Resolves names as the system does and refuses the whole answer when one address is outside PRIVATE_NETWORKS.

    INVARIANT: a connection to a `local` route, or over plain HTTP, ends inside the company's network,
    whatever its name server says today.
    """

    def __init__(self) -> None:
        self._system = ThreadedResolver(loop=asyncio.get_running_loop())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if not all(is_private_address(result["host"]) for result in found):
            raise OSError("a name that must be inside the company resolves to an outside address")
        return found

    async def close(self) -> None:
        await self._system.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
