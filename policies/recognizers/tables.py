"""What a table says of its cells: the header of a CSV, the column list of an SQL INSERT. The best label is often rows away."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

_MOST_COLUMNS = 60


class Headings:
    """The heading of each cell of the tables in a folded, lower-case text."""

    def __init__(self, lower: str) -> None:
        """Finding no table is quick."""
        self._cells = sorted((*_separated(lower), *_inserted(lower)))

    def over(self, place: int) -> str:
        """The heading of the cell at `place`; empty outside of tables."""
        after = bisect.bisect(self._cells, place, key=lambda cell: cell[0])
        if after:
            _, end, heading = self._cells[after - 1]
            if place < end:
                return heading
        return ""


_SEPARATORS = ";\t|,"


def _separated(lower: str) -> Iterator[tuple[int, int, str]]:
    """Cells of lines that have as many separators as a line of plain words above them."""
    header: list[str] = []
    separator = ""
    place = 0
    for line in lower.split("\n"):
        start, place = place, place + len(line) + 1
        if header and line.count(separator) == len(header) - 1:
            for heading, cell in zip(header, line.split(separator), strict=True):
                yield start, start + len(cell), heading
                start += len(cell) + 1
        else:
            header, separator = _header(line)


def _header(line: str) -> tuple[list[str], str]:
    """The headings in a line and their separator; a sentence has more words between its commas, and spaces after them."""
    if len(line) < 400 and not _DIGIT.search(line):
        for separator in _SEPARATORS:
            if 1 <= line.count(separator) < _MOST_COLUMNS and not (separator == "," and ", " in line):
                cells = [cell.strip(" \"'") for cell in line.split(separator)]
                if all(len(cell) <= 30 and cell.count(" ") <= 2 for cell in cells):
                    return cells, separator
    return [], ""


_DIGIT = re.compile("[0-9]")
_INSERT = re.compile(r"\((?P<columns>[a-zа-яё_\"`\[\] ,.]{1,600})\)\s{0,9}values\s{0,9}", re.IGNORECASE)
_ROW = re.compile(r"\s{0,9},?\s{0,9}\(")
_VALUE = re.compile(r"\s{0,9}(?:'(?:[^']|'')*'|[^,()']*)")


def _inserted(lower: str) -> Iterator[tuple[int, int, str]]:
    """Values of an INSERT under the names in its column list, for each of its rows."""
    if "values" not in lower:
        return
    for insert in _INSERT.finditer(lower):
        columns = [column.strip(' "`[]') for column in insert["columns"].split(",")]
        place = insert.end()
        while row := _ROW.match(lower, place):
            place = row.end()
            for column in columns:
                value = _VALUE.match(lower, place)
                if value is None:
                    return
                yield place, value.end(), column
                place = value.end()
                if lower[place : place + 1] != ",":
                    break
                place += 1
            if lower[place : place + 1] != ")":
                break
            place += 1
