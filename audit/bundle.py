r"""The bundle: a log in one file for an auditor, read front to back, with no byte that has no meaning.

    magic                       20 bytes, "LLM AUDIT BUNDLE 1\\n\\0"
    sections                    tag (4 bytes) ‖ length (8 bytes, big-endian) ‖ content
      HEAD                      the signed checkpoint over the whole log; first, once
      RECS                      records, in order of number: header (142) ‖ leaf hash (32) ‖ body ‖ subjects,
                                each of the last two as length (4 bytes, big-endian) ‖ ciphertext; length 2³²−1: no longer kept
      NOTE                      a kept checkpoint, standing right after the last record that it covers
      DONE                      empty; last, once

Nothing is compressed, so nothing can swell: a section is at most 8 MiB, and a reader holds one at a time.
A later version adds sections (tiles, epoch certificates, cosignatures) under a new magic. Not a ZIP: there, dates, flags and
comments are bits that nothing hashes, and a verifier would have to say so of each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from audit.checkpoint import MAX_NOTE
from audit.errors import Finding, VerificationError
from audit.leaf import HEADER_SIZE, Record
from audit.merkle import HASH_SIZE

BUNDLE_MAGIC = b"LLM AUDIT BUNDLE 1\n\x00"

_HEAD, _RECORDS, _NOTE, _DONE = b"HEAD", b"RECS", b"NOTE", b"DONE"
_SECTION = struct.Struct(">4sQ")
_LENGTH = struct.Struct(">I")
_ABSENT = 0xFFFFFFFF
_FLUSH = 1 << 20  # bytes of records after which a section is closed
_LARGEST = 1 << 23

Piece = Record | str
"""A record, or the signed note of a kept checkpoint over all records before it."""


def write_bundle(file: BinaryIO, head: str, pieces: Iterable[Piece]) -> int:
    """Write a bundle; the number of records in it."""
    file.write(BUNDLE_MAGIC)
    _write_section(file, _HEAD, head.encode())
    count = 0
    pending = bytearray()
    for piece in pieces:
        if isinstance(piece, str):
            _flush(file, pending)
            _write_section(file, _NOTE, piece.encode())
            continue
        pending += piece.header + piece.leaf_hash + _framed(piece.body) + _framed(piece.subjects)
        count += 1
        if len(pending) >= _FLUSH:
            _flush(file, pending)
    _flush(file, pending)
    _write_section(file, _DONE, b"")
    return count


def read_bundle(file: BinaryIO) -> tuple[str, Iterator[Piece]]:
    """The head's note, and then the pieces as they come. Raises VerificationError (here and while iterating) at the first byte out of form.

    Records carry the number of their place, whatever their header says.
    """
    if file.read(len(BUNDLE_MAGIC)) != BUNDLE_MAGIC:
        raise _error("это не выгрузка журнала")
    tag, content = _read_section(file)
    if tag != _HEAD:
        raise _error("выгрузка не начинается с контрольной точки")
    return _note(content), _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[Piece]:
    seq = 0
    while True:
        tag, content = _read_section(file)
        if tag == _RECORDS and content:
            for record in _records(content, seq):
                yield record
                seq += 1
        elif tag == _NOTE:
            yield _note(content)
        elif tag == _DONE and not content:
            break
        else:
            raise _error("в выгрузке раздел, которого эта версия не знает")
    if file.read(1):
        raise _error("после конца выгрузки есть лишнее")


def _records(content: bytes, seq: int) -> Iterator[Record]:
    at = 0
    while at < len(content):
        header = content[at : at + HEADER_SIZE]
        hashed = content[at + HEADER_SIZE : at + HEADER_SIZE + HASH_SIZE]
        body, at = _unframed(content, at + HEADER_SIZE + HASH_SIZE, seq)
        subjects, at = _unframed(content, at, seq)
        yield Record(seq, header, hashed, body, subjects)
        seq += 1


def _framed(ciphertext: bytes | None) -> bytes:
    return _LENGTH.pack(_ABSENT) if ciphertext is None else _LENGTH.pack(len(ciphertext)) + ciphertext


def _unframed(content: bytes, at: int, seq: int) -> tuple[bytes | None, int]:
    start = at + _LENGTH.size
    length = int.from_bytes(content[at:start])
    if length == _ABSENT:
        return None, start
    if start + length > len(content):
        raise VerificationError(f"запись {seq} в выгрузке обрывается", Finding.FORMAT, seq)
    return content[start : start + length], start + length


def _flush(file: BinaryIO, pending: bytearray) -> None:
    if pending:
        _write_section(file, _RECORDS, pending)
        pending.clear()


def _write_section(file: BinaryIO, tag: bytes, content: bytes | bytearray) -> None:
    file.write(_SECTION.pack(tag, len(content)))
    file.write(content)


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
