"""What heads a place of structured text: a column of CSV or SQL, a key of JSON, YAML or XML. The best label is often rows away."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator

from policies.folding import Folded, small

_MOST_COLUMNS = 20_000


class Tables:
    """The cells of all tables of a text, each with the heading of its column; made once, whatever windows are read later."""

    def __init__(self, text: str, checkpoint: Callable[[], None] = lambda: None) -> None:
        """Finding no table is quick. `checkpoint` is called every few thousand characters; what it raises ends the work."""
        self.cells = sorted((*_separated(text, checkpoint), *_inserted(text, checkpoint), *_copied(text, checkpoint)))

    def over(self, place: int) -> str:
        """The heading of the cell at `place`; empty outside of tables."""
        after = bisect.bisect(self.cells, place, key=lambda cell: cell[0])
        if after:
            _, end, heading = self.cells[after - 1]
            if place < end:
                return heading
        return ""


class Headings:
    """What heads each place of one window of a text, in the window's folded spelling."""

    def __init__(self, folded: Folded, tables: Tables, start: int = 0) -> None:
        """`start` is where the window begins in the text that `tables` were made of."""
        self._folded = folded
        self._tables = tables
        self._start = start

    @property
    def tabular(self) -> bool:
        """Whether there is any table: if not, only what follows one of SIGNS_OF_KEYS stands under anything."""
        return bool(self._tables.cells)

    def over(self, place: int) -> str:
        """The words of the column's heading, or of the key, that the value at `place` stands under; empty if there is none.

        In lower case, «birthDate» and «birth_date» as «birth date».
        """
        text = self._folded.text
        if not self._tables.cells and place > 1 and text[place - 1] == " " and text[place - 2].isalnum():
            return ""  # a word after a word: most places are
        if self._tables.cells and place < len(self._folded.starts):
            heading = self._tables.over(self._start + self._folded.starts[place])
            if heading:
                return heading
        return key_before(text, place)

    def cells(self) -> Iterator[tuple[int, int, str]]:
        """The cells of tables that begin in the window: where each begins and ends, and its heading. Quotes are left out."""
        cells, starts, text = self._tables.cells, self._folded.starts, self._folded.text
        if not cells or not starts:
            return
        first = bisect.bisect_left(cells, self._start + starts[0], key=lambda cell: cell[0])
        for place in range(first, len(cells)):
            start, end, heading = cells[place]
            left = bisect.bisect_left(starts, start - self._start)
            if left >= len(starts):
                return
            right = bisect.bisect_left(starts, end - self._start)
            while left < right and text[left] in _PADDING:
                left += 1
            while left < right and text[right - 1] in _PADDING:
                right -= 1
            if left < right:
                yield left, right, heading


def key_before(text: str, place: int) -> str:
    """The words of the key that the value at `place` directly follows: `"birthDate": "…"`, `birth_date: …`, `<birthDate>…`."""
    # Cheap first: most places follow no sign of a key at all.
    sign = place - 1
    floor = max(0, place - 8)
    while sign >= floor and text[sign] in _OPENING:
        sign -= 1
    if sign < floor or text[sign] not in ":=>":
        return ""
    key = _KEY.search(text, max(0, sign - _LONGEST_KEY), sign + 1)
    return _words(key["key"]) if key else ""


_PADDING = " \t\r\n\"'`"
_OPENING = " \t\n\"'`[{(<+"
SIGNS_OF_KEYS = frozenset(_OPENING + ":=>")
"""One of these comes before every value of a key, spaces aside."""

_LONGEST_KEY = 60
_KEY = re.compile(r"(?P<key>[A-Za-zА-Яа-яЁё_][\wА-Яа-яЁё.-]{0,48})[\"'`\]]{0,2}[ \t]{0,3}(?:=>|:=|[:=>])$")
_HUMP = re.compile(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])|(?<=[A-Z])(?=[A-Z][a-z])")


def _words(name: str) -> str:
    """«clientPhone», «client_phone» and «client-phone» are «client phone»."""
    if not name.islower():
        name = _HUMP.sub(" ", name)
    return small(name).translate(_JOINTS)


_JOINTS = str.maketrans({"_": " ", "-": " "})
_SEPARATORS = ";\t|,"
_STEP = 4_000  # characters between two checkpoints


def _separated(text: str, checkpoint: Callable[[], None]) -> Iterator[tuple[int, int, str]]:
    """Cells of lines that have as many separators as a line of plain words above them."""
    header: list[str] = []
    separator = ""
    end = seen = 0
    while end < len(text):
        start, end = end, text.find("\n", end) + 1 or len(text) + 1
        if end - seen > _STEP:
            checkpoint()
            seen = end
        line = text[start : end - 1]
        if header and line.count(separator) >= len(header) - 1:
            cells = list(_cells(line, separator))
            if len(cells) == len(header):
                for heading, (left, right) in zip(header, cells, strict=True):
                    if heading:
                        yield start + left, start + right, heading
                continue
        elif header and separator == "|" and _RULE.fullmatch(line):
            continue
        header, separator = _header(line)


_RULE = re.compile(r"[|+ :-]{3,}\r?")


def _cells(line: str, separator: str) -> Iterator[tuple[int, int]]:
    """Where the cells of a line begin and end; a separator inside a quoted cell parts nothing."""
    place = 0
    quoted = '"' in line
    while place <= len(line):
        end = -1
        if quoted and line[place : place + 1] == '"':
            closing = _CLOSING.search(line, place + 1)
            if closing and line[closing.end() : closing.end() + 1] in {separator, "", "\r"}:
                end = closing.end()
        if end < 0:
            end = line.find(separator, place)
            end = len(line) if end < 0 else end
        yield place, end
        place = end + 1


_CLOSING = re.compile(r'(?<!")(?:"")*"(?!")')


def _header(line: str) -> tuple[list[str], str]:
    """The headings in a line and their separator; a sentence has more words between its commas, and spaces after them."""
    for separator in _SEPARATORS:
        count = line.count(separator)
        if 1 <= count < _MOST_COLUMNS and not (separator == "," and ", " in line):
            cells = [cell.strip(" \r\"'*") for cell in line.split(separator)]
            if sum(map(bool, cells)) > 1 and all(
                len(cell) <= 40 and cell.count(" ") <= 4 and not _VALUE_DIGITS.search(cell) for cell in cells
            ):
                return [_words(cell) for cell in cells], separator
    return [], ""


_VALUE_DIGITS = re.compile("[0-9]{3}|[@={}()]")  # «phone1» is a heading, «4510» and «a@b.ru» are values
_COLUMNS = re.compile(r"\((?P<columns>[\wА-Яа-яЁё\"`\[\] ,.\r\n]{1,2000})\)\s{0,9}values\s{0,9}", re.IGNORECASE)
_VALUES = re.compile(r"\)\s{0,9}values", re.IGNORECASE)
_ROW = re.compile(r"\s{0,9},?\s{0,9}\(")
_VALUE = re.compile(r"\s{0,9}(?:[nNeE]?'(?:[^']|''){0,20000}'|[^,()']{0,2000})")


def _inserted(text: str, checkpoint: Callable[[], None]) -> Iterator[tuple[int, int, str]]:
    """Values of an INSERT under the names in its column list, for each of its rows."""
    place = 0
    while words := _VALUES.search(text, place):
        opening = text.rfind("(", max(place, words.start() - 2_000), words.start())
        place = words.end()
        insert = _COLUMNS.match(text, opening) if opening >= 0 else None
        if insert:
            checkpoint()
            columns = [_words(column.strip(' \r\n"`[]')) for column in insert["columns"].split(",")]
            for start, end, heading in _rows(text, insert.end(), columns):
                place = max(place, end)
                yield start, end, heading


def _copied(text: str, checkpoint: Callable[[], None]) -> Iterator[tuple[int, int, str]]:
    """Values of PostgreSQL's COPY under the names in its column list: lines of cells between tabs."""
    place = 0 if "stdin" in text or "STDIN" in text else len(text)
    while copy := _COPY.search(text, place):
        place = copy.end()
        columns = [_words(column.strip(' \r\n"')) for column in copy["columns"].split(",")]
        while place < len(text):
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            cells = list(_cells(text[place:end], "\t"))
            if len(cells) != len(columns):
                break
            checkpoint()
            for (left, right), heading in zip(cells, columns, strict=True):
                yield place + left, place + right, heading
            place = end + 1


_COPY = re.compile(
    r"\bcopy\s[^\s()]{1,130}\s?\((?P<columns>[^()]{1,2000})\)\s+from\s+stdin[^\n]{0,80}\n", re.IGNORECASE
)


def _rows(text: str, place: int, columns: list[str]) -> Iterator[tuple[int, int, str]]:
    while row := _ROW.match(text, place):
        place = row.end()
        for column in columns:
            value = _VALUE.match(text, place)
            if value is None:
                return
            yield *value.span(), column
            place = value.end()
            if text[place : place + 1] != ",":
                break
            place += 1
        if text[place : place + 1] != ")":
            return
        place += 1
