"""One batch of entries becomes sealed records, a longer tree and a signed checkpoint: in one transaction, or not at all."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from audit.checkpoint import Signer
from audit.cosignature import WitnessVerifier
from audit.entry import Entry, Receipt
from audit.errors import Finding, KeyFileError, LogDamagedError, SubjectHeldError, VerificationError
from audit.generations import Generations
from audit.leaf import pack_prefix, record_fault
from audit.merkle import Frontier, leaf_hash
from audit.reader import check_kek_of, find_subject, index_key
from audit.sealing import (
    EPOCH,
    ID_SIZE,
    INDEX,
    KEY_SIZE,
    EpochKey,
    IndexKey,
    Kek,
    SubjectKey,
    SubjectRow,
    month_of,
    months_between,
    seal_body,
    seal_slot,
)
from audit.store import Database, NewRows, TreeRow
from audit.subtrees import Edge

_KEEP_EVERY = 1000  # records between two kept checkpoints, at most
_KEEP_AFTER_NS = 1_000_000_000  # time between two kept checkpoints, at most, while records come
_TAIL = 1024  # records checked again at every start; a power of two
_REWRAPPED = 500  # subjects' keys wrapped anew in one transaction
_SUBJECTS_KEPT = 4096  # subject keys held in memory


class Head(Struct, frozen=True):
    """The tree over everything that is on disk, and the checkpoint signed over it."""

    tree: Frontier
    note: str
    edge: Edge


class Erased(Struct, frozen=True):
    """What cutting a subject off did: how many records led to it. None is no error: nothing was there."""

    records: int


class BatchWriter:
    """Seals and writes batches, in the writing connection's thread. Others only look at `head`."""

    def __init__(self, signer: Signer, sealer: _Sealer, head: Head) -> None:
        self.head = head
        self._signer = signer
        self._sealer = sealer
        self._kept = 0, 0  # size of the last kept checkpoint, monotonic ns when it was kept

    @classmethod
    def start(cls, database: Database, kek: Kek, signer: Signer, generations: Generations) -> BatchWriter:
        """Check what is there, or begin a new log; seal from now on under a fresh epoch key.

        Raises KeyFileError, LogDamagedError, AuditWriteError.
        """
        row = database.tree()
        if row is None:
            _begin(database, kek, signer)
            row = database.tree()
        check_kek_of(database, kek)
        head = _checked_head(database, row, signer)
        if not generations.current:
            if database.subject_keys(b"", 1):
                raise KeyFileError("нет файла ключей субъектов этого журнала; верните его")
            generations.begin()
        epoch = EpochKey(os.urandom(ID_SIZE), os.urandom(KEY_SIZE))
        with database.transaction():
            database.put_key(EPOCH, kek.wrap(EPOCH, epoch.epoch_id, epoch.key))
        return cls(signer, _Sealer(generations, epoch, index_key(database, kek)), head)

    def write(self, database: Database, entries: Sequence[Entry]) -> list[Receipt]:
        """Receipts of the entries, in order, once all of them are on disk. Raises AuditWriteError: then nothing has changed."""
        start = self.head.tree.size
        now_ns = time.monotonic_ns()
        with database.transaction():
            # (1) seal
            batch = _Batch(start)
            for entry in entries:
                self._sealer.seal(database, batch, entry)
            # (2) write
            database.insert(batch.rows())
            # (3) read back what was written, and sign only that
            hashes = _read_back(database, batch)
            tree = self.head.tree.extended(hashes)
            edge, complete = self.head.edge.extended(hashes)
            head = Head(tree, self._signer.sign_checkpoint(tree.size, tree.root()), edge)
            database.put_subtrees(complete)
            keep = tree.size - self._kept[0] >= _KEEP_EVERY or now_ns - self._kept[1] >= _KEEP_AFTER_NS
            database.put_tree(TreeRow(tree.size, tree.packed(), head.note), keep=keep)
        # (4) only now that it is committed does anything in memory move on
        self.head = head
        if keep:
            self._kept = tree.size, now_ns
        self._sealer.remember(batch.fresh)
        return batch.receipts

    def erase(self, database: Database, subject: bytes) -> Erased:
        """Delete the subject's key and all that leads to it. Raises SubjectHeldError, AuditWriteError."""
        with database.transaction():
            key = self._sealer.known(database, subject)
            if key is None:
                return Erased(0)
            if database.is_held(key.key_id):
                raise SubjectHeldError
            first = next(database.records(0, 1), None)
            since = time.time_ns() // 1000 if first is None else int.from_bytes(first.header[14:22])
            tags = [key.monthly_tag(month) for month in months_between(since, time.time_ns() // 1000)]
            numbers = [seq for tag in tags for seq in database.indexed(tag)]
            database.delete_subject(key.key_id, tags, self._sealer.slots_of(database, key, numbers))
        self._sealer.forget(subject)
        return Erased(len(numbers))

    def hold(self, database: Database, subject: bytes, *, held: bool) -> bool:
        """Keep a subject from being erased, or no longer; False when nothing changed. Raises AuditWriteError."""
        batch = _Batch(self.head.tree.size)
        with database.transaction():
            key = self._sealer.known(database, subject)
            if key is None:
                if not held:
                    return False
                key = self._sealer.fresh(batch, subject)
                database.put_subject_keys(batch.subject_keys)
            changed = database.is_held(key.key_id) != held
            database.hold(key.key_id, held=held)
        return changed

    def keep_cosigned(self, database: Database, witness: WitnessVerifier, note: str, lines: str) -> int:
        """Keep a note with the lines a witness answered; when it cosigned, in seconds of POSIX.

        Raises VerificationError when no line of this witness holds, AuditWriteError.
        """
        size = self._signer.verifier.open_checkpoint(note).size
        with database.transaction():
            whole = witness.cosigned(database.kept_checkpoint(size) or note, lines)
            time_s = witness.seen(whole)
            if time_s is None:
                raise VerificationError("в ответе свидетеля нет его подписи", Finding.SIGNATURE)
            database.put_witnessed(witness.name, size, time_s, whole)
        return time_s

    def begin_generation(self, _: Database) -> int:
        """A new generation of subjects' keys, or the one whose beginning was interrupted. Raises KeyFileError."""
        return (
            self._sealer.generations.current if self._sealer.generations.pending else self._sealer.generations.begin()
        )

    def rewrap(self, database: Database, after: bytes) -> bytes | None:
        """Wrap some more subjects' keys under the newest generation; where to go on, or None at the end. Raises AuditWriteError."""
        generations = self._sealer.generations
        with database.transaction():
            rows = database.subject_keys(after, _REWRAPPED)
            dead = [row for row in rows if generations.is_destroyed(row)]  # of a database put back from a backup
            earlier = [row for row in rows if row.generation < generations.current and row not in dead]
            database.put_subject_keys([generations.wrap(*generations.unwrap(row)) for row in earlier])
            for row in dead:
                database.delete_subject(row.key_id, (), ())
        return rows[-1].key_id if rows else None

    def end_generation(self, database: Database) -> bool:
        """Destroy the earlier generations; whether the write-ahead log could be emptied too. Raises KeyFileError."""
        self._sealer.generations.destroy_before(self._sealer.generations.current)
        return database.truncate_wal()


class _Batch:
    """The rows of one batch while it is being sealed."""

    def __init__(self, start: int) -> None:
        self.next_seq = start
        self.receipts: list[Receipt] = []
        self.fresh: dict[bytes, SubjectKey] = {}  # subjects met for the first time: known only once committed
        self.records: list[tuple[int, bytes, bytes, bytes, bytes]] = []
        self.subject_keys: list[SubjectRow] = []
        self.slots: list[tuple[int, int, bytes]] = []
        self.index: list[tuple[bytes, int]] = []
        self.opened: list[tuple[int]] = []
        self.closed: list[tuple[int]] = []

    def rows(self) -> NewRows:
        return NewRows(self.records, self.subject_keys, self.slots, self.index, self.opened, self.closed)


class _Sealer:
    """Turns entries into rows under the keys of this run."""

    def __init__(self, generations: Generations, epoch: EpochKey, index: IndexKey) -> None:
        self.generations = generations
        self._epoch = epoch
        self._index = index
        self._boot_id = _boot_id()
        self._known: dict[bytes, SubjectKey] = {}

    def seal(self, database: Database, batch: _Batch, entry: Entry) -> None:
        """Add the rows of one entry to the batch."""
        seq, time_us = batch.next_seq, time.time_ns() // 1000
        ids = self._boot_id, self._epoch.epoch_id, os.urandom(ID_SIZE)
        prefix = pack_prefix(entry.kind, entry.schema, seq, time_us, time.monotonic_ns(), ids)
        body = seal_body(self._epoch, prefix, entry)
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

    def remember(self, fresh: dict[bytes, SubjectKey]) -> None:
        """Keep subject keys that are on disk now, and forget the oldest beyond a bound."""
        self._known.update(fresh)
        while len(self._known) > _SUBJECTS_KEPT:
            self._known.pop(next(iter(self._known)))

    def _compartment(self, database: Database, batch: _Batch, prefix: bytes, subjects: tuple[bytes, ...]) -> bytes:
        month = month_of(int.from_bytes(prefix[14:22]))
        sealed = []
        for slot, subject in enumerate(subjects):
            key = self._known.get(subject) or batch.fresh.get(subject) or self._subject_key(database, batch, subject)
            sealed.append(seal_slot(key, prefix, slot, subject))
            batch.slots.append((batch.next_seq, slot, self._index.mask(key.key_id, prefix, slot)))
            batch.index.append((key.monthly_tag(month), batch.next_seq))
        return b"".join(sealed)

    def _subject_key(self, database: Database, batch: _Batch, subject: bytes) -> SubjectKey:
        key = find_subject(database, self.generations, subject) or self.fresh(batch, subject)
        batch.fresh[subject] = key
        return key

    def known(self, database: Database, subject: bytes) -> SubjectKey | None:
        """The subject's key, if it has one."""
        return self._known.get(subject) or find_subject(database, self.generations, subject)

    def fresh(self, batch: _Batch, subject: bytes) -> SubjectKey:
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
            if self._index.mask(reference, record.header, slot) == key.key_id
        ]


def _begin(database: Database, kek: Kek, signer: Signer) -> None:
    """Write the first rows of a new log: its keys, an empty tree and the checkpoint over it."""
    if database.bounds() is not None:
        raise LogDamagedError("в базе есть записи, но нет состояния дерева")
    empty = Frontier()
    with database.transaction():
        database.put_kek(1, kek.key_check)
        database.put_key(INDEX, kek.wrap(INDEX, os.urandom(ID_SIZE), os.urandom(KEY_SIZE)))
        database.put_tree(TreeRow(0, b"", signer.sign_checkpoint(0, empty.root())), keep=False)


def _checked_head(database: Database, row: TreeRow | None, signer: Signer) -> Head:
    """The head of the log after a check whose cost does not grow with it. Raises KeyFileError, LogDamagedError.

    Checked: our signature over the stored root, the stored frontier against that root, that no number is beyond the ends,
    the last records byte for byte, and every part of the frontier that they alone determine.
    """
    if row is None:
        raise LogDamagedError("в базе нет состояния дерева")
    if not any(signer.verifier.is_signature(line) for line in row.note.splitlines()):
        raise KeyFileError("журнал подписан другим ключом; верните прежний ключ подписи")
    try:
        checkpoint = signer.verifier.open_checkpoint(row.note)
        tree = Frontier.unpacked(row.size, row.frontier)
    except VerificationError as error:
        raise LogDamagedError(f"контрольная точка журнала: {error}") from None
    if (checkpoint.size, checkpoint.root) != (tree.size, tree.root()):
        raise LogDamagedError("состояние дерева не совпадает с подписанной контрольной точкой")
    if database.bounds() != ((0, tree.size - 1) if tree.size else None):
        raise LogDamagedError("записей больше или меньше, чем подписано")
    _check_tail(database, tree)
    edge = Edge.load(database, tree.size)
    if edge.frontier() != tree:
        raise LogDamagedError("сохранённые узлы дерева не складываются в подписанный корень")
    return Head(tree, row.note, edge)


def _check_tail(database: Database, tree: Frontier) -> None:
    start = tree.size // _TAIL * _TAIL  # everything from here on belongs to the small subtrees of the frontier
    for record in database.records(max(0, tree.size - _TAIL), tree.size):
        fault = record_fault(record)
        if fault:
            raise LogDamagedError(f"запись {record.seq}: {fault}", record.seq)
    small = database.leaf_hashes(start, tree.size)
    if len(small) != tree.size - start:
        raise LogDamagedError("последних записей не столько, сколько подписано")
    # The last `small` leaves end the tree and start at a multiple of a power of two: their own frontier is its right end.
    if small and Frontier().extended(small).nodes != tree.nodes[-len(small).bit_count() :]:
        raise LogDamagedError("последние записи не складываются в подписанный корень")


def _read_back(database: Database, batch: _Batch) -> list[bytes]:
    """The leaf hashes of the batch as stored, every byte of it hashed again. Raises LogDamagedError."""
    expected = [row[2] for row in batch.records]
    stored = database.records(batch.records[0][0], batch.next_seq)
    if [record.leaf_hash for record in stored if record_fault(record) is None] != expected:
        raise LogDamagedError("записанное не совпало с прочитанным")
    return expected


def _boot_id() -> bytes:
    """The machine's boot: within one, monotonic times of different runs can be compared. Elsewhere than on Linux, this run's own."""
    try:
        return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).bytes
    except (OSError, ValueError):
        return os.urandom(ID_SIZE)
