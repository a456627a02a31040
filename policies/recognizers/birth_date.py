"""Birth dates: a date that is said to be one, or that directly follows a person's name."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, LIKELY, Example
from policies.recognizers.tables import Headings

_BEFORE = 48  # characters in which a word still announces the date
_AFTER = 24


def find(lower: str, persons: Sequence[Finding], headings: Headings) -> Iterator[Finding]:
    """Dates of birth; `persons` are the names found in the same text, `headings` those of its tables."""
    if any(stem in lower for stem in _STEMS):
        yield from _said(lower)
    if not _DIGIT.search(lower):
        return
    names_end = sorted(person.end for person in persons)
    for year in _YEAR_OF_BIRTH.finditer(lower):
        yield Finding(*year.span(year.lastgroup or 0), Entity.BIRTH_DATE, LABELLED)
    for date in _dates(lower, headings):
        headed = _is_headed(headings.over(date.start()))
        word = "birth" if headed else _announced(lower, date.start(), names_end)
        if word == "feast" and not _is_of_a_birth(date[0]):
            word = "other"  # the day on which it is held
        if date.re is _SHORT or date.re is _COMPACT:
            if headed or (word == "birth" and date.re is _COMPACT):
                yield Finding(*date.span(), Entity.BIRTH_DATE, LABELLED)
        elif word in {"birth", "feast"} or _FOLLOWS.match(lower[date.end() : date.end() + _AFTER]):
            yield Finding(*date.span(), Entity.BIRTH_DATE, LABELLED)
        elif (
            _directly_after(names_end, lower, date.start(), " ,;(|\t" if word is None else " (")
            or (word is None and _is_of_a_birth(date[0]) and _after_papers(names_end, lower, date.start()))
            or _is_aged(lower, date, names_end)
        ):
            yield Finding(*date.span(), Entity.BIRTH_DATE, LIKELY)
    yield from _listed(lower, persons)


def _dates(lower: str, headings: Headings) -> Iterator[re.Match[str]]:
    """Whatever is written as a date; as `_COMPACT` or `_SHORT`, what is one only under the right word."""
    done = 0
    for digits in _DIGITS.finditer(lower):
        start = digits.start()
        if start < done or (start and lower[start - 1] in "./-"):
            continue
        if lower[max(0, start - 2) : start] in _DECIMAL and not _is_headed(headings.over(start)):
            continue
        date = _DATE.match(lower, start) or _COMPACT.match(lower, start) or _SHORT.match(lower, start)
        if date:
            done = date.end()
            yield date
    yield from _IN_ENGLISH.finditer(lower)


def _said(lower: str) -> Iterator[Finding]:
    """What the words of a birth say right after them, or before: «родился в мае 1990», «12 марта у Ани день рождения»."""
    for word in _BIRTH.finditer(lower):
        date = _SAID.match(lower, word.end())
        if (
            date
            and not _PAPER.search(lower, max(0, word.start() - _AFTER), word.start())
            and not _NOT_OF_A_PERSON.search(lower, word.start(), date.start("date"))
        ):
            yield Finding(*date.span("date"), Entity.BIRTH_DATE, LABELLED)
    for date in _DAY_BEFORE.finditer(lower):
        if not _NOT_OF_A_PERSON.search(lower, date.end("date"), date.end() + _AFTER):
            yield Finding(*date.span("date"), Entity.BIRTH_DATE, LABELLED)


def _is_headed(heading: str) -> bool:
    return heading in {"dr", "др"} or _nearest(heading) == "birth"


def _announced(lower: str, start: int, names_end: Sequence[int]) -> str | None:
    """What the nearest word before a date makes of it."""
    left = max(0, start - _BEFORE)
    word = _nearest(lower[left:start])
    if word == "other":
        # «выдана Ивановой Анне, 05.05.1987»: what stands before a name does not speak of the date after it.
        place = bisect.bisect_right(names_end, start) - 1
        if place >= 0 and names_end[place] > left:
            return _nearest(lower[names_end[place] : start])
    return word


def _listed(lower: str, persons: Sequence[Finding]) -> Iterator[Finding]:
    """Years of birth in a list of people: «Петрова Анна, 1987»."""
    for person in persons:
        year = _YEAR_AFTER_NAME.match(lower, person.end)
        if year and _is_listed(lower, person, year):
            yield Finding(*year.span("year"), Entity.BIRTH_DATE, LIKELY)


def _is_listed(lower: str, person: Finding, year: re.Match[str]) -> bool:
    """Whether a year after a name is one of birth: the name is whole, and no book or film is spoken of."""
    if year["before"] == " " and not year["after"].startswith(" "):
        return False
    name = lower[person.start : person.end]
    around = lower[max(0, person.start - _AROUND) : year.end() + _AROUND]
    return " " in name and "." not in name and "1930" <= year["year"] <= "2022" and not _WORKS.search(around)


def _nearest(before: str) -> str | None:
    """What the nearest word before a date makes of it: `birth`, `other`, or None."""
    nearest = None
    for match in _WORDS.finditer(before):
        nearest = match
    if nearest is None or _DATE.search(before, nearest.end()):
        return None
    return nearest.lastgroup


def _directly_after(names_end: Sequence[int], lower: str, start: int, between: str) -> bool:
    return any(0 <= start - end <= 4 and not lower[end:start].strip(between) for end in names_end)


def _is_aged(lower: str, date: re.Match[str], names_end: Sequence[int]) -> bool:
    """«Сычёва Антонида Прохоровна, 79 лет (17 мая 1946)»: an age in brackets after a name, and a year that agrees with it."""
    age = _AGE.search(lower, max(0, date.start() - _AFTER), date.start())
    year = _FULL_YEAR.search(date[0])
    if age is None or year is None or not 2010 <= int(age["age"]) + int(year[0]) <= 2040:
        return False
    return any(0 < age.start() - end <= _NEAR and not lower[end : age.start()].strip(" ,(—-") for end in names_end)


def _is_of_a_birth(date: str) -> bool:
    """Whether its year is one in which somebody was born whose papers are dealt with: a later date is rather today's."""
    years = _FULL_YEAR.findall(date)
    return bool(years) and all("1920" <= year <= "2018" for year in years)


def _after_papers(names_end: Sequence[int], lower: str, start: int) -> bool:
    """Whether only a line's end, or another of the person's own numbers, stands between a name and the date."""
    return any(0 <= start - end <= _REACH and _PAPERS.fullmatch(lower, end, start) for end in names_end)


_REACH = 72  # characters
_NEAR = 4  # characters between a name and an age
_AGE = re.compile(r"(?<![0-9])(?P<age>[0-9]{1,3}) ?(?:лет|год[а]?|л\.|г\.)[ ,]{0,2}[(—-]?[ ]?$")
_AROUND = 60
_DECIMAL = frozenset(f"{digit}," for digit in "0123456789")
_DIGIT = re.compile("[0-9]")
_DIGITS = re.compile("[0-9]+")
_FULL_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?![0-9])")
_PAPERS = re.compile(
    r"(?:[ \t,;|)\"'.—-]{0,3}\n?[ \t]{0,3}|(?:[,;| \t(]{1,3}"
    r"(?:(?:паспорт|п/п|снилс|инн|полис|пол|м|ж|мужчина|женщина|муж|жен)\.?[ :]{0,2})?"
    r"(?:[0-9][0-9 №-]{4,16}[0-9])?){1,3}[,;| \t]{1,3}|(?:[ ,;]{1,2}[а-яё]{4,12}){1,3}, )"
)
_MONTHS = (
    "январ[яьеюи]|феврал[яьеюи]|март[ае]?|апрел[яьеюи]|ма[йяе]|июн[яьеюи]|июл[яьеюи]|август[ае]?|сентябр[яьеюи]"
    "|октябр[яьеюи]|ноябр[яьеюи]|декабр[яьеюи]|янв|фев|мар|апр|июн|июл|авг|сент?|окт|ноя|дек"
)
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0?[1-9]|1[0-2])"
_YEAR = "(?:19[0-9]{2}|20[0-4][0-9])"
_ENGLISH = "jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec"
_YEAR_OF_BIRTH = re.compile(
    rf"(?<![0-9.,/-])(?P<before>{_YEAR}|[0-9]{{2}}(?= ?г\.? ?р\.)) ?(?:г\.? ?р\b|г/р|год[а]? ?рожд|г\.? ?рожд)"
    rf"|(?:год рожд(?:ения|\.)|(?<![а-яё])г\.р\.|birth[ _]?year|year[ _]of[ _]birth)[\"']?[ :=-]{{1,3}}[\"']?(?P<after>{_YEAR})(?![0-9])"
)
# Each begins with a digit: they are tried where digits begin, which costs a tenth of trying them everywhere.
_DATE = re.compile(
    rf"(?:{_DAY}(?P<s>[./-]){_MONTH}(?P=s)(?:{_YEAR}|[0-9]{{2}})|{_DAY}\. {{1,2}}{_MONTH}\. {{1,2}}{_YEAR}"
    rf"|{_YEAR}(?P<i>[./-]){_MONTH}(?P=i){_DAY}"
    rf"|{_DAY} {_MONTH} {_YEAR}|{_DAY}[./ -](?:i{{1,3}}|i?v|vi{{0,3}}|i?x|xi{{1,2}})[./ -]{_YEAR}"
    rf"|{_DAY}(?:st|nd|rd|th)?[ -](?:{_ENGLISH})[a-z]{{0,6}}\.?,?[ -]{_YEAR}"
    rf"|{_DAY}(?:-?го)? (?:{_MONTHS})\.? (?:{_YEAR}|[0-9]{{2}}(?= ?г))(?: ?г(?:ода|\.(?! ?р)"
    r"|(?!\.))(?![а-яё]))?)(?![0-9])"
)
_IN_ENGLISH = re.compile(
    rf"(?:{_ENGLISH})(?<![a-z][a-z]{{3}})[a-z]{{0,6}}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}(?![0-9])"
)
_COMPACT = re.compile(
    rf"(?:{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])|(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2]){_YEAR}"
    rf"|(?:0?[1-9]|[12][0-9]|3[01])(?:{_ENGLISH})(?:{_YEAR}|[0-9]{{2}}))(?![0-9a-z])"
)
_SHORT = re.compile(rf"{_DAY}(?: (?:{_MONTHS})|\.(?:0[1-9]|1[0-2]))(?![0-9а-яё.]|[,.][0-9])")
_YEAR_AFTER_NAME = re.compile(r"(?P<before>, ?| \(| )(?P<year>(?:19|20)[0-9]{2})(?P<after> года,|[;\n)]|$)")
_WORKS = re.compile(
    r"книг|роман|издат|стать|фильм|режисс|доклад|диссерт|монограф|учебн|повест|рассказ|поэм|цитат|источник|литератур|спектакл"
    r"|песн|альбом|выпуск|победител|чемпион|призёр|призер|лауреат|олимпиад|турнир"
)
_WORDS = re.compile(
    r"(?<![а-яёa-z])(?:(?P<birth>рожд|род\.|родил|родивш|г\.? ?р\.|д\.? ?р\b|г/р|д/р|date ?of ?birth|dob|born"
    r"|b\.?day|др(?![а-яё])"
    r"|днюх\w*|birth\w*(?:[ _]?da(?:te|y))?|bdate|родивш|день рожд|дата рожд)"
    r"|(?P<feast>юбиле|именин)"
    r"|(?P<other>выдан|договор|приказ|закон|срок|дата (?!р)|от |до |с |по |на |к |за |рейс|оплат|достав|создан|принят"
    r"|поступ|уволен|умер|версия|date(?![a-z])|exp(?![a-z])|expir|valid|issued)"
    r")"
)
_STEMS = ("рожд", "род.", "родил", "родив", "др", "днюх", "именин", "д/р", "д.р", "д. р", "dob", "birth", "born")
_BIRTH = re.compile(
    r"(?<![а-яёa-z])(?:рожд[а-яё.]{0,8}|род\.|родил(?:ся|ась|ись|сь)|родивш[а-яё]{2,5}|д\.? ?р\.?(?![а-яё])|д/р|днюх[аеиу]"
    r"|именинни[а-яё]{1,3}|dob|birth ?(?:date|day)|born)"
)
_ONES = (
    "перв|втор|четв[её]рт|пят|шест|седьм|восьм|девят|десят|одиннадцат|двенадцат|тринадцат|четырнадцат|пятнадцат|шестнадцат"
    "|семнадцат|восемнадцат|девятнадцат|двадцат|тридцат"
)
_ORDINAL = rf"(?:(?:двадцать|тридцать) )?(?:(?:{_ONES})(?:ого|ое)|треть(?:его|е))"
_YEAR_IN_WORDS = (
    rf"(?: (?:(?:{_ONES}|сороков|пятидесят|шестидесят|семидесят|восьмидесят|девяност)(?:ого|ый|ой)|третьего|двухтысячного|тысяча|девятьсот"
    rf"|две|тысячи|двадцать|тридцать|сорок|пятьдесят|шестьдесят|семьдесят|восемьдесят|девяносто)(?![а-яё])){{1,5}}(?: года)?"
)
_DIGIT_LIKE = "[0-9оoзбl]"
# Right after a word for a birth even what is not a whole date counts: a day, a month with its year, a year, a date in words or misread.
_SAID = re.compile(
    # «Дата рождения?», and in the next line somebody's answer
    rf"[^0-9\n;!?]{{0,26}}?(?:[?.]?\n[^\n:0-9]{{1,24}}: )?"
    rf"(?<![а-яёa-z])(?P<date>{_DAY}(?:-?го)? (?:{_MONTHS})(?![а-яё0-9.]|[ ,.]{{1,2}}[0-9])"
    rf"|(?<=[ :—-]){_DAY}\.(?:0[1-9]|1[0-2])(?![0-9.]|,[0-9])|{_ORDINAL} (?:{_MONTHS})(?:{_YEAR_IN_WORDS}| {_YEAR})?"
    rf"|{_ORDINAL} (?:ноль )?{_ORDINAL}{_YEAR_IN_WORDS}"
    rf"|(?<= в )(?:(?:{_MONTHS}) )?(?:19[3-9][0-9]|20[0-2][0-9])(?:(?= году?)|(?= г\.)|(?![0-9]))|(?:{_MONTHS}) {_YEAR}(?![0-9])"
    rf"|(?=[0-9./-]{{0,9}}[оoзбl]){_DIGIT_LIKE}{{2}}[./-]{_DIGIT_LIKE}{{2}}[./-]{_DIGIT_LIKE}{{4}}(?![0-9a-zа-яё]))"
)
_DAY_BEFORE = re.compile(
    rf"(?<![0-9.])(?P<date>{_DAY} (?:{_MONTHS}))(?![а-яё])(?:,? (?:у|моего|моей|нашего|нашей|будет|празднуем)(?: [а-яё]{{2,14}}){{0,2}})?"
    r"[ ,-]{1,3}(?:день рожд|др(?![а-яё])|днюх)"
)
_PAPER = re.compile(r"(?:мест\w|свидетельств\w\w? о|справк\w о|запис\w\w? о|акт\w? о|регистраци\w) ?$")
_NOT_OF_A_PERSON = re.compile(
    r"компани|фирм|город|магазин|бренд|сервис|организац|школ|проект|сайт|банк|идея|план|скидк|бонус|акци"
)
_FOLLOWS = re.compile(
    r"[ ,)]{0,2}(?:г\.? ?р\b|год[а]? ?рожд|г\.? ?рожд|д\.? ?р\b|рожд|(?:года |г\. )?рождени|- ?(?:дата|день) рожд)"
)

EXAMPLES = (
    Example("дата рождения 05.05.1987", ("05.05.1987",)),
    Example("Исаков Эльдар Муса оглы, род. 02.07.1986 в г. Сумгаит", ("02.07.1986",)),
    Example("имя|дата рождения|телефон\nАнна|05.05.1987|79123456789", ("05.05.1987",)),
    Example("Родился 5 мая 1987 года в Туле", ("5 мая 1987 года",)),
    Example("Иванов Иван Иванович, 05.05.1987 г.р.", ("05.05.1987",)),
    Example("Петрова Анна Сергеевна (24/09/91)", ("24/09/91",)),
    Example('"birthDate": "1987-05-05"', ("1987-05-05",)),
    Example("д.р. 05.05.87", ("05.05.87",)),
    Example("ДР: 5.5.1987", ("5.5.1987",)),
    Example("dob=1987-05-05", ("1987-05-05",)),
    Example("12 марта 1990 г. рождения", ("12 марта 1990",)),
    Example("Петрова Анна Сергеевна\n05.05.1987", ("05.05.1987",)),
    Example("Петрова Анна, паспорт 4510 123456, 05.05.1987", ("05.05.1987",)),
    Example("Петрова Анна Сергеевна, 4510 123456, 05.05.1987", ("05.05.1987",)),
    Example("Петрова Анна Сергеевна 1 дек 1990", ("1 дек 1990",)),
    Example("DOB 07OCT94", ("07OCT94",)),
    Example("birth_date: 19890311", ("19890311",)),
    Example('<birthTime value="19890311"/>', ("19890311",)),
    Example("ДР 29 сентября", ("29 сентября",)),
    Example("день рождения у мамы 12 марта", ("12 марта",)),
    Example("12 марта у Ани день рождения", ("12 марта",)),
    Example("87 г.р.", ("87",)),
    Example("родился в мае 1990", ("мае 1990",)),
    Example("родилась в 1990 году", ("1990",)),
    Example("родился пятого мая девяностого", ("пятого мая девяностого",)),
    Example(
        "дата рождения пятое мая тысяча девятьсот девяностого года", ("пятое мая тысяча девятьсот девяностого года",)
    ),
    Example("дата рожд. 28.О8.1969", ("28.О8.1969",)),
    Example("fio;dr\nПетрова Анна;05.05\nСидоров Пётр;16.08", ("05.05", "16.08")),
    Example("ФИО;школа;класс;дата рожд\nИванов Иван;СОШ 2;9;2011-05-17", ("2011-05-17",)),
    Example("Год рожд. 1987", ("1987",)),
    Example("Поздравь Иру с днём рождения 8 марта, ей 30", ("8 марта",)),
    Example("др 05.05", ("05.05",)),
    Example("дата рождения 05051990", ("05051990",)),
    Example("д/р 5 мая", ("5 мая",)),
    Example("Д.р.  :  8. 03. 1976", ("8. 03. 1976",)),
    Example("Сычёва Антонида Прохоровна, 79 лет (17 мая 1946), ушла", ("17 мая 1946",)),
    Example("вашу дату рождения.\nК: третье ноль девятое девяносто второй", ("третье ноль девятое девяносто второй",)),
    Example("Дата рождения?\nКлиент: Третье июля пятьдесят восьмого", ("Третье июля пятьдесят восьмого",)),
    Example("<dob>12MAR88</dob>", ("12MAR88",)),
    Example("Иванова Анна, стаж 10 лет (01.02.2024), договору 5 лет (12.05.2019)"),
    Example("PP 76 0922184 EXP 04MAR2031"),
    Example("п. 8. 03. 1976 листов"),
    Example("Петрова Анна Сергеевна\n05.05.2026 явка в суд"),
    Example("Договор от 05.05.2024 подписан"),
    Example("Отчёт нужен до 05.05.2024"),
    Example("дата рождения указана, договор от 01.02.2024"),
    Example("Сборка 10.10.19045"),
    Example("Курс на 12.12.2024 и цена 12.50"),
    Example("1990-12-08T00:00:00 birthday"),
    Example("мне 34 года, ему 5 лет"),
    Example("выпуск 1987 года, модель 1990 г.в."),
    Example("ГОСТ 1987 г. редакция"),
    Example("день рождения компании 12 марта"),
    Example("Пушкин родился в 1799 году"),
    Example("скидка в день рождения 10%"),
    Example("родился план, родилась идея в 2020 году"),
    Example("основана в 1990 году, построен в мае 1990"),
    Example("свидетельство о рождении нужно до 5 мая"),
    Example("Анна Петрова, 2019 год, доклад на конференции"),
    Example("встреча 05.05, созвон 06.05 в 15:00"),
    Example("период 01.01.2024-31.12.2024, 2024-01-01/2024-12-31"),
)
