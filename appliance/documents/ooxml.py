"""What DOCX and XLSX have in common: properties, links, and the strings of parts that neither story nor sheet are."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

from appliance.documents.archive import parts_under
from appliance.documents.errors import MissingLibraryError
from appliance.documents.passage import Piece

if TYPE_CHECKING:
    from appliance.documents.reading import Reading


class Element(Protocol):
    """An element of a document's XML, as far as we look at one."""

    tag: str
    text: str | None
    attrib: dict[str, str]

    def clear(self) -> None:
        """Forget what is inside."""


def events(part: IO[bytes], kinds: Sequence[str] = ("end",)) -> Iterator[tuple[str, Element]]:
    """The part's elements as they begin and end. What was read of it is forgotten by whoever calls `clear`."""
    try:
        from defusedxml.ElementTree import iterparse
    except ImportError:
        raise MissingLibraryError("defusedxml") from None
    found: Iterable[Any] = iterparse(part, events=kinds, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    yield from found


def local(tag: str) -> str:
    """The name without its namespace."""
    return tag.rpartition("}")[2]


_PROPERTIES = {
    "creator": "автор",
    "lastModifiedBy": "кем изменён",
    "title": "название",
    "subject": "тема",
    "description": "описание",
    "keywords": "ключевые слова",
    "category": "категория",
    "contentStatus": "состояние",
    "Manager": "руководитель",
    "Company": "организация",
    "lpwstr": "свойство",
    "lpstr": "свойство",
}


def properties(archive: zipfile.ZipFile) -> Iterator[Piece]:
    """What the document says of itself: its author, above all."""
    for name in parts_under(archive, ["docProps/"]):
        with archive.open(name) as part:
            for _, element in events(part):
                title = _PROPERTIES.get(local(element.tag))
                if title and element.text and not (local(element.tag) == "lpstr" and name.endswith("app.xml")):
                    yield from labelled(title, element.text, f"свойства документа, {title}")


def links(archive: zipfile.ZipFile) -> Iterator[Piece]:
    """Addresses that the document's links lead to: `mailto:` names a person where the text says «написать»."""
    for name in parts_under(archive, ["word/", "xl/"], ".rels"):
        with archive.open(name) as part:
            for _, element in events(part):
                if element.attrib.get("TargetMode") == "External":
                    yield from labelled("", element.attrib.get("Target", ""), "адреса ссылок")


_TELLING = ("v", "displayName", "author", "connection", "command", "userId")


def strings(archive: zipfile.ZipFile, name: str, place: str) -> Iterator[Piece]:
    """All text of a part, and those attributes that hold what somebody wrote; runs of one paragraph are one text."""
    with archive.open(name) as part:
        run: list[str] = []
        for _, element in events(part):
            tag = local(element.tag)
            if tag == "t":
                run.append(element.text or "")
            elif element.text and element.text.strip():
                yield from labelled("", element.text, place)
            for attribute in _TELLING:
                yield from labelled("", element.attrib.get(attribute, ""), place)
            if tag in {"p", "si", "text", "comment"}:
                yield from labelled("", "".join(run), place)
                run = []
            element.clear()
        yield from labelled("", "".join(run), place)


def labelled(label: str, text: str, place: str) -> Iterator[Piece]:
    """A line of its own, with a label that is context; nothing for no text."""
    if text.strip():
        yield Piece(f"{label}: " if label else "")
        yield Piece(text, place)
        yield Piece("\n")


def say_what_is_left(archive: zipfile.ZipFile, reading: Reading) -> None:
    """Note what of the document is no text."""
    names = [name.lower() for name in archive.namelist()]
    pictures = sum("/media/" in name for name in names)
    inside = sum("/embeddings/" in name or name.endswith("vbaproject.bin") or "/afchunk" in name for name in names)
    if pictures:
        reading.notes.append(f"изображений {pictures}: не проверены")
    if inside:
        reading.problems.append(f"вложенных файлов и макросов {inside}: не проверены")
