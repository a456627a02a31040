"""Plain text: passages of lines, as long as the file may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from appliance.documents.passage import Passage, Piece, cut

if TYPE_CHECKING:
    from appliance.documents.reading import Reading

_LONGEST = 16_000  # characters read at once; a longer line comes in parts


def read(text: TextIO, reading: Reading) -> Iterator[Passage]:
    """The lines of a text."""
    reading.format = "текст"
    return cut(_lines(text), _columns)


def _lines(text: TextIO) -> Iterator[Piece]:
    number, offset = 1, 0
    while part := text.readline(_LONGEST):
        yield Piece(part, f"строка {number}", offset)
        offset += len(part)
        if part.endswith("\n"):
            number, offset = number + 1, 0


_STATEMENT = re.compile(
    r"^(?:COPY\s[^\n;]{1,2000}\sFROM\s+stdin[^\n]{0,80}\n|INSERT\s+INTO\s[^\n;]{1,2000}\)\s*VALUES\s*\n)",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(r"^\\\.$|;\n", re.MULTILINE)


def _columns(heading: str, text: str) -> str:
    """The statement of a database dump whose rows go on after `text`; empty if there is none."""
    place = 0
    for statement in _STATEMENT.finditer(text):
        heading, place = statement[0], statement.end()
    return "" if not heading or _END.search(text, place) else heading
