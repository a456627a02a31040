"""Exporting the log for auditors: checkpoints, certificates, headers, hashes and ciphertexts; keys of single records only when asked."""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from audit.bundle import Certified, Given, Kept, Labels, Piece, Skipped, write_bundle
from audit.entry import MAX_SEQ
from audit.errors import ExportError, LogDamagedError
from audit.keyfiles import sync_folder
from audit.leaf import HEADER_SIZE, Record
from audit.merkle import HASH_SIZE
from audit.store import Database, open_reader
from audit.subtrees import range_root


class Selection(Struct, frozen=True):
    """What to export: records by their rising `numbers` (None: all), and how to get the key that opens one, if they are to be opened.

    Of the others their place in the tree is given and nothing more. `sizes` are tree sizes whose checkpoints shall stay comparable.
    """

    numbers: Sequence[int] | None = None
    key_of: Callable[[Database, Record], bytes] | None = None
    labels: Labels = {}
    sizes: Sequence[int] = ()


WHOLE = Selection()


def export_bundle(database: Path, out: Path, selection: Selection = WHOLE) -> int:
    """Write the log, as it is at this moment, to the new file `out`; the number of records given in it.

    The file appears under its name complete and synced, or not at all, and never in place of another. No hash is checked
    on the way: what is damaged is exported as it is, for `verify_file` to name. Raises ExportError, LogFileError, LogDamagedError.
    """
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        if out.exists():
            raise FileExistsError(0, "такой файл уже есть")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file, open_reader(database) as source, source.snapshot():
                count = write_bundle(file, head_of(source), selected(source, selection), selection.labels)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, out)  # unlike a rename, it never replaces a file that appeared meanwhile
        finally:
            temporary.unlink()
        sync_folder(out.parent)
    except OSError as error:
        raise ExportError(f"`{out}`: выгрузка не записана ({error.strerror})") from None
    return count


def head_of(database: Database) -> str:
    """The newest checkpoint. Raises LogDamagedError in a log that was never started."""
    tree = database.tree()
    if tree is None:
        raise LogDamagedError("в базе нет состояния дерева")
    return tree.note


def selected(database: Database, selection: Selection) -> Iterator[Piece]:
    """The pieces of a bundle."""
    tree = database.tree()
    size = 0 if tree is None else tree.size
    if selection.numbers is None:
        numbers: Sequence[int] = ()
        found = pieces(database, size)
    else:
        numbers = selection.numbers[: bisect_left(selection.numbers, size)]
        found = _parts(database, size, numbers, selection.sizes)
    for piece in found:
        if isinstance(piece, Given):
            _check_framable(piece.record)
            if selection.key_of is not None and piece.record.body is not None:
                yield Given(piece.record, selection.key_of(database, piece.record))
                continue
        yield piece


def pieces(database: Database, size: int) -> Iterator[Piece]:
    """All records of a log of this size (and one too many, if there is one), each note after the last record it covers."""
    notes = _Notes(database)
    for record in database.records(-MAX_SEQ, size + 1):
        yield from notes.up_to(record.seq)
        yield Given(record)
    yield from notes.up_to(MAX_SEQ)


class _Notes:
    """Certificates and kept checkpoints by the size they stand at, certificates first."""

    def __init__(self, database: Database) -> None:
        self._certificates = iter(database.certificates())
        self._checkpoints = database.kept_checkpoints()
        self._certificate = next(self._certificates, None)
        self._checkpoint = next(self._checkpoints, None)

    def up_to(self, size: int) -> Iterator[Piece]:
        """Those not given yet, up to this size."""
        while True:
            certificate, checkpoint = self._certificate, self._checkpoint
            if (
                certificate is not None
                and certificate[0] <= size
                and (not checkpoint or certificate[0] <= checkpoint[0])
            ):
                yield Certified(certificate[1])
                self._certificate = next(self._certificates, None)
            elif checkpoint is not None and checkpoint[0] <= size:
                yield Kept(checkpoint[1])
                self._checkpoint = next(self._checkpoints, None)
            else:
                return


def _parts(database: Database, size: int, numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[Piece]:
    """Some records, and the subtrees between them, cut wherever a note is to be compared."""
    certificates = database.certificates()
    cosigned = {seen for seen, _ in database.witnessed().values()}
    edges = {since for since, _ in certificates} | cosigned | set(sizes) | {size}
    cuts = sorted(cut for cut in edges if 0 <= cut <= size)
    following = iter(certificates)
    certificate = next(following, None)
    at = wanted = 0
    for cut in cuts:
        while wanted < len(numbers) and numbers[wanted] < cut:
            yield from _spans(database, at, numbers[wanted])
            record = database.record(numbers[wanted])
            if record is None:
                raise LogDamagedError(f"записи {numbers[wanted]} нет в базе", numbers[wanted])
            yield Given(record)
            at = record.seq + 1
            wanted += 1
        yield from _spans(database, at, cut)
        at = cut
        while certificate is not None and certificate[0] == cut:
            yield Certified(certificate[1])
            certificate = next(following, None)
        note = database.kept_checkpoint(cut)
        if note is not None:
            yield Kept(note)


def _spans(database: Database, start: int, stop: int) -> Iterator[Skipped]:
    """The fewest complete subtrees that stand between two sizes."""
    while start < stop:
        level = (stop - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield Skipped(level, range_root(database, start, start + (1 << level)))
        start += 1 << level


def _check_framable(record: Record) -> None:
    """A bundle has no lengths for what always has the same one. Raises LogDamagedError."""
    if (len(record.header), len(record.leaf_hash)) != (HEADER_SIZE, HASH_SIZE):
        raise LogDamagedError(f"запись {record.seq}: заголовок или хеш листа неверной длины", record.seq)
