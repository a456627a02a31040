"""Papers of a vehicle: the certificate of registration (СТС), the passport (ПТС) and the electronic passport of fifteen digits."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers import ogrnip
from policies.recognizers.identifier import LABELLED, UNLIKELY, UNMISTAKABLE, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if len(number.digits) == 6:
        # «77 УН 123456»: without a word for it an old driving licence is written alike, and the insurance of a car nearly so.
        if not number.prefix:
            return 0.0
        if labelled:
            return LABELLED
        return 0.6 if number.bare and _IN_RUSSIAN.fullmatch(number.prefix) else UNLIKELY
    if len(number.digits) == 15 and (number.digits[0] not in "123" or ogrnip.plausible(number.digits)):
        return 0.0  # the form of the electronic passport, Решение ЕЭК № 122: country, maker's code, number
    return (LABELLED if _CANONICAL.fullmatch(number.written) else UNMISTAKABLE) if labelled else UNLIKELY


_CANONICAL = re.compile(r"[0-9]{2} ?[0-9]{2} ?(?:№ ?)?[0-9]{6}|[0-9]{15}")
# Letters of a series, and not a word between two numbers: «19 от 201705».
_IN_RUSSIAN = re.compile(
    r"[0-9]{2} ?(?!от|на|не|то|со|но|та|те|км|ко|до|по|за|из|шт|кг|мм|см|руб)[авекмнорстухюяцщфыилдгбпз]{2} ?(?:№ ?)?"
)

IDENTIFIER = Identifier(
    entity=Entity.VEHICLE_DOC,
    lengths=frozenset({6, 10, 15}),
    label=(
        r"э?птс|с?ртс|стс|сор|с[./]?т[./]?с\.?|(?:свид\w*|св-в\w)\.? (?:тс|(?:о )?рег\w*\.?(?: (?:тс|транспорт\w*"
        r"|автомобил\w*|машин\w*)(?: средств\w*)?)?)"
        r"|паспорт\w{0,2} (?:тс|транспорт\w*(?: средств\w*)?|автомобил\w*|машин\w*)|техпаспорт\w*|тех ?паспорт\w*"
        r"|регистраци\w* тс|(?:vehicle|car)[ _]?(?:passport|doc\w*|registration|reg|cert\w*)|e?pts|sts"
    ),
    score=_score,
    prefix=re.compile(r"(?<![0-9а-яёa-z])[0-9]{2} ?[а-яёa-z]{2}[ -]?(?:№ ?)?$"),
)

EXAMPLES = (
    Example("свидетельство ТС 99 11 123456", ("99 11 123456",)),
    Example("СТС 77 УН 123456", ("77 УН 123456",)),
    Example("стс 9911 123456", ("9911 123456",)),
    Example("ПТС 78ОА123456 утерян", ("78ОА123456",)),
    Example("ПТС: 78 ОА № 123456", ("78 ОА № 123456",)),
    Example("свидетельство о регистрации ТС 99 11 123456", ("99 11 123456",)),
    Example("свидетельство о регистрации 9911№123456", ("9911№123456",)),
    Example("паспорт ТС 63 МВ 123456", ("63 МВ 123456",)),
    Example("ЭПТС 164301000123456", ("164301000123456",)),
    Example('{"sts": "9911123456"}', ("9911123456",)),
    Example("vin;pts\nXTA210990Y2766389;78ОА123456", ("78ОА123456",)),
    Example("СТС 77YH 123456", ("77YH 123456",)),
    Example("9911 123456 — это СТС", ("9911 123456",)),
    Example("Паспорт 4510 123456"),
    Example("Отгрузили 12 шт 123456 деталей"),
    Example("Заказ 9911123456 в пути"),
    Example("Свидетельство о рождении II-МЮ 123456"),
)
