"""The layout of one record, and the keys and AEAD that seal it.

A record is a header of 144 bytes and two ciphertexts. The header is the Merkle leaf; it holds the hashes of the ciphertexts, so
the log verifies without any key, and destroying a key leaves every proof intact.

    offset size  field
    0      1     version, 1
    1      1     suite, 1: SHA-256, AES-256-GCM-SIV (RFC 8452), HMAC-SHA256, Ed25519
    2      2     kind             the caller's catalogue
    4      2     schema           version of the body's layout
    6      2     flags, 0
    8      8     seq              from 0, without a gap
    16     8     time             microseconds since 1970-01-01 UTC
    24     8     monotonic        nanoseconds on the clock of this boot
    32     16    boot id          random, one a start of the log
    48     16    epoch id         which data key
    64     16    salt             random
    80     32    SHA-256 of the body's ciphertext
    112    32    SHA-256 of the subject compartment; of nothing when there is none

All numbers are unsigned, big-endian. The first 80 bytes are the associated data of both ciphertexts.

    record key      = HMAC(epoch key, "rec" ‖ salt ‖ seq ‖ time)
    commitment key  = HMAC(epoch key, "commit" ‖ salt ‖ seq ‖ time)
    body            = AEAD(record key, nonce = salt[:12], length byte ‖ commitment (0 or 32 bytes) ‖ the caller's bytes)
    compartment     = for each subject: AEAD(the subject's own key, nonce = salt[:12], associated data ‖ its place, pseudonym)

A record key is used once, so one record is disclosed by its 32-byte key alone. Subject keys are in a side table, wrapped; which of
them opens a slot is in another. Nothing that is hashed ties two records of one person together.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from audit.errors import LogDamagedError, LogUnusableError

VERSION = 1
SUITE = 1
HEADER_SIZE = 144
SUBJECT_SIZE = 16
SLOT_SIZE = SUBJECT_SIZE + 16
_PREFIX = struct.Struct(">BBHHHQQQ16s16s16s")
PREFIX_SIZE = _PREFIX.size


class Header(msgspec.Struct, frozen=True):
    """The clear part of a record."""

    kind: int
    schema: int
    seq: int
    time_us: int
    monotonic_ns: int
    boot: bytes
    epoch: bytes
    salt: bytes

    def prefix(self) -> bytes:
        """The 80 bytes that the ciphertexts are bound to."""
        return _PREFIX.pack(
            VERSION,
            SUITE,
            self.kind,
            self.schema,
            0,
            self.seq,
            self.time_us,
            self.monotonic_ns,
            self.boot,
            self.epoch,
            self.salt,
        )


def parse_header(data: bytes) -> Header:
    """The header in the first 80 of 144 bytes. Raises LogDamagedError for another version, suite or length."""
    if len(data) != HEADER_SIZE:
        raise LogDamagedError("заголовок не той длины")
    version, suite, kind, schema, flags, seq, time_us, monotonic_ns, boot, epoch, salt = _PREFIX.unpack(
        data[:PREFIX_SIZE]
    )
    if (version, suite, flags) != (VERSION, SUITE, 0):
        raise LogDamagedError("заголовок неизвестной версии")
    return Header(kind, schema, seq, time_us, monotonic_ns, boot, epoch, salt)


class Sealed(msgspec.Struct, frozen=True):
    """A record as it is stored."""

    seq: int
    header: bytes
    body: bytes
    subject: bytes


def digests_agree(record: Sealed) -> bool:
    """Whether the stored ciphertexts are those that the header speaks of."""
    return record.header[PREFIX_SIZE:] == hashlib.sha256(record.body).digest() + hashlib.sha256(record.subject).digest()


class EpochKey:
    """A data key: fresh at each start of the log."""

    def __init__(self, epoch: bytes, key: bytes) -> None:
        self.epoch = epoch
        self._key = key

    @classmethod
    def fresh(cls) -> EpochKey:
        """A new one."""
        return cls(secrets.token_bytes(16), secrets.token_bytes(32))

    @property
    def check(self) -> bytes:
        """Key-check value: tells the right key from a wrong one and nothing else."""
        return hmac.digest(self._key, b"check", "sha256")[:16]

    def wrap(self, kek: Kek) -> bytes:
        """The key as it is stored."""
        return kek.wrap(self._key, b"epoch" + self.epoch)

    def seal(self, header: Header, body: bytes, subjects: tuple[tuple[bytes, bytes], ...], commit_to: bytes) -> Sealed:
        """The record; `subjects` are pairs of a subject's key and pseudonym."""
        prefix = header.prefix()
        nonce = header.salt[:12]
        commitment = hmac.digest(self._derived(b"commit", header), commit_to, "sha256") if commit_to else b""
        plain = bytes((len(commitment),)) + commitment + body
        sealed = AESGCMSIV(self._derived(b"rec", header)).encrypt(nonce, plain, prefix)
        slots = b"".join(
            AESGCMSIV(key).encrypt(nonce, subject, prefix + bytes((place,)))
            for place, (key, subject) in enumerate(subjects)
        )
        hashes = hashlib.sha256(sealed).digest() + hashlib.sha256(slots).digest()
        return Sealed(header.seq, prefix + hashes, sealed, slots)

    def open(self, header: Header, body: bytes) -> tuple[bytes, bytes]:
        """The caller's bytes and the commitment. Raises LogDamagedError."""
        try:
            plain = AESGCMSIV(self._derived(b"rec", header)).decrypt(header.salt[:12], body, header.prefix())
        except InvalidTag:
            raise LogDamagedError("содержимое не расшифровывается своим ключом", header.seq) from None
        end = 1 + plain[0]
        return plain[end:], plain[1:end]

    def commitment(self, header: Header, text: bytes) -> bytes:
        """What the record's commitment to `text` must be."""
        return hmac.digest(self._derived(b"commit", header), text, "sha256")

    def _derived(self, purpose: bytes, header: Header) -> bytes:
        message = purpose + header.salt + header.seq.to_bytes(8, "big") + header.time_us.to_bytes(8, "big")
        return hmac.digest(self._key, message, "sha256")


def open_slot(key: bytes, header: Header, place: int, slot: bytes) -> bytes:
    """The pseudonym in one slot of a subject compartment. Raises LogDamagedError."""
    try:
        return AESGCMSIV(key).decrypt(header.salt[:12], slot, header.prefix() + bytes((place,)))
    except InvalidTag:
        raise LogDamagedError("отсек субъекта не расшифровывается своим ключом", header.seq) from None


class Kek:
    """The key-encryption key: wraps epoch keys, subject keys and the index key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @property
    def check(self) -> bytes:
        """Key-check value."""
        return hmac.digest(self._key, b"kek-check", "sha256")[:16]

    def wrap(self, key: bytes, label: bytes) -> bytes:
        """A key sealed under this one and bound to `label`."""
        nonce = secrets.token_bytes(12)
        return nonce + AESGCMSIV(self._key).encrypt(nonce, key, label)

    def unwrap(self, wrapped: bytes, label: bytes) -> bytes:
        """Undo `wrap`. Raises LogUnusableError when this is not the key."""
        try:
            return AESGCMSIV(self._key).decrypt(wrapped[:12], wrapped[12:], label)
        except (InvalidTag, ValueError):
            raise LogUnusableError("ключ шифрования журнала (KEK) не подходит к этому журналу") from None


class IndexKey:
    """The key of the blind index: subjects and months → tokens that say nothing without it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def subject(self, subject: bytes) -> bytes:
        """Where a subject's own key is found."""
        return hmac.digest(self._key, b"subject" + subject, "sha256")[:16]

    def month(self, subject: bytes, yyyymm: str) -> bytes:
        """Where the records of a subject in a month are found."""
        return hmac.digest(self._key, b"month" + subject + yyyymm.encode(), "sha256")[:16]
