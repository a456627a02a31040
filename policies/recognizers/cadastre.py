"""Cadastral numbers of land and buildings: district, area, block and the object in it, parted by colons."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, Example


def find(lower: str) -> Iterator[Finding]:
    """Cadastral numbers in a folded text."""
    for match in _NUMBER.finditer(lower):
        if "-" in match[0] and not _LABEL.search(lower, max(0, match.start() - 24), match.start()):
            continue
        if "00" < match["district"] < "96":
            yield Finding(*match.span(), Entity.CADASTRE, LABELLED)


_NUMBER = re.compile(
    r"(?<![0-9:.])(?P<district>[0-9]{2}) ?(?P<s>[:-]) ?[0-9]{2} ?(?P=s) ?[0-9]{6,7} ?(?P=s) ?[0-9]{1,6}(?:/[0-9]{1,4})?(?![0-9]"
    r"|:[0-9])"
)

_LABEL = re.compile(r"(?<![а-яё])(?:кн|кад\w*|к/н|cad\w*)[^0-9\n]{0,16}$")

EXAMPLES = (
    Example("кадастровый номер 77:01:0004042:1234", ("77:01:0004042:1234",)),
    Example("50:20:0010203:45", ("50:20:0010203:45",)),
    Example("Участок 16:50:011209:5 в СНТ", ("16:50:011209:5",)),
    Example("кад. № 23:43:0123456:99999", ("23:43:0123456:99999",)),
    Example("КН: 78 : 12 : 0123456 : 7", ("78 : 12 : 0123456 : 7",)),
    Example('{"cadastralNumber": "77:01:0004042:1234"}', ("77:01:0004042:1234",)),
    Example("объекты 77:01:0004042:1, 77:01:0004042:2", ("77:01:0004042:1", "77:01:0004042:2")),
    Example("cad;area\n77:01:0004042:1234;45", ("77:01:0004042:1234",)),
    Example("кадастровый номер 61:44:0050706:31.", ("61:44:0050706:31",)),
    Example("ЕГРН (54:35:0000000:12345)", ("54:35:0000000:12345",)),
    Example("77:01:0004042:1234/5", ("77:01:0004042:1234/5",)),
    Example("номер\u00a077:01:0004042:1234", ("77:01:0004042:1234",)),
    Example("Время 10:22:31 и счёт 3:2"),
    Example("99:01:0004042:1234"),
    Example("квартал 77:01:0004042 большой"),
    Example("10:22:31:123456"),
)
