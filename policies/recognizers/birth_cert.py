"""A certificate of a civil act: a Roman numeral, two Russian letters and six digits. A Soviet passport is numbered alike."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if not number.prefix:
        return 0.6 if labelled and number.bare and _OF_BIRTH.search(number.before) else 0.0
    return LABELLED if labelled else UNMISTAKABLE


_OF_BIRTH = re.compile(r"рожд|birth")

IDENTIFIER = Identifier(
    entity=Entity.BIRTH_CERT,
    lengths=frozenset({6}),
    label=(
        r"(?:свид\w*|св-в\w|с-в\w)\.?(?: о|об) (?:рожд\w*|брак\w*|смерт\w*|растор\w*|усынов\w*|установлени\w*"
        r"|перемен\w*)"
        r"|свидетельств\w*|birth[ _]?cert\w*|зап\w* акта"
    ),
    score=_score,
    # The numeral in Latin letters, in their Russian look-alikes (Х, У, П for II, Ш for III) or in figures one.
    prefix=re.compile(
        r"(?<![а-яёa-z0-9])(?:[ivxl]{1,6}[ -]{0,3}|[ivxlхупш1]{1,6}[ -]{1,3})[а-яё]{2}[ -]{0,2}(?:№ ?|n ?)?$"
    ),
)

EXAMPLES = (
    Example("свидетельство о рождении II-МЮ 123456", ("II-МЮ 123456",)),
    Example("Свидетельство о рождении: IV-АГ № 123456", ("IV-АГ № 123456",)),
    Example("св-во о рождении iii-мю №123456", ("iii-мю №123456",)),
    Example("I-ЕТ 123456", ("I-ЕТ 123456",)),
    Example("свидетельство о браке II ИК 654321", ("II ИК 654321",)),
    Example("Ребёнок: VI-БА 123456, детский сад", ("VI-БА 123456",)),
    Example("свидетельство о рождении серия ХI-АА 123456", ("ХI-АА 123456",)),
    Example('{"birthCertificate": "II-МЮ 123456"}', ("II-МЮ 123456",)),
    Example("name;birth_cert\nПётр;II-МЮ 123456", ("II-МЮ 123456",)),
    Example("свид. о рождении II\u2011МЮ\u00a0123456", ("II\u2011МЮ\u00a0123456",)),
    Example("II-МЮ 123456 — свидетельство о рождении", ("II-МЮ 123456",)),
    Example("свидетельство о рождении 1-МЮ 123456", ("1-МЮ 123456",)),
    Example("Глава II-я, страница 123456"),
    Example("Этап II: до 123456 рублей"),
    Example("Свидетельство о регистрации СМИ ЭЛ № ФС 77-12345"),
    Example("Артикул МЮ 123456"),
)
