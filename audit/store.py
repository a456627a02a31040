"""The log in SQLite: one connection that writes, and connections that cannot."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct, structs

from audit.errors import AuditWriteError, KeyFileError, LogDamagedError, LogFileError, WriteFailure
from audit.leaf import Record
from audit.schema import APPLICATION_ID, LAYOUT, SCHEMA, SCHEMAS, STEPS
from audit.sealing import SubjectRow, WrappedKey

SQLITE_VERSION = sqlite3.sqlite_version


def has_wal_race(version: tuple[int, int, int]) -> bool:
    """Whether two writing connections may corrupt a database as its write-ahead log begins anew (WAL-reset bug, sqlite.org/wal.html)."""
    mended = {(3, 50): 7, (3, 44): 6}.get(version[:2])
    return (3, 7, 0) <= version <= (3, 51, 2) and (mended is None or version[2] < mended)


SQLITE_HAS_WAL_RACE = has_wal_race(sqlite3.sqlite_version_info)
SQLITE_MAGIC = b"SQLite format 3\x00"

# An error message that quotes a damaged page is not always UTF-8: sqlite3 then raises the second instead of the first.
_SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
_LONGEST_VALUE = 1 << 22  # bytes; far above any value of ours, far below what a hostile file could make us allocate
_PAGE = 512  # records fetched at a time
_BUSY_SECONDS = 5.0
_WAL_BYTES = 1 << 22  # of the write-ahead log, after which it is moved into the database and begun anew

# The casts hold the types against a damaged file: SQLite itself gives what the page says, whatever the column was declared as.
_RECORD = "seq, coalesce(CAST(header AS BLOB), x''), coalesce(CAST(leaf_hash AS BLOB), x''), CAST(body AS BLOB), CAST(subjects AS BLOB)"
_WRAPPED = (
    "coalesce(CAST(key_id AS BLOB), x''), coalesce(CAST(wrapped AS BLOB), x''), coalesce(CAST(key_check AS BLOB), x'')"
)
_SUBJECT = (
    "coalesce(CAST(key_id AS BLOB), x''), coalesce(CAST(tag AS BLOB), x''), CAST(generation AS INTEGER),"
    " coalesce(CAST(wrapped AS BLOB), x''), coalesce(CAST(key_check AS BLOB), x'')"
)
_FORWARD = f"SELECT {_RECORD} FROM records WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT {_PAGE}"  # noqa: S608  (our own constants)
_BACKWARD = f"SELECT {_RECORD} FROM records WHERE seq >= ? AND seq < ? ORDER BY seq DESC LIMIT {_PAGE}"  # noqa: S608  (our own constants)


class TreeRow(Struct, frozen=True):
    """The stored state of the tree and the signed checkpoint over it."""

    size: int
    frontier: bytes
    note: str


class SealingRow(Struct, frozen=True):
    """A sealing key's retention class, the day (since 1970) it was made on, and the first record under it."""

    key_id: bytes
    retention: int
    day: int
    first: int


class NewRows(Struct, frozen=True):
    """Everything one batch adds, sealed."""

    records: Sequence[tuple[int, bytes, bytes, bytes, bytes]]
    subject_keys: Sequence[SubjectRow]
    slots: Sequence[tuple[int, int, bytes]]  # seq, slot, masked reference
    index: Sequence[tuple[bytes, int]]  # monthly tag, seq
    opened: Sequence[tuple[int]]
    closed: Sequence[tuple[int]]


class Database:
    """One connection's view of the log, for one thread at a time. sqlite3's errors come out as ours.

    Reading raises LogDamagedError or LogFileError; `transaction` raises AuditWriteError.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._identity: tuple[int, int, int] | None = None

    def tree(self) -> TreeRow | None:
        """The state of the tree; None in a log that was never started."""
        rows = self._fetch(
            "SELECT CAST(size AS INTEGER), coalesce(CAST(frontier AS BLOB), x''), CAST(note AS TEXT) FROM tree LIMIT 2"
        )
        if len(rows) > 1:
            raise LogDamagedError("в базе два состояния дерева")
        return TreeRow(rows[0][0] or 0, rows[0][1], rows[0][2] or "") if rows else None

    def record(self, seq: int) -> Record | None:
        """The record with this number."""
        return next(self.records(seq, seq + 1), None)

    def records(self, start: int, stop: int, *, reverse: bool = False) -> Iterator[Record]:
        """Records of a range by number, fetched in pages: outside a transaction none is held open between them."""
        while start < stop:
            count, seq = 0, start
            with _reading():
                for row in self._connection.execute(_BACKWARD if reverse else _FORWARD, (start, stop)):
                    count, seq = count + 1, row[0]
                    yield Record(*row)
            if count < _PAGE:
                return
            if not start <= seq < stop:
                raise LogDamagedError("страницы базы перепутаны")
            start, stop = (start, seq) if reverse else (seq + 1, stop)

    def leaf_hashes(self, start: int, stop: int) -> list[bytes]:
        """The stored leaf hashes of a range."""
        query = "SELECT coalesce(CAST(leaf_hash AS BLOB), x'') FROM records WHERE seq >= ? AND seq < ? ORDER BY seq"
        return [row[0] for row in self._fetch(query, start, stop)]

    def subtrees(self, level: int, start: int, stop: int) -> list[bytes]:
        """The stored nodes of a level, by number."""
        query = "SELECT CAST(hash AS BLOB) FROM subtrees WHERE level = ? AND number >= ? AND number < ? ORDER BY number"
        return [row[0] for row in self._fetch(query, level, start, stop)]

    def bounds(self) -> tuple[int, int] | None:
        """The lowest and the highest record number."""
        low, high = self._fetch("SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)")[0]
        return None if low is None else (low, high)

    def kept_checkpoints(self) -> Iterator[tuple[int, str]]:
        """Size and note of every kept checkpoint, by size."""
        query = "SELECT size, coalesce(CAST(note AS TEXT), '') FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?"
        last = -1
        while rows := self._fetch(query, last, _PAGE):
            yield from rows
            if rows[-1][0] <= last:
                raise LogDamagedError("страницы базы перепутаны")
            last = rows[-1][0]

    def kept_checkpoint(self, size: int) -> str | None:
        """The kept note over the first `size` records."""
        rows = self._fetch("SELECT coalesce(CAST(note AS TEXT), '') FROM checkpoints WHERE size = ?", size)
        return rows[0][0] if rows else None

    def certificates(self) -> list[tuple[int, str]]:
        """Size at which each signing epoch began, and its certificate, in order; none in an earlier layout."""
        if not self._has("signing_epochs"):
            return []
        query = (
            "SELECT CAST(since AS INTEGER), coalesce(CAST(certificate AS TEXT), '') FROM signing_epochs ORDER BY number"
        )
        return self._fetch(query)

    def sealing_keys(self) -> list[SealingRow]:
        """What is known of the sealing keys, by the first record of each."""
        query = "SELECT CAST(key_id AS BLOB), class, day, first FROM sealing_keys ORDER BY first, key_id"
        return [SealingRow(*row) for row in self._fetch(query)]

    def witnessed(self) -> dict[str, tuple[int, int]]:
        """Witness → size and time of its last cosignature."""
        rows = self._fetch("SELECT CAST(witness AS TEXT), CAST(size AS INTEGER), CAST(time AS INTEGER) FROM witnessed")
        return {name: (size, time) for name, size, time in rows}

    def unclosed(self) -> tuple[int, ...]:
        """Numbers of opened entries without a closing one."""
        return tuple(row[0] for row in self._fetch("SELECT seq FROM open_entries ORDER BY seq"))

    def kek(self) -> tuple[int, bytes] | None:
        """Generation and check value of the KEK in force."""
        rows = self._fetch(
            "SELECT generation, coalesce(CAST(key_check AS BLOB), x'') FROM keks ORDER BY generation DESC LIMIT 1"
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def key(self, role: bytes, key_id: bytes | None = None) -> WrappedKey | None:
        """The key of a role with this id; without an id, the role's only key."""
        query = f"SELECT {_WRAPPED} FROM keys WHERE role = ? AND (? IS NULL OR key_id = ?) LIMIT 1"  # noqa: S608  (our own constant)
        rows = self._fetch(query, role.decode(), key_id, key_id)
        return WrappedKey(*rows[0]) if rows else None

    def subject_key(self, *, tag: bytes | None = None, key_id: bytes | None = None) -> SubjectRow | None:
        """A subject's key by tag or by id; None once it was destroyed."""
        column, value = ("tag", tag) if tag is not None else ("key_id", key_id)
        rows = self._fetch(f"SELECT {_SUBJECT} FROM subject_keys WHERE {column} = ?", value)  # noqa: S608  (one of two words)
        return SubjectRow(*rows[0]) if rows else None

    def subject_keys(self, after: bytes, limit: int) -> list[SubjectRow]:
        """Subjects' keys in the order of their ids, those beyond `after`."""
        query = f"SELECT {_SUBJECT} FROM subject_keys WHERE key_id > ? ORDER BY key_id LIMIT ?"  # noqa: S608  (our own constant)
        return [SubjectRow(*row) for row in self._fetch(query, after, limit)]

    def indexed(self, tag: bytes) -> list[int]:
        """Numbers of the records that a tag of the monthly index leads to."""
        return [row[0] for row in self._fetch("SELECT seq FROM subject_index WHERE tag = ? ORDER BY seq", tag)]

    def held(self) -> list[bytes]:
        """Ids of the subjects' keys that are kept from being destroyed."""
        return [row[0] for row in self._fetch("SELECT CAST(key_id AS BLOB) FROM subject_holds")]

    def is_held(self, key_id: bytes) -> bool:
        """Whether a subject's key is kept from being destroyed."""
        return bool(self._fetch("SELECT 1 FROM subject_holds WHERE key_id = ?", key_id))

    def slot_references(self, seq: int) -> dict[int, bytes]:
        """Slot → masked reference to the key that seals it."""
        return dict(
            self._fetch("SELECT slot, coalesce(CAST(reference AS BLOB), x'') FROM subject_slots WHERE seq = ?", seq)
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside belongs together. Holds back the recycling of the write-ahead log meanwhile."""
        with _reading():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):  # nothing was written: there is nothing to lose
                self._connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written and synced, or nothing is. Raises AuditWriteError in place of what went wrong with the file."""
        try:
            self._check_files()
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except _SQLITE_ERRORS as error:
            raise AuditWriteError(_failure(error)) from error
        except (KeyFileError, LogDamagedError, LogFileError) as error:
            raise AuditWriteError(WriteFailure.DAMAGED) from error
        finally:
            if self._connection.in_transaction:
                # A rollback that fails leaves the transaction open: the next BEGIN then fails and blocks the log.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def insert(self, rows: NewRows) -> None:
        """Add a batch. Only inside `transaction`."""
        many = self._connection.executemany
        many("INSERT INTO records (seq, header, leaf_hash, body, subjects) VALUES (?, ?, ?, ?, ?)", rows.records)
        if rows.slots:
            many(
                "INSERT INTO subject_keys (key_id, tag, generation, wrapped, key_check) VALUES (?, ?, ?, ?, ?)",
                [structs.astuple(row) for row in rows.subject_keys],
            )
            many("INSERT INTO subject_slots (seq, slot, reference) VALUES (?, ?, ?)", rows.slots)
            many("INSERT OR IGNORE INTO subject_index (tag, seq) VALUES (?, ?)", rows.index)
        if rows.opened:
            many("INSERT INTO open_entries (seq) VALUES (?)", rows.opened)
        if rows.closed:
            many("DELETE FROM open_entries WHERE seq = ?", rows.closed)

    def put_tree(self, tree: TreeRow, *, keep: bool) -> None:
        """Make this the state of the tree, and keep its checkpoint for good when asked. Only inside `transaction`."""
        self._connection.execute(
            "INSERT OR REPLACE INTO tree (id, size, frontier, note) VALUES (0, ?, ?, ?)",
            (tree.size, tree.frontier, tree.note),
        )
        if keep:
            self._connection.execute(
                "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)", (tree.size, tree.note)
            )

    def put_subtrees(self, nodes: Sequence[tuple[int, int, bytes]]) -> None:
        """Add nodes: level, number, hash. Only inside `transaction`."""
        self._connection.executemany("INSERT INTO subtrees (level, number, hash) VALUES (?, ?, ?)", nodes)

    def put_witnessed(self, witness: str, size: int, time: int, note: str) -> None:
        """Keep a cosigned note, and what it says of its witness. Only inside `transaction`."""
        self._connection.execute("INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)", (size, note))
        self.put_seen(witness, size, time)

    def keep_checkpoint(self, size: int, note: str) -> None:
        """Keep a note, unless one over as many records is kept already. Only inside `transaction`."""
        self._connection.execute("INSERT OR IGNORE INTO checkpoints (size, note) VALUES (?, ?)", (size, note))

    def put_seen(self, witness: str, size: int, time: int) -> None:
        """Note what a witness has seen. Only inside `transaction`."""
        self._connection.execute(
            "INSERT OR REPLACE INTO witnessed (witness, size, time) VALUES (?, ?, ?)", (witness, size, time)
        )

    def put_certificate(self, number: int, since: int, certificate: str) -> None:
        """Add a signing epoch. Only inside `transaction`."""
        self._connection.execute(
            "INSERT INTO signing_epochs (number, since, certificate) VALUES (?, ?, ?)", (number, since, certificate)
        )

    def put_sealing_key(self, row: SealingRow) -> None:
        """Note for how long a sealing key's records are kept. Only inside `transaction`."""
        self._connection.execute(
            "INSERT INTO sealing_keys (key_id, class, day, first) VALUES (?, ?, ?, ?)", structs.astuple(row)
        )

    def put_kek(self, generation: int, key_check: bytes) -> None:
        """Note which KEK wraps the keys. Only inside `transaction`."""
        self._connection.execute("INSERT INTO keks (generation, key_check) VALUES (?, ?)", (generation, key_check))

    def put_key(self, role: bytes, key: WrappedKey) -> None:
        """Add a wrapped key. Only inside `transaction`."""
        self._connection.execute(
            "INSERT INTO keys (role, generation, key_id, wrapped, key_check)"
            " VALUES (?, (SELECT max(generation) FROM keks), ?, ?, ?)",
            (role.decode(), key.key_id, key.wrapped, key.key_check),
        )

    def put_subject_keys(self, rows: Sequence[SubjectRow]) -> None:
        """Replace the rows of these subjects' keys, or add them. Only inside `transaction`."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO subject_keys (key_id, tag, generation, wrapped, key_check) VALUES (?, ?, ?, ?, ?)",
            [structs.astuple(row) for row in rows],
        )

    def delete_subject(self, key_id: bytes, tags: Sequence[bytes], slots: Sequence[tuple[int, int]]) -> None:
        """Delete a subject's key and every row that leads to it, their bytes overwritten. Only inside `transaction`."""
        with self.overwriting():
            self._connection.execute("DELETE FROM subject_keys WHERE key_id = ?", (key_id,))
            self._connection.executemany("DELETE FROM subject_index WHERE tag = ?", [(tag,) for tag in tags])
            self._connection.executemany("DELETE FROM subject_slots WHERE seq = ? AND slot = ?", slots)

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """What is deleted inside is overwritten. Not for every batch: it costs a tenth of the appends."""
        _pragmas(self._connection, secure_delete="ON")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):  # of a connection that has failed: its transaction is rolled back anyway
                _pragmas(self._connection, secure_delete="OFF")

    def delete_key(self, role: bytes, key_id: bytes) -> None:
        """Destroy a wrapped key. Only inside `transaction`."""
        self._connection.execute("DELETE FROM keys WHERE role = ? AND key_id = ?", (role.decode(), key_id))

    def delete_sealing_key(self, key_id: bytes) -> None:
        """Forget a sealing key of which nothing is left. Only inside `transaction`."""
        self._connection.execute("DELETE FROM sealing_keys WHERE key_id = ?", (key_id,))

    def drop_ciphertexts(self, seq: int, tags: Sequence[bytes]) -> None:
        """Let go of a record's ciphertexts and of what leads from people to it; header and hash stay. Only inside `transaction`."""
        self._connection.execute("UPDATE records SET body = NULL, subjects = NULL WHERE seq = ?", (seq,))
        self._connection.execute("DELETE FROM subject_slots WHERE seq = ?", (seq,))
        self._connection.executemany(
            "DELETE FROM subject_index WHERE tag = ? AND seq = ?", [(tag, seq) for tag in tags]
        )

    def wrapped_keys(self) -> list[tuple[bytes, WrappedKey]]:
        """Every key that the KEK wraps, with its role."""
        rows = self._fetch(f"SELECT CAST(role AS BLOB), {_WRAPPED} FROM keys ORDER BY key_id")  # noqa: S608  (our own constant)
        return [(row[0], WrappedKey(*row[1:])) for row in rows]

    def replace_key(self, role: bytes, key: WrappedKey) -> None:
        """The same key, wrapped by the newest KEK. Only inside `transaction`."""
        self.delete_key(role, key.key_id)
        self.put_key(role, key)

    def hold(self, key_id: bytes, *, held: bool) -> None:
        """Keep a subject's key from being destroyed, or no longer. Only inside `transaction`."""
        self._connection.execute(
            "INSERT OR IGNORE INTO subject_holds (key_id) VALUES (?)"
            if held
            else "DELETE FROM subject_holds WHERE key_id = ?",
            (key_id,),
        )

    def truncate_wal(self) -> bool:
        """Move everything out of the write-ahead log and empty it; False when a reader holds it back. Raises AuditWriteError."""
        try:
            busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except _SQLITE_ERRORS as error:
            raise AuditWriteError(_failure(error)) from error
        return not busy

    def limit(self, max_bytes: int) -> None:
        """Let the file grow up to this size, or to what it has already. Raises AuditWriteError."""
        try:
            _pragmas(self._connection, max_page_count=max(1, max_bytes // self._pragma("page_size")))
        except _SQLITE_ERRORS as error:
            raise AuditWriteError(_failure(error)) from error

    def room(self, max_bytes: int) -> int:
        """Bytes that may still be written into a file of at most this size. Raises AuditWriteError."""
        try:
            pages = max_bytes // self._pragma("page_size") - self._pragma("page_count")
            return (pages + self._pragma("freelist_count")) * self._pragma("page_size")
        except _SQLITE_ERRORS as error:
            raise AuditWriteError(_failure(error)) from error

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _has(self, table: str) -> bool:
        return bool(self._fetch("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", table))

    def _fetch(self, query: str, *values: int | bytes | str | None) -> list[Any]:
        with _reading():
            return self._connection.execute(query, values).fetchall()

    def _check_files(self) -> None:
        """Both files are still the ones that were opened, and the write-ahead log is not longer than it should be.

        A file removed under us would take every further record with it. SQLite can move a long write-ahead log into the database by
        itself, but would not tell of an error. It cuts the file when it begins it anew: longer is only what was written since.
        """
        try:
            file, ahead = os.stat(self._path), os.stat(f"{self._path}-wal")  # noqa: PTH116  (three times cheaper than Path.stat, once a batch)
        except OSError:
            raise AuditWriteError(WriteFailure.MOVED) from None
        identity = file.st_dev, file.st_ino, ahead.st_ino
        self._identity = self._identity or identity
        if identity != self._identity:
            raise AuditWriteError(WriteFailure.MOVED)
        if ahead.st_size > _WAL_BYTES:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


@contextmanager
def open_reader(path: Path, *, frozen: bool = False) -> Iterator[Database]:
    """A Database that cannot write, for the calling thread. Raises LogFileError."""
    with closing(connect_reader(path, frozen=frozen)) as connection:
        yield Database(connection, path)


def copy_database(path: Path, out: Path) -> None:
    """Copy a log's file, whether it is being written or not, into the new file `out`. Raises LogFileError."""
    with closing(connect_reader(path)) as source:
        try:
            os.close(os.open(out, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise LogFileError(f"`{out}`: копия журнала не записана ({error.strerror})") from None
        try:
            with closing(sqlite3.connect(out)) as target:
                source.backup(target)  # in one step: nothing is written between its pages
            with out.open("rb") as file:
                os.fsync(file.fileno())
        except (*_SQLITE_ERRORS, OSError):
            out.unlink()
            raise LogFileError(f"`{out}`: копия журнала не записана") from None


def connect_writer(path: Path, max_bytes: int | None) -> sqlite3.Connection:
    """The writing connection of a prepared file; a new file gets the schema. Raises LogFileError, AuditWriteError."""
    connection = _connect(path, "rw")
    try:
        # FULL: the write-ahead log is synced at every commit. The page size is set before the first page is written.
        _pragmas(connection, page_size=4096, synchronous="FULL", wal_autocheckpoint=0, journal_size_limit=_WAL_BYTES)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise LogFileError(f"`{path}`: файловая система не даёт вести журнал упреждающей записи (WAL)")
        if max_bytes is not None:
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
            _pragmas(connection, max_page_count=max(1, max_bytes // page_size))
        if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            _create_schema(connection)
        layout = _check_schema(connection, path)
        while layout in STEPS:
            layout = _step(connection, layout)
        if layout != LAYOUT:
            raise LogFileError(
                f"`{path}`: журнал начат предварительной версией. Проверить и выгрузить его можно и теперь;"
                " чтобы вести новый, переместите его файлы вместе с ключами"
            )
    except _SQLITE_ERRORS as error:
        connection.close()
        raise _open_error(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, *, frozen: bool = False) -> sqlite3.Connection:
    """A connection that cannot write. `frozen`: nobody else has the file open, so read it as it lies, without its helper files."""
    connection = _connect(path, "ro&immutable=1" if frozen else "ro")
    try:
        _pragmas(connection, query_only="ON")
        _check_schema(connection, path)
    except _SQLITE_ERRORS as error:
        connection.close()
        raise _open_error(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
    except _SQLITE_ERRORS as error:
        raise _open_error(error, path) from error
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    _pragmas(connection, trusted_schema="OFF", cell_size_check="ON", temp_store="MEMORY", mmap_size=0)
    return connection


def _pragmas(connection: sqlite3.Connection, **values: str | int) -> None:
    for name, value in values.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _create_schema(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.values():
        connection.execute(statement)
    _pragmas(connection, application_id=APPLICATION_ID, user_version=LAYOUT)
    connection.execute("COMMIT")


def _step(connection: sqlite3.Connection, layout: int) -> int:
    """Make the next layout of a file; its number."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in STEPS[layout]:
        connection.execute(statement)
    _pragmas(connection, user_version=layout + 1)
    connection.execute("COMMIT")
    return layout + 1


def _check_schema(connection: sqlite3.Connection, path: Path) -> int:
    """The file's layout, one that this version can read. Raises LogFileError."""
    identity = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    found = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    ).fetchall()
    application: int
    layout: int
    application, layout = identity
    if application != APPLICATION_ID or layout not in SCHEMAS or dict(found) != SCHEMAS[layout]:
        raise LogFileError(f"`{path}`: это не журнал или журнал другой версии")
    return layout


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _SQLITE_ERRORS as error:
        if _failure(error) in {WriteFailure.DAMAGED, WriteFailure.FAILED}:
            raise LogDamagedError("файл базы повреждён") from error
        raise LogFileError(f"файл базы не читается (`{_failure(error)}`)") from error


_FAILURES = {
    sqlite3.SQLITE_FULL: WriteFailure.DISK_FULL,
    sqlite3.SQLITE_BUSY: WriteFailure.BUSY,
    sqlite3.SQLITE_LOCKED: WriteFailure.BUSY,
    sqlite3.SQLITE_IOERR: WriteFailure.IO_ERROR,
    sqlite3.SQLITE_CANTOPEN: WriteFailure.IO_ERROR,
    sqlite3.SQLITE_CORRUPT: WriteFailure.DAMAGED,
    sqlite3.SQLITE_NOTADB: WriteFailure.DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: WriteFailure.DAMAGED,
    sqlite3.SQLITE_READONLY: WriteFailure.READ_ONLY,
}


def _failure(error: sqlite3.Error | UnicodeDecodeError) -> WriteFailure:
    """What an error of SQLite means for us; extended result codes carry the primary one in their low byte."""
    if isinstance(error, UnicodeDecodeError):
        return WriteFailure.DAMAGED
    return _FAILURES.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, WriteFailure.FAILED)


def _open_error(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> LogFileError | AuditWriteError:
    match _failure(error):
        case WriteFailure.DISK_FULL | WriteFailure.BUSY as failure:
            return AuditWriteError(failure)
        case WriteFailure.DAMAGED:
            return LogFileError(f"`{path}`: это не журнал или файл повреждён")
        case failure:
            return LogFileError(f"`{path}`: файл журнала не открывается (`{failure}`)")
