"""One batch of entries becomes sealed records, a longer tree and a signed checkpoint: in one transaction, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from msgspec import Struct

from audit.checkpoint import Signer, Verifier
from audit.cosignature import WitnessVerifier
from audit.entry import Entry, Receipt
from audit.errors import Finding, KeyFileError, LogDamagedError, SubjectHeldError, VerificationError
from audit.generations import Generations
from audit.leaf import record_fault
from audit.merkle import Frontier
from audit.reader import check_dropped, check_kek_of, index_key
from audit.retention import Expired, drop
from audit.sealer import Batch, Clock, Sealer, day_of
from audit.sealing import (
    ID_SIZE,
    INDEX,
    KEY_SIZE,
    Kek,
    months_between,
)
from audit.signing import Signing
from audit.store import Database, TreeRow
from audit.subtrees import Edge

_KEEP_EVERY = 1000  # records between two kept checkpoints, at most
_KEEP_AFTER_NS = 1_000_000_000  # time between two kept checkpoints, at most, while records come
_TAIL = 1024  # records checked again at every start; a power of two
_REWRAPPED = 500  # subjects' keys wrapped anew in one transaction


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

    def __init__(self, signing: Signing, sealer: Sealer, head: Head, clock: Clock) -> None:
        self.head = head
        self._clock = clock
        self._signing = signing
        self._sealer = sealer
        self._kept = 0, 0  # size of the last kept checkpoint, monotonic ns when it was kept

    @classmethod
    def start(
        cls, database: Database, kek: Kek, signing: Signing, generations: Generations, clock: Clock
    ) -> BatchWriter:
        """Check what is there, or begin a new log; sign and seal from now on under fresh keys.

        Raises KeyFileError, LogDamagedError, AuditWriteError.
        """
        row = database.tree()
        if row is None:
            _begin(database, kek, signing.log)
            row = database.tree()
        check_kek_of(database, kek)
        head = _checked_head(database, row, signing.log)
        signing.start(database, row.note if row else "", head.tree, clock())
        if not generations.current:
            if database.subject_keys(b"", 1):
                raise KeyFileError("нет файла ключей субъектов этого журнала; верните его")
            generations.begin()
        return cls(signing, Sealer(generations, kek, index_key(database, kek), clock), head, clock)

    def write(self, database: Database, entries: Sequence[Entry]) -> list[Receipt]:
        """Receipts of the entries, in order, once all of them are on disk. Raises AuditWriteError: then nothing has changed."""
        start = self.head.tree.size
        now_ns = time.monotonic_ns()
        self._signing.hand_over_daily(database, self.head.tree, self._clock())
        with database.transaction():
            # (1) seal
            batch = Batch(start)
            for entry in entries:
                self._sealer.seal(database, batch, entry)
            # (2) write
            database.insert(batch.rows())
            # (3) read back what was written, and sign only that
            hashes = _read_back(database, batch)
            tree = self.head.tree.extended(hashes)
            edge, complete = self.head.edge.extended(hashes)
            head = Head(tree, self._signing.sign_checkpoint(tree.size, tree.root()), edge)
            database.put_subtrees(complete)
            keep = tree.size - self._kept[0] >= _KEEP_EVERY or now_ns - self._kept[1] >= _KEEP_AFTER_NS
            database.put_tree(TreeRow(tree.size, tree.packed(), head.note), keep=keep)
        # (4) only now that it is committed does anything in memory move on
        self.head = head
        if keep:
            self._kept = tree.size, now_ns
        self._sealer.remember(batch)
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
            since = self._clock() if first is None else int.from_bytes(first.header[14:22])
            tags = [key.monthly_tag(month) for month in months_between(since, self._clock())]
            numbers = [seq for tag in tags for seq in database.indexed(tag)]
            database.delete_subject(key.key_id, tags, self._sealer.slots_of(database, key, numbers))
        self._sealer.forget(subject)
        return Erased(len(numbers))

    def hold(self, database: Database, subject: bytes, *, held: bool) -> bool:
        """Keep a subject from being erased, or no longer; False when nothing changed. Raises AuditWriteError."""
        batch = Batch(self.head.tree.size)
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
        size = self._signing.log.verifier.open_checkpoint(note).size
        with database.transaction():
            whole = witness.cosigned(database.kept_checkpoint(size) or note, lines)
            time_s = witness.seen(whole)
            if time_s is None:
                raise VerificationError("в ответе свидетеля нет его подписи", Finding.SIGNATURE)
            database.put_witnessed(witness.name, size, time_s, whole)
        return time_s

    def keep_seen(self, database: Database, witness: str, note: str, time_s: int) -> None:
        """Keep a checkpoint, and that a witness which signs nothing in it has seen it. Raises VerificationError, AuditWriteError."""
        size = self.verifier.open_checkpoint(note).size
        with database.transaction():
            database.keep_checkpoint(size, note)
            database.put_seen(witness, size, time_s)

    @property
    def verifier(self) -> Verifier:
        """The public half of the log key."""
        return self._signing.log.verifier

    def hand_over(self, database: Database) -> int:
        """Begin a signing epoch and destroy the key of the one before; its number. Raises KeyFileError, AuditWriteError."""
        return self._signing.hand_over(database, self.head.tree, self._clock())

    @property
    def hand_over_failure(self) -> str | None:
        """Why the last hand-over did not happen."""
        return self._signing.failure

    @property
    def today(self) -> int:
        """The day, counted from 1970."""
        return day_of(self._clock())

    @property
    def in_use(self) -> frozenset[bytes]:
        """Ids of the sealing keys under which more records may come."""
        return self._sealer.in_use

    def drop(self, database: Database, what: Expired) -> None:
        """Drop the content of the records of a class and day, and empty the write-ahead log. Raises AuditWriteError."""
        if what.key_id in self.in_use:  # the clock was set back since
            return
        self._sealer.let_go(what.key_id)
        drop(database, self._sealer.generations, self._sealer.index, what)
        database.truncate_wal()

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
        if record.body is None:
            check_dropped(database, record)
    small = database.leaf_hashes(start, tree.size)
    if len(small) != tree.size - start:
        raise LogDamagedError("последних записей не столько, сколько подписано")
    # The last `small` leaves end the tree and start at a multiple of a power of two: their own frontier is its right end.
    if small and Frontier().extended(small).nodes != tree.nodes[-len(small).bit_count() :]:
        raise LogDamagedError("последние записи не складываются в подписанный корень")


def _read_back(database: Database, batch: Batch) -> list[bytes]:
    """The leaf hashes of the batch as stored, every byte of it hashed again. Raises LogDamagedError."""
    expected = [row[2] for row in batch.records]
    stored = database.records(batch.records[0][0], batch.next_seq)
    if [record.leaf_hash for record in stored if record_fault(record) is None] != expected:
        raise LogDamagedError("записанное не совпало с прочитанным")
    return expected
