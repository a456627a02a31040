"""Hardware addresses of network cards: six pairs of hexadecimal digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(lower: str) -> Iterator[Finding]:
    """Addresses in a folded, lower-case text."""
    for match in _MAC.finditer(lower):
        written = match[0]
        labelled = _LABEL.search(lower, max(0, match.start() - 24), match.start())
        if len(set(written)) < 4:
            continue  # broadcast and zeros
        if match.lastgroup == "bare" and not labelled:
            continue
        # Six pairs of decimal digits with dashes are as well a date and a time.
        if labelled or written[2] == ":" or written[4] == "." or _HEXADECIMAL.search(written):
            yield Finding(*match.span(), Entity.MAC, LABELLED if labelled else UNMISTAKABLE)


_MAC = re.compile(
    r"(?<![0-9a-z:.-])(?:[0-9a-f]{2}(?P<s>[:.-])[0-9a-f]{2}(?:(?P=s)[0-9a-f]{2}){4}"
    r"|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}"
    r"|[0-9a-f]{2}(?: [0-9a-f]{2}){5}(?=[^0-9a-z ]|$)|(?P<bare>[0-9a-f]{12}))(?![0-9a-z]|[:-][0-9a-f])"
)
_LABEL = re.compile(r"(?<![a-zа-яё])(?:mac|мак|hwaddr|ether|physical address|физическ\w+ адрес)[^\n]{0,16}$")
_HEXADECIMAL = re.compile("[a-f]")

EXAMPLES = (
    Example("MAC 00:1B:44:11:3A:B7", ("00:1B:44:11:3A:B7",)),
    Example("мак-адрес 00-1b-44-11-3a-b7", ("00-1b-44-11-3a-b7",)),
    Example("cisco 001b.4411.3ab7 vlan 5", ("001b.4411.3ab7",)),
    Example("MAC: 001B44113AB7", ("001B44113AB7",)),
    Example("ether 02:42:ac:11:00:02 txqueuelen 0", ("02:42:ac:11:00:02",)),
    Example('{"mac": "00:1b:44:11:3a:b7"}', ("00:1b:44:11:3a:b7",)),
    Example("host;mac\npc1;00-1B-44-11-3A-B7", ("00-1B-44-11-3A-B7",)),
    Example("ПК Иванова: 00:11:22:33:44:55", ("00:11:22:33:44:55",)),
    Example("mac=00:1B:44:11:3A:B7 ip=10.1.1.1", ("00:1B:44:11:3A:B7",)),
    Example("мак 00 1b 44 11 3a b7, проверь", ("00 1b 44 11 3a b7",)),
    Example("(AA-BB-CC-DD-EE-F0)", ("AA-BB-CC-DD-EE-F0",)),
    Example("00\u201112\u201144\u201111\u20113a\u2011b7", ("00\u201112\u201144\u201111\u20113a\u2011b7",)),
    Example("broadcast ff:ff:ff:ff:ff:ff"),
    Example("Снимок 20-11-05-10-22-31"),
    Example("sha1 00:1b:44:11:3a:b7:00:1b:44:11:3a:b7"),
    Example("commit 001b44113ab7"),
    Example("Macbook за 150000"),
)
