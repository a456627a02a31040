"""An encrypted, tamper-evident log: takes bytes and proves that it still has them."""

from audit.checkpoint import check_signing_key, create_signing_key
from audit.errors import (
    AuditError,
    AuditWriteError,
    ExportError,
    KeyFileError,
    LogDamagedError,
    LogInUseError,
    LogUnusableError,
    UnknownEntryError,
    VerificationError,
)
from audit.export import export_bundle
from audit.keyfiles import check_kek, create_kek
from audit.log import AuditLog, AuditReader, Entry, LogSettings, OpenedEntry, Receipt
from audit.verify import Report, explain, verify_file

__all__ = [
    "AuditError",
    "AuditLog",
    "AuditReader",
    "AuditWriteError",
    "Entry",
    "ExportError",
    "KeyFileError",
    "LogDamagedError",
    "LogInUseError",
    "LogSettings",
    "LogUnusableError",
    "OpenedEntry",
    "Receipt",
    "Report",
    "UnknownEntryError",
    "VerificationError",
    "check_kek",
    "check_signing_key",
    "create_kek",
    "create_signing_key",
    "explain",
    "export_bundle",
    "verify_file",
]
