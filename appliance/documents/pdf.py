"""PDF: the text of each page, notes on it, filled forms and properties. A page without text is a picture to us, and is said so."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from appliance.documents.errors import MissingLibraryError, UnreadableError
from appliance.documents.ooxml import labelled
from appliance.documents.passage import Passage, Piece, cut

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

    from appliance.documents.reading import Reading


def read(file: BinaryIO, reading: Reading) -> Iterator[Passage]:
    """The pages in order, then what stands beside them."""
    reading.format = "PDF"
    try:
        from pypdf import PdfReader
    except ImportError:
        raise MissingLibraryError("pypdf") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings may quote the file
    reader = PdfReader(file, strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableError("документ зашифрован паролем")
    return cut(_pieces(reader, reading))


def _pieces(reader: PdfReader, reading: Reading) -> Iterator[Piece]:
    empty: list[int] = []
    broken: list[int] = []
    count = 0
    for count, page in enumerate(reader.pages, 1):
        try:
            text = page.extract_text()
            notes = _notes(page)
        except Exception:  # noqa: BLE001 - pypdf raises anything on a damaged page; the page is reported as not read
            broken.append(count)
            continue
        if _is_text(text):
            yield Piece(text, f"страница {count}")
            yield Piece("\n")
        else:
            empty.append(count)
        for note in notes:
            yield from labelled("", note, f"страница {count}, заметка или поле формы")
    if broken:
        reading.problems.append(f"не читаются страницы {_ranges(broken)}")
    if not count:
        reading.problems.append("страниц нет: файл повреждён")
    elif empty and len(empty) + len(broken) == count:
        reading.problems.append("ни на одной странице нет текста (скан?): не проверен")
    elif empty:
        reading.notes.append(f"страница без текста: не проверена — {_ranges(empty)}")
    yield from _properties(reader)
    if reader.attachments:
        reading.problems.append("вложенные файлы не проверены")


def _is_text(text: str) -> bool:
    """Whether there are letters: a font without a table of its letters gives signs that mean nothing."""
    signs = [sign for sign in text if not sign.isspace()]
    lost = sum(unicodedata.category(sign) in {"Cc", "Co", "Cn", "Cs"} or sign == "\ufffd" for sign in signs)
    return bool(signs) and lost * 4 < len(signs)


def _notes(page: PageObject) -> list[str]:
    notes = []
    for each in page.get("/Annots") or ():
        note = each.get_object()
        notes += [str(note[key]) for key in ("/Contents", "/T", "/V") if isinstance(note.get(key), str)]
        action = note.get("/A")
        address = action.get_object().get("/URI") if action is not None else None
        if isinstance(address, str):
            notes.append(address)
    return notes


_PROPERTIES = {
    "/Author": "автор",
    "/Title": "название",
    "/Subject": "тема",
    "/Keywords": "ключевые слова",
    "/Creator": "чем создан",
}


def _properties(reader: PdfReader) -> Iterator[Piece]:
    for key, title in _PROPERTIES.items():
        value = reader.metadata.get(key) if reader.metadata else None
        if isinstance(value, str):
            yield from labelled(title, value, f"свойства документа, {title}")


def _ranges(numbers: Sequence[int]) -> str:
    """«2, 5–7»."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("–".join(map(str, run)) for run in runs)
