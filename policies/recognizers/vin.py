"""VIN, the number of a vehicle (ISO 3779): seventeen letters and digits without I, O and Q."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(lower: str) -> Iterator[Finding]:
    """Vehicle numbers in a folded, lower-case text."""
    for match in _VIN.finditer(lower):
        if _LABEL.search(lower, max(0, match.start() - 40), match.start()):
            yield Finding(*match.span(), Entity.VIN, LABELLED)
        elif _is_typical(match[0]):
            yield Finding(*match.span(), Entity.VIN, UNMISTAKABLE)
    yield from _find_apart(lower)


def _find_apart(lower: str) -> Iterator[Finding]:
    """«VIN JN1 TANT31 U0012345»: only right after the word."""
    for match in _APART.finditer(lower):
        if len(match["value"].replace(" ", "")) == 17 and _DIGIT.search(match["value"]):
            yield Finding(*match.span("value"), Entity.VIN, LABELLED)


def _is_typical(written: str) -> bool:
    """Letters in the maker's code, digits at the end, and not a hash: something beyond «f» among the letters."""
    return bool(_TYPICAL.fullmatch(written)) and bool(_BEYOND_HEX.search(written))


# Both alphabets: the look-alikes of a form filled in by hand.
_VIN = re.compile(r"(?<![0-9a-zа-яё_-])(?=[a-zа-яё]{0,16}[0-9])(?:[0-9a-hj-npr-zавекмнорстух]{17})(?![0-9a-zа-яё_-])")
_LABEL = re.compile(r"(?<![а-яёa-z])(?:vin\w*|вин|кузов\w*|шасси|рам[аы]|идентификационн\w+)[^0-9\n]{0,24}$")
_TYPICAL = re.compile(r"(?=[0-9]?[a-z]|[a-z][0-9])[0-9a-z]{3}[0-9a-z]{8}[0-9a-z]{2}[0-9]{4}")
_APART = re.compile(
    r"(?<![a-zа-яё])(?:vin"
    r"|вин)[ :№#-]{1,4}(?P<value>[0-9a-hj-npr-z]{2,9}(?: [0-9a-hj-npr-z]{2,9}){1,4})(?![0-9a-zа-яё])"
)
_DIGIT = re.compile("[0-9]")
_BEYOND_HEX = re.compile("[g-z][^g-z]*[g-z]")

EXAMPLES = (
    Example("VIN XTA210990Y2766389", ("XTA210990Y2766389",)),
    Example("вин: z94cb41aaer123456", ("z94cb41aaer123456",)),
    Example("Автомобиль XW8ZZZ61ZKG012345 в розыске", ("XW8ZZZ61ZKG012345",)),
    Example("VIN-код WBAFR710X0C123456", ("WBAFR710X0C123456",)),
    Example('{"vin": "X7LBSRB2HBH123456"}', ("X7LBSRB2HBH123456",)),
    Example("номер кузова XTA210990Y2766389", ("XTA210990Y2766389",)),
    Example("brand;vin\nLada;XTA210990Y2766389", ("XTA210990Y2766389",)),
    Example("ВИН ХТА210990У2766389", ("ХТА210990У2766389",)),
    Example("(JTMHV05J604123456)", ("JTMHV05J604123456",)),
    Example("vin=JTMHV05J604123456&src=site", ("JTMHV05J604123456",)),
    Example("Идентификационный номер (VIN): XTA210990Y2766389", ("XTA210990Y2766389",)),
    Example("шасси № X9632900091234567", ("X9632900091234567",)),
    Example("hash 0a1b2c3d4e5f60718"),
    Example("Заказ 12345678901234567"),
    Example("XTA210990Y276638"),
    Example("Слово abcdefghjklmnprst"),
    Example("a1b2c3d4-4510-4905-a234-123456789012"),
)
