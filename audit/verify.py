"""Verification of a log from its bytes and a public key alone: no decryption key, no running service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from audit.bundle import BUNDLE_MAGIC, Bundle, Certified, Given, Kept, Labels, Skipped, read_bundle
from audit.checkpoint import Checkpoint
from audit.cosignature import WitnessVerifier
from audit.entry import OpenedEntry
from audit.epochs import Chain, TrustRoot
from audit.errors import Finding, LogDamagedError, LogFileError, VerificationError
from audit.export import pieces
from audit.leaf import WRONG_NUMBER, Record, record_fault, unpack_header
from audit.merkle import Frontier
from audit.report import NOT_PROVEN, Cosigned, Damage, Report
from audit.sealing import open_body_with
from audit.store import SQLITE_MAGIC, open_reader
from audit.strict import plain_file
from audit.tiles import BUNDLE_NAME, TILES_NAME, TIMESTAMPS_NAME, check_folder, check_tiles
from audit.timestamps import TimestampAuthority, Timestamped, text_of, timestamps_in, verify_timestamps

_NAMED = 20  # damaged records named one by one, at most
_GROW = 1024  # leaf hashes gathered before the tree grows


class Trust(Struct, frozen=True):
    """What an auditor brings along.

    `root` is the log's `.pub` file; `known` a signed note seen earlier: the log must contain what it covers, and without one a log cut
    back to an earlier state of itself cannot be told from a whole one. `witnesses` are public keys of witnesses (type 0x04), `quorum`
    of which must have cosigned a checkpoint for it to count as witnessed. `breaks` are epochs, by number, that begin without the word
    of the one before.
    """

    root: str
    known: str | None = None
    witnesses: Sequence[str] = ()
    quorum: int = 1
    breaks: Collection[int] = ()
    tsa_ca: str | None = None  # certificates, PEM, that the authority of the tokens in `timestamps/` has to lead to


def verify_file(
    path: Path,
    trust: Trust | str,
    known_checkpoint: str | None = None,
    witnesses: Sequence[str] = (),
    quorum: int = 1,
    on_opened: Callable[[OpenedEntry, Labels], None] | None = None,
) -> Report:
    """Recompute every hash of a bundle, an export folder or a database, and compare with the signed checkpoints in it.

    `on_opened` gets every record that can be read, as it is met. Memory is bounded. Damage is told in the report; raised are only
    KeyFileError (a public key is none) and LogFileError (no such file, unreadable, or none of the three).
    """
    if isinstance(trust, str):
        trust = Trust(trust, known_checkpoint, witnesses, quorum)
    root = TrustRoot.parse(trust.root)
    authority = None if trust.tsa_ca is None else TimestampAuthority.parse(trust.tsa_ca)
    verification = _Verification(root, trust, on_opened)
    source = _sniff(path)
    try:
        if trust.known is not None:
            verification.known = root.log.open_checkpoint(trust.known)
        if source == "folder":
            check_folder(path)
            verification.stamped = timestamps_in(path / TIMESTAMPS_NAME)
        with _opened(path, source) as opened:
            verification.run(opened)
        if source == "folder":
            verification.tiles = check_tiles(
                path / TILES_NAME, *verification.tree, verification.note, whole=verification.whole
            )
            if authority is not None:
                verification.check_timestamps(path / TIMESTAMPS_NAME, authority)
    except VerificationError as error:
        verification.add(error)
    except LogDamagedError as error:
        verification.add(VerificationError(str(error), Finding.FORMAT, error.seq))
    except OSError as error:
        raise LogFileError(f"`{path}`: файл не читается ({error.strerror})") from None
    return verification.report(source)


class _Opened(Struct, frozen=True):
    """A log to verify, and (of a database) the frontier it keeps."""

    bundle: Bundle
    frontier: bytes | None = None


class _Verification:
    """One pass over a log. Damage within a record does not end it; damage to the order or the tree does."""

    def __init__(self, root: TrustRoot, trust: Trust, on_opened: Callable[[OpenedEntry, Labels], None] | None) -> None:
        self._root = root
        self._chain = Chain(root, trust.breaks)
        self._witnesses = [WitnessVerifier.parse(each) for each in trust.witnesses]
        self._quorum = max(trust.quorum, 1)
        self._on_opened = on_opened
        self._labels: Labels = {}
        self._cosigned: dict[str, tuple[int, int]] = {}  # witness → size, time
        self._witnessed = 0  # entries that enough of them have cosigned
        self.known: Checkpoint | None = None
        self.tiles = 0
        self.stamped: Collection[int] = ()  # sizes over which there are time-stamp tokens
        self._texts: dict[int, str] = {}  # of the checkpoints of these sizes that were found to hold
        self._timestamps: list[Timestamped] | None = None  # None: not verified
        self.note = ""
        self._head: Checkpoint | None = None
        self._tree = Frontier()
        self._leaves: list[bytes] = []  # not yet in the tree
        self._next = 0  # number of the next record
        self._noted = -1  # size over which the last kept checkpoint was
        self._since = 0  # records up to the last note that was found to hold
        self._counts = {"records": 0, "skipped": 0, "opened": 0, "dropped": 0, "checkpoints": 0}
        self._first_us = self._last_us = -1
        self._last_key = b""
        self._sealing_keys: set[bytes] = set()
        self._damage: list[Damage] = []

    def run(self, opened: _Opened) -> None:
        """Raises VerificationError at what makes going on pointless."""
        head = self.note = opened.bundle.head
        self._head = self._root.log.open_checkpoint(head)
        self._labels = opened.bundle.labels
        self._note_witnesses(head, self._head.size)
        for piece in opened.bundle.pieces:
            match piece:
                case Given(record, key):
                    self._check_record(record, key)
                case Skipped(level, root):
                    self._skip(level, root)
                case Kept(note):
                    self._check_kept(note)
                case Certified(note):
                    self._check_certificate(note)
        self._finish(opened.frontier)
        self._note_text(head, self._head.size)
        self._chain.check(head, self._head.size)
        if self._root.first is not None and not self._chain.certificates:
            raise self._error("в выгрузке нет удостоверения первой эпохи, ключ которой дан проверяющему", Finding.EPOCH)

    @property
    def tree(self) -> tuple[int, bytes]:
        """Size and root, as found."""
        return self._tree.size, self._tree.root()

    @property
    def whole(self) -> bool:
        """Whether every record was given."""
        return not self._counts["skipped"]

    def check_timestamps(self, folder: Path, authority: TimestampAuthority) -> None:
        """Verify the tokens in a folder; bad ones are damage."""
        self._timestamps = []
        if folder.exists():
            for found in verify_timestamps(folder, authority, self._texts):
                if isinstance(found, Timestamped):
                    self._timestamps.append(found)
                elif len(self._damage) < _NAMED:
                    self.add(found)

    def add(self, error: VerificationError) -> None:
        """Put damage into the report."""
        self._damage.append(Damage(error.finding, str(error), error.seq, error.since))

    def report(self, source: str) -> Report:
        """What came out."""
        size = 0 if self._head is None else self._head.size
        counts = self._counts
        certificates = self._chain.certificates
        unproven = {
            "truncation": self.known is None,
            "witness": self._witnessed == 0,
            "unwitnessed-tail": 0 < self._witnessed < size,
            "first-epoch": not self._chain.pinned,
            "epoch-tail": bool(certificates) and size > certificates[-1].since,
            "break": bool(self._chain.breaks),
            "skipped": counts["skipped"] > 0,
            "dropped": counts["dropped"] > 0,
            "content": counts["opened"] < counts["records"],
            "labels": counts["opened"] > 0,
            "timestamps": bool(self.stamped) and self._timestamps is None,
            "side-tables": source == "database",
            "clock": True,
        }
        return Report(
            ok=not self._damage,
            source=source,
            key=self._root.log.vkey,
            origin="" if self._head is None else self._head.origin,
            size=size,
            root="" if self._head is None else self._head.root.hex(),
            epochs=len(certificates),
            breaks=tuple(self._chain.breaks),
            sealing_keys=len(self._sealing_keys),
            first_us=None if self._first_us < 0 else self._first_us,
            last_us=None if self._last_us < 0 else self._last_us,
            witnesses=tuple(Cosigned(name, *seen) for name, seen in sorted(self._cosigned.items())),
            witnessed=self._witnessed,
            known=None if self.known is None else self.known.size,
            tiles=self.tiles,
            timestamps=tuple(self._timestamps or ()),
            damage=tuple(self._damage),
            not_proven=tuple(code for code in NOT_PROVEN if unproven.get(code)),
            **counts,
        )

    def _check_record(self, record: Record, key: bytes) -> None:
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
            self._note_header(record.header)
            if record.body is None or record.subjects is None:
                self._counts["dropped"] += 1
            if key:
                self._open(record, key)
        self._next += 1
        self._counts["records"] += 1
        self._leaves.append(record.leaf_hash)
        if len(self._leaves) >= _GROW:
            self._grow()

    def _open(self, record: Record, key: bytes) -> None:
        try:
            entry = open_body_with(key, record, unpack_header(record.header))
        except LogDamagedError as error:
            self.add(self._error(str(error), Finding.RECORD, record.seq))
            return
        self._counts["opened"] += 1
        if self._on_opened is not None:
            self._on_opened(entry, self._labels)

    def _note_header(self, header: bytes) -> None:
        time_us = int.from_bytes(header[14:22])
        self._last_us = max(self._last_us, time_us)
        if time_us < self._first_us or self._first_us < 0:
            self._first_us = time_us
        if header[46:62] != self._last_key:
            self._last_key = header[46:62]
            self._sealing_keys.add(self._last_key)

    def _skip(self, level: int, root: bytes) -> None:
        stop = self._next + (1 << level)
        if self.known is not None and self._next == self.known.size:
            self._check_known()
        elif self.known is not None and self._next < self.known.size < stop:
            self.add(self._error("выгрузка выборочная: с известной контрольной точкой её не сравнить", Finding.KNOWN))
        self._grow()
        self._tree = self._tree.joined(level, root)
        self._counts["skipped"] += 1 << level
        self._next = stop

    def _check_kept(self, note: str) -> None:
        kept = self._chain.open_checkpoint(note)
        self._grow()
        if kept.size != self._tree.size:
            raise self._error(f"контрольная точка на {kept.size} записей стоит после {self._tree.size}", Finding.ORDER)
        if kept.size == self._noted:
            raise self._error(f"контрольных точек на {kept.size} записей две", Finding.ORDER)
        self._noted = kept.size
        if kept.root != self._tree.root():
            raise self._error(f"записи до {kept.size} не складываются в подписанный корень", Finding.ROOT)
        self._since = kept.size
        self._counts["checkpoints"] += 1
        self._note_text(note, kept.size)
        self._note_witnesses(note, kept.size)

    def _check_certificate(self, note: str) -> None:
        certificate = self._chain.add(note)
        self._grow()
        if self._noted == self._tree.size:
            raise self._error(f"удостоверение эпохи {certificate.number} стоит после контрольной точки", Finding.EPOCH)
        if (certificate.since, certificate.root) != self.tree:
            raise self._error(f"эпоха {certificate.number} удостоверена для другого состояния журнала", Finding.EPOCH)
        self._since = certificate.since

    def _note_text(self, note: str, size: int) -> None:
        if size in self.stamped:
            self._texts[size] = text_of(note)

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
            raise self._error("журнал не продолжает известную контрольную точку: его переписали", Finding.KNOWN)

    def _finish(self, frontier: bytes | None) -> None:
        self._grow()
        head, tree = self._head, self._tree
        if head is None or tree.size != head.size:
            signed = 0 if head is None else head.size
            raise self._error(f"записей {tree.size}, а подписано {signed}", Finding.SIZE)
        if tree.root() != head.root:
            raise self._error("записи не складываются в подписанный корень", Finding.ROOT)
        if self.known is not None and self.known.size > tree.size:
            raise self._error(f"журнал обрезан: прежде в нём было {self.known.size} записей", Finding.KNOWN)
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
    if path.is_dir():
        return "folder"
    with plain_file(path) as file:
        start = file.read(max(len(BUNDLE_MAGIC), len(SQLITE_MAGIC)))
    if start == BUNDLE_MAGIC:
        return "bundle"
    if start.startswith(SQLITE_MAGIC):
        return "database"
    raise LogFileError(f"`{path}`: это не выгрузка журнала и не его база")


@contextmanager
def _opened(path: Path, source: str) -> Iterator[_Opened]:
    if source != "database":
        with plain_file(path / BUNDLE_NAME if source == "folder" else path) as file:
            yield _Opened(read_bundle(file))
        return
    # Without a write-ahead log beside it nobody has the file open: it is read as it lies, even from a read-only disk.
    beside = path.with_name(path.name + "-wal")
    with open_reader(path, frozen=not (beside.exists() and beside.stat().st_size)) as database, database.snapshot():
        tree = database.tree()
        if tree is None:
            raise VerificationError("в базе нет состояния дерева", Finding.STATE)
        yield _Opened(Bundle(tree.note, {}, pieces(database, tree.size)), tree.frontier)
