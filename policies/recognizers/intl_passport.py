"""The passport for travel abroad: a series of two digits and a number of seven, no check digit; and the lines a machine reads of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, LIKELY, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


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
        # БИК and КПП have nine digits too, but are not written so.
        return LIKELY if _NUMBERED.fullmatch(number.written) else UNLIKELY
    if _OR_WAGES.search(number.before) and not (
        _CANONICAL.fullmatch(number.written) and not _MONEY.match(number.after)
    ):
        return UNLIKELY
    return LABELLED if _CANONICAL.fullmatch(number.written) else UNMISTAKABLE


_FOREIGN = re.compile(
    r"(?<![а-яёa-z])(?:паспорт[а-яё]{0,3}|passport|удостоверени[а-яё]{1,2} личности)"
    r"(?:[ :№(\"'>=-]|no\.?|n|гражданина|гр\.|(?!издел|оборуд|насос|качес|двигат|безоп|объек|прибор|станк)[а-яё]{4,14}){0,5}[ :№(\"'>=]"
    # «C01X00T47» is a German one: no vowels, none of the letters that look like digits.
    r"(?P<number>[a-z]{1,2} ?[0-9]{6,8}|[cfghjk](?=[a-z]{0,7}[0-9])[0-9cfghjklmnprtvwxyz]{8})(?![0-9a-zа-яё])"
)
_CANONICAL = re.compile(r"[0-9]{2} ?(?:№ ?)?[0-9]{7}")
_NUMBERED = re.compile(r"[4-8][0-9] ?№ ?[0-9]{7}")
_OR_WAGES = re.compile(r"(?<![а-яё])з\.?/?п\.?[ :№]{0,3}$")  # «з/п» and «зп» are a salary too
_MONEY = re.compile(r" ?(?:руб|р\.|₽|сум|тенге|тг|т\.? ?р|\$|€)")
_LINE = re.compile(
    r"(?P<number>[0-9]{9})[0-9<]rus(?P<birth>[0-9]{6})[0-9<][mf<](?P<expiry>[0-9]{6}|<{6})[0-9<](?P<rest>[0-9<]{0,16})"
)

IDENTIFIER = Identifier(
    entity=Entity.INTL_PASSPORT,
    lengths=frozenset({9}),
    label=(
        r"загран\w*(?:[ -]паспорт\w*)?|загр\.? ?(?:пасп\w*|п)|зп|з/п|з/паспорт\w*|intl|docs? ?p|паспорт\w* (?:\(загран\w*\)|загран\w*)"
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
    Example("Коваль Игорь Терентьевич, 02.08.1971, з/п 75 4410927", ("75 4410927",)),
    Example('<doc type="PSP">762290418</doc>', ("762290418",)),
    Example("MR KOLESNIK ROMAN DOB 19AUG1986, PP 76 0922184 EXP 04MAR2031", ("76 0922184",)),
    Example("Документ: 71 № 5583301", ("71 № 5583301",)),
    Example("гражданка ФРГ, паспорт C4VR82K1P", ("C4VR82K1P",)),
    Example("з/п 150 000 000 сум, зп 754410927 руб."),
    Example("Полис 71 № 5583301, заказ 12 № 5583301"),
    Example("паспорт качества CHRNGVTKL"),
    Example("Паспорт изделия AB123456 приложен к насосу"),
    Example("БИК 044525225"),
    Example("КПП 770701001 в реквизитах"),
    Example("Заказ 751234567 собран"),
    Example("загранпаспорт готов, код заявки 123456789"),
    Example("Скидка 75 1234567 раз"),
    Example("RU123456789, RA123456789RU, ED123456789CN"),
)
