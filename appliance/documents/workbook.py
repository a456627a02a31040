"""XLSX: every sheet, hidden ones too, cell by cell; formulas by their last result; comments, text boxes, pivot caches, properties."""

from __future__ import annotations

import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from appliance.documents.archive import parts_under, refuse_declarations
from appliance.documents.errors import MissingLibraryError, UnreadableError
from appliance.documents.grid import PlaceOf, Row
from appliance.documents.grid import read as read_grid
from appliance.documents.ooxml import events, labelled, links, local, properties, say_what_is_left, strings
from appliance.documents.passage import Passage, Piece, cut
from appliance.documents.printable import is_private, shown_label

if TYPE_CHECKING:
    from appliance.documents.reading import Reading

_MOST_ROWS = 1 << 20
_ELSEWHERE = (
    "xl/comments",
    "xl/threadedComments/",
    "xl/persons/",
    "xl/drawings/",
    "xl/charts/",
    "xl/diagrams/",
    "xl/externalLinks/",
    "xl/pivotCache/",
    "xl/connections.xml",
    "customXml/item",
)


def read(file: BinaryIO, archive: zipfile.ZipFile, reading: Reading) -> Iterator[Passage]:
    """Everything in the workbook that is text, a number or a date."""
    reading.format = "XLSX"
    try:
        from openpyxl import load_workbook
        from openpyxl.utils import get_column_letter
    except ImportError:
        raise MissingLibraryError("openpyxl") from None
    refuse_declarations(archive)
    say_what_is_left(archive, reading)
    warnings.filterwarnings("ignore", module="openpyxl")  # of what it does not know in a file; they may quote it
    book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    try:
        for number, sheet in enumerate(book.worksheets, 1):
            name = _sheet_name(sheet.title, number)
            sheet.reset_dimensions()  # the declared ones may be smaller than the sheet
            yield from read_grid(_rows(sheet), _place_in(name, get_column_letter))
        if len(list(parts_under(archive, ["xl/worksheets/"]))) > len(book.worksheets):
            reading.problems.append("в файле есть листы, которых нет в книге: не проверены")
        yield from cut(_aside(archive, [sheet.title for sheet in book.worksheets], reading))
    finally:
        book.close()


def _sheet_name(title: str, number: int) -> str:
    return f"лист {number}" if is_private(title) else shown_label(title)


def _place_in(sheet: str, letter: Any) -> PlaceOf:  # noqa: ANN401 - a function of openpyxl, which ships no types
    return lambda row, index, heading: f"{sheet}!{letter(index + 1)}{row}" + (f" «{heading}»" if heading else "")


def _rows(sheet: Any) -> Iterator[Row]:  # noqa: ANN401 - openpyxl ships no types
    for number, cells in enumerate(sheet.iter_rows(), 1):
        if number > _MOST_ROWS:
            raise UnreadableError("строк больше, чем бывает на листе: дальше не прочитано")
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        yield Row(number, texts)


_ZEROS = re.compile(r'[0 ()"\\-]*0[0 ()"\\-]*')


def _text(cell: Any) -> str:  # noqa: ANN401 - openpyxl ships no types
    """A cell as a person sees it, nearly: dates in the Russian way, whole numbers without a point, with zeros that the format adds."""
    match cell.value:
        case None | bool():
            return ""
        case str() as text:
            return text
        case dt.datetime() as moment:
            return moment.strftime("%d.%m.%Y %H:%M" if moment.time() != dt.time() else "%d.%m.%Y")
        case dt.date() as day:
            return day.strftime("%d.%m.%Y")
        case int() | float() as number if number == number // 1:
            layout = str(cell.number_format)
            return f"{number:.0f}".zfill(layout.count("0") if _ZEROS.fullmatch(layout) else 0)
        case other:
            return str(other)


def _aside(archive: zipfile.ZipFile, titles: list[str], reading: Reading) -> Iterator[Piece]:
    for number, title in enumerate(titles, 1):
        yield from labelled("", title, f"имя листа {number}")
    yield from properties(archive)
    yield from links(archive)
    for name in parts_under(archive, _ELSEWHERE):
        yield from strings(archive, name, f"часть {name}")
    uncounted = 0
    for name in parts_under(archive, ["xl/worksheets/"]):
        for place, formula in _uncounted(archive, name):
            uncounted += 1
            yield from labelled("", formula, place)
    if uncounted:
        reading.notes.append(f"формул без сохранённого результата {uncounted}: проверен только их текст")


def _uncounted(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    """Formulas whose result nobody has saved, and what the sheet prints above and below its pages."""
    with archive.open(part) as file:
        formula, result = "", ""
        for _, element in events(file):
            tag = local(element.tag)
            if tag == "f":
                formula = element.text or ""
            elif tag in {"v", "t"}:
                result = result or element.text or ""
            elif tag == "c":
                if formula and not result:
                    yield f"{part}!{element.attrib.get('r', '?')}, формула", formula
                formula, result = "", ""
            elif tag.endswith(("Header", "Footer")) and element.text:
                yield f"{part}, колонтитул", element.text
            if tag in {"row", "c"}:
                element.clear()
