"""What can go wrong with the log.

AuditError
├── AuditWriteError       a record could not be made durable: it is not in the log (`reason` is a short code)
├── LogInUseError         another process writes this log
├── LogUnusableError      the files cannot be opened as this log: rights, a foreign schema, a key of another log
├── LogDamagedError       what is stored does not agree with the signed checkpoint or cannot be opened (`seq` when one record is to blame)
├── KeyFileError          a key file that is missing, open to others, empty or of a wrong size
├── UnknownEntryError     there is no such record
├── VerificationError     a proof, a signature or a bundle that is not good (`seq` when one record is to blame)
└── ExportError           the bundle could not be written
"""

from __future__ import annotations


class AuditError(Exception):
    """The root."""


class AuditWriteError(AuditError):
    """Nothing was recorded; `reason` is one of the log's short codes."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"запись в журнал не сделана: {reason}")
        self.reason = reason


class LogInUseError(AuditError):
    """A log has one writer."""


class LogUnusableError(AuditError):
    """Not this log, or not with these keys and rights."""


class _AboutOneRecordError(AuditError):
    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message if seq is None else f"запись № {seq}: {message}")
        self.seq = seq


class LogDamagedError(_AboutOneRecordError):
    """The stored bytes are not what was signed."""


class VerificationError(_AboutOneRecordError):
    """A stranger's check fails."""


class KeyFileError(AuditError):
    """A key file that must not be used."""


class UnknownEntryError(AuditError):
    """No such record."""


class ExportError(AuditError):
    """The bundle is not there."""
