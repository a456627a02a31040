"""AuditLog: the one sequencer. An entry handed to `append` is on disk, sealed and covered by a signed checkpoint, or the call raises."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from audit.checkpoint import parse_checkpoint, split_note
from audit.cosignature import WitnessVerifier
from audit.entry import Entry, OpenedEntry, Receipt, check_entry
from audit.errors import AuditWriteError, KeyFileError, UnknownEntryError, WriteFailure
from audit.generations import Generations
from audit.keyfiles import load_kek, load_signing_key, subject_keys_beside
from audit.logfile import prepare_file, prepare_folder, write_lock
from audit.reader import Opener, numbers_of
from audit.sealing import Kek
from audit.store import (
    SQLITE_VERSION,
    Channel,
    Database,
    connect_reader,
    connect_writer,
    open_channel,
)
from audit.subtrees import consistency
from audit.witness import Submission
from audit.writer import BatchWriter, Erased

_BATCH = 512  # entries in one transaction, at most
_BATCH_BYTES = 1 << 23  # of bodies in one transaction: the entry that passes it is the last
_WAITING = 16384  # entries in the queue, at most: beyond, the disk has stopped and memory must not follow

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Waiting: TypeAlias = tuple[Entry, asyncio.Future[Receipt]]


class LogSettings(Struct, frozen=True):
    """Where the log and its keys lie."""

    path: Path
    kek_file: Path
    signing_key_file: Path
    origin: str  # the log's name; the signing key was made for it
    subject_keys_file: Path | None = None  # written by the log itself; None: beside the KEK
    max_bytes: int | None = None  # of the database file, not counting its write-ahead log; None: up to the disk

    @property
    def subject_keys(self) -> Path:
        """The file of the keys that wrap subjects' keys."""
        return self.subject_keys_file or subject_keys_beside(self.kek_file)


class Renewed(Struct, frozen=True):
    """Subjects' keys wrapped anew: under which generation, and whether the write-ahead log could be emptied at once."""

    generation: int
    wal_emptied: bool


class AuditLog:
    """An open log. One process, one event loop; `append` from as many tasks as there are.

    Natural group commit: while one transaction is being synced, the next batch gathers; no timer is involved.
    """

    sqlite_version = SQLITE_VERSION

    def __init__(
        self, writing: Channel, reading: Channel, writer: BatchWriter, opener: Opener, generations: Generations
    ) -> None:
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
    async def open(cls, settings: LogSettings) -> AsyncIterator[AuditLog]:
        """The log, ready to append; a new one is begun when there is no file. On leaving, what waits is still written.

        Raises KeyFileError (a key file, or a key of another log), LogInUseError, LogFileError, LogDamagedError, AuditWriteError.
        """
        kek = Kek(await asyncio.to_thread(load_kek, settings.kek_file))
        generations = await asyncio.to_thread(Generations.load, settings.subject_keys, kek)
        signer = await asyncio.to_thread(load_signing_key, settings.signing_key_file)
        if signer.name != settings.origin:
            raise KeyFileError(f"ключ подписи сделан для журнала `{signer.name}`, а не `{settings.origin}`")
        path = settings.path
        await asyncio.to_thread(prepare_folder, path)
        with write_lock(path):
            await asyncio.to_thread(prepare_file, path)
            async with open_channel(path, partial(connect_writer, path, settings.max_bytes)) as writing:
                writer = await writing.run(BatchWriter.start, kek, signer, generations)
                async with open_channel(path, partial(connect_reader, path)) as reading:
                    log = cls(writing, reading, writer, Opener(kek, generations), generations)
                    if generations.pending:
                        await log.renew_subject_keys()  # an interrupted one is finished before anything else
                    sequencer = asyncio.create_task(log._sequence(), name="audit-sequencer")
                    try:
                        yield log
                    finally:
                        log._close()
                        await sequencer

    async def append(self, entry: Entry) -> Receipt:
        """Record an entry; returns once it is on disk. Raises AuditWriteError: nothing was recorded that anybody may rely on.

        A caller who is cancelled while waiting no longer learns the outcome: the entry is recorded all the same.
        """
        check_entry(entry)
        if self._blocked is not None and not self._blocked.passes:
            raise AuditWriteError(self._blocked)
        if self._closing:
            raise AuditWriteError(WriteFailure.CLOSED)
        if len(self._queue) >= _WAITING:
            raise AuditWriteError(WriteFailure.OVERLOADED)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.append((entry, future))
        self._arrived.set()
        return await future

    async def read(self, seq: int) -> OpenedEntry:
        """One entry, decrypted. Raises UnknownEntryError, LogDamagedError."""
        if not 0 <= seq < self.size:
            raise UnknownEntryError(seq)
        return await self._reading.run(self._open_entry, seq)

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
            return Renewed(generation, await self._writing.run(self._writer.end_generation))

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

    def checkpoint(self) -> str:
        """The signed note over exactly the entries on disk."""
        return self._writer.head.note

    def _open_entry(self, database: Database, seq: int) -> OpenedEntry:
        record = database.record(seq)
        if record is None:
            raise UnknownEntryError(seq)
        return self._opener.open(database, record)

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
            receipts = await self._writing.run(self._writer.write, [entry for entry, _ in batch])
        except AuditWriteError as error:
            self._wrote(error.reason)
            _fail(batch, error.reason)
        except BaseException:
            self._wrote(WriteFailure.FAILED)
            _fail(batch, WriteFailure.FAILED)
            raise
        else:
            self._wrote(None)
            for (_, future), receipt in zip(batch, receipts, strict=True):
                if not future.done():  # done: its caller was cancelled
                    future.set_result(receipt)


def submission(database: Database, old: int, note: str) -> Submission:
    """What to send a witness that has seen `old` entries. Raises LogDamagedError, IndexError."""
    size = parse_checkpoint(split_note(note)[0]).size
    if old > size:
        raise IndexError(f"size {old} of {size}")
    return Submission(old, consistency(database, old, size) if 0 < old < size else (), note)


def _fail(waiting: Iterable[_Waiting], reason: WriteFailure) -> None:
    for _, future in waiting:
        if not future.done():
            future.set_exception(AuditWriteError(reason))
