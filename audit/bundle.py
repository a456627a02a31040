"""The file that auditors get: everything needed to verify, nothing that opens a record.

    audit bundle 1⏎
    checkpoint <length>⏎ <the signed note>
    records <length>⏎    <frames>

A frame is: header (144 bytes) ‖ leaf hash (32) ‖ length (4, big-endian) ‖ body ciphertext ‖ length (4) ‖ subject compartment.
Sections come in this order and none is compressed, so each byte of the file is checked and nothing can swell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from audit.errors import VerificationError
from audit.merkle import HASH_SIZE
from audit.sealing import HEADER_SIZE, Sealed

MAGIC = b"audit bundle 1\n"
LARGEST_NOTE = 65_536
LARGEST_PART = 16 * 1024 * 1024  # bytes of one ciphertext


def frame(record: Sealed, leaf: bytes) -> bytes:
    """One record in the `records` section."""
    body, subject = record.body, record.subject
    return b"".join((record.header, leaf, len(body).to_bytes(4, "big"), body, len(subject).to_bytes(4, "big"), subject))


def section(name: str, length: int) -> bytes:
    """The line that opens a section."""
    return f"{name} {length}\n".encode()


def read_section(file: BinaryIO, name: str) -> int:
    """Read that line; the section's length. Raises VerificationError."""
    line = file.readline(64)
    digits = line.removeprefix(name.encode() + b" ").removesuffix(b"\n")
    if (
        line != name.encode() + b" " + digits + b"\n"
        or not digits.isdigit()
        or (digits != b"0" and digits.startswith(b"0"))
    ):
        raise VerificationError(f"в выгрузке нет раздела `{name}` на его месте")
    return int(digits)


def read_frames(file: BinaryIO, length: int) -> Iterator[tuple[Sealed, bytes]]:
    """The records in a section of `length` bytes with their leaf hashes, one in memory at a time. Raises VerificationError."""
    seq = 0
    while length > 0:
        header, leaf = _exactly(file, HEADER_SIZE, seq), _exactly(file, HASH_SIZE, seq)
        body, subject = _part(file, seq), _part(file, seq)
        length -= HEADER_SIZE + HASH_SIZE + 8 + len(body) + len(subject)
        yield Sealed(seq, header, body, subject), leaf
        seq += 1
    if length < 0:
        raise VerificationError("запись не помещается в свой раздел выгрузки", seq - 1)


def _part(file: BinaryIO, seq: int) -> bytes:
    length = int.from_bytes(_exactly(file, 4, seq), "big")
    if length > LARGEST_PART:
        raise VerificationError("длина шифртекста невозможна", seq)
    return _exactly(file, length, seq)


def _exactly(file: BinaryIO, count: int, seq: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise VerificationError("выгрузка обрывается", seq)
    return content
