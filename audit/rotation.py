"""Replacing the key-encryption key: all keys that it wraps are wrapped anew in one transaction, while nobody writes the log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from audit.errors import KeyFileError
from audit.generations import Generations
from audit.kek import KekSource, open_kek
from audit.logfile import prepare_file, prepare_folder, write_lock
from audit.reader import check_kek_of
from audit.store import Database, connect_writer


def rotate_kek(path: Path, subject_keys: Path, old: KekSource, new: KekSource) -> int:
    """Wrap all keys of a log under another KEK; its generation. The log must not be in use.

    Interrupted before the transaction, the old KEK opens the log as before; after it, the new one does, and doing it again with the new KEK
    as both finishes. Earlier copies of the database still open with the old KEK: destroy it, or keep it with them, as they are needed.
    Raises KeyFileError, LogInUseError, LogFileError, AuditWriteError.
    """
    before, after = open_kek(old), open_kek(new)
    prepare_folder(path)
    with write_lock(path):
        if not path.exists():
            raise KeyFileError(f"`{path}`: журнал ещё не начат, менять нечего")
        prepare_file(path)
        with closing(connect_writer(path, None)) as connection:
            database = Database(connection, path)
            row = database.kek()
            if row is not None and row[1] == after.key_check:
                Generations.load(subject_keys, after).wrap_under(after)
                return row[0]
            check_kek_of(database, before)
            generations = Generations.load(subject_keys, before)
            generations.wrap_under(before, after)
            with database.transaction(), database.overwriting():
                keys = [(role, key.key_id, before.unwrap(role, key)) for role, key in database.wrapped_keys()]
                generation = (row[0] if row else 0) + 1
                database.put_kek(generation, after.key_check)
                for role, key_id, key in keys:
                    database.replace_key(role, after.wrap(role, key_id, key))
            generations.wrap_under(after)
            database.truncate_wal()
    return generation
