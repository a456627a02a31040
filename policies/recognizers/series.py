"""Documents whose series and number stand apart: «серия 45 10, номер 123456», two keys of a record, two columns of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED
from policies.recognizers.tables import Headings


def find(lower: str, headings: Headings, announced: Callable[[str], str]) -> Iterator[Finding]:
    """Series and number, each a finding; `announced` says which kind of document a piece of text names last."""
    for anchor in _SERIES.finditer(lower):
        match = _SPLIT.match(lower, anchor.end())
        if match is None:
            continue
        before = lower[max(0, anchor.start() - _BEFORE) : match.start("number")]
        if anchor[0] == "serial" and "passport" not in before:
            continue  # of a device
        entity = _kind(Entity.PASSPORT if _IDENTITY.search(before) else announced(before), match)
        if entity is not None:
            yield Finding(*match.span("series"), entity, LABELLED)
            yield Finding(*match.span("number"), entity, LABELLED)
    for match in _KEYED.finditer(lower):
        yield Finding(*match.span(match.lastgroup or 0), Entity.PASSPORT, LABELLED)
    for pattern in (_LETTERED, _IN_LINES):
        for match in pattern.finditer(lower):
            yield Finding(*match.span("series"), Entity.PASSPORT, LABELLED)
            yield Finding(*match.span("number"), Entity.PASSPORT, LABELLED)
    series_at = -1  # where a cell with a series ends: the next one may hold its number
    for start, end, heading in headings.cells():
        if not _PASSPORT_PART.fullmatch(lower, start, end):
            continue
        follows = 0 <= start - series_at <= _NEXT_CELL
        if _PASSPORT_COLUMN.search(heading) or (follows and _NUMBER_COLUMN.match(heading)):
            yield Finding(start, end, Entity.PASSPORT, LABELLED)
            series_at = end


def _kind(named: str, match: re.Match[str]) -> Entity | None:
    """Of what kind the document is: the one that is named, if it can be written so, or the usual one of that form."""
    for group, entities in _BY_FORM.items():
        if match[group] and _DIGITS_OF_NUMBER[group] == sum(map(str.isdigit, match["number"])):
            return Entity(named) if named in entities else entities[0] if named != "OTHER" else None
    return None


_NEXT_CELL = 5  # characters
_NUMBER_COLUMN = re.compile("(?:номер|ном|number|num|no|n|№)(?![а-яёa-z])")
# The papers that a person is identified by, in registers and forms; «21» is the passport in the tax service's list.
_IDENTITY = re.compile(
    r"(?<![а-яё])дул(?![а-яё])|удостоверяющ\w{2,3} личность|(?:identity|id)[ _]?doc"
    r"|(?:код|type|вид\w*)[а-яё]{0,10}[\"']?[=:] ?[\"']?21(?![0-9])"
)
_LETTERED = re.compile(
    r"[\"']s(?:er)?[\"'] ?: ?[\"']?(?P<series>[0-9]{2} ?[0-9]{2})[\"']?, {0,2}[\"']n(?:um|o)?[\"'] ?: ?[\"']?(?P<number>[0-9]{6})(?![0-9])"
)
_IN_LINES = re.compile(
    r"(?<![а-яёa-z])(?:паспорт[а-я]{0,3}|passport)[^0-9a-zа-яё]{1,6}(?P<series>[0-9]{2} ?[0-9]{2})(?:\n|, )"
    r"(?P<number>[0-9]{3} ?[0-9]{3})(?![0-9])"
)
_BEFORE = 80  # characters in which the document is named
_BY_FORM = {
    "digits": (Entity.PASSPORT, Entity.DRIVER_LICENSE, Entity.VEHICLE_DOC),
    "two": (Entity.INTL_PASSPORT,),
    "roman": (Entity.BIRTH_CERT, Entity.PASSPORT),
    "letters": (Entity.MILITARY_ID,),
    "mixed": (Entity.VEHICLE_DOC, Entity.DRIVER_LICENSE),
}
_DIGITS_OF_NUMBER = {"digits": 6, "two": 7, "roman": 6, "letters": 7, "mixed": 6}

_SERIES = re.compile(r"(?<![a-zа-яё])(?:сери[яиюей]{1,2}|сер\.?|series|serial?|ser)(?![a-zа-яё])")
_SPLIT = re.compile(
    r"(?: [а-яё]{2,14}){0,2}[ \t:=\"'>_-]{0,6}"
    r"(?P<series>(?P<digits>[0-9]{2} ?[0-9]{2})|(?P<mixed>[0-9]{2} ?[а-яё]{2})|(?P<two>[0-9]{2})"
    r"|(?P<roman>[ivxl1хпш]{1,6}[ -]{1,3}[а-яё]{2})|(?P<letters>[а-яё]{2}))(?![0-9а-яё])"
    r"(?:(?:</[а-яё]{2,12}>)?[ ,;.\"'<>/()\n\t{}a-z-]{0,24}| за )(?:№|номер\w{0,2}|ном\.|number|num|no"
    r"|n)(?![а-яё])(?: [а-яё]{2,14}){0,2}[ \t:№=\"'>-]{0,6}"
    r"(?P<number>[0-9]{3} ?[0-9]{3,4})(?![0-9])"
)
_KEYED = re.compile(
    r"(?:passport|паспорт\w{0,2}|doc(?:ument)?)[ _]?(?:(?:series|serial?|ser"
    r"|сери[яи])[\"'\]]{0,2} {0,2}[:=>] {0,2}[\"']?(?P<series>[0-9]{2} ?[0-9]{2})"
    r"|(?:number|num|no|номер)[\"'\]]{0,2} {0,2}[:=>] {0,2}[\"']?(?P<number>[0-9]{3} ?[0-9]{3}))(?![0-9])"
)
_PASSPORT_COLUMN = re.compile(
    r"(?:passport|паспорт|пасп|doc)\w* ?(?:ser|num|no|n|сери|ном|№)|^(?:сери[яи]|series)(?: паспорта)?$|^ном\w+ паспорт"
)
_PASSPORT_PART = re.compile(r"[0-9]{2} ?[0-9]{2}|[0-9]{3} ?[0-9]{3}")
