"""Exporting the log into a bundle for auditors: checkpoints, headers, hashes and ciphertexts; no keys, no side tables."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from audit.bundle import Piece, write_bundle
from audit.entry import MAX_SEQ
from audit.errors import ExportError, LogDamagedError
from audit.keyfiles import sync_folder
from audit.leaf import HEADER_SIZE, Record
from audit.merkle import HASH_SIZE
from audit.store import Database, open_reader


def export_bundle(database: Path, out: Path) -> int:
    """Write the whole log, as it is at this moment, to the new file `out`; the number of records in it.

    The file appears under its name complete and synced, or not at all, and never in place of another. No hash is checked
    on the way: what is damaged is exported as it is, for `verify_file` to name. Raises ExportError, LogFileError, LogDamagedError.
    """
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        if out.exists():
            raise FileExistsError(0, "такой файл уже есть")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            count = _write(database, descriptor)
            os.link(temporary, out)  # unlike a rename, it never replaces a file that appeared meanwhile
        finally:
            temporary.unlink()
        sync_folder(out.parent)
    except OSError as error:
        raise ExportError(f"`{out}`: выгрузка не записана ({error.strerror})") from None
    return count


def pieces(database: Database, size: int) -> Iterator[Piece]:
    """All records of a log of this size (and one too many, if there is one), each kept checkpoint after the last record it covers."""
    kept = database.kept_checkpoints()
    following = next(kept, None)
    for record in database.records(-MAX_SEQ, size + 1):
        while following is not None and following[0] <= record.seq:
            yield following[1]
            following = next(kept, None)
        yield record
    while following is not None:
        yield following[1]
        following = next(kept, None)


def _write(database: Path, descriptor: int) -> int:
    with os.fdopen(descriptor, "wb") as file, open_reader(database) as source, source.snapshot():
        tree = source.tree()
        if tree is None:
            raise LogDamagedError("в базе нет состояния дерева")
        count = write_bundle(file, tree.note, (_framable(piece) for piece in pieces(source, tree.size)))
        file.flush()
        os.fsync(file.fileno())
    return count


def _framable(piece: Piece) -> Piece:
    """A bundle has no lengths for what always has the same one."""
    if isinstance(piece, Record) and (len(piece.header), len(piece.leaf_hash)) != (HEADER_SIZE, HASH_SIZE):
        raise LogDamagedError(f"запись {piece.seq}: заголовок или хеш листа неверной длины", piece.seq)
    return piece
