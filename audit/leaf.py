"""The leaf of a record: a fixed binary header, and nothing else, is what the tree hashes.

Big-endian, 142 bytes:

    offset size
         0    1  version (1)
         1    1  suite (1: SHA-256, AES-256-GCM-SIV, Ed25519)
         2    2  kind
         4    2  schema
         6    8  seq
        14    8  UTC, microseconds since 1970
        22    8  monotonic clock of the machine, nanoseconds; comparable within one boot id only
        30   16  boot id
        46   16  id of the epoch key that sealed the body
        62   16  salt
        78   32  SHA-256 of the body's ciphertext
       110   32  SHA-256 of the subject compartment's ciphertext; of nothing when there are no subjects

The first 78 bytes are the additional data of every ciphertext of the record.
"""

from __future__ import annotations

import struct
from hashlib import sha256

from msgspec import Struct

from audit.merkle import HASH_SIZE

VERSION = 1
SUITE_STD = 1
WRONG_NUMBER = "номер в заголовке не тот"
_KNOWN = bytes((VERSION, SUITE_STD))

_PREFIX = struct.Struct(">BBHHQQQ16s16s16s")
_HEADER = struct.Struct(">BBHHQQQ16s16s16s32s32s")
_CHECKED = struct.Struct(">2s4xQ64x32s32s")  # of a header, what something else must agree with
PREFIX_SIZE = _PREFIX.size
HEADER_SIZE = _HEADER.size


class Header(Struct, frozen=True):
    """A leaf, read."""

    version: int
    suite: int
    kind: int
    schema: int
    seq: int
    time_us: int
    monotonic_ns: int
    boot_id: bytes
    epoch_id: bytes
    salt: bytes
    body_hash: bytes
    subjects_hash: bytes


class Record(Struct, frozen=True, gc=False):
    """A record as it is stored and exported. A ciphertext that is no longer kept is None."""

    seq: int
    header: bytes
    leaf_hash: bytes
    body: bytes | None
    subjects: bytes | None


def pack_prefix(
    kind: int, schema: int, seq: int, time_us: int, monotonic_ns: int, ids: tuple[bytes, bytes, bytes]
) -> bytes:
    """The header without the two hashes; `ids` are boot id, epoch id and salt, 16 bytes each."""
    return _PREFIX.pack(VERSION, SUITE_STD, kind, schema, seq, time_us, monotonic_ns, *ids)


def unpack_header(header: bytes) -> Header:
    """The header's fields. Raises struct.error unless it is exactly HEADER_SIZE bytes."""
    return Header(*_HEADER.unpack(header))


def record_fault(record: Record) -> str | None:
    """What contradicts what within one record, in Russian for its reader; None when all of it agrees.

    A ciphertext that is no longer kept contradicts nothing.
    """
    header, leaf, body, subjects = record.header, record.leaf_hash, record.body, record.subjects
    if len(header) != HEADER_SIZE or len(leaf) != HASH_SIZE:
        return "заголовок или хеш листа неверной длины"
    if sha256(b"\x00" + header).digest() != leaf:
        return "заголовок не совпадает с хешем листа"
    known, seq, body_hash, subjects_hash = _CHECKED.unpack(header)
    fault = None
    if known != _KNOWN:
        fault = "неизвестная версия или набор алгоритмов"
    elif seq != record.seq:
        fault = WRONG_NUMBER
    elif body is not None and sha256(body).digest() != body_hash:
        fault = "шифротекст тела не совпадает с хешем в заголовке"
    elif subjects is not None and sha256(subjects).digest() != subjects_hash:
        fault = "шифротекст субъектов не совпадает с хешем в заголовке"
    return fault
