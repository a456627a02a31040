"""AuditLog: the one sequencer. An entry handed to `append` is on disk, sealed and covered by a signed checkpoint, or the call raises."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from audit.channel import Channel, open_channel
from audit.checkpoint import parse_checkpoint, split_note
from audit.cosignature import WitnessVerifier
from audit.entry import Entry, OpenedEntry, Receipt, check_entry
from audit.epochs import EpochKeys, epoch_keys_beside
from audit.errors import AuditWriteError, Finding, KeyFileError, UnknownEntryError, VerificationError, WriteFailure
from audit.generations import Generations
from audit.kek import KekFile, KekSource, open_kek
from audit.keyfiles import load_signing_key, subject_keys_beside
from audit.logfile import prepare_file, prepare_folder, sync_names, write_lock
from audit.reader import Opener, numbers_of
from audit.reserve import Reserve, reserve_beside
from audit.retention import Expired, expired
from audit.scrub import Round, Scrubbed, scrub_block
from audit.sealer import Clock, utc_us
from audit.sidefile import SideFile, side_key
from audit.signing import Break, Signing, pin_first_epoch
from audit.store import SQLITE_HAS_WAL_RACE, SQLITE_VERSION, Database, connect_reader, connect_writer
from audit.subtrees import consistency, range_root
from audit.witness import Submission
from audit.writer import BatchWriter, Erased

_BATCH = 512  # entries in one transaction, at most
_BATCH_BYTES = 1 << 23  # of bodies in one transaction: the entry that passes it is the last
_WAITING = 16384  # entries in the queue, at most: beyond, the disk has stopped and memory must not follow

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Waiting: TypeAlias = tuple[Entry, asyncio.Future[Receipt], bool]  # the last: whether it may use the reserve


class LogSettings(Struct, frozen=True):
    """Where the log and its keys lie."""

    path: Path
    kek_file: Path
    signing_key_file: Path
    origin: str  # the log's name; the signing key was made for it
    subject_keys_file: Path | None = None  # written by the log itself; None: beside the KEK
    epoch_key_file: Path | None = None  # written by the log itself; None: beside the signing key
    max_bytes: int | None = None  # of the database file, not counting its write-ahead log; None: up to the disk
    kek: KekSource | None = None  # where the KEK comes from instead of `kek_file`; subjects' keys stay beside that
    reserve_bytes: int = 0  # kept on the disk for the log's last words, and beyond `max_bytes`; 0: nothing is
    side_file: Path | None = None  # for what may happen while the log cannot write; better on another disk
    side_bytes: int = 1 << 24  # of the side file, at most

    @property
    def subject_keys(self) -> Path:
        """The file of the keys that wrap subjects' keys."""
        return self.subject_keys_file or subject_keys_beside(self.kek_file)

    @property
    def kek_source(self) -> KekSource:
        """Where the KEK comes from."""
        return self.kek or KekFile(self.kek_file)

    @property
    def epoch_keys(self) -> Path:
        """The file of the private key of the signing epoch."""
        return self.epoch_key_file or epoch_keys_beside(self.signing_key_file)


class Notices(Struct, frozen=True):
    """What the log itself has to say, in the caller's words: that it is full, since when (UTC, microseconds), and that it writes again."""

    blocked: Callable[[WriteFailure, int], Entry]
    resumed: Callable[[WriteFailure], Entry]


class Renewed(Struct, frozen=True):
    """Subjects' keys wrapped anew: under which generation, and whether the write-ahead log could be emptied at once."""

    generation: int
    wal_emptied: bool


class AuditLog:
    """An open log. One process, one event loop; `append` from as many tasks as there are.

    Natural group commit: while one transaction is being synced, the next batch gathers; no timer is involved.
    """

    sqlite_version = SQLITE_VERSION
    sqlite_has_wal_race = SQLITE_HAS_WAL_RACE  # then nobody else may write, and the start made sure that the lock holds

    def __init__(
        self, writing: Channel, reading: Channel, writer: BatchWriter, opener: Opener, generations: Generations
    ) -> None:
        self._reserve = Reserve(Path(), 0, None)
        self._notices: Notices | None = None
        self._last_words: list[Entry] = []  # that it is full, until that is on disk
        self._clock = utc_us
        self.side: SideFile | None = None  # open with the log, when the settings name one
        self._generations = generations
        self._renewing = asyncio.Lock()
        self._writing = writing
        self._reading = reading
        self._writer = writer
        self._opener = opener
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._blocked: WriteFailure | None = None
        self._closing = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: LogSettings,
        *,
        clock: Clock = utc_us,
        breaking: Break | None = None,
        notices: Notices | None = None,
    ) -> AsyncIterator[AuditLog]:
        """The log, ready to append; a new one is begun when there is no file. On leaving, what waits is still written.

        `breaking` begins a signing epoch that the one before does not certify: a ceremony, seen by every verifier.
        Raises KeyFileError (a key file, or a key of another log), LogInUseError, LogFileError, LogDamagedError, AuditWriteError.
        """
        kek = await asyncio.to_thread(open_kek, settings.kek_source)
        generations = await asyncio.to_thread(Generations.load, settings.subject_keys, kek)
        signer = await asyncio.to_thread(load_signing_key, settings.signing_key_file)
        if signer.name != settings.origin:
            raise KeyFileError(f"ключ подписи сделан для журнала `{signer.name}`, а не `{settings.origin}`")
        signing = Signing(signer, await asyncio.to_thread(EpochKeys.load, settings.epoch_keys, signer), breaking)
        path = settings.path
        await asyncio.to_thread(prepare_folder, path)
        with write_lock(path):
            await asyncio.to_thread(prepare_file, path)
            reserve = Reserve(reserve_beside(path), settings.reserve_bytes, settings.max_bytes)
            await asyncio.to_thread(reserve.prepare)
            async with open_channel(path, partial(connect_writer, path, settings.max_bytes)) as writing:
                writer = await writing.run(BatchWriter.start, kek, signing, generations, clock)
                await asyncio.to_thread(sync_names, path)
                await writing.run(pin_first_epoch, settings.signing_key_file.with_suffix(".pub"), signer.verifier)
                async with open_channel(path, partial(connect_reader, path)) as reading:
                    log = cls(writing, reading, writer, Opener(kek, generations), generations)
                    log._reserve, log._notices, log._clock = reserve, notices, clock
                    if settings.side_file is not None:
                        key = await writing.run(side_key, kek)
                        log.side = await asyncio.to_thread(SideFile.open, settings.side_file, key, settings.side_bytes)
                    if generations.pending:
                        await log.renew_subject_keys()  # an interrupted one is finished before anything else
                    sequencer = asyncio.create_task(log._sequence(), name="audit-sequencer")
                    try:
                        yield log
                    finally:
                        log._close()
                        await sequencer
                        if log.side is not None:
                            log.side.close()

    async def append(self, entry: Entry, *, vital: bool = False) -> Receipt:
        """Record an entry; returns once it is on disk. Raises AuditWriteError: nothing was recorded that anybody may rely on.

        Once the log is full and has let its reserve go, only what closes an entry, or is `vital`, is taken until `recover`.
        A caller who is cancelled while waiting no longer learns the outcome: the entry is recorded all the same.
        """
        check_entry(entry)
        if self._blocked is not None and not self._blocked.passes:
            raise AuditWriteError(self._blocked)
        if self._closing:
            raise AuditWriteError(WriteFailure.CLOSED)
        vital = vital or entry.closes is not None
        if self._reserve.spent and not vital:
            raise AuditWriteError(WriteFailure.DISK_FULL)
        if len(self._queue) >= _WAITING:
            raise AuditWriteError(WriteFailure.OVERLOADED)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.append((entry, future, vital))
        self._arrived.set()
        return await future

    async def recover(self) -> None:
        """Try whether a log that could not write can now: the reserve is taken again first, and that it writes is recorded.

        Raises AuditWriteError: it cannot.
        """
        blocked = self._blocked
        if blocked is None:
            return
        if not blocked.passes:
            raise AuditWriteError(blocked)
        words = [*self._last_words, *([self._notices.resumed(blocked)] if self._notices else [])]
        try:
            await self._writing.run(self._resume, words)
        except AuditWriteError as error:
            self._wrote(error.reason)
            raise
        self._last_words = []
        self._wrote(None)

    async def read(self, seq: int) -> OpenedEntry:
        """One entry, decrypted. Raises UnknownEntryError, LogDamagedError."""
        if not 0 <= seq < self.size:
            raise UnknownEntryError(seq)
        return await self._reading.run(self._open_entry, seq)

    async def entries(self, start: int, stop: int) -> list[tuple[OpenedEntry, bytes]]:
        """Entries of a range by number, decrypted, each with its leaf hash. Raises LogDamagedError."""
        return await self._reading.run(self._open_range, start, stop)

    async def unclosed(self) -> tuple[int, ...]:
        """Numbers of the opened entries without a closing one, oldest first: after a crash, its orphans."""
        return await self._reading.run(Database.unclosed)

    async def of_subject(self, subject: bytes) -> list[int]:
        """Numbers of the entries that have this subject, oldest first. Raises LogDamagedError."""
        return await self._reading.run(numbers_of, self._generations, subject)

    async def erase_subject(self, subject: bytes) -> Erased:
        """Cut the tie between a person and their records: their key, the index and the references go; the records and all proofs stay.

        Older copies of the database open until `renew_subject_keys`. Raises SubjectHeldError, AuditWriteError.
        """
        return await self._alter(self._writer.erase, subject)

    async def hold_subject(self, subject: bytes, *, held: bool) -> bool:
        """Keep a subject from being erased, or no longer; False when nothing changed. Raises AuditWriteError."""
        return await self._alter(self._writer.hold, subject, held=held)

    async def renew_subject_keys(self) -> Renewed:
        """Wrap every surviving subject's key anew and destroy what wrapped them before: older copies then hold no key that opens.

        Entries are recorded meanwhile. What is interrupted is finished at the next start. Raises KeyFileError, AuditWriteError.
        """
        async with self._renewing:
            generation = await self._writing.run(self._writer.begin_generation)
            after: bytes | None = b""
            while after is not None:
                after = await self._alter(self._writer.rewrap, after)
            return Renewed(generation, await self._alter(self._writer.end_generation))

    async def expired(self, days: Mapping[int, int]) -> list[Expired]:
        """What is older than its retention class allows (class → days kept) and held by nobody. Raises LogDamagedError, KeyFileError."""
        return await self._reading.run(expired, self._generations, days, self._writer.today, self._writer.in_use)

    async def drop(self, what: Expired) -> None:
        """Drop the content of these records for good: headers, hashes and proofs stay. Raises AuditWriteError."""
        await self._alter(self._writer.drop, what)

    def begin_round(self) -> Round:
        """What reading all of today's records again begins with."""
        tree = self._writer.head.tree
        return Round(tree.size, tree.root(), self._clock() // 1_000_000)

    async def scrub(self, at: Round) -> tuple[Round, list[Scrubbed]]:
        """Read one more block of records again and hash it: the round after it, and what is wrong there. Raises LogFileError."""
        return await self._reading.run(scrub_block, at)

    async def is_of_round(self, at: Round) -> bool:
        """Whether this log is the one that a round began with. Raises LogDamagedError."""
        return at.size <= self.size and (not at.size or await self._reading.run(range_root, 0, at.size) == at.root)

    async def hand_over(self) -> int:
        """Begin a signing epoch and destroy the key of the one before; its number. Raises KeyFileError, AuditWriteError."""
        return await self._alter(self._writer.hand_over)

    async def submission(self, old: int) -> Submission:
        """What to send a witness that has seen `old` entries: the checkpoint of now, and the proof that it continues that one.

        Raises LogDamagedError; IndexError when a witness has seen more than there is.
        """
        note = self.checkpoint()
        return await self._reading.run(submission, old, note)

    async def witnessed(self) -> dict[str, tuple[int, int]]:
        """Witness → how many entries it has cosigned, and when (seconds of POSIX)."""
        return await self._reading.run(Database.witnessed)

    async def keep_cosigned(self, witness: WitnessVerifier, note: str, lines: str) -> int:
        """Keep the lines a witness answered for this note; when it cosigned. Raises VerificationError, AuditWriteError."""
        return await self._alter(self._writer.keep_cosigned, witness, note, lines)

    async def keep_seen(self, witness: str, note: str, time_s: int) -> None:
        """Keep a checkpoint, and that a witness which signs nothing in it saw it then. Raises VerificationError, AuditWriteError."""
        await self._alter(self._writer.keep_seen, witness, note, time_s)

    async def check_continues(self, note: str) -> int:
        """The size of an earlier checkpoint of this log, which the log continues.

        Raises VerificationError: `signature` for what is no note of this log, `size` or `root` when the log was put back or
        rewritten since; LogDamagedError.
        """
        earlier = self._writer.verifier.open_checkpoint(note)
        if earlier.size > self.size:
            raise VerificationError(f"прежде в журнале было {earlier.size} записей, а теперь {self.size}", Finding.SIZE)
        if await self._reading.run(range_root, 0, earlier.size) != earlier.root:
            raise VerificationError(f"первые {earlier.size} записей журнала — не те, что были прежде", Finding.ROOT)
        return earlier.size

    def stop_as_rolled_back(self) -> None:
        """Write nothing more: a witness has seen another history. Only a restart tries again."""
        self._blocked = WriteFailure.ROLLED_BACK

    async def _alter(
        self, function: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Change rows other than records. A failure that does not pass blocks the log, as it does for a batch."""
        if self._blocked is not None and not self._blocked.passes:
            raise AuditWriteError(self._blocked)
        try:
            return await self._writing.run(function, *args, **kwargs)
        except AuditWriteError as error:
            if not error.reason.passes:
                self._wrote(error.reason)
            raise

    @property
    def size(self) -> int:
        """How many entries are on disk."""
        return self._writer.head.tree.size

    @property
    def blocked(self) -> str | None:
        """Why the last write failed (a value of WriteFailure); None when the log writes."""
        if self._blocked is None and self._closing:
            return WriteFailure.CLOSED.value
        return None if self._blocked is None else self._blocked.value

    @property
    def may_recover(self) -> bool:
        """Whether the log does not write now, for a reason that passes."""
        return self._blocked is not None and self._blocked.passes

    @property
    def reserve(self) -> str | None:
        """What is wrong with the space kept for the last words: "spent", or words of the system; None when nothing is, or none is kept."""
        return "spent" if self._reserve.spent else self._reserve.failure

    @property
    def hand_over_failure(self) -> str | None:
        """Why the signing key of yesterday is still in use; None when it is not."""
        return self._writer.hand_over_failure

    def checkpoint(self) -> str:
        """The signed note over exactly the entries on disk."""
        return self._writer.head.note

    def _open_entry(self, database: Database, seq: int) -> OpenedEntry:
        record = database.record(seq)
        if record is None:
            raise UnknownEntryError(seq)
        return self._opener.open(database, record)

    def _open_range(self, database: Database, start: int, stop: int) -> list[tuple[OpenedEntry, bytes]]:
        records = list(database.records(start, min(stop, self.size)))
        return [(self._opener.open(database, record), record.leaf_hash) for record in records]

    def _wrote(self, failure: WriteFailure | None) -> None:
        """Note how a write ended. What was stopped meanwhile stays stopped, however that was."""
        if self._blocked is not WriteFailure.ROLLED_BACK:
            self._blocked = failure

    def _close(self) -> None:
        self._closing = True
        self._arrived.set()

    async def _sequence(self) -> None:
        """Write what has gathered, batch after batch, until the log closes and nothing waits."""
        try:
            while not self._closing or self._queue:
                await self._arrived.wait()
                self._arrived.clear()
                while self._queue:
                    await self._write(self._next_batch())
        finally:
            # INVARIANT: nobody waits for ever, even when a fault of ours ends this task.
            self._closing = True
            _fail(self._queue, self._blocked or WriteFailure.CLOSED)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1][0].body)
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            if self._blocked is not None and not self._blocked.passes:
                raise AuditWriteError(self._blocked)
            if self._reserve.spent or not await self._wrote_all(batch):
                await self._write_vital(batch)
        except AuditWriteError as error:
            self._wrote(error.reason)
            _fail(batch, error.reason)
        except BaseException:
            self._wrote(WriteFailure.FAILED)
            _fail(batch, WriteFailure.FAILED)
            raise

    async def _wrote_all(self, batch: list[_Waiting]) -> bool:
        """Write a batch; False when the disk is full and the reserve was let go. Raises AuditWriteError."""
        try:
            receipts = await self._writing.run(self._writer.write, [entry for entry, *_ in batch])
        except AuditWriteError as error:
            if error.reason is not WriteFailure.DISK_FULL or not self._reserve.size:
                raise
            await self._writing.run(self._reserve.release)
            if self._notices:
                self._last_words = [self._notices.blocked(error.reason, self._clock())]
            return False
        self._wrote(None)
        _give(batch, receipts)
        return True

    async def _write_vital(self, batch: list[_Waiting]) -> None:
        """Write what the reserve was kept for, after the words that it is in use; the rest is refused. Raises AuditWriteError."""
        self._wrote(WriteFailure.DISK_FULL)
        vital = [each for each in batch if each[2]]
        _fail((each for each in batch if not each[2]), WriteFailure.DISK_FULL)
        entries = [*self._last_words, *(entry for entry, *_ in vital)]
        if entries:
            receipts = await self._writing.run(self._writer.write, entries)
            _give(vital, receipts[len(self._last_words) :])
            self._last_words = []

    def _resume(self, database: Database, words: list[Entry]) -> None:
        """Take the reserve again and write what there is to say; let it go again when that fails. Raises AuditWriteError."""
        spent = self._reserve.spent
        if spent:
            self._reserve.rebuild(database)
        try:
            if words:
                self._writer.write(database, words)
        except AuditWriteError:
            if spent:
                self._reserve.release(database)
            raise


def submission(database: Database, old: int, note: str) -> Submission:
    """What to send a witness that has seen `old` entries. Raises LogDamagedError, IndexError."""
    size = parse_checkpoint(split_note(note)[0]).size
    if old > size:
        raise IndexError(f"size {old} of {size}")
    return Submission(old, consistency(database, old, size) if 0 < old < size else (), note)


def _give(waiting: Iterable[_Waiting], receipts: Iterable[Receipt]) -> None:
    for (_, future, _), receipt in zip(waiting, receipts, strict=True):
        if not future.done():  # done: its caller was cancelled
            future.set_result(receipt)


def _fail(waiting: Iterable[_Waiting], reason: WriteFailure) -> None:
    for _, future, _ in waiting:
        if not future.done():
            future.set_exception(AuditWriteError(reason))
