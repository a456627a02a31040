"""What callers hand to the log and get back: entries, receipts, opened entries."""

from __future__ import annotations

from msgspec import Struct

from audit.errors import InvalidEntryError

MAX_BODY = 1 << 20  # bytes; bounds a batch, a bundle section and a verifier's memory
MAX_SUBJECTS = 1024
SUBJECT_SIZE = 16  # bytes of a subject pseudonym
MAX_SEQ = (1 << 63) - 1  # what an SQLite integer holds


class Entry(Struct, frozen=True):
    """One thing to record. The log never looks into `body`; the caller keeps personal data out of it."""

    kind: int  # 1..65535, the caller's catalogue
    schema: int  # 0..65535, version of the body's layout for this kind
    body: bytes  # at most MAX_BODY
    subjects: tuple[bytes, ...] = ()  # pseudonyms, SUBJECT_SIZE bytes each
    opens: bool = False  # awaits a closing entry
    closes: int | None = None  # number of the entry this one closes; closing what is not open changes nothing
    commit_to: bytes = b""  # text to commit to; never stored, only its keyed digest
    retention: int = 0  # 0..255, the caller's class: records of one class and day can be dropped together


class Receipt(Struct, frozen=True):
    """Proof to the caller that the entry is on disk: `leaf_hash` is RFC 9162's hash of leaf number `seq`."""

    seq: int
    leaf_hash: bytes
    time_us: int  # UTC


class OpenedEntry(Struct, frozen=True):
    """An entry, decrypted. A subject whose key was destroyed is None; of one whose time is over only header and hashes are `kept`."""

    seq: int
    kind: int
    schema: int
    time_us: int
    body: bytes
    commitment: bytes = b""
    subjects: tuple[bytes | None, ...] = ()
    opens: bool = False
    closes: int | None = None
    kept: bool = True


def check_entry(entry: Entry) -> None:
    """Raise InvalidEntryError naming the first field out of bounds."""
    if not 1 <= entry.kind <= 0xFFFF:
        raise InvalidEntryError("kind")
    if not 0 <= entry.schema <= 0xFFFF:
        raise InvalidEntryError("schema")
    if len(entry.body) > MAX_BODY:
        raise InvalidEntryError("body")
    if len(entry.subjects) > MAX_SUBJECTS or any(len(subject) != SUBJECT_SIZE for subject in entry.subjects):
        raise InvalidEntryError("subjects")
    if not 0 <= entry.retention <= 0xFF:
        raise InvalidEntryError("retention")
    if entry.closes is not None and not 0 <= entry.closes <= MAX_SEQ:
        raise InvalidEntryError("closes")
