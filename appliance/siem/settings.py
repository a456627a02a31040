"""Where the stream goes: `[[siem]]` in the settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.siem.formats import Format

_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Address = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


class TlsSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tls", tag_field="kind"):
    """A collector of syslog over TLS (RFC 5425). Its certificate is always checked."""

    name: _Name
    address: _Address
    ca_file: Path | None = None  # None: the authorities of the operating system
    certificate_file: Path | None = None  # with its key, where the collector asks for one
    certificate_key_file: Path | None = None
    format: Format = Format.CEF


class TcpSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tcp", tag_field="kind"):
    """A forwarder on this machine that takes syslog without TLS (RFC 6587, octet counting)."""

    name: _Name
    address: _Address
    format: Format = Format.CEF


class FileSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="file", tag_field="kind"):
    """A file that an agent on this machine reads: a line a record."""

    name: _Name
    path: Path
    format: Format = Format.JSON


SinkSettings = TlsSink | TcpSink | FileSink


def problems_of_sinks(sinks: Sequence[SinkSettings]) -> list[str]:
    """What is wrong with them, in Russian."""
    counts = Counter(each.name for each in sinks)
    found = [f"`siem`: имя `{name}` названо дважды" for name, count in counts.items() if count > 1]
    for each in sinks:
        if isinstance(each, TcpSink) and each.address.rpartition(":")[0] not in _LOOPBACK:
            found.append(f'`siem` `{each.name}`: без TLS — только на эту машину (127.0.0.1); для сети `kind = "tls"`')
        if isinstance(each, TlsSink):
            named = each.ca_file, each.certificate_file, each.certificate_key_file
            found += [
                f"`siem` `{each.name}`: файла `{path}` нет" for path in named if path is not None and not path.is_file()
            ]
            if (each.certificate_file is None) != (each.certificate_key_file is None):
                found.append(f"`siem` `{each.name}`: сертификат и его ключ указываются вместе")
    return found


def host_and_port(address: str) -> tuple[str, int]:
    """The two halves of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
