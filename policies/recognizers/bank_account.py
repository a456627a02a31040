"""Bank accounts of people: twenty digits that begin with a balance account of the Bank of Russia's chart."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def check(account: str, bic: str) -> bool:
    """Whether the key of the account agrees with the bank's БИК (Bank of Russia 579-П)."""
    digits = bic[6:9] + account
    return sum(int(digit) * weight for digit, weight in zip(digits, (7, 1, 3) * 8, strict=False)) % 10 == 0


def _score(number: Number, labelled: bool) -> float:
    if not _OF_A_PERSON.match(number.digits):
        return 0.0  # of an organisation or a bank: not personal data
    if labelled:
        return LABELLED
    bic = _BIC.search(number.after)
    if number.bare or (bic and check(number.digits, bic[1])):
        return UNMISTAKABLE
    return LIKELY if not bic and _GROUPED.fullmatch(number.written) else UNLIKELY


# 40802 sole traders, 40810 and 40813 to 40820 people, 423 and 426 deposits, 455 and 457 loans of people.
_OF_A_PERSON = re.compile(r"408(?:02|1[03478]|20)|423|426|45[57]")
# Balance account, currency (ОКВ), key, branch, number.
_GROUPED = re.compile(r"[0-9]{5}[ .-](?:810|840|978|156|756|826|949|398|933)[ .-][0-9][ .-][0-9]{4}[ .-][0-9]{7}")
_BIC = re.compile(r"бик[ :№]{0,3}([0-9]{9})")

IDENTIFIER = Identifier(
    entity=Entity.BANK_ACCOUNT,
    lengths=frozenset({20}),
    label=r"(?:спец|лиц|подс|номинал)?сч[её]т\w{0,3}|р/с\w?|л/с\w?|р\.с|расч[её]тн\w*|account\w*|acct|iban",
    score=_score,
)

EXAMPLES = (
    Example("счёт 40817810099910004312", ("40817810099910004312",)),
    Example("Счет № 42301810312345678901, вклад", ("42301810312345678901",)),
    Example("л/с 40817 810 0 9991 0004312", ("40817 810 0 9991 0004312",)),
    Example("спецсчёт 408 178 100 999 100 043 12", ("408 178 100 999 100 043 12",)),
    Example("переведи сюда: 40817 978 1 2043 1129008", ("40817 978 1 2043 1129008",)),
    Example("40817810099910004312", ("40817810099910004312",)),
    Example("40817 810 0 9991 0004312 БИК 044525000"),
    Example("р/с 40702810900000012345 в банке"),
    Example("УИН 18810177230123456789"),
)
