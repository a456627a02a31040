"""Birth dates: a date that is said to be one, or that directly follows a person's name."""

from __future__ import annotations

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
    names_end = sorted(person.end for person in persons)
    for year in _YEAR_OF_BIRTH.finditer(lower):
        yield Finding(*year.span(year.lastgroup or 0), Entity.BIRTH_DATE, LABELLED)
    for date in _DATE.finditer(lower):
        before = lower[max(0, date.start() - _BEFORE) : date.start()]
        heading = headings.over(date.start())
        word = "birth" if heading in {"dr", "др"} else _nearest(heading) or _nearest(before)
        if word == "birth" or _FOLLOWS.match(lower[date.end() : date.end() + _AFTER]):
            yield Finding(*date.span(), Entity.BIRTH_DATE, LABELLED)
        elif _directly_after(names_end, lower, date.start(), " ,;(|\t" if word is None else " (") or (
            word is None and _is_of_a_birth(date[0]) and _after_papers(names_end, lower, date.start())
        ):
            yield Finding(*date.span(), Entity.BIRTH_DATE, LIKELY)


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


def _is_of_a_birth(date: str) -> bool:
    """Whether its year is one in which somebody was born whose papers are dealt with: a later date is rather today's."""
    years = _FULL_YEAR.findall(date)
    return bool(years) and all("1920" <= year <= "2018" for year in years)


def _after_papers(names_end: Sequence[int], lower: str, start: int) -> bool:
    """Whether only a line's end, or another of the person's own numbers, stands between a name and the date."""
    return any(0 <= start - end <= _REACH and _PAPERS.fullmatch(lower, end, start) for end in names_end)


_REACH = 40  # characters
_FULL_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?![0-9])")
_PAPERS = re.compile(
    r"(?:[ \t,;|)\"'.—-]{0,3}\n?[ \t]{0,3}|[,;| \t]{1,3}(?:(?:паспорт|п/п|снилс|инн|полис|пол|м|ж|мужчина|женщина|муж|жен)\.?[ :]{0,2})?"
    r"(?:[0-9][0-9 №-]{4,16}[0-9])?[,;| \t]{1,3}|[ ,;]{1,2}[а-яё]{4,12}, )"
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
    rf"(?<![0-9.,/-])(?P<before>{_YEAR}) ?(?:г\.? ?р\b|год[а]? ?рожд|г\.? ?рожд)|(?:год рождения"
    rf"|birth[ _]?year|year[ _]of[ _]birth)[\"']?[ :=-]{{1,3}}[\"']?(?P<after>{_YEAR})(?![0-9])"
)
_DATE = re.compile(
    rf"(?<![0-9.,/-])(?:{_DAY}(?P<s>[./-]){_MONTH}(?P=s)(?:{_YEAR}|[0-9]{{2}})|{_YEAR}(?P<i>[./-]){_MONTH}(?P=i){_DAY}"
    rf"|{_DAY} {_MONTH} {_YEAR}|{_DAY}[./ -](?:i{{1,3}}|i?v|vi{{0,3}}|i?x|xi{{1,2}})[./ -]{_YEAR}"
    rf"|(?:{_ENGLISH})[a-z]{{0,6}}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"
    rf"|{_DAY}(?:st|nd|rd|th)?[ -](?:{_ENGLISH})[a-z]{{0,6}}\.?,?[ -]{_YEAR}"
    rf"|{_DAY}(?:-?го)? (?:{_MONTHS})\.? (?:{_YEAR}|[0-9]{{2}}(?= ?г))(?: ?г(?:ода|\.(?! ?р)"
    r"|(?!\.))(?![а-яё]))?)(?![0-9])"
)
_WORDS = re.compile(
    r"(?<![а-яёa-z])(?:(?P<birth>рожд|родил|родивш|г\.? ?р\.|д\.? ?р\b|г/р|д/р|date ?of ?birth|dob|born"
    r"|b\.?day|др(?![а-яё])"
    r"|днюх\w*|birth\w*(?:[ _]?da(?:te|y))?|bdate|родивш|день рожд|дата рожд)"
    r"|(?P<other>выдан|договор|приказ|закон|срок|дата (?!р)|от |до |с |по |на |к |за |рейс|оплат|достав|создан|принят"
    r"|поступ|уволен|умер|версия|date(?![a-z]))"
    r")"
)
_FOLLOWS = re.compile(
    r"[ ,)]{0,2}(?:г\.? ?р\b|год[а]? ?рожд|г\.? ?рожд|д\.? ?р\b|рожд|(?:года |г\. )?рождени|- ?(?:дата|день) рожд)"
)

EXAMPLES = (
    Example("дата рождения 05.05.1987", ("05.05.1987",)),
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
    Example("Петрова Анна Сергеевна\n05.05.2026 явка в суд"),
    Example("Договор от 05.05.2024 подписан"),
    Example("Отчёт нужен до 05.05.2024"),
    Example("дата рождения указана, договор от 01.02.2024"),
    Example("Сборка 10.10.19045"),
    Example("Курс на 12.12.2024 и цена 12.50"),
)
