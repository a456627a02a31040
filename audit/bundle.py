"""The bundle: a log in one file for an auditor, read front to back, with no byte that has no meaning. `FORMAT.md`, section 5, draws it.

Nothing is compressed, so nothing can swell: a section is at most 8 MiB, and a reader holds one at a time. Not a ZIP: there, dates, flags
and comments are bits that nothing hashes, and a verifier would have to say so of each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import BinaryIO, TypeAlias

import msgspec
from msgspec import Struct

from audit.checkpoint import MAX_NOTE
from audit.entry import MAX_SEQ
from audit.errors import Finding, VerificationError
from audit.leaf import HEADER_SIZE, Record
from audit.merkle import HASH_SIZE
from audit.sealing import KEY_SIZE
from audit.strict import json_of

BUNDLE_MAGIC = b"LLM AUDIT BUNDLE 2\n\x00"
HIGHEST = 40  # level of a skipped subtree, at most

_HEAD, _CERTIFICATE, _NOTE, _DONE = b"HEAD", b"CERT", b"NOTE", b"DONE"
_KEYS, _RECORDS, _SKIPPED, _LABELS = b"KEYS", b"RECS", b"SKIP", b"LABL"
_SECTION = struct.Struct(">4sQ")
_LENGTH = struct.Struct(">I")
_KEY = struct.Struct(f">Q{KEY_SIZE}s")
_SPAN = struct.Struct(f">B{HASH_SIZE}s")
_ABSENT = 0xFFFFFFFF
_FLUSH = 1 << 20  # bytes of records after which a section is closed
_LARGEST = 1 << 23
_LAST_KIND = 0xFFFF

Labels: TypeAlias = Mapping[int, tuple[str, ...]]
"""Kind → names of the fields of its body, by whoever made the bundle; nothing proves them."""


class Given(Struct, frozen=True):
    """A record, and the key that opens its body when it is disclosed."""

    record: Record
    key: bytes = b""


class Skipped(Struct, frozen=True):
    """2^level records that are not given, by the root over them."""

    level: int
    root: bytes


class Kept(Struct, frozen=True):
    """The signed note of a checkpoint over all records before it."""

    note: str


class Certified(Struct, frozen=True):
    """The certificate of a signing epoch that begins here."""

    note: str


Piece: TypeAlias = Given | Skipped | Kept | Certified


class Bundle(Struct, frozen=True):
    """A bundle as it is read: its newest checkpoint, names of fields, and the pieces as they come."""

    head: str
    labels: Labels
    pieces: Iterator[Piece]


def write_bundle(file: BinaryIO, head: str, pieces: Iterable[Piece], labels: Labels) -> int:
    """Write a bundle; the number of records given in it."""
    out = _Writer(file)
    file.write(BUNDLE_MAGIC)
    out.section(_HEAD, head.encode())
    if labels:
        out.section(_LABELS, msgspec.json.encode({str(kind): names for kind, names in labels.items()}))
    for piece in pieces:
        out.add(piece)
    out.flush()
    out.section(_DONE, b"")
    return out.count


def read_bundle(file: BinaryIO) -> Bundle:
    """The bundle in a file. Raises VerificationError (here and while iterating) at the first byte out of form.

    Records carry the number of their place, whatever their header says.
    """
    if file.read(len(BUNDLE_MAGIC)) != BUNDLE_MAGIC:
        raise _error("это не выгрузка журнала")
    tag, content = _read_section(file)
    if tag != _HEAD:
        raise _error("выгрузка не начинается с контрольной точки")
    head = _note(content)
    tag, content = _read_section(file)
    labels: Labels = {}
    if tag == _LABELS:
        labels = _labels(content)
        tag, content = _read_section(file)
    return Bundle(head, labels, _pieces(file, tag, content))


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self._file = file
        self._records = bytearray()
        self._keys = bytearray()
        self._spans = bytearray()

    def add(self, piece: Piece) -> None:
        match piece:
            case Given(record, key):
                self._write(_SKIPPED, self._spans)
                self._records += record.header + record.leaf_hash + _framed(record.body) + _framed(record.subjects)
                if key:
                    self._keys += _KEY.pack(record.seq, key)
                self.count += 1
                if len(self._records) >= _FLUSH:
                    self.flush()
            case Skipped(level, root):
                self._write_records()
                self._spans += _SPAN.pack(level, root)
            case Kept(note):
                self.flush()
                self.section(_NOTE, note.encode())
            case Certified(note):
                self.flush()
                self.section(_CERTIFICATE, note.encode())

    def flush(self) -> None:
        self._write_records()
        self._write(_SKIPPED, self._spans)

    def section(self, tag: bytes, content: bytes | bytearray) -> None:
        self._file.write(_SECTION.pack(tag, len(content)))
        self._file.write(content)

    def _write_records(self) -> None:
        self._write(_KEYS, self._keys)
        self._write(_RECORDS, self._records)

    def _write(self, tag: bytes, pending: bytearray) -> None:
        if pending:
            self.section(tag, pending)
            pending.clear()


def _pieces(file: BinaryIO, tag: bytes, content: bytes) -> Iterator[Piece]:
    seq = 0
    while tag != _DONE:
        keys: dict[int, bytes] = {}
        if tag == _KEYS:
            keys = _keys(content)
            tag, content = _read_section(file)
        if keys and tag != _RECORDS:
            raise _error("за ключами записей нет самих записей")
        for piece in _section(tag, content, seq, keys):
            yield piece
            seq += 1 if isinstance(piece, Given) else 1 << piece.level if isinstance(piece, Skipped) else 0
            if seq > MAX_SEQ:
                raise _error("записей больше, чем может быть")
        if keys:
            raise _error("в выгрузке ключи записей, которых в ней нет")
        tag, content = _read_section(file)
    if content:
        raise _error("выгрузка закончена не по форме")
    if file.read(1):
        raise _error("после конца выгрузки есть лишнее")


def _section(tag: bytes, content: bytes, seq: int, keys: dict[int, bytes]) -> Iterator[Piece]:
    """The pieces of one section; what is used of the keys is taken out."""
    match tag:
        case b"RECS" if content:
            for record in _records(content, seq):
                yield Given(record, keys.pop(record.seq, b""))
        case b"SKIP" if content:
            yield from _spans(content)
        case b"NOTE":
            yield Kept(_note(content))
        case b"CERT":
            yield Certified(_note(content))
        case _:
            raise _error("в выгрузке раздел, которого эта версия не знает")


def _records(content: bytes, seq: int) -> Iterator[Record]:
    """One after another; nothing but slices, for a million of them."""
    at, end = 0, len(content)
    unpack = _LENGTH.unpack_from
    while at < end:
        hashed = at + HEADER_SIZE
        framed = hashed + HASH_SIZE
        try:
            (body,) = unpack(content, framed)
            start = framed + 4
            framed = start if body == _ABSENT else start + body
            (subjects,) = unpack(content, framed)
        except struct.error:
            raise VerificationError(f"запись {seq} в выгрузке обрывается", Finding.FORMAT, seq) from None
        after = framed + 4 if subjects == _ABSENT else framed + 4 + subjects
        if after > end:
            raise VerificationError(f"запись {seq} в выгрузке обрывается", Finding.FORMAT, seq)
        yield Record(
            seq,
            content[at:hashed],
            content[hashed : hashed + HASH_SIZE],
            None if body == _ABSENT else content[start:framed],
            None if subjects == _ABSENT else content[framed + 4 : after],
        )
        at = after
        seq += 1


def _keys(content: bytes) -> dict[int, bytes]:
    if not content or len(content) % _KEY.size:
        raise _error("ключи записей не по форме")
    found = list(_KEY.iter_unpack(content))
    numbers = [number for number, _ in found]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise _error("ключи записей не по порядку")
    return dict(found)


def _spans(content: bytes) -> Iterator[Skipped]:
    if len(content) % _SPAN.size:
        raise _error("пропущенные записи не по форме")
    for level, root in _SPAN.iter_unpack(content):
        if level > HIGHEST:
            raise _error("пропущено больше записей, чем может быть")
        yield Skipped(level, root)


def _labels(content: bytes) -> Labels:
    try:
        named = msgspec.convert(json_of(content), dict[str, tuple[str, ...]])
        labels = {int(kind): names for kind, names in named.items() if kind.isascii() and kind.isdigit()}
    except ValueError:
        raise _error("названия полей не по форме") from None
    if any(str(kind) not in named or kind > _LAST_KIND for kind in labels) or len(labels) != len(named):
        raise _error("названия полей не по форме")
    return labels


def _framed(ciphertext: bytes | None) -> bytes:
    return _LENGTH.pack(_ABSENT) if ciphertext is None else _LENGTH.pack(len(ciphertext)) + ciphertext


def _read_section(file: BinaryIO) -> tuple[bytes, bytes]:
    opening = file.read(_SECTION.size)
    if len(opening) != _SECTION.size:
        raise _error("выгрузка обрывается")
    tag, length = _SECTION.unpack(opening)
    if length > _LARGEST:
        raise _error("раздел выгрузки слишком велик")
    content = file.read(length)
    if len(content) != length:
        raise _error("выгрузка обрывается")
    return tag, content


def _note(content: bytes) -> str:
    if len(content) > 4 * MAX_NOTE:
        raise _error("контрольная точка слишком велика")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _error("контрольная точка не по форме") from None


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.FORMAT)
