"""Records about the log and the service themselves: who read it, what was done to it and to its keys, starts and stops."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from appliance.event_fields import Id, Reference
from audit import DamageFound


class ReadWhat(StrEnum):
    """What was read of the log, or done with its key."""

    SUBJECT = "subject"  # the numbers of the records of one person
    LIST = "list"  # records, as a table or in JSON
    SHOW = "show"  # one record
    PROVE = "prove"  # one record for a stranger, closed
    OPEN = "open"  # one record for a stranger, with the key that opens it
    EXPORT = "export"  # records for a stranger, as ciphertext
    EXPORT_OPEN = "export-open"  # records for a stranger, with the keys that open them, as two officers agreed
    REPLAY = "replay"  # decisions, made again under another policy
    WITNESS_FORGOT = "witness-forgot"  # as a witness: what was seen of another log was put aside, after its fork
    BACKUP = "backup"  # all of it, into a backup
    KEK_ROTATED = "kek-rotated"  # all keys, wrapped anew under another key; `records` is its generation
    KEY_SEALED = "key-sealed"  # the key, put under a seal of a provider
    ESCROW_SPLIT = "escrow-split"  # the key, as shares for people to keep; `records` counts them
    ESCROW_RESTORE = "escrow-restore"  # the key, put together from shares and written to a file
    ESCROW_DRILL = "escrow-drill"  # the newest record, by a key put together from shares


class LogRead(msgspec.Struct, frozen=True, array_like=True):
    """Somebody read the log (ПП 1119 п. 15). The person looked for is in the compartment.

    `officer` is `uid-N` for who read by the command line with the log's own keys; `time`, then, when (seconds of POSIX), else 0.
    """

    KIND: ClassVar[int] = 50

    request_id: Id
    officer: Id
    what: ReadWhat
    records: int
    ground: Reference = ""
    time: int = 0


class ErasureAsked(msgspec.Struct, frozen=True, array_like=True):
    """A person is to be cut off from their records (152-ФЗ ст. 21); who it is stands in the compartment, until it is done.

    The commitment is to the customer's own identifier: who has that, and the record's key, can show whom this was about.
    """

    KIND: ClassVar[int] = 51

    request_id: Id
    officer: Id
    ground: Reference = ""


class SubjectErased(msgspec.Struct, frozen=True, array_like=True):
    """It was done: the key of the person is gone, and what wrapped it before. Closes its ErasureAsked.

    `records`: how many other records led to the person. `wal_emptied`: the write-ahead log, whose remains open to nobody, was emptied too.
    `held`: nothing was done, because of a hold.
    """

    KIND: ClassVar[int] = 52

    asked: int
    records: int
    generation: int
    wal_emptied: bool
    held: bool


class SubjectHold(msgspec.Struct, frozen=True, array_like=True):
    """A person is not to be erased, or may be again (152-ФЗ ст. 21 ч. 6)."""

    KIND: ClassVar[int] = 53

    request_id: Id
    officer: Id
    held: bool
    ground: Reference = ""


class KeysRenewed(msgspec.Struct, frozen=True, array_like=True):
    """The keys of all subjects were wrapped anew, and what wrapped them before is gone."""

    KIND: ClassVar[int] = 54

    request_id: Id
    officer: Id
    generation: int
    wal_emptied: bool
    ground: Reference = ""


class DisclosureAsked(msgspec.Struct, frozen=True, array_like=True):
    """An officer asks to give records to somebody with the keys that open them; the person they are about stands in the compartment.

    What is not set is not asked about. Times are UTC, microseconds since 1970.
    """

    KIND: ClassVar[int] = 57

    request_id: Id
    officer: Id
    since: int = 0
    until: int = 0
    app: str = ""
    case: Reference = ""
    numbers: tuple[int, ...] = ()
    about: bool = False  # of one person
    ground: Reference = ""


class DisclosureDecided(msgspec.Struct, frozen=True, array_like=True):
    """Another officer agreed to the DisclosureAsked of that number, or did not (УК 272.1: two people for what leaves in bulk)."""

    KIND: ClassVar[int] = 58

    request_id: Id
    officer: Id
    asked: int
    approved: bool


class HandedOver(msgspec.Struct, frozen=True, array_like=True):
    """An officer began a signing epoch, of that number; the key of the one before is gone. Starts and midnights begin theirs unrecorded."""

    KIND: ClassVar[int] = 59

    request_id: Id
    officer: Id
    epoch: int
    ground: Reference = ""


class Restored(msgspec.Struct, frozen=True, array_like=True):
    """The log was put back from a backup of `size` records; `lost` more had been seen by somebody.

    `broken`: with a break in the signing epochs.
    """

    KIND: ClassVar[int] = 34

    size: int
    lost: int
    broken: bool
    version: str  # of the appliance that made the backup
    ground: Reference = ""


class ContentDropped(msgspec.Struct, frozen=True, array_like=True):
    """The time is over for the records of a retention class and day (counted from 1970): their content is being dropped for good.

    Recorded before it is done; what a crash interrupts goes with the next sweep.
    """

    KIND: ClassVar[int] = 33

    retention: int
    day: int
    records: int


class Witnessed(msgspec.Struct, frozen=True, array_like=True):
    """A witness cosigned the log: for the first time since the start, or again after it had not. What it signed is with the checkpoints."""

    KIND: ClassVar[int] = 55

    witness: str
    size: int


class Unwitnessed(msgspec.Struct, frozen=True, array_like=True):
    """Fewer witnesses than are wanted have confirmed the log since that time (seconds of POSIX); recorded once, until enough do again."""

    KIND: ClassVar[int] = 56

    since: int
    confirming: int = 0  # those that still do
    quorum: int = 1  # how many are wanted


class Checkpointed(msgspec.Struct, frozen=True, array_like=True):
    """The checkpoint before this record, for whoever receives the records elsewhere: who keeps it can show later what the log was."""

    KIND: ClassVar[int] = 70

    size: int
    root: bytes  # 32 bytes


class ClockDisputed(msgspec.Struct, frozen=True, array_like=True):
    """The clock of a time-stamping authority is before ours by so many milliseconds, less than nothing when behind, and that is too far."""

    KIND: ClassVar[int] = 71

    witness: str
    ahead: int


class AuthFailed(msgspec.Struct, frozen=True, array_like=True):
    """Requests without a key of ours. At most one record a second; `count` is how many it stands for."""

    KIND: ClassVar[int] = 5

    count: int


class Resumed(msgspec.Struct, frozen=True, array_like=True):
    """The log writes again after it could not; what happened in between was refused and could not be recorded."""

    KIND: ClassVar[int] = 31

    reason: Id  # why it could not


class AuditBlocked(msgspec.Struct, frozen=True, array_like=True):
    """The log takes nothing any more but what closes an entry, since that time (UTC, microseconds); written into the space kept for it."""

    KIND: ClassVar[int] = 60

    reason: Id
    since: int


class SideBroughtIn(msgspec.Struct, frozen=True, array_like=True):
    """What was recorded aside while the log could not write was brought in: the Intents and Outcomes before this, marked `side`.

    `digest`: SHA-256 of the last line of the side file; `damaged`: lines that were changed, or are missing: then the file was kept.
    """

    KIND: ClassVar[int] = 61

    intents: int
    outcomes: int
    damaged: int
    digest: bytes


class ScrubDamaged(msgspec.Struct, frozen=True, array_like=True):
    """Stored records, from this number up to the other, are not what was written. The log goes on: what is new is good."""

    KIND: ClassVar[int] = 62

    start: int
    stop: int
    what: DamageFound


class SelfChecked(msgspec.Struct, frozen=True, array_like=True):
    """All records before this `size` were read again and hashed; they add up to this root. `damaged`: how many places were not right."""

    KIND: ClassVar[int] = 63

    size: int
    root: bytes  # that was computed, 32 bytes
    damaged: int
    since: int  # when that began, seconds of POSIX


class ClockJumped(msgspec.Struct, frozen=True, array_like=True):
    """The wall clock was set: by how much it gained, in milliseconds, less than nothing for a loss."""

    KIND: ClassVar[int] = 32

    gained: int


class Booted(msgspec.Struct, frozen=True, array_like=True):
    """The service started to accept requests, with these parts."""

    KIND: ClassVar[int] = 20

    version: str
    policy_version: str
    policy_digest: bytes
    detector: str
    routes: tuple[Id, ...]
    sqlite: str
    orphans: int  # Intents that a crash had left without an Outcome, closed by this start
    code: bytes = b""  # SHA-256 over our own files, see `measurement`


class ShutDown(msgspec.Struct, frozen=True, array_like=True):
    """The service stopped in good order."""

    KIND: ClassVar[int] = 21

    requests: int  # requests accepted since it started
