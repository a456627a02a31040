"""A military card: two letters and seven digits; an officer's identity card is written the same way."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if len(number.digits) == 6 and not number.prefix:
        return 0.0
    if labelled and _TICKET.search(number.before) and not _SERVICE.search(number.before):
        return 0.0
    if labelled:
        return LABELLED if number.prefix else 0.6 if _CARD.search(number.before) else 0.0
    # «АК 1234567» is also an article number: it takes a word of the service somewhere before.
    return LIKELY if number.prefix and _SERVICE.search(number.before) else 0.0


_CARD = re.compile(r"билет|в/б|military|удостов|приписн")
_SERVICE = re.compile(r"воен|призыв|запас[ае]?(?![а-яё])|воинск|в/б|приписн")
_TICKET = re.compile(r"билет[а-яё]{0,3}[ :№]{1,3}(?:[а-яё]{2} ?-? ?(?:№ ?)?)?$")

IDENTIFIER = Identifier(
    entity=Entity.MILITARY_ID,
    lengths=frozenset({6, 7}),
    label=(
        r"билет\w{0,2} офицер\w*(?: запаса)?|билет\w{0,2}(?=[ :№]{1,3}[а-яё]{2}[ №-]{0,3}$)"
        r"|воен\w*\.? ?бил\w*|в/б|вб|военник\w*|военн\w*|припис[нк]\w*(?: удостоверени\w*)?|воинск\w* уч[её]т\w*"
        r"|удостоверени\w* личности (?:офицер|военносл|моряк)\w*|military[ _]?(?:id|card|ticket)?|voen\w*(?:[ _]?bil\w*)?"
    ),
    score=_score,
    prefix=re.compile(r"(?<![а-яёa-z0-9])[а-яёa-z]{2} ?-? ?(?:№ ?)?$"),
)

EXAMPLES = (
    Example("удост. приписки АБ 1234567", ("АБ 1234567",)),
    Example("voen_bilet: АК1234567", ("АК1234567",)),
    Example("военный билет АК 1234567", ("АК 1234567",)),
    Example("Военный билет: АК № 1234567", ("АК № 1234567",)),
    Example("в/б АН1234567", ("АН1234567",)),
    Example("военник ге 1234567", ("ге 1234567",)),
    Example("военный билет серии АС №1234567", ("АС №1234567",)),
    Example("военный билет AK 1234567", ("AK 1234567",)),
    Example("удостоверение личности офицера ВР 1234567", ("ВР 1234567",)),
    Example('{"militaryId": "АК 1234567"}', ("АК 1234567",)),
    Example("fio;военный билет\nИванов Иван;АК 1234567", ("АК 1234567",)),
    Example("АК 1234567 — военный билет", ("АК 1234567",)),
    Example("Военный билет 1234567", ("1234567",)),
    Example("Для военкомата: Иванов И.И., документ АК 1234567", ("АК 1234567",)),
    Example("билет офицера запаса УБ № 118037", ("УБ № 118037",)),
    Example("Военком принял билеты АН 3310427, АН 3310428", ("АН 3310427", "АН 3310428")),
    Example("Билет АН 3310427 до Тулы, билет ЖД 118037"),
    Example("Артикул АК 1234567"),
    Example("Масса брутто 1234567 кг"),
    Example("Деталь ВР 1234567 снята с производства"),
    Example("Военный парад собрал 1234 человека"),
)
