"""Dropping what is kept no longer: the sealing key of a class and day is destroyed first, then the ciphertexts under it go; proofs stay.

Key first, so that a crash between leaves ciphertexts without a key, which the next sweep takes away, and never a gap that looks like
damage. A hold on a person, or an entry that is still open, keeps the whole day of its class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from audit.generations import Generations
from audit.leaf import Record
from audit.sealing import EPOCH, IndexKey, month_of
from audit.store import Database

_CHUNK = 500  # records in one transaction


class Expired(Struct, frozen=True):
    """The records of one class and day, which may be dropped now. `day` counts from 1970."""

    key_id: bytes
    retention: int
    day: int
    first: int
    stop: int
    records: int


def expired(
    database: Database, generations: Generations, days: Mapping[int, int], today: int, in_use: frozenset[bytes]
) -> list[Expired]:
    """What is older than its class allows (`days`: class → days kept; a class that is absent is kept) and held by nobody."""
    size = 0 if (tree := database.tree()) is None else tree.size
    rows = database.sealing_keys()
    open_entries = database.unclosed()
    found = []
    for place, row in enumerate(rows):
        keep = days.get(row.retention)
        if keep is None or row.day + keep >= today or row.key_id in in_use:
            continue
        stop = next((later.first for later in rows[place + 1 :] if later.retention == row.retention), size)
        numbers: set[int] = set()
        months: set[bytes] = set()
        for record in database.records(row.first, stop):
            if record.header[46:62] == row.key_id:
                numbers.add(record.seq)
                months.add(month_of(int.from_bytes(record.header[14:22])))
        if numbers.isdisjoint(_held(database, generations, months)) and numbers.isdisjoint(open_entries):
            found.append(Expired(row.key_id, row.retention, row.day, row.first, stop, len(numbers)))
    return found


def drop(database: Database, generations: Generations, index: IndexKey, what: Expired) -> None:
    """Destroy the key, then the ciphertexts and what leads to them. Raises AuditWriteError; what is interrupted can be done again."""
    with database.transaction(), database.overwriting():
        database.delete_key(EPOCH, what.key_id)
    start = what.first
    while start < what.stop:
        end = min(start + _CHUNK, what.stop)
        with database.transaction(), database.overwriting():
            for record in list(database.records(start, end)):
                if record.header[46:62] == what.key_id:
                    database.drop_ciphertexts(record.seq, list(_tags(database, generations, index, record)))
        start = end
    with database.transaction():
        database.delete_sealing_key(what.key_id)


def _held(database: Database, generations: Generations, months: Collection[bytes]) -> Iterator[int]:
    """Numbers of the records of these months about people who are held."""
    for key_id in database.held():
        row = database.subject_key(key_id=key_id)
        if row is not None and not generations.is_destroyed(row):
            key, _ = generations.unwrap(row)
            for month in months:
                yield from database.indexed(key.monthly_tag(month))


def _tags(database: Database, generations: Generations, index: IndexKey, record: Record) -> Iterator[bytes]:
    """Where the monthly index leads to a record."""
    month = month_of(int.from_bytes(record.header[14:22]))
    for slot, reference in database.slot_references(record.seq).items():
        row = database.subject_key(key_id=index.mask(reference, record.header, slot))
        if row is not None and not generations.is_destroyed(row):
            yield generations.unwrap(row)[0].monthly_tag(month)
