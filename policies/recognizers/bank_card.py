"""Bank card numbers: 16 to 19 digits with a Luhn check digit and an issuer's prefix (ISO/IEC 7812-1)."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import (
    LABELLED,
    MISTYPED,
    UNLIKELY,
    UNMISTAKABLE,
    Example,
    Identifier,
    Number,
    luhn,
)


def _score(number: Number, labelled: bool) -> float:
    if labelled:
        return LABELLED if luhn(number.digits) else MISTYPED if len(number.digits) == 16 else UNLIKELY
    if not _PREFIX.match(number.digits) or not _GROUPED.fullmatch(number.written):
        return UNLIKELY
    if luhn(number.digits):
        return UNMISTAKABLE if not number.bare else 0.75
    return UNLIKELY


# МИР, Visa, Mastercard, Maestro, UnionPay, JCB
_PREFIX = re.compile(r"220[0-5]|4|5[0-8]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|6[0-9]|35")
_GROUPED = re.compile(r"(?:[0-9]{4}[ -]?){4}[0-9]{0,3}|[0-9]{16,19}|[0-9]{6} [0-9]{10,13}")

IDENTIFIER = Identifier(
    entity=Entity.BANK_CARD,
    lengths=frozenset({16, 17, 18, 19}),
    label=r"карт[аыеуойчк]{0,3}|card\w*|pan|visa|mastercard|маэстро|maestro|сбер\w*|тинько\w*|тин[её]к\w*"
    r"|альф[аеуы]|втб|виз[аеуы]|мастеркард\w*|кредитк\w*|дебетов\w*|мир",
    score=_score,
)

EXAMPLES = (
    Example("2200 1234 5678 9019", ("2200 1234 5678 9019",)),
    Example("С моей карты 4111 1111 1111 1111 списали", ("4111 1111 1111 1111",)),
    Example("card=4111111111111111 amount=10", ("4111111111111111",)),
    Example("4111-1111-1111-1111", ("4111-1111-1111-1111",)),
    Example("карта 4111111111111112 не проходит", ("4111111111111112",)),
    Example("переведи на 5555555555554444", ("5555555555554444",)),
    Example("карта 41 11 11 11 11 11 11 11", ("41 11 11 11 11 11 11 11",)),
    Example("Полис ОМС 4111 1111 1111 1111"),
    Example("Серийный номер 4111111111111112"),
    Example("Отправление 8001234567890123"),
)
