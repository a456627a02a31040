"""The number a company gives an employee: known only by the words that announce it."""

from __future__ import annotations

import re

from policies.entities import Entity
from policies.recognizers.identifier import LABELLED, Example, Identifier, Number


def _score(number: Number, labelled: bool) -> float:
    if _YEAR.search(number.before) and number.digits[:2] in {"19", "20"}:
        return 0.0
    return LABELLED if labelled and len(number.written) - len(number.digits) <= 2 else 0.0


_YEAR = re.compile(r"(?<![а-яё])(?:с|в|во|за|на|по|до|от|к) $")  # «табельный учёт с 2024»

IDENTIFIER = Identifier(
    entity=Entity.EMPLOYEE_ID,
    lengths=frozenset({4, 5, 6, 7, 8}),
    label=(
        r"таб(?:\.|ельн\w*|(?= ?[№n:]))(?: ?№| номер\w*|[ .]{0,2}ном\w*| n)?|таб|табел[ья] (?:№|номер\w*)|т/н"
        r"|тн(?! ?вэд)|т\. ?н\.?|tab(?:el)?[ _]?(?:no|num|number|n|id|nomer)"
        r"|(?:employee|emp|staff|personnel|worker)[ _]?(?:id|no|num|number|code|n)|personnel"
        r"|(?:номер|код|id|№|ид)[ _-](?:сотрудник|работник|персонал)\w*|сотрудник\w{0,3} (?:с номером"
        r"|под номером|№|номер|id|ид)"
        r"|личн\w{2,3} номер(?: сотрудник\w*| работник\w*)?|кадров\w{2,3} номер"
    ),
    score=_score,
    prefix=re.compile(r"(?<![а-яёa-z0-9])[а-яёa-z]{1,3}-?$"),
)

EXAMPLES = (
    Example("табельный номер 012345", ("012345",)),
    Example("Пользователь ivanov_p (таб. № 10234) не может войти", ("10234",)),
    Example("Таб.№ А-12345, цех 4", ("А-12345",)),
    Example("т/н 004512", ("004512",)),
    Example("сотрудник с табельным 51234 уволен", ("51234",)),
    Example("табельный К-00123", ("К-00123",)),
    Example('{"employeeId": "E10234"}', ("E10234",)),
    Example("employee_id=102345 status=active", ("102345",)),
    Example("fio;tab_no;отдел\nИванов И.И.;01234;склад", ("01234",)),
    Example("Табельный № сотрудника: 7654321", ("7654321",)),
    Example("SELECT * FROM staff WHERE emp_no = '102345'", ("102345",)),
    Example("ТАБЕЛЬНЫЙ НОМЕР 45123", ("45123",)),
    Example("В табеле за 2024 год ошибка"),
    Example("Таблица 12345 не открывается"),
    Example("Заявка INC-12345 закрыта"),
    Example("Сотрудник получил 45000 рублей"),
)
