"""ИНН, the taxpayer number: twelve digits of a person, ten of an organisation, with check digits (ФНС ММВ-7-6/435@)."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, MISTYPED, UNLIKELY, Example, Identifier, Number

_WEIGHTS = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)


def check(digits: str) -> bool:
    """Whether the check digits agree: the last one of ten, the last two of twelve."""
    places = (9,) if len(digits) == 10 else (10, 11)
    return all(_check_digit(digits[:place]) == int(digits[place]) for place in places)


def _check_digit(digits: str) -> int:
    weights = _WEIGHTS[len(_WEIGHTS) - len(digits) :]
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11 % 10


def _score(number: Number, labelled: bool) -> float:
    person = len(number.digits) == 12
    if labelled:
        # Ten digits belong to an organisation; it may be one person's, so it counts, but with less weight.
        return (LABELLED if check(number.digits) else MISTYPED) if person else 0.6
    if person and check(number.digits) and (number.bare or _SPACED.fullmatch(number.written)):
        return LIKELY
    return UNLIKELY  # one in ten of all ten-digit numbers has a valid check digit: that alone says nothing


_SPACED = re.compile(r"[0-9]{4} [0-9]{4} [0-9]{4}")

IDENTIFIER = Identifier(
    entity=Entity.INN,
    lengths=frozenset({10, 12}),
    label=r"инн(?:[ /]{1,3}кпп)?|inn|tax ?id|номер\w* налогоплательщик\w*",
    score=_score,
)

EXAMPLES = (
    Example("COPY client (id, inn) FROM stdin;\n7\t500100732259\n\\.\n", ("500100732259",)),
    Example("500100732259", ("500100732259",)),
    Example('Счёт 40;"оклад";500100732259;7280', ("500100732259",)),
    Example("Самозанятый, ИНН 500100732259, просит чек", ("500100732259",)),
    Example("инн 5001 0073 2259", ("5001 0073 2259",)),
    Example("ИНН: 500100732258", ("500100732258",)),
    Example('"inn": "500100732259"', ("500100732259",)),
    Example("ООО «Ромашка», ИНН 7707083893", ("7707083893",)),
    Example("ИНН/КПП 7707083893/770701001", ("7707083893",)),
    Example("Накладная 7707083893 от вторника"),
    Example("Код партии 500100732258"),
    Example("Адрес шлюза 192.168.100.200"),
)
