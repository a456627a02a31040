"""The internal passport of Russia: series (region by ОКАТО and year of the blank) and number, ten digits without a check."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, UNLIKELY, Example, Identifier, Number


def plausible(series: str) -> bool:
    """Whether four digits can be a series: a region of ОКАТО, then a year since 1997."""
    return series[:2] not in _NO_REGION and (series[2:] >= "97" or series[2:] <= "29")


def _score(number: Number, labelled: bool) -> float:
    if labelled or _ISSUED.match(number.after):
        return LABELLED if _CANONICAL.fullmatch(number.written) else 0.85
    if _IN_CODE.search(number.before) or _CODE_GOES_ON.match(number.after) or _OF_A_PAPER.search(number.before):
        return UNLIKELY
    # Without a word for it only the usual way to write it counts: any ten digits are somebody's order number.
    usual = _CANONICAL.fullmatch(number.written) or _NUMBERED.fullmatch(number.written)
    return 0.6 if usual and not number.bare and plausible(number.digits[:4]) else UNLIKELY


# The codes of ОКАТО that no region has: every other pair of digits has been one.
_NO_REGION = frozenset(
    {"00", "02", "06", "09", "13", "16", "21", "23", "31", "35", "39", "43", "48", "51", "55", "59", "62", "72", "74"}
)
_ISSUED = re.compile(r",? {0,2}\n?(?:выдан\w{0,2}|выд\.)(?![а-яё])")
_IN_CODE = re.compile("[0-9a-zа-яё]-$")
# «билет 298 2410448117»: the airline's code, then ten digits; «Номер исследования 2025-118844»
_OF_A_PAPER = re.compile(
    r"билет[а-яё]{0,3}[ :№]{1,3}[0-9]{3}[ -]$|ticket[ :#№]{1,3}[0-9]{3}[ -]$"
    r"|(?:исследовани|направлени|протокол|заключени|квитанци|постановлени|предписани|извещени|талон)[а-яё]{0,3}[ :№]{1,3}$"
)
_CODE_GOES_ON = re.compile("-[0-9a-zа-яё]")
_CANONICAL = re.compile(
    r"[0-9]{2} ?[0-9]{2}[ -]?[0-9]{6}|[0-9]{2} [0-9]{2} [0-9]{3} [0-9]{3}|[0-9]{4} [0-9]{3} [0-9]{3}"
)
# «приказ от 12.03.2024 № 123456» is none.
_NUMBERED = re.compile(r"(?!19|20)[0-9]{4} ?№ ?[0-9]{6}|[0-9]{2} [0-9]{2} ?№ ?[0-9]{6}")
IDENTIFIER = Identifier(
    entity=Entity.PASSPORT,
    lengths=frozenset({10}),
    label=r"паспорт\w*|пасп\.?|passport\w*|серия и номер|удостоверени\w* личности|п/п|п-т|pass(?==$)|psp|ppt|pp(?!\.)",
    score=_score,
)

EXAMPLES = (
    Example("паспорт 4510 123456", ("4510 123456",)),
    Example("Хазиева Алия Рустамовна, 9222 413097 выд. 30.01.2023", ("9222 413097",)),
    Example("СТС (серия и номер 36 48 710255) у нас есть"),
    Example("паспорт 7010, 338 512", ("7010", "338 512")),
    Example("Паспорт: 45 10 123456, выдан ОВД", ("45 10 123456",)),
    Example("паспорт 4510 № 123456", ("4510 № 123456",)),
    Example("паспорт 4510123456", ("4510123456",)),
    Example("паспорт гражданина Российской Федерации серия и номер 4510 123456", ("4510 123456",)),
    Example("паспорт серии 4510 № 123456", ("4510", "123456")),
    Example("серия 45 10, номер 123 456", ("45 10", "123 456")),
    Example("серия паспорта 4510, номер паспорта 123456", ("4510", "123456")),
    Example('{"passport": {"series": "4510", "number": "123456"}}', ("4510", "123456")),
    Example("passport_series;passport_number\n4510;123456", ("4510", "123456")),
    Example("4510 123456 — это паспорт", ("4510 123456",)),
    Example("паспорт 45 10 12 34 56 потерял", ("45 10 12 34 56",)),
    Example('{"passport": "4510123456"}', ("4510123456",)),
    Example("Её данные: 4510 123456", ("4510 123456",)),
    Example('<ДУЛ код="21" серия="4618" номер="330471"/>', ("4618", "330471")),
    Example('{"doc":{"s":"5310","n":"778240"}}', ("5310", "778240")),
    Example('{"s": "4509", "n": "123456"}', ("4509", "123456")),
    Example("п-т 4510 123456", ("4510 123456",)),
    Example("паспорт серии 45 09 за номером 123456", ("45 09", "123456")),
    Example("Серия\t4509\nНомер\t123456", ("4509", "123456")),
    Example("серия|номер\n4509|123456", ("4509", "123456")),
    Example("паспорт\n4510\n123456", ("4510", "123456")),
    Example("паспорт 451О 12З456", ("451О 12З456",)),
    Example('{"passport":{"serial":"4510","no":"123456"}}', ("4510", "123456")),
    Example("<Серия>4510</Серия><Номер>123456</Номер>", ("4510", "123456")),
    Example(
        "PNRUSIVANOVA<<ANNA<SERGEEVNA<<<<<<<<<<<<<<<<\n4510123456RUS8705056F<<<<<<<4050505770045<50",
        ("451012345", "4050505770045<50"),
    ),
    Example("Пинчук Александр 4117 № 336208", ("4117 № 336208",)),
    Example("от 12.03.2024 № 123456, в 2024 № 123456"),
    Example("4О 18 226715\nвыд. 12.05.2018", ("4О 18 226715",)),
    Example("Номер исследования 2025-118844, в билете 298 2410 448 117"),
    Example("Водительское удостоверение 4510 123456"),
    Example("Заказ 4510123456 задерживается"),
    Example("Серия 5, номер 12 журнала"),
    Example("Загранпаспорт 75 1234567"),
    Example("УИД 16RS0042-01-2026-003318-44"),
    Example("артикул 4510 123456, арт. 9911 654321"),
    Example("номер 123456, серия 12"),
    Example("Договор № 45-10/123456 от 05.05.2024"),
    Example("серийный номер 4510 123456"),
)
