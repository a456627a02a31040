"""Every place that settings lead connections to: what an egress broker's list, or a firewall's, has to allow, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from appliance.kek import VaultKek
from appliance.settings import Settings
from appliance.siem import TcpSink, TlsSink, host_and_port
from appliance.witnessing import C2spSettings, TsaSettings
from providers import Place, is_private_host, place_of, places_of


class Destination(msgspec.Struct, frozen=True):
    """A place, and for whose sake. `local`: it must be within the company; `who` is for people, in Russian."""

    host: str
    port: int
    tls: bool
    local: bool
    who: str


def destinations(settings: Settings) -> list[Destination]:
    """All of them, each place once, in the order of the settings. Of settings without problems."""
    found: dict[tuple[str, int], Destination] = {}
    for place, who in _all(settings):
        host = place.host.lower().rstrip(".")
        local = place.inside or is_private_host(host) or host in settings.egress.inside
        before = found.get((host, place.port))
        if before is None:
            found[host, place.port] = Destination(host, place.port, place.tls, local, who)
        else:  # asked for twice, the stricter of both holds
            both = Destination(host, place.port, before.tls or place.tls, before.local or local, f"{before.who}, {who}")
            found[host, place.port] = both
    return list(found.values())


def _all(settings: Settings) -> Iterator[tuple[Place, str]]:
    for provider in settings.providers:
        for place in places_of(provider):
            yield place, f"поставщик {provider.name}"
    for witness in settings.audit.witnesses:
        if isinstance(witness, C2spSettings | TsaSettings):
            yield place_of(witness.url, inside=False), "свидетель журнала"
    for sink in settings.siem:
        if isinstance(sink, TlsSink | TcpSink):
            host, port = host_and_port(sink.address)
            yield Place(host, port, isinstance(sink, TlsSink), inside=False), f"приёмник {sink.name}"
    if isinstance(settings.audit.kek, VaultKek):
        yield place_of(settings.audit.kek.address, inside=False), "Vault"
