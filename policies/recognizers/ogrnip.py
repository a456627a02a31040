"""ОГРНИП, the registration number of a sole trader: fifteen digits, the last of them a check digit (ПП РФ № 438)."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, MISTYPED, UNLIKELY, Example, Identifier, Number


def check(digits: str) -> bool:
    """Whether the last digit is the remainder of the others by 13, of which only the last digit counts."""
    return int(digits[:14]) % 13 % 10 == int(digits[14])


def _score(number: Number, labelled: bool) -> float:
    if labelled and number.digits[0] == "3":
        return LABELLED if check(number.digits) else MISTYPED
    # Sign, year of the entry since 2004 and region.
    return LIKELY if number.bare and plausible(number.digits) else UNLIKELY


def plausible(digits: str) -> bool:
    """Whether it is written as one and the check digit agrees."""
    return bool(_FORM.match(digits)) and check(digits)


_FORM = re.compile(r"3(?:0[4-9]|[12][0-9])(?!00)[0-9]{2}")

IDENTIFIER = Identifier(
    entity=Entity.OGRNIP,
    lengths=frozenset({15}),
    label=r"огрн ?ип|огрн|ogrn(?:ip)?|основн\w* государственн\w* регистрационн\w*(?: номер\w*)?|егрип",
    score=_score,
    shares=frozenset({Entity.VEHICLE_DOC}),  # «свидетельство о регистрации» is a sole trader's too
)

EXAMPLES = (
    Example("ОГРНИП 304500116000157", ("304500116000157",)),
    Example("ИП Петров, огрнип: 304500116000157", ("304500116000157",)),
    Example("ОГРНИП 304500116000158 с опечаткой", ("304500116000158",)),
    Example("304500116000157", ("304500116000157",)),
    Example("ОГРН ИП 3045 0011 6000 157", ("3045 0011 6000 157",)),
    Example('{"ogrnip": "304500116000157"}', ("304500116000157",)),
    Example("ОГРН 304500116000157", ("304500116000157",)),
    Example("name;ogrnip\nПетров;304500116000157", ("304500116000157",)),
    Example("№ в ЕГРИП 304500116000157", ("304500116000157",)),
    Example("огрнип\u00a0304500116000157", ("304500116000157",)),
    Example("INSERT INTO ip (ogrnip) VALUES ('304500116000157')", ("304500116000157",)),
    Example("304500116000157 (ОГРНИП)", ("304500116000157",)),
    Example("ИП Петров, свид. о рег. 304500116000157", ("304500116000157",)),
    Example("ОГРН 1027700132195"),
    Example("304500116000158"),
    Example("Заказ 304500116000157 отменён"),
)
