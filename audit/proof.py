"""One record of the log for a stranger: a proof that it is in, and, if wished, the one key that opens it and no other.

The proof is a text of c2sp.org/tlog-proof@v1. A file that carries it is JSON, UTF-8: `format`, `proof` (that text), `header`, `body` and
`subjects` (base64 of the stored bytes), `record_key` (base64, empty where the record is proven and not opened) and `labels`, names for
the fields of the body by whoever made the file, which nothing proves; `certificates`, the signing epochs (`FORMAT.md`, sections 3 and 7).
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from audit.checkpoint import Checkpoint, Verifier
from audit.cosignature import WitnessVerifier
from audit.entry import OpenedEntry
from audit.epochs import Chain, TrustRoot
from audit.errors import Finding, LogFileError, VerificationError
from audit.leaf import Record, record_fault, unpack_header
from audit.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from audit.sealing import KEY_SIZE, open_body_with
from audit.strict import base64_of, json_of, plain_file

TLOG_PROOF = "c2sp.org/tlog-proof@v1"
_FORMAT: Final = "LLM AUDIT RECORD 1"
_LONGEST = 64  # hashes of a proof
_MAX_FILE = 1 << 23


class Proof(Struct, frozen=True):
    """Leaf number `index` is in the tree that `note`, a signed checkpoint, covers."""

    index: int
    hashes: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """The proof as c2sp.org/tlog-proof@v1."""
        lines = [TLOG_PROOF, f"index {self.index}", *(base64.b64encode(each).decode() for each in self.hashes)]
        return "\n".join(lines) + "\n\n" + self.note

    @classmethod
    def parse(cls, text: str) -> Proof:
        """The proof in a text; an `extra` line has to be base64 and is passed over. Raises VerificationError."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if lines[:1] != [TLOG_PROOF] or not blank or len(lines) > _LONGEST + 3:
            raise _malformed()
        if len(lines) > 1 and lines[1].startswith("extra "):
            _base64(lines.pop(1).removeprefix("extra "))
        name, _, number = lines[1].partition(" ") if len(lines) > 1 else ("", "", "")
        if name != "index" or not number.isascii() or not number.isdigit() or str(int(number[:20])) != number:
            raise _malformed()
        return cls(int(number), tuple(map(_hash, lines[2:])), note)

    def check(self, verifier: Verifier, leaf: bytes) -> Checkpoint:
        """The checkpoint, once signature and proof hold for this leaf hash. Raises VerificationError."""
        checkpoint = verifier.open_checkpoint(self.note)
        verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


class Disclosure(Struct, frozen=True, forbid_unknown_fields=True):
    """One record with its proof, as it is handed over."""

    format: Literal["LLM AUDIT RECORD 1"]
    proof: str
    header: bytes
    body: bytes
    subjects: bytes
    record_key: bytes = b""
    labels: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """The file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


class RecordReport(Struct, frozen=True):
    """What a disclosed record shows. `entry` is there when a key came with it and opened it."""

    origin: str
    size: int  # of the tree it is in
    root: str
    seq: int
    kind: int
    time_us: int
    labels: tuple[str, ...]
    epochs: int = 0  # of signing, certified; the tree that each began with cannot be checked from one record
    pinned: bool = False  # the first of them is the one the auditor was given
    breaks: tuple[int, ...] = ()
    entry: OpenedEntry | None = None
    schema: int = 0
    cosigned: tuple[tuple[str, int], ...] = ()  # witnesses of the proof's checkpoint, and when (seconds of POSIX)
    witnessed: bool = False  # by enough of them


def disclose(
    proof: Proof,
    record: Record,
    record_key: bytes = b"",
    labels: Sequence[str] = (),
    certificates: Sequence[str] = (),
) -> Disclosure:
    """The file's content for one record."""
    return Disclosure(
        _FORMAT,
        proof.text(),
        record.header,
        record.body or b"",
        record.subjects or b"",
        record_key,
        tuple(labels),
        tuple(certificates),
    )


def is_disclosure(start: bytes) -> bool:
    """Whether a file that begins so may be a disclosed record."""
    return start.lstrip().startswith(b"{")


def verify_record(
    path: Path, trust_root: str, breaks: Collection[int] = (), witnesses: Sequence[str] = (), quorum: int = 1
) -> RecordReport:
    """Check a disclosed record against the log's public key. Raises VerificationError, LogDamagedError, KeyFileError, LogFileError.

    `breaks` are epochs, by number, that begin without the word of the one before, as the auditor knows; `quorum` of the `witnesses`
    must have cosigned the proof's checkpoint for it to count as witnessed.
    """
    root = TrustRoot.parse(trust_root)
    keys = [WitnessVerifier.parse(each) for each in witnesses]
    given = _read(path)
    proof = Proof.parse(given.proof)
    leaf = leaf_hash(given.header)
    record = Record(proof.index, given.header, leaf, given.body, given.subjects)
    if fault := record_fault(record):
        raise VerificationError(f"запись {proof.index}: {fault}", Finding.RECORD, proof.index)
    checkpoint = proof.check(root.log, leaf)
    chain = Chain(root, breaks)
    for note in given.certificates:
        chain.add(note)
    if root.first is not None and not chain.certificates:
        raise VerificationError("нет удостоверения первой эпохи, ключ которой дан проверяющему", Finding.EPOCH)
    chain.check(proof.note, checkpoint.size)
    header = unpack_header(given.header)
    entry = None
    if given.record_key:
        entry = open_body_with(
            given.record_key if len(given.record_key) == KEY_SIZE else bytes(KEY_SIZE), record, header
        )
    seen = {key.name: time for key in keys if (time := key.seen(proof.note)) is not None}
    return RecordReport(
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root.hex(),
        proof.index,
        header.kind,
        header.time_us,
        given.labels,
        len(chain.certificates),
        chain.pinned,
        tuple(chain.breaks),
        entry,
        header.schema,
        tuple(sorted(seen.items())),
        bool(seen) and len(seen) >= quorum,
    )


def _read(path: Path) -> Disclosure:
    """The file, as `FORMAT.md`, section 7, has it: all members, each once. Raises LogFileError, VerificationError."""
    with plain_file(path) as file:
        content = file.read(_MAX_FILE + 1)
    try:
        document = json_of(content if len(content) <= _MAX_FILE else b"")
    except ValueError:
        raise VerificationError("файл записи — не JSON, или он слишком велик", Finding.FORMAT) from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise LogFileError(f"`{path}`: это не раскрытая запись журнала")
    try:
        for name in ("header", "body", "subjects", "record_key"):
            base64_of(document[name])
        if document.keys() != set(Disclosure.__struct_fields__):
            raise ValueError(document.keys())
        return msgspec.convert(document, Disclosure)
    except (KeyError, TypeError, ValueError):  # msgspec.ValidationError is one
        raise VerificationError("состав файла записи не тот", Finding.FORMAT) from None


def _hash(line: str) -> bytes:
    value = _base64(line)
    if len(value) != HASH_SIZE:
        raise _malformed()
    return value


def _base64(text: str) -> bytes:
    try:
        return base64_of(text)
    except ValueError:
        raise _malformed() from None


def _malformed() -> VerificationError:
    return VerificationError("доказательство не по форме", Finding.FORMAT)
