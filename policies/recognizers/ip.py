"""Internet addresses that can be somebody's: IPv4 and IPv6, but no versions, masks, loopback or servers that everybody knows."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(lower: str) -> Iterator[Finding]:
    """Addresses in a folded, lower-case text."""
    for match in _FOUR.finditer(lower):
        if _is_somebodys(match, lower):
            named = _nearest(lower[max(0, match.start() - _BEFORE) : match.start()])
            # «2.1.3.1» with nothing said about it is a section's number.
            if named == "address" or (
                named is None and (match[0].startswith("10.") or max(map(int, match[0].split("."))) > 31)
            ):
                yield Finding(*match.span(), Entity.IP, LABELLED if named else UNMISTAKABLE)
    for match in _SIX.finditer(lower):
        if _is_version_six(match[0]):
            yield Finding(*match.span(), Entity.IP, LABELLED)


_BEFORE = 40
_FOUR = re.compile(r"(?<![0-9a-z_.])(?<![0-9][,:-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9a-z_]|\.[0-9])")
# The first group of an address in use: global, local or of one link. «std::string» and times of day do not begin so.
_SIX = re.compile(
    r"(?<![0-9a-z:.])(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{0,4}){2,7}(?![0-9a-z])"
)
_WORDS = re.compile(
    r"(?<![a-zа-яё])(?:(?P<address>ip\w*|айпи\w*|ип|адрес\w*|host\w*|хост\w*|addr\w*|remote\w*|client\w*|сервер\w*"
    r"|server\w*|шлюз\w*|gateway|src|dst|ping|пинг\w*|tracert|ssh|rdp|telnet|curl|vpn|впн|from|to|с|на|peer)"
    r"|(?P<other>верси\w*|version|ver|v|build\w*|сборк\w*|релиз\w*|release|прошивк\w*|firmware"
    r"|обновлени\w*|окпд\w*|оквэд\w*"
    r"|кбк|код\w{0,2}|пункт\w*|раздел\w*|гост|windows|chrome|firefox|драйвер\w*|driver|маск\w*|mask|netmask|dns|днс"
    r"|section|sec|chapter|rfc|статьи?|приложени\w*|платформ\w*|1с|1c|(?:nginx|apache|postgres\w*|python|java"
    r"|node|npm|pip|php|mysql|docker|kernel|gcc|django)(?=[ /v-]{1,3}$)|ядр\w|обнов\w*|установил\w*"
    r"|скачал\w*))(?![a-zа-яё])"
)
_PINNED = frozenset({"==", ">=", "<=", "~="})  # a package's version
_NOBODYS = frozenset(
    {"169.254.169.254", "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "77.88.8.8", "77.88.8.1"}
)


def _is_somebodys(match: re.Match[str], lower: str) -> bool:
    written = match[0]
    octets = written.split(".")
    if any(int(octet) > 255 or (len(octet) > 1 and octet[0] == "0") for octet in octets) or written in _NOBODYS:
        return False
    first = int(octets[0])
    # This host, loopback, multicast and masks; «…0/24» is a network; «chrome/120.0.0.0» a product's version.
    if first in {0, 127} or first >= 224 or octets[1:] == ["0", "0", "0"]:
        return False
    if lower[max(0, match.start() - 2) : match.start()] in _PINNED:
        return False
    if octets[3] == "0" and lower[match.end() : match.end() + 1] == "/":
        return False
    before = lower[max(0, match.start() - 2) : match.start()]
    return not (before.endswith("/") and before[:1].isalpha())


def _nearest(before: str) -> str | None:
    nearest = None
    for match in _WORDS.finditer(before):
        nearest = match
    return nearest.lastgroup if nearest else None


def _is_version_six(written: str) -> bool:
    try:
        address = ipaddress.IPv6Address(written)
    except ValueError:
        return False
    return not address.is_multicast and not written.endswith("::")


EXAMPLES = (
    Example("nginx access: 95.31.18.119 - petrov_n [12/Jun/2026:08:14:03]", ("95.31.18.119",)),
    Example("ip 95.31.18.119", ("95.31.18.119",)),
    Example("последний вход с 178.140.22.7 вчера", ("178.140.22.7",)),
    Example("host: 10.20.30.40:5432", ("10.20.30.40",)),
    Example("user=ivanov ip=192.168.1.15 OK", ("192.168.1.15",)),
    Example("[2026-03-11] 5.18.200.3 - - GET /", ("5.18.200.3",)),
    Example("http://203.0.113.9:8080/login", ("203.0.113.9",)),
    Example("IPv6 2a02:6b8:0:1::feed:ff", ("2a02:6b8:0:1::feed:ff",)),
    Example("2001:db8:85a3:8d3:1319:8a2e:370:7348", ("2001:db8:85a3:8d3:1319:8a2e:370:7348",)),
    Example("fe80::1ff:fe23:4567:890a%eth0", ("fe80::1ff:fe23:4567:890a",)),
    Example('{"remote_addr": "95.31.18.119"}', ("95.31.18.119",)),
    Example("айпи 95.31.18.119.", ("95.31.18.119",)),
    Example("x-forwarded-for: 95.31.18.119, 10.1.2.3", ("95.31.18.119", "10.1.2.3")),
    Example("Версия клиента 10.0.190.41"),
    Example("Windows 10.0.19045.1, сборка 8.3.24.1467"),
    Example("Слушает 0.0.0.0:8080 и 127.0.0.1"),
    Example("маска 255.255.255.0, DNS 8.8.8.8"),
    Example("ОКПД2 26.20.11.110"),
    Example("Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36"),
    Example("Время 10:22:31, std::vector, 1:2:3"),
    Example("сеть 10.20.30.0/24"),
    Example("nginx 10.25.30.41 и python-10.11.40.12"),
)
