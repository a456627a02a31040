"""The log's SQLite file: the only module that speaks SQL.

WAL, `synchronous=FULL`, one read-write connection in one process (held by a lock file), any number of read-only ones. Several
writing connections would meet the WAL-reset race of SQLite 3.7.0 to 3.51.2; with one writer it cannot happen.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import aiosqlite
import msgspec

from audit.errors import AuditWriteError, LogInUseError, LogUnusableError
from audit.sealing import Sealed

SQLITE_VERSION = sqlite3.sqlite_version
_FORMAT = 1
_PAGE = 4096
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (seq INTEGER PRIMARY KEY, header BLOB NOT NULL, leaf BLOB NOT NULL, body BLOB NOT NULL, subject BLOB NOT NULL);
CREATE TABLE tree (id INTEGER PRIMARY KEY CHECK (id = 1), frontier BLOB NOT NULL, checkpoint TEXT NOT NULL);
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE epochs (id BLOB PRIMARY KEY, wrapped BLOB NOT NULL, key_check BLOB NOT NULL, started_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE open_entries (seq INTEGER PRIMARY KEY);
CREATE TABLE subject_keys (id INTEGER PRIMARY KEY, token BLOB NOT NULL UNIQUE, wrapped BLOB NOT NULL);
CREATE TABLE record_subjects (seq INTEGER NOT NULL, place INTEGER NOT NULL, subject INTEGER NOT NULL,
    PRIMARY KEY (seq, place)) WITHOUT ROWID;
CREATE TABLE blind_index (token BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (token, seq)) WITHOUT ROWID;
"""


SlotKeys = dict[int, tuple[bytes, bytes]]
"""Place in a subject compartment → that subject's token and wrapped key; destroyed ones are missing."""


class SubjectKey(msgspec.Struct, frozen=True):
    """A subject's wrapped key. `id` is its row, a random number."""

    id: int
    token: bytes
    wrapped: bytes


class Batch(msgspec.Struct, frozen=True):
    """What one transaction writes."""

    records: Sequence[tuple[Sealed, bytes]]  # with their leaf hashes
    frontier: bytes
    checkpoint: str
    kept: tuple[int, int] | None  # size and time, when the checkpoint goes into the history
    opened: Sequence[int]
    closed: Sequence[int]
    subject_keys: Sequence[SubjectKey]
    record_subjects: Sequence[tuple[int, int, int]]
    blind_index: Sequence[tuple[bytes, int]]


class Store:
    """The writer's side."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, max_bytes: int | None) -> AsyncIterator[Store]:
        """Open or create the file. Raises LogInUseError, LogUnusableError."""
        with _locked(path):
            try:
                created = not await asyncio.to_thread(path.exists)
                if created:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
                async with aiosqlite.connect(path, isolation_level=None) as connection:
                    store = cls(connection)
                    await store._prepare(max_bytes)
                    if created:
                        _sync_folder(path.parent)
                    yield store
            except (sqlite3.Error, OSError) as error:
                raise LogUnusableError(f"`{path}`: журнал не открывается ({_reason(error)})") from None

    async def _prepare(self, max_bytes: int | None) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 1000"):
            await self._connection.execute(f"PRAGMA {pragma}")
        cursor = await self._connection.execute("PRAGMA user_version")
        row = await cursor.fetchone()
        version = row[0] if row else 0
        cursor = await self._connection.execute("SELECT count(*) FROM sqlite_master")
        row = await cursor.fetchone()
        if version == 0 and row is not None and row[0] == 0:
            # One transaction: a start that is killed here leaves an empty file, not half a schema.
            await self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")
        elif version != _FORMAT:
            raise LogUnusableError("файл журнала — база другой программы или другой версии")
        else:
            await self._connection.execute(
                "BEGIN IMMEDIATE"
            )  # says now, not at the first request, that writing is not possible
            await self._connection.execute("ROLLBACK")
        if max_bytes is not None:
            await self._connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // _PAGE)}")

    async def meta(self) -> dict[str, bytes]:
        """The named values."""
        cursor = await self._connection.execute("SELECT name, value FROM meta")
        return {str(name): bytes(value) for name, value in await cursor.fetchall()}

    async def begin(self, meta: dict[str, bytes], frontier: bytes, checkpoint: str) -> None:
        """First values of a new log."""
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            await self._connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
            await self._connection.execute("INSERT INTO tree VALUES (1, ?, ?)", (frontier, checkpoint))
            await self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise await self._failed(error) from None

    async def add_epoch(self, epoch: bytes, wrapped: bytes, check: bytes, started_us: int) -> None:
        """A new data key, before anything is sealed with it."""
        try:
            await self._connection.execute(
                "INSERT INTO epochs VALUES (?, ?, ?, ?)", (epoch, wrapped, check, started_us)
            )
        except sqlite3.Error as error:
            raise await self._failed(error) from None

    async def epoch(self, epoch: bytes) -> bytes | None:
        """The wrapped data key."""
        return await self._value("SELECT wrapped FROM epochs WHERE id = ?", epoch)

    async def tree(self) -> tuple[bytes, str] | None:
        """Frontier and current checkpoint."""
        cursor = await self._connection.execute("SELECT frontier, checkpoint FROM tree")
        row = await cursor.fetchone()
        return None if row is None else (row[0], row[1])

    async def count(self) -> tuple[int, int]:
        """How many records there are, and the next number."""
        cursor = await self._connection.execute("SELECT count(*), coalesce(max(seq) + 1, 0) FROM records")
        row = await cursor.fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    async def tail(self, count: int) -> list[tuple[Sealed, bytes]]:
        """The last records with their leaf hashes, in order."""
        cursor = await self._connection.execute(
            "SELECT seq, header, body, subject, leaf FROM records ORDER BY seq DESC LIMIT ?", (count,)
        )
        return [(Sealed(*row[:4]), row[4]) for row in reversed(list(await cursor.fetchall()))]

    async def record(self, seq: int) -> Sealed | None:
        """One record."""
        cursor = await self._connection.execute("SELECT seq, header, body, subject FROM records WHERE seq = ?", (seq,))
        row = await cursor.fetchone()
        return None if row is None else Sealed(*row)

    async def slot_keys(self, seq: int) -> SlotKeys:
        """The keys of a record's subjects."""
        cursor = await self._connection.execute(_SLOT_KEYS, (seq,))
        return {place: (token, wrapped) for place, token, wrapped in await cursor.fetchall()}

    async def subject_key(self, token: bytes) -> SubjectKey | None:
        """The key of the subject behind a token."""
        cursor = await self._connection.execute("SELECT id, token, wrapped FROM subject_keys WHERE token = ?", (token,))
        row = await cursor.fetchone()
        return None if row is None else SubjectKey(*row)

    async def unclosed(self) -> tuple[int, ...]:
        """Opened entries that none has closed."""
        cursor = await self._connection.execute("SELECT seq FROM open_entries ORDER BY seq")
        return tuple(row[0] for row in await cursor.fetchall())

    async def write(self, batch: Batch) -> None:
        """One durable transaction. Raises AuditWriteError; then nothing of it is in the file."""
        connection = self._connection
        rows = [(record.seq, record.header, leaf, record.body, record.subject) for record, leaf in batch.records]
        try:
            await connection.execute("BEGIN IMMEDIATE")
            await connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
            if batch.opened:
                await connection.executemany("INSERT INTO open_entries VALUES (?)", [(seq,) for seq in batch.opened])
            if batch.closed:
                await connection.executemany("DELETE FROM open_entries WHERE seq = ?", [(seq,) for seq in batch.closed])
            if batch.subject_keys:
                keys = [(key.id, key.token, key.wrapped) for key in batch.subject_keys]
                await connection.executemany("INSERT INTO subject_keys VALUES (?, ?, ?)", keys)
            if batch.record_subjects:
                await connection.executemany("INSERT INTO record_subjects VALUES (?, ?, ?)", batch.record_subjects)
                await connection.executemany("INSERT OR IGNORE INTO blind_index VALUES (?, ?)", batch.blind_index)
            if batch.kept is not None:
                await connection.execute(
                    "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (*batch.kept, batch.checkpoint)
                )
            await connection.execute("UPDATE tree SET frontier = ?, checkpoint = ?", (batch.frontier, batch.checkpoint))
            await connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise await self._failed(error) from None

    async def _failed(self, error: sqlite3.Error) -> AuditWriteError:
        reason = _reason(error)
        try:
            if self._connection.in_transaction:
                await self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            reason = "io-error"  # what could not be undone must not be built upon
        return AuditWriteError(reason)

    async def _value(self, query: str, parameter: bytes) -> bytes | None:
        cursor = await self._connection.execute(query, (parameter,))
        row = await cursor.fetchone()
        return None if row is None else bytes(row[0])


_SLOT_KEYS = "SELECT place, token, wrapped FROM record_subjects JOIN subject_keys ON subject = id WHERE seq = ?"


def _reason(error: sqlite3.Error | OSError) -> str:
    """A short code for the log's state: the texts of foreign errors may hold paths."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        code &= 0xFF
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC:
        return "disk-full"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return "read-only"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT):
        return "corrupt"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "locked"
    return "io-error"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `<path>.lock` while the log is written. The file stays: removing it would let two processes hold two locks."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LogUnusableError(f"`{path.parent}`: в каталог журнала нельзя писать ({error.strerror})") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LogInUseError(f"`{path}`: журнал уже пишет другой процесс; второй писатель не допускается") from None
        yield
    finally:
        os.close(descriptor)


class StoreReader:
    """The readers' side: synchronous, sees what is committed, writes nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, alone: bool = False) -> Iterator[StoreReader]:
        """A view of the file at one moment. `alone`: a copy that nobody writes, on a medium that may be read-only.

        Raises LogUnusableError.
        """
        if not path.is_file():
            raise LogUnusableError(f"`{path}`: такого файла журнала нет")
        wal = path.with_name(path.name + "-wal")
        mode = "ro&immutable=1" if alone and not wal.exists() else "ro"
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None)
            ) as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                    raise LogUnusableError(f"`{path}`: это не журнал этого изделия или журнал другой версии")
                connection.execute("BEGIN")
                yield cls(connection)
        except sqlite3.Error as error:
            raise LogUnusableError(f"`{path}`: файл журнала не читается ({_reason(error)})") from None

    def meta(self) -> dict[str, bytes]:
        """The named values."""
        return dict(self._connection.execute("SELECT name, value FROM meta").fetchall())

    def checkpoint(self) -> str:
        """The current signed note; empty when there is none."""
        row = self._connection.execute("SELECT checkpoint FROM tree").fetchone()
        return str(row[0]) if row else ""

    def size(self) -> int:
        """The number after the last record's."""
        return int(self._connection.execute("SELECT coalesce(max(seq) + 1, 0) FROM records").fetchone()[0])

    def records(self, start: int, stop: int, *, reverse: bool = False) -> Iterator[tuple[Sealed, bytes]]:
        """Records start … stop - 1 with their leaf hashes."""
        order = "DESC" if reverse else "ASC"
        query = f"SELECT seq, header, body, subject, leaf FROM records WHERE seq >= ? AND seq < ? ORDER BY seq {order}"  # noqa: S608  (one of two words)
        for row in self._connection.execute(query, (start, stop)):
            yield Sealed(*row[:4]), row[4]

    def epoch(self, epoch: bytes) -> bytes | None:
        """The wrapped data key."""
        row = self._connection.execute("SELECT wrapped FROM epochs WHERE id = ?", (epoch,)).fetchone()
        return None if row is None else bytes(row[0])

    def slot_keys(self, seq: int) -> SlotKeys:
        """The keys of a record's subjects."""
        return {place: (token, wrapped) for place, token, wrapped in self._connection.execute(_SLOT_KEYS, (seq,))}
