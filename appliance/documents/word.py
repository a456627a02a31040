"""DOCX: body, tables in tables, headers and footers, notes, comments, text boxes, deleted text, properties.

The parts are read as they stream, not as python-docx's tree: it leaves out text boxes, content controls, notes and tracked changes,
and holds the whole document in memory.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from appliance.documents.archive import parts_under, refuse_declarations
from appliance.documents.grid import PlaceOf, Row
from appliance.documents.grid import read as read_grid
from appliance.documents.ooxml import Element, events, labelled, links, local, properties, say_what_is_left, strings
from appliance.documents.passage import Passage, Piece, cut

if TYPE_CHECKING:
    from appliance.documents.reading import Reading

_STORIES = {
    "document": "",
    "header": "верхний колонтитул, ",
    "footer": "нижний колонтитул, ",
    "footnotes": "сноски, ",
    "endnotes": "концевые сноски, ",
    "comments": "примечания, ",
}
_WITHOUT_TEXT = re.compile(
    r"word/(?:styles|stylesWithEffects|settings|webSettings|fontTable|numbering|commentsExtended|commentsIds|commentsExtensible|people)\.xml"
)


def read(archive: zipfile.ZipFile, reading: Reading) -> Iterator[Passage]:
    """Everything in the document that is text."""
    reading.format = "DOCX"
    refuse_declarations(archive)
    say_what_is_left(archive, reading)
    if not any(parts_under(archive, ["word/document"])):
        reading.problems.append("основного текста нет: файл повреждён")
    authors: set[str] = set()
    for name in parts_under(archive, ["word/"]):
        if name.count("/") == 1 and not _WITHOUT_TEXT.fullmatch(name):
            stem = name.removeprefix("word/").removesuffix(".xml").rstrip("0123456789")
            story = _Story(_STORIES.get(stem, f"часть {name}, "), authors)
            yield from cut(story.paragraphs(archive, name))
            for table in story.tables:
                yield from read_grid(table.rows, _place_in(table.name))
    yield from cut(_aside(archive, authors))


def _aside(archive: zipfile.ZipFile, authors: set[str]) -> Iterator[Piece]:
    for author in sorted(authors):
        yield from labelled("автор", author, "авторы правок и примечаний")
    yield from properties(archive)
    yield from links(archive)
    for name in parts_under(archive, ["word/charts/", "word/diagrams/", "word/glossary/document", "customXml/item"]):
        yield from strings(archive, name, f"часть {name}")


def _place_in(table: str) -> PlaceOf:
    return lambda row, index, _: f"{table}, строка {row}, столбец {index + 1}"


class _Table(msgspec.Struct):
    name: str
    rows: list[Row] = msgspec.field(default_factory=list)
    cells: list[str] = msgspec.field(default_factory=list)
    inside: int = 0  # tables in this one


class _Story:
    """One part of the document: its paragraphs in order; its tables once the paragraphs were read."""

    def __init__(self, name: str, authors: set[str]) -> None:
        self.tables: list[_Table] = []
        self._name = name
        self._authors = authors
        self._open: list[_Table] = []  # tables that we are in, the innermost last
        self._texts: list[
            tuple[int, list[str]]
        ] = []  # numbers and texts of paragraphs that we are in: a text box stands in a paragraph
        self._count = self._tables = 0
        self._skipped = 0  # inside of what must not be read: the fallback of what was read, tab stops

    def paragraphs(self, archive: zipfile.ZipFile, part: str) -> Iterator[Piece]:
        with archive.open(part) as file:
            for event, element in events(file, ("start", "end")):
                tag = local(element.tag)
                if event == "start":
                    self._enter(tag, element)
                    continue
                number, text = self._leave(tag, element)
                if text:
                    yield Piece(text, f"{self._name}абзац {number}")
                    yield Piece("\n")
                if tag in {"p", "tc", "tr", "tbl"}:
                    element.clear()

    def _enter(self, tag: str, element: Element) -> None:
        if tag in _SKIPPED:
            self._skipped += 1
        if self._skipped:
            return
        for attribute, value in element.attrib.items():
            if local(attribute) == "author":
                self._authors.add(value)
        match tag:
            case "p":
                self._count += not self._open
                self._texts.append((self._count, []))
            case "tbl":
                self._open.append(_Table(self._table_name()))
            case "tr" if self._open:
                self._open[-1].cells = []
            case "tc" if self._open:
                self._open[-1].cells.append("")
            case _:
                pass

    def _leave(self, tag: str, element: Element) -> tuple[int, str]:
        """The number and text of a paragraph that ended; no text if it stands in a table."""
        if tag in _SKIPPED:
            self._skipped -= 1
        elif self._skipped:
            pass
        elif tag in _TEXTS and self._texts:
            self._texts[-1][1].append(element.text or "")
        elif tag in _SIGNS and self._texts:
            self._texts[-1][1].append(_SIGNS[tag])
        elif tag == "p" and self._texts:
            number, parts = self._texts.pop()
            return number, self._ended("".join(parts))
        elif tag == "tr" and self._open:
            table = self._open[-1]
            table.rows.append(Row(len(table.rows) + 1, table.cells))
        elif tag == "tbl" and self._open:
            self.tables.append(self._open.pop())
        return 0, ""

    def _ended(self, text: str) -> str:
        if not (self._open and self._open[-1].cells):
            return text
        cells = self._open[-1].cells
        cells[-1] = f"{cells[-1]}\n{text}" if cells[-1] else text
        return ""

    def _table_name(self) -> str:
        if not self._open:
            self._tables += 1
            return f"{self._name}таблица {self._tables}"
        outer = self._open[-1]
        outer.inside += 1
        return f"{outer.name}, строка {len(outer.rows) + 1}, столбец {len(outer.cells)}, таблица {outer.inside}"


_SKIPPED = frozenset({"Fallback", "pPr", "rPr", "tblPr", "sectPr"})
_TEXTS = frozenset({"t", "delText", "instrText", "delInstrText"})
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
