"""Reading all records again, a block at a time, and hashing them: what a disk, or somebody, changed behind our back is found here.

A round begins with a signed root and ends when all records before it were read. Between two blocks it can be put away and taken up again
by another process. What is read may come from the memory of the system: only what that let go comes from the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from itertools import groupby

from msgspec import Struct, structs

from audit.errors import AuditError, LogDamagedError
from audit.leaf import HEADER_SIZE, Record, record_fault
from audit.merkle import HASH_SIZE
from audit.reader import check_dropped
from audit.store import Database
from audit.subtrees import WIDTH, Edge


class DamageFound(StrEnum):
    """What can be wrong with stored records."""

    RECORD = "record"  # bytes contradict their own hashes
    MISSING = "missing"  # a record is not there, or not in its place
    SUBTREES = "subtrees"  # leaves that agree with themselves do not add up to a stored hash over them
    ROOT = "root"  # all of them do not add up to the signed root
    UNREADABLE = "unreadable"  # the database does not give them


class Scrubbed(Struct, frozen=True):
    """Records from `start` up to `stop` are not what was written."""

    start: int
    stop: int
    what: DamageFound


class Round(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a round is: `edge` holds the leaf hashes of what was read, and grows up to `size`, where it has to give `root`."""

    size: int
    root: bytes
    since: int  # when it began, seconds of POSIX
    edge: Edge = Edge()
    damaged: int = 0  # places found so far
    torn: bool = False  # whether some leaf hash could not be had, so that nothing adds up any more

    @property
    def done(self) -> bool:
        """Whether all was read."""
        return self.edge.size >= self.size

    @property
    def sound(self) -> bool:
        """Whether it can have been written by one of us."""
        edge = self.edge
        counted = sum(len(nodes) * WIDTH**level for level, nodes in enumerate(edge.levels))
        narrow = all(len(nodes) < WIDTH and all(len(node) == HASH_SIZE for node in nodes) for nodes in edge.levels)
        return narrow and counted == edge.size <= self.size

    @property
    def computed(self) -> bytes:
        """The root over what was read so far."""
        return self.edge.frontier().root()


def scrub_block(database: Database, at: Round) -> tuple[Round, list[Scrubbed]]:
    """The round after one more block of up to 256 records, and what is wrong there. Raises LogFileError."""
    start = at.edge.size
    stop = min(start + WIDTH, at.size)
    leaves, faults = _read(database, start, stop)
    torn = at.torn or any(leaf is None for leaf in leaves)
    edge, made = at.edge.extended([leaf or bytes(HASH_SIZE) for leaf in leaves])
    found = list(_ranges(start, faults))
    if not torn:
        found += _subtrees(database, made)
    after = structs.replace(at, edge=edge, torn=torn)
    if after.done and not torn and after.computed != after.root:
        found.append(Scrubbed(0, at.size, DamageFound.ROOT))
    return structs.replace(after, damaged=at.damaged + len(found)), found


def _read(database: Database, start: int, stop: int) -> tuple[list[bytes | None], list[DamageFound | None]]:
    """The leaf hash of every record, and its fault; no leaf hash for what is not there."""
    try:
        records = {record.seq: record for record in database.records(start, stop)}
        faults = [_fault(database, records.get(seq)) for seq in range(start, stop)]
    except AuditError:
        return [None] * (stop - start), [DamageFound.UNREADABLE] * (stop - start)
    return [_leaf(records.get(seq)) for seq in range(start, stop)], faults


def _fault(database: Database, record: Record | None) -> DamageFound | None:
    if record is None:
        return DamageFound.MISSING
    if record_fault(record):
        return DamageFound.RECORD
    if record.body is None:
        try:
            check_dropped(database, record)
        except LogDamagedError:
            return DamageFound.RECORD
    return None


def _leaf(record: Record | None) -> bytes | None:
    """What the tree was built over: computed from the header, else, where that was damaged, as stored."""
    if record is None:
        return None
    if len(record.header) == HEADER_SIZE and not record_fault(record):
        return sha256(b"\x00" + record.header).digest()
    return record.leaf_hash if len(record.leaf_hash) == HASH_SIZE else None


def _ranges(start: int, faults: Sequence[DamageFound | None]) -> list[Scrubbed]:
    """Neighbours with the same fault, as one."""
    found = []
    for what, group in groupby(enumerate(faults, start), key=lambda each: each[1]):
        numbers = [seq for seq, _ in group]
        if what is not None:
            found.append(Scrubbed(numbers[0], numbers[-1] + 1, what))
    return found


def _subtrees(database: Database, made: Sequence[tuple[int, int, bytes]]) -> list[Scrubbed]:
    """The stored hashes over what was read that are not what it adds up to."""
    found = []
    for level, number, node in made:
        try:
            stored = database.subtrees(level, number, number + 1)
        except AuditError:
            stored = []
        if stored != [node]:
            width = WIDTH**level
            found.append(Scrubbed(number * width, (number + 1) * width, DamageFound.SUBTREES))
    return found
