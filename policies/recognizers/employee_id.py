"""The number a company gives an employee: known only by the words that announce it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, Example, Identifier, Number
from policies.recognizers.tables import Headings


def find_short(lower: str, headings: Headings) -> Iterator[Finding]:
    """Numbers of two or three digits, «С-201», which are scanned for only here: right after the words, and in columns."""
    if "таб" in lower or "т.н" in lower or "т/н" in lower:
        for match in _SHORT.finditer(lower):
            yield Finding(*match.span("number"), Entity.EMPLOYEE_ID, LABELLED)
    for start, end, heading in headings.cells():
        if _COLUMN.match(heading) and _CELL.fullmatch(lower, start, end):
            yield Finding(start, end, Entity.EMPLOYEE_ID, LABELLED)


def _score(number: Number, labelled: bool) -> float:
    if _YEAR.search(number.before) and number.digits[:2] in {"19", "20"}:
        return 0.0
    return LABELLED if labelled and len(number.written) - len(number.digits) <= 2 else 0.0


_YEAR = re.compile(r"(?<![а-яё])(?:с|в|во|за|на|по|до|от|к) $")  # «табельный учёт с 2024»

_SHORT = re.compile(
    r"(?<![а-яё])(?:таб(?:ельн[а-яё]{2,3})?\.? ?(?:№|номер[а-яё]?|ном\.?)?|т\.? ?н\.|т/н)[ :№]{0,3}"
    r"(?P<number>[а-яёa-z]{1,3}-[0-9]{2,3}|(?<=[№:. ])[0-9]{3})(?![0-9a-zа-яё.,/-])(?! (?:шт|руб|стр|раз|час|г|дн|лет|мес|%))"
)
_COLUMN = re.compile(
    r"таб(?:\.|ельн\w*|\b)|т[./]н|tab(?:el)?[ _]?(?:no|num|n|id)|tab$|(?:emp|employee|personnel|staff) ?(?:id|no|num|number|code)"
)
_CELL = re.compile(r"(?:[а-яёa-z]{1,4}[ -]?)?[0-9]{2,8}(?:-[0-9]{1,4})?")

IDENTIFIER = Identifier(
    entity=Entity.EMPLOYEE_ID,
    lengths=frozenset({4, 5, 6, 7, 8}),
    label=(
        r"таб(?:\.|ельн\w*|(?= ?[№n:]))(?: ?№| номер\w*|[ .]{0,2}ном\w*| n)?|таб|табел[ья] (?:№|номер\w*)|т/н"
        r"|tab(?=[\"'] ?:)|(?<=<)tab(?=>)|(?:бейдж|пропуск)\w{0,2}(?= ?[№:]| номер)|badge(?:[ _]?(?:no|num|number|id))?"
        r"|(?<=\()(?:бейдж|пропуск)"
        r"|тн(?! ?вэд)|т\. ?н\.?(?=[ :№]{0,3}(?:[а-яёa-z]{1,3}-?)?$)|tab(?:el)?[ _]?(?:no|num|number|n|id|nomer)"
        r"|(?:employee|emp|staff|personnel|worker)[ _]?(?:id|no|num|number|code|n)|personnel"
        r"|(?:номер|код|id|№|ид)[ _-](?:сотрудник|работник|персонал)\w*|сотрудник\w{0,3} (?:с номером"
        r"|под номером|№|номер|id|ид)"
        r"|личн\w{2,3} номер(?: сотрудник\w*| работник\w*)?|кадров\w{2,3} номер"
    ),
    score=_score,
    prefix=re.compile(r"(?<![а-яёa-z0-9])[а-яёa-z]{1,4}-?$"),
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
    Example("табельный С-201", ("С-201",)),
    Example("ФИО\tтаб. №\tцех\nИванов И.И.\tС-201\t4\nПетров П.П.\tС-202\t5", ("С-201", "С-202")),
    Example("т.н. АС-0711", ("АС-0711",)),
    Example("таб 512", ("512",)),
    Example("personnel_number: P-004512", ("P-004512",)),
    Example("табельный: 451", ("451",)),
    Example("табельные 71-204, 71-219 и мой 71-233", ("71-204", "71-219", "71-233")),
    Example("Таб. номера обоих: 00418 и 02276", ("00418", "02276")),
    Example('[{"tab": "004512", "fio": "Иванов И.И."}, {"tab": "004519"}]', ("004512", "004519")),
    Example("бейдж №A-1234, куратор Анна", ("A-1234",)),
    Example("Зырянова Т. Л. (пропуск 0001877)", ("0001877",)),
    Example("табельный 10234, 45000 рублей и 12500 аванса", ("10234",)),
    Example("табельные 10234, 10235, 45000 рублей", ("10234", "10235")),
    Example("https://example.ru/page?tab=12345"),
    Example("поля через tab:\n420100 Казань"),
    Example("tab;fio\n004512;Иванов И.И.", ("004512",)),
    Example("бейдж 2024 года, бейджи для 1500 участников"),
    Example("пропуск 1200 занятий, пропуска 4512 дней"),
    Example("В табеле за 2024 год ошибка"),
    Example("Таблица 12345 не открывается"),
    Example("Заявка INC-12345 закрыта"),
    Example("Сотрудник получил 45000 рублей"),
    Example("координаты т. н1 X=118440.27 Y=402118.93"),
    Example("таблица 123, табло 45, табак 500"),
    Example("т.н. санкции, т. н. 100 дней"),
    Example("спидометр 118 204 — 118 533"),
)
