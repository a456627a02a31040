"""The passport for travel abroad: a series of two digits and a number of seven, no check digit; and the lines a machine reads of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def find_machine_read(lower: str) -> Iterator[Finding]:
    """The second line of the machine-readable zone (ICAO 9303, part 4): number and birth date, of either passport.

    The internal one never expires, and has the fourth digit of its series and the issuing office at the end (приказ МВД № 773).
    """
    place = lower.find("rus")
    while place >= 0:
        line = _LINE.match(lower, max(0, place - 10))
        if line:
            internal = line["expiry"].startswith("<")
            entity = Entity.PASSPORT if internal else Entity.INTL_PASSPORT
            yield Finding(*line.span("number"), entity, LABELLED)
            yield Finding(*line.span("birth"), Entity.BIRTH_DATE, LABELLED)
            if internal:
                yield Finding(*line.span("rest"), entity, LABELLED)
        place = lower.find("rus", place + 3)


def find_foreign(lower: str) -> Iterator[Finding]:
    """Passports of other countries after the word: one or two Latin letters and six to eight digits."""
    for passport in _FOREIGN.finditer(lower):
        yield Finding(*passport.span("number"), Entity.INTL_PASSPORT, UNMISTAKABLE)


def _score(number: Number, labelled: bool) -> float:
    if not labelled:
        return UNLIKELY  # БИК and КПП have nine digits too
    return LABELLED if _CANONICAL.fullmatch(number.written) else UNMISTAKABLE


_FOREIGN = re.compile(
    r"(?<![а-яёa-z])(?:паспорт[а-яё]{0,3}|passport|удостоверени[а-яё]{1,2} личности)"
    r"(?:[ :№(\"'>=-]|no\.?|n|гражданина|гр\.|(?!издел|оборуд|насос|качес|двигат|безоп|объек|прибор|станк)[а-яё]{4,14}){0,5}[ :№(\"'>=]"
    r"(?P<number>[a-z]{1,2} ?[0-9]{6,8})(?![0-9a-zа-яё])"
)
_CANONICAL = re.compile(r"[0-9]{2} ?(?:№ ?)?[0-9]{7}")
_LINE = re.compile(
    r"(?P<number>[0-9]{9})[0-9<]rus(?P<birth>[0-9]{6})[0-9<][mf<](?P<expiry>[0-9]{6}|<{6})[0-9<](?P<rest>[0-9<]{0,16})"
)

IDENTIFIER = Identifier(
    entity=Entity.INTL_PASSPORT,
    lengths=frozenset({9}),
    label=(
        r"загран\w*(?:[ -]паспорт\w*)?|зп|intl|docs? ?p|паспорт\w* (?:\(загран\w*\)|загран\w*)"
        r"|(?:international|foreign|travel|intl|abroad)[ _]?(?:passport|document|doc)\w*"
        r"|passport[ _]?(?:intl|international|foreign|abroad)|zagran\w*"
    ),
    score=_score,
    shares=frozenset({Entity.PASSPORT}),  # «Passport No 75 1234567»: the count of digits says which one
)

EXAMPLES = (
    Example("загранпаспорт 75 1234567", ("75 1234567",)),
    Example("Загранпаспорт серия 71 № 1234567", ("71 № 1234567",)),
    Example("заграничный паспорт 751234567 действует до мая", ("751234567",)),
    Example("загран 65 №1234567 просрочен", ("65 №1234567",)),
    Example("Паспорт (загран): 75 1234567", ("75 1234567",)),
    Example("Passport No 75 1234567", ("75 1234567",)),
    Example('{"foreignPassport": "751234567"}', ("751234567",)),
    Example("загранник 75 12 34 567", ("75 12 34 567",)),
    Example("fio;zagran\nПетрова Анна;751234567", ("751234567",)),
    Example("75 1234567 — это загранпаспорт", ("75 1234567",)),
    Example("7512345678RUS8705057F2903141<<<<<<<<<<<<<<02", ("751234567",)),
    Example("паспорт Узбекистана FA3847162, виза есть", ("FA3847162",)),
    Example("гражданин Армении, паспорт AN 0417782", ("AN 0417782",)),
    Example("passport: ID1880462", ("ID1880462",)),
    Example('intl: "731905842"', ("731905842",)),
    Example("DOC P 751840226 DOB 07OCT94", ("751840226",)),
    Example("загран 75№1234567", ("75№1234567",)),
    Example(
        "P<RUSIVANOVA<<ANNA<<<<<<<<<<<<<<<<<<<<<<<<<<<\n7541829369RUS8802141F3105191<<<<<<<<<<<<<<02", ("754182936",)
    ),
    Example("Паспорт изделия AB123456 приложен к насосу"),
    Example("БИК 044525225"),
    Example("КПП 770701001 в реквизитах"),
    Example("Заказ 751234567 собран"),
    Example("загранпаспорт готов, код заявки 123456789"),
    Example("Скидка 75 1234567 раз"),
    Example("RU123456789, RA123456789RU, ED123456789CN"),
)
