"""An encrypted, tamper-evident, append-only log: takes bytes, and proves that it still has them."""

from audit.checkpoint import Checkpoint, Signer, Verifier, parse_checkpoint
from audit.copying import Copied, Place, copy_log, inspect_copy, last_seen, put_back
from audit.cosignature import Witnesser, WitnessVerifier
from audit.entry import MAX_BODY, MAX_SUBJECTS, SUBJECT_SIZE, Entry, OpenedEntry, Receipt
from audit.epochs import Reason, TrustRoot
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
    SideFileError,
    SubjectHeldError,
    UnknownEntryError,
    VerificationError,
    WriteFailure,
)
from audit.export import Selection, export_bundle
from audit.folder import export_folder
from audit.kek import KekFile, KekSource, key_check_of
from audit.keyfiles import (
    KEK_SIZE,
    check_kek,
    check_signing_key,
    create_kek,
    create_signing_key,
    create_witness_key,
    load_kek,
    load_signing_key,
    load_witness_key,
    replace_key_file,
)
from audit.log import AuditLog, LogSettings, Notices, Renewed
from audit.proof import Disclosure, Proof, RecordReport, verify_record
from audit.reader import AuditReader, key_check_of_log
from audit.report import Cosigned, Damage, Report, explain
from audit.retention import Expired
from audit.rotation import rotate_kek
from audit.scrub import DamageFound, Round, Scrubbed
from audit.sidefile import SideFile, SideLine, SideLines
from audit.signing import Break
from audit.timestamps import Query, TimestampAuthority, Timestamped, keep_timestamp, newest_note, text_of
from audit.verify import Trust, verify_file
from audit.witness import Submission, Witness, WitnessRefusal
from audit.writer import Erased

__all__ = [
    "KEK_SIZE",
    "MAX_BODY",
    "MAX_SUBJECTS",
    "SUBJECT_SIZE",
    "AuditError",
    "AuditLog",
    "AuditReader",
    "AuditWriteError",
    "Break",
    "Checkpoint",
    "Copied",
    "Cosigned",
    "Damage",
    "DamageFound",
    "Disclosure",
    "Entry",
    "Erased",
    "Expired",
    "ExportError",
    "Finding",
    "InvalidEntryError",
    "KekFile",
    "KekSource",
    "KeyFileError",
    "LogDamagedError",
    "LogFileError",
    "LogInUseError",
    "LogSettings",
    "Notices",
    "OpenedEntry",
    "Place",
    "Proof",
    "Query",
    "Reason",
    "Receipt",
    "RecordReport",
    "Renewed",
    "Report",
    "Round",
    "Scrubbed",
    "Selection",
    "SideFile",
    "SideFileError",
    "SideLine",
    "SideLines",
    "Signer",
    "SubjectHeldError",
    "Submission",
    "TimestampAuthority",
    "Timestamped",
    "Trust",
    "TrustRoot",
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
    "copy_log",
    "create_kek",
    "create_signing_key",
    "create_witness_key",
    "explain",
    "export_bundle",
    "export_folder",
    "inspect_copy",
    "keep_timestamp",
    "key_check_of",
    "key_check_of_log",
    "last_seen",
    "load_kek",
    "load_signing_key",
    "load_witness_key",
    "newest_note",
    "parse_checkpoint",
    "put_back",
    "replace_key_file",
    "rotate_kek",
    "text_of",
    "verify_file",
    "verify_record",
]
