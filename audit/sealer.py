"""Entries become rows: each sealed under the key of its day and retention class, its subjects under theirs."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from audit.entry import Entry, Receipt
from audit.generations import Generations
from audit.leaf import pack_prefix
from audit.merkle import leaf_hash
from audit.reader import find_subject
from audit.sealing import (
    EPOCH,
    ID_SIZE,
    KEY_SIZE,
    EpochKey,
    IndexKey,
    Kek,
    SubjectKey,
    SubjectRow,
    month_of,
    seal_body,
    seal_slot,
)
from audit.store import Database, NewRows, SealingRow

_SUBJECTS_KEPT = 4096  # subject keys held in memory
_DAY_US = 86_400_000_000

Clock = Callable[[], int]
"""UTC, microseconds since 1970."""


def utc_us() -> int:
    """The machine's clock."""
    return time.time_ns() // 1000


def day_of(time_us: int) -> int:
    """The day of a UTC time, counted from 1970."""
    return time_us // _DAY_US


class _Dated(Struct, frozen=True):
    """A sealing key and the day it was made on."""

    key: EpochKey
    day: int


class Batch:
    """The rows of one batch while it is being sealed."""

    def __init__(self, start: int) -> None:
        self.next_seq = start
        self.receipts: list[Receipt] = []
        self.fresh: dict[bytes, SubjectKey] = {}  # subjects met for the first time: known only once committed
        self.fresh_keys: dict[int, _Dated] = {}  # sealing keys made in it, by retention class: the same
        self.records: list[tuple[int, bytes, bytes, bytes, bytes]] = []
        self.subject_keys: list[SubjectRow] = []
        self.slots: list[tuple[int, int, bytes]] = []
        self.index: list[tuple[bytes, int]] = []
        self.opened: list[tuple[int]] = []
        self.closed: list[tuple[int]] = []

    def rows(self) -> NewRows:
        """What to insert."""
        return NewRows(self.records, self.subject_keys, self.slots, self.index, self.opened, self.closed)


class Sealer:
    """Turns entries into rows under the keys of this run."""

    def __init__(self, generations: Generations, kek: Kek, index: IndexKey, clock: Clock) -> None:
        self.generations = generations
        self._kek = kek
        self._clock = clock
        self._sealing: dict[int, _Dated] = {}  # by retention class
        self.index = index
        self._boot_id = _boot_id()
        self._known: dict[bytes, SubjectKey] = {}

    def seal(self, database: Database, batch: Batch, entry: Entry) -> None:
        """Add the rows of one entry to the batch."""
        seq, time_us = batch.next_seq, self._clock()
        epoch = self._sealing_key(database, batch, entry.retention, time_us)
        ids = self._boot_id, epoch.epoch_id, os.urandom(ID_SIZE)
        prefix = pack_prefix(entry.kind, entry.schema, seq, time_us, time.monotonic_ns(), ids)
        body = seal_body(epoch, prefix, entry)
        subjects = self._compartment(database, batch, prefix, entry.subjects) if entry.subjects else b""
        header = prefix + sha256(body).digest() + sha256(subjects).digest()
        hashed = leaf_hash(header)
        batch.records.append((seq, header, hashed, body, subjects))
        batch.receipts.append(Receipt(seq, hashed, time_us))
        batch.next_seq += 1
        if entry.opens:
            batch.opened.append((seq,))
        if entry.closes is not None:
            batch.closed.append((entry.closes,))

    def remember(self, batch: Batch) -> None:
        """Keep keys that are on disk now, and forget the oldest subjects' beyond a bound."""
        self._sealing.update(batch.fresh_keys)
        self._known.update(batch.fresh)
        while len(self._known) > _SUBJECTS_KEPT:
            self._known.pop(next(iter(self._known)))

    @property
    def in_use(self) -> frozenset[bytes]:
        """Ids of the sealing keys under which more records may come today."""
        today = day_of(self._clock())
        return frozenset(dated.key.epoch_id for dated in self._sealing.values() if dated.day == today)

    def let_go(self, key_id: bytes) -> None:
        """Never seal under this key again, should the clock be set back to its day."""
        self._sealing = {kept: dated for kept, dated in self._sealing.items() if dated.key.epoch_id != key_id}

    def _sealing_key(self, database: Database, batch: Batch, retention: int, time_us: int) -> EpochKey:
        """The key of a retention class for today, a new one when the day has changed."""
        day = day_of(time_us)
        dated = batch.fresh_keys.get(retention) or self._sealing.get(retention)
        if dated is None or dated.day != day:
            dated = _Dated(EpochKey(os.urandom(ID_SIZE), os.urandom(KEY_SIZE)), day)
            database.put_key(EPOCH, self._kek.wrap(EPOCH, dated.key.epoch_id, dated.key.key))
            database.put_sealing_key(SealingRow(dated.key.epoch_id, retention, day, batch.next_seq))
            batch.fresh_keys[retention] = dated
        return dated.key

    def _compartment(self, database: Database, batch: Batch, prefix: bytes, subjects: tuple[bytes, ...]) -> bytes:
        month = month_of(int.from_bytes(prefix[14:22]))
        sealed = []
        for slot, subject in enumerate(subjects):
            key = self._known.get(subject) or batch.fresh.get(subject) or self._subject_key(database, batch, subject)
            sealed.append(seal_slot(key, prefix, slot, subject))
            batch.slots.append((batch.next_seq, slot, self.index.mask(key.key_id, prefix, slot)))
            batch.index.append((key.monthly_tag(month), batch.next_seq))
        return b"".join(sealed)

    def _subject_key(self, database: Database, batch: Batch, subject: bytes) -> SubjectKey:
        key = find_subject(database, self.generations, subject) or self.fresh(batch, subject)
        batch.fresh[subject] = key
        return key

    def known(self, database: Database, subject: bytes) -> SubjectKey | None:
        """The subject's key, if it has one."""
        return self._known.get(subject) or find_subject(database, self.generations, subject)

    def fresh(self, batch: Batch, subject: bytes) -> SubjectKey:
        """A new key for a subject, its row added to the batch."""
        key = SubjectKey(os.urandom(ID_SIZE), os.urandom(KEY_SIZE))
        batch.subject_keys.append(self.generations.wrap(key, subject))
        return key

    def forget(self, subject: bytes) -> None:
        """Let go of a subject's key that was destroyed."""
        self._known.pop(subject, None)

    def slots_of(self, database: Database, key: SubjectKey, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Number and slot of every place among these records that this key sealed."""
        return [
            (record.seq, slot)
            for number in numbers
            for record in database.records(number, number + 1)
            for slot, reference in database.slot_references(number).items()
            if self.index.mask(reference, record.header, slot) == key.key_id
        ]


def _boot_id() -> bytes:
    """The machine's boot: within one, monotonic times of different runs can be compared. Elsewhere than on Linux, this run's own."""
    try:
        return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).bytes
    except (OSError, ValueError):
        return os.urandom(ID_SIZE)
