"""СНИЛС, the number of a personal pension account: eleven digits, the last two of them check digits (ПФР 192п)."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, MISTYPED, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def check(digits: str) -> bool:
    """Whether the check digits agree. Numbers up to 001-001-998 were given out without any."""
    if int(digits[:9]) <= 1_001_998:
        return True
    return sum(int(digit) * (9 - place) for place, digit in enumerate(digits[:9])) % 101 % 100 == int(digits[9:])


def _score(number: Number, labelled: bool) -> float:
    if labelled:
        return LABELLED if check(number.digits) else MISTYPED
    if _CANONICAL.fullmatch(number.written):
        return UNMISTAKABLE if check(number.digits) else 0.6
    if check(number.digits) and _SPACED.fullmatch(number.written):
        return 0.6
    return UNLIKELY


_CANONICAL = re.compile(r"[0-9]{3}-[0-9]{3}-[0-9]{3}[ -][0-9]{2}")
_SPACED = re.compile(r"[0-9]{3} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}")

IDENTIFIER = Identifier(
    entity=Entity.SNILS,
    lengths=frozenset({11}),
    label=r"снилс\w*|snils|страхов\w{2,5} (?:номер\w*|свидетельств\w*)|пенсионн\w{2,4} (?:страхов\w*|свидетельств\w*)",
    score=_score,
)

EXAMPLES = (
    Example("GET /docs?snils=112-233-445+95&x=1", ("112-233-445+95",)),
    Example("снилс 112-2ЗЗ-445 95", ("112-2ЗЗ-445 95",)),
    Example("112-233-445 95", ("112-233-445 95",)),
    Example("Мой СНИЛС 112-233-445 95, запишите", ("112-233-445 95",)),
    Example("СНИЛС: 11223344595", ("11223344595",)),
    Example("снилс 112 233 445 95", ("112 233 445 95",)),
    Example("снилс 1 1 2 2 3 3 4 4 5 9 5 это я", ("1 1 2 2 3 3 4 4 5 9 5",)),
    Example("СНИЛС\u00a0112\u2011233\u2011445\u00a095", ("112\u2011233\u2011445\u00a095",)),
    Example('{"snils": "11223344595"}', ("11223344595",)),
    Example("СНИЛС 112-233-445 96 с опечаткой", ("112-233-445 96",)),
    Example("11223344595 — это мой снилс", ("11223344595",)),
    Example("001-001-998 00", ("001-001-998 00",)),
    Example("Звоните 8 912 233-44-59"),
    Example("Заказ 11223344596 собран"),
    Example("Сумма 112 233 445 руб."),
    Example("Бюджет 11 223 344 595 рублей"),
)
