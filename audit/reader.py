"""AuditReader: decrypts entries for a key holder, from a connection that cannot write, while the log runs or not."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from audit.checkpoint import Verifier
from audit.entry import OpenedEntry
from audit.errors import KeyFileError, LogDamagedError, UnknownEntryError
from audit.generations import Generations
from audit.kek import AnyKek, open_kek, subject_keys_of
from audit.leaf import PREFIX_SIZE, Record, record_fault, unpack_header
from audit.proof import Disclosure, Proof, disclose
from audit.sealing import (
    EPOCH,
    INDEX,
    SLOT_SIZE,
    EpochKey,
    IndexKey,
    Kek,
    SubjectKey,
    months_between,
    open_body,
    open_slot,
    record_key,
)
from audit.sidefile import SideLines, read_side_file
from audit.store import Database, open_reader
from audit.subtrees import inclusion


class Opener:
    """Decrypts records of one log. Keeps the epoch keys it has unwrapped."""

    def __init__(self, kek: Kek, generations: Generations) -> None:
        self.kek = kek
        self._generations = generations
        self._epochs: dict[bytes, EpochKey] = {}
        self._index: IndexKey | None = None

    def open(self, database: Database, record: Record) -> OpenedEntry:
        """The entry in a record. Raises LogDamagedError when its bytes contradict its hashes or its keys."""
        if fault := record_fault(record):
            raise LogDamagedError(f"запись {record.seq}: {fault}", record.seq)
        header = unpack_header(record.header)
        if record.body is None:
            check_dropped(database, record)
            return OpenedEntry(record.seq, header.kind, header.schema, header.time_us, b"", kept=False)
        entry = open_body(self._epoch(database, header.epoch_id, record.seq), record, header)
        return structs.replace(entry, subjects=self._subjects(database, record)) if record.subjects else entry

    def record_key(self, database: Database, record: Record) -> bytes:
        """The key that opens this record's body and nothing else. Raises LogDamagedError."""
        header = unpack_header(record.header)
        return record_key(self._epoch(database, header.epoch_id, record.seq), record.header[:PREFIX_SIZE])

    def _epoch(self, database: Database, epoch_id: bytes, seq: int) -> EpochKey:
        if (known := self._epochs.get(epoch_id)) is not None:
            return known
        row = database.key(EPOCH, epoch_id)
        if row is None:
            raise LogDamagedError(f"запись {seq}: в базе нет её ключа эпохи", seq)
        epoch = self._epochs[epoch_id] = EpochKey(epoch_id, self.kek.unwrap(EPOCH, row))
        return epoch

    def _subjects(self, database: Database, record: Record) -> tuple[bytes | None, ...]:
        sealed = record.subjects or b""
        references = database.slot_references(record.seq)
        slots = [sealed[at : at + SLOT_SIZE] for at in range(0, len(sealed), SLOT_SIZE)]
        return tuple(
            self._subject(database, record.header, slot, references.get(slot), part) for slot, part in enumerate(slots)
        )

    def _subject(
        self, database: Database, header: bytes, slot: int, reference: bytes | None, sealed: bytes
    ) -> bytes | None:
        if reference is None:
            return None
        if self._index is None:
            self._index = index_key(database, self.kek)
        key_id = self._index.mask(reference, header, slot)
        row = database.subject_key(key_id=key_id)
        if row is not None and row.generation < self._generations.current:
            row = database.subject_key(key_id=key_id)  # it may have been wrapped anew since
        if row is None or self._generations.is_destroyed(row):
            return None
        return open_slot(self._generations.unwrap(row)[0], header[:PREFIX_SIZE], slot, sealed)


def check_dropped(database: Database, record: Record) -> None:
    """Raise LogDamagedError unless the key of a record without ciphertext is gone too: retention destroys it first."""
    if database.key(EPOCH, record.header[46:62]) is not None:
        raise LogDamagedError(f"запись {record.seq}: нет шифротекста, хотя срок её хранения не окончен", record.seq)


def find_subject(database: Database, generations: Generations, subject: bytes) -> SubjectKey | None:
    """The key of a subject; None when there is none, or no longer. Raises KeyFileError."""
    for tag in generations.tags(subject):
        row = database.subject_key(tag=tag)
        if row is not None:
            return generations.unwrap(row)[0]
    return None


def check_kek_of(database: Database, kek: Kek) -> None:
    """Raise KeyFileError unless this KEK wraps the keys of this log."""
    row = database.kek()
    if row is None or not hmac.compare_digest(row[1], kek.key_check):
        raise KeyFileError("ключ шифрования не от этого журнала")


def key_check_of_log(path: Path) -> bytes:
    """The check value of the KEK that a log is under (see `audit.kek.key_check_of`); asks for no key. Raises LogFileError, KeyFileError."""
    with open_reader(path) as database:
        row = database.kek()
    if row is None:
        raise KeyFileError(f"`{path}`: в журнале нет сведений о ключе шифрования")
    return row[1]


def index_key(database: Database, kek: Kek) -> IndexKey:
    """The log's index key. Raises LogDamagedError when it is gone."""
    row = database.key(INDEX)
    if row is None:
        raise LogDamagedError("в базе нет ключа указателя субъектов")
    return IndexKey(kek.unwrap(INDEX, row))


class AuditReader:
    """Entries in the clear, for one thread. Sees what is committed at the moment of each call."""

    def __init__(self, database: Database, opener: Opener, generations: Generations) -> None:
        self._database = database
        self._opener = opener
        self._generations = generations

    @classmethod
    @contextmanager
    def open(cls, path: Path, kek: AnyKek, subject_keys_file: Path | None = None) -> Iterator[AuditReader]:
        """A reader of a log; without a name the file of subjects' keys lies beside a plain KEK. Raises KeyFileError, LogFileError."""
        opened = open_kek(kek)
        generations = Generations.load(subject_keys_of(kek, subject_keys_file), opened)
        with open_reader(path) as database:
            check_kek_of(database, opened)
            yield cls(database, Opener(opened, generations), generations)

    @property
    def size(self) -> int:
        """The number of entries now."""
        tree = self._database.tree()
        return 0 if tree is None else tree.size

    def entry(self, seq: int) -> OpenedEntry:
        """One entry. Raises UnknownEntryError, LogDamagedError."""
        record = self._database.record(seq) if 0 <= seq < self.size else None
        if record is None:
            raise UnknownEntryError(seq)
        return self._opener.open(self._database, record)

    def entries(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[OpenedEntry]:
        """Entries from `start` up to, not including, `stop`; with `reverse` the same ones, newest first. Raises LogDamagedError."""
        end = self.size if stop is None else min(stop, self.size)
        for record in self._database.records(max(0, start), end, reverse=reverse):
            yield self._opener.open(self._database, record)

    def checkpoint(self) -> str:
        """The signed note over all entries now. Raises LogDamagedError when the log was never started."""
        tree = self._database.tree()
        if tree is None:
            raise LogDamagedError("в базе нет состояния дерева")
        return tree.note

    def disclose(self, seq: int, verifier: Verifier, *, key: bool, labels: Sequence[str] = ()) -> Disclosure:
        """One record for a stranger, with its proof; with `key` it can be read too. The proof was verified before it is given.

        Raises UnknownEntryError, LogDamagedError, VerificationError.
        """
        with self._database.snapshot():
            note = self.checkpoint()
            size = verifier.open_checkpoint(note).size
            record = self._database.record(seq) if 0 <= seq < size else None
            if record is None:
                raise UnknownEntryError(seq)
            proof = Proof(seq, inclusion(self._database, seq, size), note)
            proof.check(verifier, record.leaf_hash)
            record_key = self._opener.record_key(self._database, record) if key else b""
            # An epoch that began at this very size has signed nothing of it yet.
            certificates = [note for since, note in self._database.certificates() if since < size or not since]
            return disclose(proof, record, record_key, labels, certificates)

    def keys(self) -> Callable[[Database, Record], bytes]:
        """What gives the key of a single record, for an export that opens it."""
        return self._opener.record_key

    def side_lines(self, path: Path) -> SideLines:
        """What waits in the side file of this log. Raises SideFileError, KeyFileError, LogDamagedError."""
        return read_side_file(path, self._database, self._opener.kek)

    def of_subject(self, subject: bytes) -> list[int]:
        """Numbers of the entries that have this subject, oldest first, by the blind index. Raises KeyFileError, LogDamagedError."""
        return numbers_of(self._database, self._generations, subject)


def numbers_of(database: Database, generations: Generations, subject: bytes) -> list[int]:
    """Numbers of the entries that have a subject, oldest first."""
    key = find_subject(database, generations, subject)
    first = next(database.records(0, 1), None)
    if key is None or first is None:
        return []
    months = months_between(int.from_bytes(first.header[14:22]), time.time_ns() // 1000)
    return sorted({seq for month in months for seq in database.indexed(key.monthly_tag(month))})
