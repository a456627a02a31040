"""Verification of a log from its bytes and a public key alone: no decryption key, no running service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from audit.bundle import BUNDLE_MAGIC, Piece, read_bundle
from audit.checkpoint import Checkpoint, Verifier
from audit.cosignature import WitnessVerifier
from audit.errors import Finding, LogDamagedError, LogFileError, VerificationError
from audit.export import pieces
from audit.leaf import WRONG_NUMBER, Record, record_fault
from audit.merkle import Frontier
from audit.report import NOT_PROVEN, Cosigned, Damage, Report
from audit.store import SQLITE_MAGIC, open_reader

_NAMED = 20  # damaged records named one by one, at most
_GROW = 1024  # leaf hashes gathered before the tree grows


def verify_file(
    path: Path, vkey_text: str, known_checkpoint: str | None = None, witnesses: Sequence[str] = (), quorum: int = 1
) -> Report:
    """Recompute every hash of a bundle or of a database, and compare with the signed checkpoints in it.

    `known_checkpoint` is a signed note seen earlier: the log must contain what it covers. Without one, a log cut back to an
    earlier state of itself cannot be told from a whole one. `witnesses` are public keys of witnesses (type 0x04), `quorum` of which
    must have cosigned a checkpoint for it to count as witnessed. Memory is bounded. Damage is told in the report; raised are only
    KeyFileError (the public key is none) and LogFileError (no such file, unreadable, or neither a bundle nor a log).
    """
    verifier = Verifier.parse(vkey_text)
    verification = _Verification(verifier, [WitnessVerifier.parse(each) for each in witnesses], quorum)
    source = _sniff(path)
    try:
        if known_checkpoint is not None:
            verification.known = verifier.open_checkpoint(known_checkpoint)
        with _opened(path, source) as opened:
            verification.run(opened)
    except VerificationError as error:
        verification.add(error)
    except LogDamagedError as error:
        verification.add(VerificationError(str(error), Finding.FORMAT, error.seq))
    except OSError as error:
        raise LogFileError(f"`{path}`: файл не читается ({error.strerror})") from None
    return verification.report(source)


class _Opened(Struct, frozen=True):
    """A log to verify: its newest note, its pieces, and (of a database) the frontier it keeps."""

    head: str
    pieces: Iterator[Piece]
    frontier: bytes | None = None


class _Verification:
    """One pass over a log. Damage within a record does not end it; damage to the order or the tree does."""

    def __init__(self, verifier: Verifier, witnesses: Sequence[WitnessVerifier], quorum: int) -> None:
        self._witnesses = witnesses
        self._quorum = max(quorum, 1)
        self._cosigned: dict[str, tuple[int, int]] = {}  # witness → size, time
        self._witnessed = 0  # entries that enough of them have cosigned
        self.known: Checkpoint | None = None
        self._verifier = verifier
        self._head: Checkpoint | None = None
        self._tree = Frontier()
        self._leaves: list[bytes] = []  # not yet in the tree
        self._next = 0  # number of the next record
        self._since = 0  # records up to the last checkpoint that was found to hold
        self._checkpoints = 0
        self._first_us = self._last_us = -1
        self._epoch_id = b""
        self._runs = 0
        self._damage: list[Damage] = []

    def run(self, opened: _Opened) -> None:
        """Raises VerificationError at what makes going on pointless."""
        self._head = self._verifier.open_checkpoint(opened.head)
        self._note_witnesses(opened.head, self._head.size)
        for piece in opened.pieces:
            if isinstance(piece, str):
                self._check_kept(piece)
            else:
                self._check_record(piece)
        self._finish(opened.frontier)

    def add(self, error: VerificationError) -> None:
        """Put damage into the report."""
        self._damage.append(Damage(error.finding, str(error), error.seq, error.since))

    def report(self, source: str) -> Report:
        """What came out."""
        size = 0 if self._head is None else self._head.size
        proven = {
            "truncation": self.known is not None,
            "witness": self._witnessed > 0,
            "unwitnessed-tail": not 0 < self._witnessed < size,
        }
        unproven = [code for code in NOT_PROVEN if not proven.get(code, False)]
        return Report(
            ok=not self._damage,
            source=source,
            key=self._verifier.vkey,
            origin="" if self._head is None else self._head.origin,
            size=size,
            root="" if self._head is None else self._head.root.hex(),
            records=self._next,
            checkpoints=self._checkpoints,
            first_us=None if self._first_us < 0 else self._first_us,
            last_us=None if self._last_us < 0 else self._last_us,
            runs=self._runs,
            witnesses=tuple(Cosigned(name, *seen) for name, seen in sorted(self._cosigned.items())),
            witnessed=self._witnessed,
            known=None if self.known is None else self.known.size,
            damage=tuple(self._damage),
            not_proven=tuple(unproven),
        )

    def _check_record(self, record: Record) -> None:
        if self.known is not None and self._next == self.known.size:
            self._check_known()
        if record.seq != self._next:
            raise self._error(f"вместо записи {self._next} идёт запись {record.seq}", Finding.ORDER, self._next)
        fault = record_fault(record)
        if fault == WRONG_NUMBER:
            number = int.from_bytes(record.header[6:14])
            raise self._error(f"на месте записи {self._next} стоит запись {number}", Finding.ORDER, self._next)
        if fault:
            self.add(self._error(f"запись {record.seq}: {fault}", Finding.RECORD, record.seq))
            if len(self._damage) >= _NAMED:
                raise self._error("повреждённых записей много, дальше не перечислены", Finding.RECORD)
        else:
            self._note_times(record.header)
        self._next += 1
        self._leaves.append(record.leaf_hash)
        if len(self._leaves) >= _GROW:
            self._grow()

    def _note_times(self, header: bytes) -> None:
        time_us = int.from_bytes(header[14:22])
        self._last_us = max(self._last_us, time_us)
        self._first_us = time_us if self._first_us < 0 else min(self._first_us, time_us)
        if header[46:62] != self._epoch_id:
            self._epoch_id = header[46:62]
            self._runs += 1

    def _check_kept(self, note: str) -> None:
        kept = self._verifier.open_checkpoint(note)
        self._grow()
        if kept.size != self._tree.size:
            raise self._error(f"контрольная точка на {kept.size} записей стоит после {self._tree.size}", Finding.SIZE)
        if kept.root != self._tree.root():
            raise self._error(f"записи до {kept.size} не складываются в подписанный корень", Finding.ROOT)
        self._since = kept.size
        self._checkpoints += 1
        self._note_witnesses(note, kept.size)

    def _note_witnesses(self, note: str, size: int) -> None:
        seen = {witness.name: time for witness in self._witnesses if (time := witness.seen(note)) is not None}
        for name, time in seen.items():
            if size >= self._cosigned.get(name, (0, 0))[0]:
                self._cosigned[name] = size, time
        if len(seen) >= self._quorum:
            self._witnessed = max(self._witnessed, size)

    def _check_known(self) -> None:
        self._grow()
        if self.known is not None and self.known.root != self._tree.root():
            raise self._error("журнал не продолжает известную контрольную точку: его переписали", Finding.ROOT)

    def _finish(self, frontier: bytes | None) -> None:
        self._grow()
        head, tree = self._head, self._tree
        if head is None or tree.size != head.size:
            signed = 0 if head is None else head.size
            raise self._error(f"записей {tree.size}, а подписано {signed}", Finding.SIZE)
        if tree.root() != head.root:
            raise self._error("записи не складываются в подписанный корень", Finding.ROOT)
        if self.known is not None and self.known.size > tree.size:
            raise self._error(f"журнал обрезан: прежде в нём было {self.known.size} записей", Finding.SIZE)
        if self.known is not None and self.known.size == tree.size:
            self._check_known()
        if frontier is not None and frontier != tree.packed():
            raise self._error("сохранённый край дерева не совпадает с записями", Finding.STATE)

    def _grow(self) -> None:
        self._tree = self._tree.extended(self._leaves)
        self._leaves.clear()

    def _error(self, message: str, finding: Finding, seq: int | None = None) -> VerificationError:
        return VerificationError(message, finding, seq, self._since)


def _sniff(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(max(len(BUNDLE_MAGIC), len(SQLITE_MAGIC)))
    except OSError as error:
        raise LogFileError(f"`{path}`: файл не читается ({error.strerror})") from None
    if start == BUNDLE_MAGIC:
        return "bundle"
    if start.startswith(SQLITE_MAGIC):
        return "database"
    raise LogFileError(f"`{path}`: это не выгрузка журнала и не его база")


@contextmanager
def _opened(path: Path, source: str) -> Iterator[_Opened]:
    if source == "bundle":
        with path.open("rb") as file:
            head, found = read_bundle(file)
            yield _Opened(head, found)
        return
    # Without a write-ahead log beside it nobody has the file open: it is read as it lies, even from a read-only disk.
    beside = path.with_name(path.name + "-wal")
    with open_reader(path, frozen=not (beside.exists() and beside.stat().st_size)) as database, database.snapshot():
        tree = database.tree()
        if tree is None:
            raise VerificationError("в базе нет состояния дерева", Finding.STATE)
        yield _Opened(tree.note, pieces(database, tree.size), tree.frontier)
