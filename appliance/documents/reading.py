"""Reading one file: which format it has by its content, and its passages whatever the format."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from appliance.documents.errors import DocumentError, UnreadableError, reason
from appliance.documents.passage import Passage
from policies import DetectorError


class Reading(msgspec.Struct):
    """What is known of a file besides its passages; it fills while they are read.

    `problems` say what was not read: with one of them the file is not clean, whatever was found.
    """

    given_encoding: str = ""
    format: str = ""
    layout: str = ""  # how the format is used: the separator of a table
    encoding: str = ""
    position: int = 0  # roughly, how many bytes of the file were read
    notes: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


def passages(path: Path, reading: Reading) -> Iterator[Passage]:
    """The passages of a file, one after the other. What goes wrong becomes one of the reading's problems and ends it.

    Raises policies.DetectorError: whether a label may be shown is asked of the detector.
    """
    try:
        with _opened(path) as file:
            before = os.fstat(file.fileno())
            for passage in _read(file, path, reading):
                reading.position = file.tell()
                yield passage
            after = os.fstat(file.fileno())
            reading.position = before.st_size
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                reading.problems.append("файл менялся во время проверки")
    except DetectorError:
        raise
    except DocumentError as error:
        reading.problems.append(str(error))
    except OSError as error:
        reading.problems.append(reason(error))
    except UnicodeError:
        reading.problems.append(f"повреждён: дальше не читается как {reading.encoding}")
    except MemoryError:
        reading.problems.append("не хватило памяти")
    except Exception as error:  # noqa: BLE001 - parsers of foreign formats raise anything; the file counts as not read, and the type says why
        reading.problems.append(f"файл повреждён или устроен необычно (`{type(error).__name__}`)")


def _opened(path: Path) -> BinaryIO:
    """The file, if it is one: to open a device can do something, and a pipe would be waited for."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableError("не обычный файл (канал, устройство или сокет)")
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UnreadableError("не обычный файл (канал, устройство или сокет)")
    return file


_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UNDECODED = {
    b"{\\rtf": "RTF не поддерживается: сохраните как DOCX",
    b"%!PS": "PostScript не поддерживается",
}
_MAIL = frozenset({".eml", ".mht", ".mhtml", ".mbox"})


def _read(file: BinaryIO, path: Path, reading: Reading) -> Iterator[Passage]:
    start = file.read(1024)
    file.seek(0)
    if b"%PDF-" in start:
        from appliance.documents import pdf

        return pdf.read(file, reading)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _read_archive(file, path, reading)
    if start.startswith(_OLE):
        raise UnreadableError(
            "старый формат Office (.doc, .xls) или документ с паролем: сохраните как DOCX или XLSX без пароля"
        )
    for sign, refusal in _UNDECODED.items():
        if start.startswith(sign):
            raise UnreadableError(refusal)
    suffix = path.suffix.lower()
    if suffix in _MAIL:
        raise UnreadableError("почтовый формат не поддерживается: текст писем в нём закодирован")
    return _read_text(file, suffix, reading)


def _read_archive(file: BinaryIO, path: Path, reading: Reading) -> Iterator[Passage]:
    from appliance.documents.archive import open_archive

    archive = open_archive(file)
    names = set(archive.namelist())
    if any(name.startswith("xl/") for name in names):
        from appliance.documents import workbook

        return workbook.read(file, archive, reading)
    if any(name.startswith("word/") for name in names):
        from appliance.documents import word

        return word.read(archive, reading)
    kind = path.suffix.lower().lstrip(".") or "zip"
    raise UnreadableError(
        f"архивы и формат `{kind}` не поддерживаются" if kind.isalnum() else "архивы не поддерживаются"
    )


def _read_text(file: BinaryIO, suffix: str, reading: Reading) -> Iterator[Passage]:
    from appliance.documents import delimited, json_values, plain
    from appliance.documents.encoding import decide, lines_of

    encoding = decide(file, reading.given_encoding)
    reading.encoding = encoding.title
    if encoding.errors == "replace":
        reading.notes.append("есть байты, которых в UTF-8 не бывает: заменены знаком «�»")
    text = lines_of(file, os.fstat(file.fileno()).st_size, encoding)
    if suffix in {".csv", ".tsv", ".tab"}:
        return delimited.read(text, reading)
    if suffix in {".jsonl", ".ndjson"}:
        return json_values.read_lines(text, reading)
    if suffix in {".json", ".geojson", ".ipynb"}:
        return json_values.read(text, reading)
    return plain.read(text, reading)
