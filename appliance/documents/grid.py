"""A table as text: cells between tabs, and the row of headings repeated above each passage, as the detector reads tables."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from appliance.documents.passage import CORE, Passage, Piece, cut, join
from appliance.documents.printable import private_findings, shown_label


class Row(NamedTuple):
    """A row of a table: its number as people count it, and its cells."""

    number: int
    cells: Sequence[str]


PlaceOf = Callable[[int, int, str], str]
"""Names a place by the row's number, the cell's index and the heading over it (empty if there is none)."""


def read(rows: Iterable[Row], place_of: PlaceOf) -> Iterator[Passage]:
    """The passages of a table. Raises policies.DetectorError: whether a row holds headings is asked of the detector too."""
    rows = iter(rows)
    top = list(itertools.islice(rows, _TOP))
    at, headings = _headings_of(top)
    told = at + any(heading.private for heading in headings)  # headings that tell of somebody are inspected themselves
    yield from _passages(top[:told], [], place_of)
    yield from _passages(itertools.chain(top[at + bool(headings) :], rows), headings, place_of)


_TOP = 20  # rows among which the headings are looked for
_LONGEST_HEADING = 120
_DIGITS = re.compile(r"[0-9]{5}|@")


class _Heading(NamedTuple):
    words: str  # as the detector takes one
    shown: str  # as a report may show it
    private: bool


def _headings_of(rows: Sequence[Row]) -> tuple[int, list[_Heading]]:
    """The first row of plain words, with at most a title above it that fills less than half as many cells; else no headings."""
    fullest = 0
    width = max((len(row.cells) for row in rows), default=0)
    for number, row in enumerate(rows[:-1]):
        filled = sum(bool(cell.strip()) for cell in row.cells)
        if filled > 2 * fullest and filled >= min(width, 2) and (headings := _headings(row.cells)):
            return number, headings
        fullest = max(fullest, filled)
    return 0, []


def _headings(cells: Sequence[str]) -> list[_Heading]:
    """The headings that the cells are; none when a quarter of them is somebody's data, or one looks like a value."""
    if any(len(cell) > _LONGEST_HEADING or _DIGITS.search(cell) for cell in cells):
        return []
    ends = list(itertools.accumulate(len(cell) + 1 for cell in cells))
    found = private_findings("\t".join(map(_cell, cells)))
    private = {
        index
        for finding in found
        for index in range(bisect.bisect_right(ends, finding.start), bisect.bisect_left(ends, finding.end) + 1)
    }
    if 4 * len(private) > sum(bool(cell.strip()) for cell in cells):
        return []
    return [
        _Heading(_words(cell), "" if index in private else shown_label(cell), index in private)
        for index, cell in enumerate(cells)
    ]


def _passages(rows: Iterable[Row], headings: Sequence[_Heading], place_of: PlaceOf) -> Iterator[Passage]:
    most = max(CORE, sum(len(heading.words) for heading in headings))
    taken: list[Row] = []
    size = 0
    for row in rows:
        if not any(row.cells):
            continue
        cells = list(row.cells)
        for index, cell in enumerate(cells):
            if len(cell) > CORE:
                place = place_of(row.number, index, _over(headings, index))
                yield from cut(
                    [Piece(f"{headings[index].words}: " if index < len(headings) else ""), Piece(cell, place)]
                )
                cells[index] = ""
        taken.append(Row(row.number, cells))
        size += sum(map(len, cells)) + len(cells)
        if size >= most:
            yield _passage(taken, headings, place_of)
            taken, size = [], 0
    if taken:
        yield _passage(taken, headings, place_of)


def _over(headings: Sequence[_Heading], index: int) -> str:
    return headings[index].shown if index < len(headings) else ""


def _passage(rows: Sequence[Row], headings: Sequence[_Heading], place_of: PlaceOf) -> Passage:
    width = max(len(headings), *(len(row.cells) for row in rows))
    above = [heading.words for heading in headings]
    label = Piece(f"{above[0]}: " if width == 1 and above and above[0] else "")
    before = [Piece("\t".join([*above, *[""] * (width - len(above))]) + "\n")] if any(above) and width > 1 else []
    core: list[Piece] = []
    for row in rows:
        core.append(label)
        for index, cell in enumerate(row.cells):
            if cell:
                core.append(Piece(_cell(cell), place_of(row.number, index, _over(headings, index))))
            if index < width - 1:
                core.append(_TAB)
        core.append(Piece("\t" * max(0, width - 1 - len(row.cells)) + "\n"))
    return join(before, core)


_TAB = Piece("\t")
_BREAKS = str.maketrans(dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029", " "))


def _cell(cell: str) -> str:
    """The cell in one line, of the same length: a tab would part it, a quotation mark at its beginning could swallow the next ones."""
    cell = cell.translate(_BREAKS)
    return f"'{cell[1:]}" if cell.startswith('"') else cell


_NOT_OF_WORDS = re.compile(r"[^\w .№/-]|[0-9]{3,}")


def _words(heading: str) -> str:
    """A heading as the detector takes one: a few plain words."""
    return " ".join(_NOT_OF_WORDS.sub(" ", heading).split()[:5])[:40]
