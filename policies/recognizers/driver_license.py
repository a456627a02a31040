"""A driving licence: a series of four digits, or of two digits and two letters, and six digits; no check digit."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if not labelled or (len(number.digits) == 6 and not number.prefix):
        return UNLIKELY
    if _OR_SOFTWARE.search(number.before) and (number.bare or not _CANONICAL.fullmatch(number.written)):
        return UNLIKELY
    return LABELLED if number.prefix or _CANONICAL.fullmatch(number.written) else UNMISTAKABLE


_OR_SOFTWARE = re.compile(r"(?<!driver[_ ])(?<!driver)licen[cs]e[\"']?[ :=>\"']{1,4}$")  # a program has a licence too
_CANONICAL = re.compile(r"[0-9]{2} ?[0-9]{2} ?(?:№ ?)?[0-9]{6}")

IDENTIFIER = Identifier(
    entity=Entity.DRIVER_LICENSE,
    lengths=frozenset({6, 10}),
    label=(
        r"вод\w*\.? ?уд\w*|водительск\w*(?: прав\w*)?|в\.?/?у\.?|права|прав|удостоверени\w* водител\w*"
        r"|водител\w*(?: [а-яё.-]{2,20}){1,4},? уд\w*"
        r"|driv\w*(?:'s)?[ _]?licen[cs]e\w*|driverlicen[cs]e\w*|licen[cs]e[ _]?(?:no|num|number)|licen[cs]e(?=$|[\"' ]{0,3}[:=])"
        r"|driv\w*(?:'s)?[ _.]{1,2}lic(?!e)|водит\w*\.? уд\w*"
        r"|dl|(?:vod|voditel\w*)[ _](?:ud\w*|prava)"
    ),
    score=_score,
    prefix=re.compile(r"(?<![0-9а-яёa-z])[0-9]{1,2} ?[а-яёa-z]{2} ?(?:№ ?)?$"),
)

EXAMPLES = (
    Example("водитель Петров Пётр Ильич, удост. 99 16 123456", ("99 16 123456",)),
    Example("ВУ 99 11 123456", ("99 11 123456",)),
    Example("Водительское удостоверение 9911 123456", ("9911 123456",)),
    Example("в/у 9911123456, стаж 5 лет", ("9911123456",)),
    Example("в/у 99 11 № 123456", ("99 11 № 123456",)),
    Example("водительское удостоверение серия 77 ОА № 123456", ("77 ОА № 123456",)),
    Example("права 77ОА123456 потерял", ("77ОА123456",)),
    Example("Водитель Иванов И.И., вод. уд. 50 22 123456", ("50 22 123456",)),
    Example('{"driverLicense": "9911123456"}', ("9911123456",)),
    Example("driver's license 9911 123456", ("9911 123456",)),
    Example("fio;в/у\nПетров Пётр;9911 123456", ("9911 123456",)),
    Example("водит удостоверение 99 11 12 34 56", ("99 11 12 34 56",)),
    Example("9911 123456 — водительское", ("9911 123456",)),
    Example("passport 72 1180449 + driver lic 99 11 370218", ("99 11 370218",)),
    Example('self.licence = "5428 117603"', ("5428 117603",)),
    Example("СТС РБ, права 3AA 118204", ("3AA 118204",)),
    Example('license = "5428117603"; version = 12'),
    Example("Паспорт 4510 123456"),
    Example("СТС 9911 123456"),
    Example("Водитель проехал 123456 км"),
    Example("Права потребителей защищает закон 2300-1"),
)
