"""Which encoding a text file has: decided by its bytes, and refused where they do not decide."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from appliance.documents.errors import UnreadableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)


class Encoding(msgspec.Struct, frozen=True):
    """A codec, its name for people, and what to do with bytes that it does not know."""

    codec: str
    title: str
    errors: str = "strict"


def decide(file: BinaryIO, given: str = "") -> Encoding:
    """The encoding of the file: its mark, else UTF-8, else `given`, else cp1251 if the letters look like it. Reads the whole file.

    Raises UnreadableError for what is no text, or no text whose encoding can be told.
    """
    start = file.read(4)
    for mark, codec, title in _BOMS:
        if start.startswith(mark):
            return Encoding(codec, title)
    file.seek(0)
    counts = _survey(file)
    if counts.controls * 50 > counts.size:
        raise UnreadableError("двоичный файл или UTF-16 без метки порядка байтов: не текст")
    if counts.is_utf8:
        return Encoding("utf-8", "UTF-8")
    if counts.sequences >= 10 * counts.strays:
        return Encoding("utf-8", "UTF-8", "replace")
    if given:
        return Encoding(given, given)
    if counts.strays >= 10 * counts.sequences and _may_be_cp1251(counts.high):
        return Encoding("cp1251", "cp1251")
    raise UnreadableError("кодировка не определена: назовите её в --encoding или переведите файл в UTF-8")


class Bounded(io.RawIOBase):
    """A file up to the length that it had when it was opened: a log that grows would never end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is left, at most."""
        view = memoryview(buffer).cast("B")
        block = self._file.read(min(len(view), self._left))
        view[: len(block)] = block
        self._left -= len(block)
        return len(block)


def lines_of(file: BinaryIO, size: int, encoding: Encoding) -> io.TextIOWrapper:
    """The file as text from its beginning; every end of line is «\\n»."""  # noqa: D301 - the sign, not the escape
    file.seek(0)
    raw = io.BufferedReader(Bounded(file, size), _BLOCK)
    return io.TextIOWrapper(raw, encoding=encoding.codec, errors=encoding.errors)


class _Counts(msgspec.Struct):
    size: int = 0
    controls: int = 0  # control characters that no text has
    sequences: int = 0  # bytes in well-formed sequences of UTF-8
    strays: int = 0  # other bytes above ASCII
    is_utf8: bool = True
    high: Counter[int] = msgspec.field(default_factory=Counter)


_ASCII = bytes(range(128))
_NOT_CONTROLS = bytes(set(range(256)) - (set(range(32)) - set(b"\t\n\v\f\r\b\x1a\x1b")) - {127})
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def _survey(file: BinaryIO) -> _Counts:
    counts = _Counts()
    decoder = codecs.getincrementaldecoder("utf-8")()
    while block := file.read(_BLOCK):
        high = block.translate(None, _ASCII)
        sequences = sum(map(len, _SEQUENCE.findall(block))) if high else 0
        counts.size += len(block)
        counts.controls += len(block.translate(None, _NOT_CONTROLS))
        counts.sequences += sequences
        counts.strays += len(high) - sequences
        counts.high.update(high)
        counts.is_utf8 = counts.is_utf8 and _decodes(decoder, block)
    counts.is_utf8 = counts.is_utf8 and _decodes(decoder, b"", final=True)
    return counts


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


_LETTERS = "".join(map(chr, range(ord("а"), ord("я") + 1))) + "ё"
_LETTER_BYTES = frozenset((_LETTERS + _LETTERS.upper()).encode("cp1251"))
_COMMON_BYTES = frozenset("оеаинтсрвлОЕАИНТСРВЛ".encode("cp1251"))  # 64 % of the letters of Russian prose
_UNDEFINED = 0x98


def _may_be_cp1251(high: Counter[int]) -> bool:
    """Whether the bytes above ASCII are Russian in cp1251. In KOI8-R the common letters would be others, in cp866 hardly letters."""
    total = high.total()
    letters = sum(high[byte] for byte in _LETTER_BYTES)
    common = sum(high[byte] for byte in _COMMON_BYTES)
    if high[_UNDEFINED]:
        return False
    return letters >= 0.8 * total and (total < 40 or common >= 0.45 * letters)
