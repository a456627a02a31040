"""What can go wrong between an entry and the disk, and between a file and its verdict.

AuditError
├── AuditWriteError          an append recorded nothing anybody may rely on; `reason` says why
│   └── InvalidEntryError    the entry itself breaks the bounds of `Entry`
├── KeyFileError             a key file is missing, readable by others, malformed, or not the one this log was made with
├── LogFileError             the database cannot be used: absent, read-only, foreign, or owned by somebody else
│   └── LogInUseError        another process is writing it
├── LogDamagedError          stored bytes contradict their hashes, their keys or the signed checkpoint
├── SideFileError            the side file cannot be written: what was to wait there did not happen
├── SubjectHeldError         a subject that is not to be erased, because a hold says so
├── UnknownEntryError        no entry has this number
├── ExportError              a bundle could not be written
└── VerificationError        a verdict: the file does not show what its signed checkpoint says; `seq` names the record

Messages are for the people who run the appliance, so they are in Russian; programs read the types and the fields.
No message carries a key, a body, a subject, or the text that was committed to.
"""

from __future__ import annotations

from enum import StrEnum


class WriteFailure(StrEnum):
    """Why the log does not write. After the first four the next append may succeed; after the others only a restart helps."""

    INVALID_ENTRY = "invalid-entry"
    OVERLOADED = "overloaded"
    DISK_FULL = "disk-full"
    BUSY = "busy"
    IO_ERROR = "io-error"
    DAMAGED = "damaged"
    MOVED = "moved"
    READ_ONLY = "read-only"
    ROLLED_BACK = "rolled-back"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def passes(self) -> bool:
        """Whether a later append may succeed in the same process."""
        return self in {self.INVALID_ENTRY, self.OVERLOADED, self.DISK_FULL, self.BUSY}


_FAILURES = {
    WriteFailure.INVALID_ENTRY: "запись выходит за допустимые границы",
    WriteFailure.OVERLOADED: "слишком много записей ждёт очереди",
    WriteFailure.DISK_FULL: "нет места; освободите диск или увеличьте `max_bytes`",
    WriteFailure.BUSY: "базу заняла другая программа; закройте её",
    WriteFailure.IO_ERROR: "ошибка ввода-вывода; проверьте диск и перезапустите службу",
    WriteFailure.DAMAGED: "записанное не совпало с прочитанным; проверьте память и диск",
    WriteFailure.MOVED: "файл журнала переместили или удалили; верните его и перезапустите службу",
    WriteFailure.READ_ONLY: "файл журнала стал доступен только для чтения",
    WriteFailure.ROLLED_BACK: "свидетель видел другую историю: журнал откатили или подменили",
    WriteFailure.CLOSED: "журнал закрыт",
    WriteFailure.FAILED: "сбой внутри журнала; перезапустите службу",
}


class AuditError(Exception):
    """The root of every error of this package."""


class AuditWriteError(AuditError):
    """Nothing was recorded that anybody may rely on. After `io-error` the bytes may still be found at the next start."""

    def __init__(self, reason: WriteFailure) -> None:
        super().__init__(f"журнал не записал: {_FAILURES[reason]} (`{reason}`)")
        self.reason = reason


class InvalidEntryError(AuditWriteError):
    """The caller's mistake: `field` of the entry is out of bounds."""

    def __init__(self, field: str) -> None:
        super().__init__(WriteFailure.INVALID_ENTRY)
        self.args = (f"поле `{field}` записи выходит за допустимые границы",)
        self.field = field


class KeyFileError(AuditError):
    """A key file that must not be used."""


class LogFileError(AuditError):
    """A database that cannot be used as this log."""


class LogInUseError(LogFileError):
    """Another process holds the write lock: two writers are never allowed, whatever the version of SQLite."""


class LogDamagedError(AuditError):
    """What is stored contradicts its own hashes, keys or checkpoint; `seq` is the record when one can be named."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class SideFileError(AuditError):
    """Nothing was written to the side file; nor may anything be done that needed a record there."""


class SubjectHeldError(AuditError):
    """A hold wins over erasure (152-ФЗ ст. 21 ч. 6)."""

    def __init__(self) -> None:
        super().__init__("сведения о субъекте удерживаются и не могут быть отвязаны; сначала снимите удержание")


class UnknownEntryError(AuditError):
    """No entry has the number `seq`."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"в журнале нет записи {seq}")
        self.seq = seq


class ExportError(AuditError):
    """A bundle was not written; nothing is left under its name."""


class Finding(StrEnum):
    """What a verifier found wrong first."""

    FORMAT = "format"  # the container is not what it says it is
    SIGNATURE = "signature"  # a checkpoint is malformed, of another log, or not signed by the given key
    RECORD = "record"  # a record's bytes contradict its own hashes
    ORDER = "order"  # a record is missing, repeated or out of place
    ROOT = "root"  # the records do not add up to a signed root
    SIZE = "size"  # fewer or more records than the checkpoint covers
    PROOF = "proof"  # an inclusion or consistency proof does not hold
    STATE = "state"  # the database's own tree state contradicts its records
    EPOCH = "epoch"  # a signing epoch is not certified, or a checkpoint not signed by its epoch's key
    BREAK = "break"  # an epoch that its predecessor did not certify, and the auditor did not accept
    KNOWN = "known"  # the log cannot be compared with the checkpoint seen earlier
    TILES = "tiles"  # a tile is missing, of other hashes, or too much
    TIMESTAMP = "timestamp"  # a time-stamp token is none, does not hold, or is over another checkpoint


class VerificationError(AuditError):
    """Damage found. `seq` is the damaged record when one can be named; `since` is the size up to which all was well."""

    def __init__(self, message: str, finding: Finding, seq: int | None = None, since: int | None = None) -> None:
        super().__init__(message)
        self.finding = finding
        self.seq = seq
        self.since = since
