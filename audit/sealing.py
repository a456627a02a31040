"""Keys and authenticated encryption of one record: AES-256-GCM-SIV (RFC 8452) under keys derived with HMAC-SHA256.

    KEK (file) ── wraps ──┬─ epoch key, fresh at every start ─┬─ record key      HMAC(epoch, "rec"    ‖ salt ‖ seq ‖ time)
                          │                                   └─ commitment key  HMAC(epoch, "commit" ‖ salt ‖ seq ‖ time)
                          ├─ index key ── mask of a slot reference   HMAC(index, "slot-reference" ‖ salt ‖ seq ‖ slot)
                          └─ generation key (a file of its own) ─┬─ name of a subject's key   HMAC(generation, "subject-key" ‖ subject)
                                                                 └─ wraps ── subject key, random, with the subject

    subject key ─┬─ slot key             HMAC(subject key, "slot" ‖ salt ‖ seq ‖ time ‖ slot)
                 └─ monthly blind index  HMAC(subject key, "index" ‖ yyyymm)

All that leads from a person to records hangs on the generation key: with it gone, no other key here finds them in an old copy.
One key seals one message, so the nonce is constant: handing over the 32 bytes of one record key discloses one record and no other.
A machine rolled back to a snapshot may derive the same key again; GCM-SIV then reveals at most that two messages were equal.
"""

from __future__ import annotations

import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from msgspec import Struct

from audit.entry import SUBJECT_SIZE, Entry, OpenedEntry
from audit.errors import KeyFileError, LogDamagedError
from audit.leaf import PREFIX_SIZE, Header, Record

KEY_SIZE = 32
ID_SIZE = 16
CHECK_SIZE = 16
TAG_SIZE = 16
SLOT_SIZE = SUBJECT_SIZE + TAG_SIZE
COMMITMENT_SIZE = 32

_NONCE = bytes(12)
_HAS_COMMITMENT, _OPENS, _CLOSES = 1, 2, 4
_U64 = struct.Struct(">Q")


class WrappedKey(Struct, frozen=True):
    """A key as it is stored: sealed under the KEK, with a value that tells a right key from a wrong one."""

    key_id: bytes
    wrapped: bytes
    key_check: bytes


class Kek:
    """The key that wraps all others; it seals nothing else."""

    def __init__(self, key: bytes) -> None:
        self._wrapping = AESGCMSIV(_hmac(key, b"wrap"))
        self.key_check = key_check(key)

    def wrap(self, role: bytes, key_id: bytes, key: bytes) -> WrappedKey:
        """The key sealed for storage; role and id are bound to it, so that rows cannot be exchanged."""
        nonce = os.urandom(12)
        return WrappedKey(key_id, nonce + self._wrapping.encrypt(nonce, key, role + key_id), key_check(key))

    def unwrap(self, role: bytes, row: WrappedKey) -> bytes:
        """The key inside. Raises KeyFileError: this KEK did not wrap it, or the row is damaged."""
        try:
            key = self._wrapping.decrypt(row.wrapped[:12], row.wrapped[12:], role + row.key_id)
        except (InvalidTag, ValueError):
            raise KeyFileError(
                "ключ из журнала не раскрывается этим ключом шифрования: ключ другой или строка повреждена"
            ) from None
        if not hmac.compare_digest(key_check(key), row.key_check):
            raise KeyFileError("контрольное значение ключа из журнала не совпадает")
        return key


EPOCH, INDEX, SUBJECT = b"epoch", b"index", b"subject"  # roles of wrapped keys


class EpochKey(Struct, frozen=True):
    """The key that seals the bodies of one run of the writer."""

    epoch_id: bytes
    key: bytes


class SubjectKey(Struct, frozen=True):
    """The key that seals one subject's slots; destroying it cuts the tie between records and the person."""

    key_id: bytes
    key: bytes

    def monthly_tag(self, month: bytes) -> bytes:
        """Where the subject's records of a month (`yyyymm`, UTC) are found."""
        return _hmac(self.key, b"index" + month)[:ID_SIZE]


class SubjectRow(Struct, frozen=True):
    """A subject's key as it is stored: sealed with the subject under the key of a generation, found by a tag under that key."""

    key_id: bytes
    tag: bytes
    generation: int
    wrapped: bytes
    key_check: bytes


class SubjectKek:
    """The key of one generation: it wraps subjects' keys and names them."""

    def __init__(self, key: bytes) -> None:
        self.material = key
        self._kek = Kek(key)

    def tag(self, subject: bytes) -> bytes:
        """Where the subject's key is found."""
        return _hmac(self.material, b"subject-key" + subject)[:ID_SIZE]

    def wrap_subject(self, key: SubjectKey, subject: bytes, generation: int) -> SubjectRow:
        """The row of a subject's key."""
        row = self._kek.wrap(SUBJECT, key.key_id, key.key + subject)
        return SubjectRow(key.key_id, self.tag(subject), generation, row.wrapped, row.key_check)

    def unwrap_subject(self, row: SubjectRow) -> tuple[SubjectKey, bytes]:
        """The key in a row, and the subject. Raises KeyFileError."""
        plain = self._kek.unwrap(SUBJECT, WrappedKey(row.key_id, row.wrapped, row.key_check))
        return SubjectKey(row.key_id, plain[:KEY_SIZE]), plain[KEY_SIZE:]


class IndexKey:
    """The key that hides which subject's key sealed a slot."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mask(self, key_id: bytes, header: bytes, slot: int) -> bytes:
        """A subject key's id hidden for one slot of one record, and back: the operation is its own inverse."""
        pad = _hmac(self._key, b"slot-reference" + _salt(header) + header[6:14] + _U64.pack(slot))
        return (int.from_bytes(key_id) ^ int.from_bytes(pad[:ID_SIZE])).to_bytes(ID_SIZE)


def key_check(key: bytes) -> bytes:
    """A value by which a key is recognised and from which it cannot be computed."""
    return _hmac(key, b"key-check")[:CHECK_SIZE]


def month_of(time_us: int) -> bytes:
    """The month of a UTC time as `yyyymm`."""
    moment = _moment(time_us)
    return b"%04d%02d" % (moment.tm_year, moment.tm_mon)


def _moment(time_us: int) -> time.struct_time:
    return time.gmtime(time_us // 1_000_000)


def months_between(first_us: int, last_us: int) -> list[bytes]:
    """Every month from one UTC time to another, both included."""
    low, high = (moment.tm_year * 12 + moment.tm_mon - 1 for moment in map(_moment, (first_us, max(first_us, last_us))))
    return [b"%04d%02d" % (month // 12, month % 12 + 1) for month in range(low, high + 1)]


def seal_body(epoch: EpochKey, prefix: bytes, entry: Entry) -> bytes:
    """The ciphertext of an entry's body under the record key.

    Inside, before the body: one byte of flags, the commitment when there is one, the number of the entry it closes when there is one.
    """
    flags, extra = 0, b""
    if entry.commit_to:
        flags, extra = _HAS_COMMITMENT, commitment(epoch, prefix, entry.commit_to)
    if entry.opens:
        flags |= _OPENS
    if entry.closes is not None:
        flags |= _CLOSES
        extra += _U64.pack(entry.closes)
    return AESGCMSIV(record_key(epoch, prefix)).encrypt(_NONCE, bytes((flags,)) + extra + entry.body, prefix)


def seal_slot(subject_key: SubjectKey, prefix: bytes, slot: int, subject: bytes) -> bytes:
    """The ciphertext of one slot of the subject compartment."""
    key, associated = _slot_key(subject_key, prefix, slot)
    return AESGCMSIV(key).encrypt(_NONCE, subject, associated)


def record_key(epoch: EpochKey, prefix: bytes) -> bytes:
    """The key of one record: with it, and nothing else, this one body can be read."""
    return _hmac(epoch.key, b"rec" + _salt(prefix) + prefix[6:22])


def commitment(epoch: EpochKey, prefix: bytes, text: bytes) -> bytes:
    """The keyed digest of a text, under a key of this record alone: it shows "this was the text" to whoever already has the text."""
    return _hmac(_hmac(epoch.key, b"commit" + _salt(prefix) + prefix[6:22]), text)


def open_body(epoch: EpochKey, record: Record, header: Header) -> OpenedEntry:
    """The entry without its subjects. Raises LogDamagedError."""
    return open_body_with(record_key(epoch, record.header[:PREFIX_SIZE]), record, header)


def open_body_with(key: bytes, record: Record, header: Header) -> OpenedEntry:
    """The entry under its own record key, without its subjects. Raises LogDamagedError."""
    prefix = record.header[:PREFIX_SIZE]
    try:
        plain = AESGCMSIV(key).decrypt(_NONCE, record.body or b"", prefix)
        flags, at = plain[0], 1
        committed, closes = b"", None
        if flags & _HAS_COMMITMENT:
            committed, at = plain[at : at + COMMITMENT_SIZE], at + COMMITMENT_SIZE
        if flags & _CLOSES:
            (closes,), at = _U64.unpack_from(plain, at), at + _U64.size
        if flags & ~(_HAS_COMMITMENT | _OPENS | _CLOSES) or at > len(plain):
            raise ValueError(flags)
    except (InvalidTag, ValueError, IndexError, struct.error):
        raise LogDamagedError(f"запись {record.seq}: тело не расшифровывается", record.seq) from None
    return OpenedEntry(
        seq=record.seq,
        kind=header.kind,
        schema=header.schema,
        time_us=header.time_us,
        body=plain[at:],
        commitment=committed,
        opens=bool(flags & _OPENS),
        closes=closes,
    )


def open_slot(subject_key: SubjectKey, prefix: bytes, slot: int, sealed: bytes) -> bytes | None:
    """The subject in a slot; None when the slot was sealed under an earlier key of the subject, since destroyed."""
    key, associated = _slot_key(subject_key, prefix, slot)
    try:
        return AESGCMSIV(key).decrypt(_NONCE, sealed, associated)
    except (InvalidTag, ValueError):
        return None


def _slot_key(subject_key: SubjectKey, prefix: bytes, slot: int) -> tuple[bytes, bytes]:
    number = _U64.pack(slot)
    return _hmac(subject_key.key, b"slot" + _salt(prefix) + prefix[6:22] + number), prefix + number


def _salt(header: bytes) -> bytes:
    return header[62:78]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
