"""CSV and its kin: the separator is decided by the first rows, the encoding before that."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from appliance.documents.errors import UnreadableError
from appliance.documents.grid import Row
from appliance.documents.grid import read as read_grid
from appliance.documents.passage import Passage

if TYPE_CHECKING:
    from appliance.documents.reading import Reading

LONGEST_LINE = 64 << 20
"""Characters of a line, or of a cell over several lines, that are read into memory at once."""

_SEPARATORS = {";": "«;»", ",": "«,»", "\t": "табуляция", "|": "«|»"}
_NONE = "\x1f"  # a separator that occurs in no text: the table has one column
_SAMPLE = 100  # lines, and as many characters of each line that a sample may have
_SAMPLE_WIDTH = 1 << 20
_ANNOUNCED = re.compile(r"sep=([;,|\t])\r?\n?", re.IGNORECASE)


def read(text: TextIO, reading: Reading) -> Iterator[Passage]:
    """The rows of a table. Rows are counted as a spreadsheet counts them: a cell of several lines is in one row."""
    reading.format = "CSV"
    csv.field_size_limit(LONGEST_LINE)
    lines = bounded_lines(text)
    sample = list(itertools.islice(lines, _SAMPLE))
    announced = _ANNOUNCED.fullmatch(sample[0]) if sample else None
    separator = announced[1] if announced else _separator(sample)
    reading.layout = f"разделитель {_SEPARATORS[separator]}" if separator in _SEPARATORS else "один столбец"
    first = 2 if announced else 1
    return read_grid(_rows(itertools.chain(sample[first - 1 :], lines), separator, first), _place)


def bounded_lines(text: TextIO) -> Iterator[str]:
    """The lines of a text. Raises UnreadableError for one that is too long to be read whole."""
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise UnreadableError(f"строка {number} длиннее {LONGEST_LINE >> 20} млн знаков: дальше не прочитано")
        yield line


def _rows(lines: Iterator[str], separator: str, first: int) -> Iterator[Row]:
    number = first
    try:
        for number, cells in enumerate(csv.reader(lines, delimiter=separator), first):
            yield Row(number, cells)
    except csv.Error:
        raise UnreadableError(f"после строки {number} таблица не разбирается (незакрытая кавычка?)") from None


def _place(row: int, index: int, heading: str) -> str:
    return f"строка {row}, столбец {index + 1}" + (f" «{heading}»" if heading else "")


def _separator(sample: Sequence[str]) -> str:
    """The separator by which most of the first rows have as many cells as the first one, or nearly; the most cells decide a draw."""
    best = (0.0, 0, _NONE)
    lines = [line[:_SAMPLE_WIDTH] for line in sample]
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        if not widths:
            continue
        usual, count = Counter(widths).most_common(1)[0]
        like_first = sum(widths[0] <= width <= 2 * widths[0] for width in widths)
        for width, rows in ((usual, count), (widths[0], like_first)):
            if width > 1:
                best = max(best, (rows / len(widths), width, separator))
    return best[2] if best[0] > 0.5 else _NONE
