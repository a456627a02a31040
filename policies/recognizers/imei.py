"""IMEI, the number of a telephone's radio: fifteen digits, the last of them Luhn's (3GPP TS 23.003, annex B)."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, MISTYPED, UNLIKELY, Example, Identifier, Number, luhn


def _score(number: Number, labelled: bool) -> float:
    if labelled:
        return LABELLED if len(number.digits) == 15 and luhn(number.digits) else MISTYPED
    usual = len(number.digits) == 15 and _ALLOCATED.match(number.digits) and luhn(number.digits)
    return LIKELY if usual and (number.bare or _GROUPED.fullmatch(number.written)) else UNLIKELY


_ALLOCATED = re.compile(r"35|86|01|99[01]")  # the bodies that number nearly all telephones
_GROUPED = re.compile(r"[0-9]{2}[ -/][0-9]{6}[ -/][0-9]{6}[ -/][0-9]|[0-9]{6}[ -][0-9]{2}[ -][0-9]{6}[ -][0-9]")

IDENTIFIER = Identifier(
    entity=Entity.IMEI,
    lengths=frozenset({14, 15, 16}),
    label=r"imei[12]?|имеи|имей|imeisv|ид\w* устройства|device[ _]?id",
    score=_score,
)

EXAMPLES = (
    Example("IMEI 356938035643809", ("356938035643809",)),
    Example("imei: 35-693803-564380-9", ("35-693803-564380-9",)),
    Example("Телефон утерян, IMEI1 356938035643809", ("356938035643809",)),
    Example("имей 356938035643808 с опечаткой", ("356938035643808",)),
    Example("356938035643809", ("356938035643809",)),
    Example("IMEI 35 693803 564380 9", ("35 693803 564380 9",)),
    Example('{"imei": "862345678901238"}', ("862345678901238",)),
    Example("model;imei\nA52;356938035643809", ("356938035643809",)),
    Example("IMEISV 3569380356438012", ("3569380356438012",)),
    Example("356938035643809 — IMEI трубки", ("356938035643809",)),
    Example("imei 3569 3803 5643 809", ("3569 3803 5643 809",)),
    Example("imei=356938035643809&os=android", ("356938035643809",)),
    Example('"imei": ["356938035643808", "356938035643818"]', ("356938035643808", "356938035643818")),
    Example("IMEI обоих: 356938035643808 и 356938035643818", ("356938035643808", "356938035643818")),
    Example("IMEI 356938035643808, заказ 356938035643818", ("356938035643808",)),
    Example("Заказ 356938035643809 собран"),
    Example("356938035643808"),
    Example("Штрихкод 356938035643809"),
)
