"""An encrypted, tamper-evident, append-only log: takes bytes, and proves that it still has them."""

from audit.checkpoint import Checkpoint, Signer, Verifier
from audit.cosignature import Witnesser, WitnessVerifier
from audit.entry import MAX_BODY, MAX_SUBJECTS, SUBJECT_SIZE, Entry, OpenedEntry, Receipt
from audit.errors import (
    AuditError,
    AuditWriteError,
    ExportError,
    Finding,
    InvalidEntryError,
    KeyFileError,
    LogDamagedError,
    LogFileError,
    LogInUseError,
    SubjectHeldError,
    UnknownEntryError,
    VerificationError,
    WriteFailure,
)
from audit.export import export_bundle
from audit.keyfiles import (
    check_kek,
    check_signing_key,
    create_kek,
    create_signing_key,
    create_witness_key,
    load_signing_key,
    load_witness_key,
)
from audit.log import AuditLog, LogSettings, Renewed
from audit.proof import Disclosure, Proof, RecordReport, verify_record
from audit.reader import AuditReader
from audit.report import Cosigned, Damage, Report, explain
from audit.verify import verify_file
from audit.witness import Submission, Witness, WitnessRefusal
from audit.writer import Erased

__all__ = [
    "MAX_BODY",
    "MAX_SUBJECTS",
    "SUBJECT_SIZE",
    "AuditError",
    "AuditLog",
    "AuditReader",
    "AuditWriteError",
    "Checkpoint",
    "Cosigned",
    "Damage",
    "Disclosure",
    "Entry",
    "Erased",
    "ExportError",
    "Finding",
    "InvalidEntryError",
    "KeyFileError",
    "LogDamagedError",
    "LogFileError",
    "LogInUseError",
    "LogSettings",
    "OpenedEntry",
    "Proof",
    "Receipt",
    "RecordReport",
    "Renewed",
    "Report",
    "Signer",
    "SubjectHeldError",
    "Submission",
    "UnknownEntryError",
    "VerificationError",
    "Verifier",
    "Witness",
    "WitnessRefusal",
    "WitnessVerifier",
    "Witnesser",
    "WriteFailure",
    "check_kek",
    "check_signing_key",
    "create_kek",
    "create_signing_key",
    "create_witness_key",
    "explain",
    "export_bundle",
    "load_signing_key",
    "load_witness_key",
    "verify_file",
    "verify_record",
]
