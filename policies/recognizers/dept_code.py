"""The code of the office that issued a passport: three digits, a dash, three digits."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, LIKELY, UNMISTAKABLE, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if not _CANONICAL.fullmatch(number.written):
        return 0.0
    if labelled and (not _MERE_CODE.search(number.before) or _ISSUED.search(number.before)):
        return LABELLED if "-" in number.written else UNMISTAKABLE
    # Without words for it: the dashed form, in the same breath as the passport it belongs to.
    return LIKELY if "-" in number.written and _ISSUED.search(number.before) else 0.0


_CANONICAL = re.compile(r"[0-9]{3} ?- ?[0-9]{3}|[0-9]{3} ?[0-9]{3}")
_MERE_CODE = re.compile(r"(?<![а-яё])код[ :№]{1,3}$")  # «код 770-045» can be of anything
_ISSUED = re.compile(r"(?<![а-яё])(?:выд(?:ан\w*|\.)|паспорт\w*|у?фмс|о?у?мвд|овд|гувд)(?![а-яё])")

IDENTIFIER = Identifier(
    entity=Entity.DEPT_CODE,
    lengths=frozenset({6}),
    label=(
        r"код\w{0,2}[ -]?(?:подр\w*|п/п)(?:[., ]{1,2}выда\w*)?(?: паспорт)?|код подразделени\w*"
        r"|подразделени\w*(?=[ :№-]{0,3}$)|к\.? ?п\.|к/п|к-п"
        r"|код органа|код(?=[ :№]{0,3}$)|(?:department|dept?|division|issuer|subdivision|unit)[ _]?code|kod[ _]podr\w*"
    ),
    score=_score,
)

EXAMPLES = (
    Example("код подразделения 770-045", ("770-045",)),
    Example("к/п 500-012", ("500-012",)),
    Example("К.П. 770-045", ("770-045",)),
    Example("код подр. 160 003", ("160 003",)),
    Example("паспорт 4510 123456, выдан ОВД района Сокол 05.05.2010, 770-045", ("770-045",)),
    Example("Код подразделения: 770045", ("770045",)),
    Example('"departmentCode": "770-045"', ("770-045",)),
    Example("паспорт выдан уфмс код подразделения 540 001", ("540 001",)),
    Example("passport;dept_code\n4510123456;770-045", ("770-045",)),
    Example("770-045 — код подразделения", ("770-045",)),
    Example("код\u00a0подразделения 770\u2011045", ("770\u2011045",)),
    Example("выдан 05.05.2010 ОВД города Тулы, код 712-003", ("712-003",)),
    Example("выд. 12.05.2018 ТП № 81 код 78О-О81", ("78О-О81",)),
    Example("код 78О-О81 от домофона"),
    Example("Код ошибки 712-003"),
    Example("код 712-003 не подходит к замку"),
    Example("Телефон дежурного 123-456"),
    Example("Заказ 123-456 в пути"),
    Example("Подразделение закрыло 12 заявок из 100-200"),
    Example("Страницы 100-200 и 300-400"),
)
