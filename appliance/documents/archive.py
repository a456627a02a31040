"""The archive that a DOCX or XLSX is, looked at before anything is unpacked: how large it grows, what it declares."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from appliance.documents.errors import UnreadableError

_LARGEST = 500 << 20  # bytes of everything unpacked
_SMALL = 16 << 20  # below this no ratio is suspicious
_RATIO = 200
_MOST_PARTS = 20_000
_BLOCK = 1 << 20


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, once it is known to unpack to a bounded size; zipfile reads no more of a part than the part declares.

    Raises UnreadableError.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        raise UnreadableError("архив повреждён или недописан") from None
    parts = archive.infolist()
    unpacked, packed = sum(part.file_size for part in parts), os.fstat(file.fileno()).st_size
    if len(parts) > _MOST_PARTS or unpacked > _LARGEST or (unpacked > _SMALL and unpacked > _RATIO * packed):
        raise UnreadableError(
            f"отказ: распаковывается в {unpacked / 2**20:.0f} МБ из {packed / 2**20:.1f} МБ (zip-бомба?)"
        )
    if any(part.flag_bits & 1 for part in parts):
        raise UnreadableError("документ зашифрован паролем")
    return archive


_DECLARATIONS = tuple(
    word.encode(codec) for word in ("<!DOCTYPE", "<!ENTITY") for codec in ("ascii", "utf-16-le", "utf-16-be")
)


def refuse_declarations(archive: zipfile.ZipFile) -> None:
    """Office documents declare no document type: one that does hides text in entities, or makes gigabytes of them.

    Raises UnreadableError.
    """
    for name in archive.namelist():
        if name.endswith((".xml", ".rels")):
            with archive.open(name) as part:
                tail = b""
                while block := part.read(_BLOCK):
                    if any(word in tail + block for word in _DECLARATIONS):
                        raise UnreadableError("отказ: в документе объявлены сущности XML (XML-бомба?)")
                    tail = block[-32:]


def parts_under(archive: zipfile.ZipFile, folders: Sequence[str], ending: str = ".xml") -> Iterator[str]:
    """The names of the archive's parts that begin with one of `folders`."""
    return (name for name in sorted(archive.namelist()) if name.startswith(tuple(folders)) and name.endswith(ending))
