"""The log: append, read. One sequencer, natural group commit, a signed checkpoint in every transaction."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audit.checkpoint import Signer, VerifierKey, load_signer
from audit.errors import AuditWriteError, LogDamagedError, LogUnusableError, UnknownEntryError
from audit.keyfiles import read_key
from audit.merkle import Frontier, leaf_hash
from audit.sealing import (
    SLOT_SIZE,
    SUBJECT_SIZE,
    EpochKey,
    Header,
    IndexKey,
    Kek,
    Sealed,
    digests_agree,
    open_slot,
    parse_header,
)
from audit.store import SQLITE_VERSION, Batch, SlotKeys, Store, StoreReader, SubjectKey

_MOST_IN_A_BATCH = 512
_KEEP_EVERY = 1000  # records between checkpoints of the history …
_KEEP_AFTER_US = 1_000_000  # … or this much time
_TAIL = 256  # records looked at again when the log is opened
_REMEMBERED_SUBJECTS = 10_000


class Entry(msgspec.Struct, frozen=True):
    """What is appended.

    `kind` (1 to 65535) and `schema` are the caller's; `body` is opaque. `subjects` are 16-byte pseudonyms. `opens`: an entry is to
    come that closes this one; `closes` is the number of the entry that this one closes. `commit_to` is a text to which a keyed
    commitment is kept; the text itself is not.
    """

    kind: int
    schema: int
    body: bytes
    subjects: tuple[bytes, ...] = ()
    opens: bool = False
    closes: int | None = None
    commit_to: bytes = b""


class Receipt(msgspec.Struct, frozen=True):
    """A record that is on disk."""

    seq: int
    leaf_hash: bytes
    time_us: int


class OpenedEntry(msgspec.Struct, frozen=True):
    """A record as a key holder reads it. In `subjects`, None stands for one whose key was destroyed."""

    seq: int
    kind: int
    schema: int
    time_us: int
    body: bytes
    commitment: bytes
    subjects: tuple[bytes | None, ...]


class LogSettings(msgspec.Struct, frozen=True):
    """Where a log and its keys are. `origin` names the log in its checkpoints; beyond `max_bytes` it counts as full."""

    path: Path
    kek_file: Path
    signing_key_file: Path
    origin: str
    max_bytes: int | None = None


class AuditLog:
    """An open log: the only writer of its file."""

    sqlite_version = SQLITE_VERSION

    def __init__(self, store: Store, signer: Signer, kek: Kek, index: IndexKey, frontier: Frontier, note: str) -> None:
        self._store = store
        self._signer = signer
        self._kek = kek
        self._index = index
        self._frontier = frontier
        self._note = note
        self._epoch = EpochKey.fresh()
        self._boot = secrets.token_bytes(16)
        self._queue: deque[tuple[Entry, asyncio.Future[Receipt]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._blocked: str | None = None
        self._poisoned = False
        self._kept = (frontier.size, 0)  # size and time of the last checkpoint of the history
        self._subject_keys: dict[bytes, tuple[SubjectKey, bytes]] = {}
        self.commits = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: LogSettings) -> AsyncIterator[AuditLog]:
        """Open or create the log. Raises LogInUseError, LogUnusableError, LogDamagedError, KeyFileError, AuditWriteError.

        On leaving, everything that was queued is written.
        """
        signer = await asyncio.to_thread(load_signer, settings.signing_key_file, settings.origin)
        kek = Kek(await asyncio.to_thread(read_key, settings.kek_file))
        async with Store.open(settings.path, settings.max_bytes) as store:
            index, frontier, note = await _opened(store, signer, kek)
            log = cls(store, signer, kek, index, frontier, note)
            await store.add_epoch(log._epoch.epoch, log._epoch.wrap(kek), log._epoch.check, _now_us())
            sequencer = asyncio.create_task(log._sequence())
            try:
                yield log
            finally:
                log._closing = True
                log._wake.set()
                await sequencer

    async def append(self, entry: Entry) -> Receipt:
        """Make a record durable. Returns after the commit is on disk; raises AuditWriteError when nothing was recorded.

        A caller that is cancelled while it waits may find its entry recorded all the same.
        """
        if self._poisoned or self._closing:
            raise AuditWriteError(self._blocked or "closing")
        _validate(entry)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.append((entry, future))
        self._wake.set()
        return await future

    async def unclosed(self) -> tuple[int, ...]:
        """Numbers of opened entries that none has closed."""
        return await self._store.unclosed()

    async def read(self, seq: int) -> OpenedEntry:
        """One record. Raises UnknownEntryError, LogDamagedError."""
        record = await self._store.record(seq)
        if record is None:
            raise UnknownEntryError(f"записи № {seq} нет")
        header = parse_header(record.header)
        wrapped = await self._store.epoch(header.epoch)
        return _open_record(record, header, self._kek, wrapped, await self._store.slot_keys(seq))

    @property
    def size(self) -> int:
        """How many records are durable."""
        return self._frontier.size

    @property
    def blocked(self) -> str | None:
        """Why the last write failed, as a short code; None when the log writes."""
        return self._blocked

    def checkpoint(self) -> str:
        """The signed note over all durable records."""
        return self._note

    async def _sequence(self) -> None:
        """Write whatever is queued as soon as the commit before has returned: the load itself makes the groups."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                taken = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_IN_A_BATCH))]
                try:
                    receipts = await self._commit([entry for entry, _ in taken])
                except AuditWriteError as error:
                    _settle(taken, error)
                except Exception as error:  # noqa: BLE001  (a defect of ours: nothing of it may look recorded, and nothing follows it)
                    self._blocked, self._poisoned = "internal-error", True
                    failure = AuditWriteError("internal-error")
                    failure.__cause__ = error
                    _settle(taken, failure)
                else:
                    for (_, future), receipt in zip(taken, receipts, strict=True):
                        if not future.done():
                            future.set_result(receipt)
            if self._closing:
                return

    async def _commit(self, entries: list[Entry]) -> list[Receipt]:
        if self._poisoned:
            raise AuditWriteError(self._blocked or "io-error")
        fresh: dict[bytes, tuple[SubjectKey, bytes]] = {}
        records: list[tuple[Sealed, bytes]] = []
        receipts: list[Receipt] = []
        placed: list[tuple[int, int, int]] = []
        blind: list[tuple[bytes, int]] = []
        frontier = self._frontier
        for entry in entries:
            seq = frontier.size
            header = self._header(entry, seq)
            keys = [await self._subject_key(subject, fresh) for subject in entry.subjects]
            pairs = tuple((key, subject) for (_, key), subject in zip(keys, entry.subjects, strict=True))
            record = self._epoch.seal(header, entry.body, pairs, entry.commit_to)
            leaf = leaf_hash(record.header)
            frontier = frontier.append(leaf)
            records.append((record, leaf))
            receipts.append(Receipt(seq, leaf, header.time_us))
            placed += [(seq, place, row.id) for place, (row, _) in enumerate(keys)]
            blind += [(self._index.month(subject, _month(header.time_us)), seq) for subject in entry.subjects]
        note = self._signer.sign(frontier.size, frontier.root)
        kept = self._keeps(frontier.size)
        batch = Batch(
            records=records,
            frontier=frontier.encode(),
            checkpoint=note,
            kept=kept,
            opened=[receipt.seq for receipt, entry in zip(receipts, entries, strict=True) if entry.opens],
            closed=[entry.closes for entry in entries if entry.closes is not None],
            subject_keys=[row for row, _ in fresh.values()],
            record_subjects=placed,
            blind_index=blind,
        )
        try:
            await self._store.write(batch)
        except AuditWriteError as error:
            # INVARIANT: after anything but a full disk, which SQLite undoes cleanly, nothing more is written: a failed fsync
            # leaves it unknown what is on disk, and trying again would only make it look well.
            self._blocked, self._poisoned = error.reason, error.reason != "disk-full"
            raise
        self._blocked = None
        self._frontier, self._note, self._kept = frontier, note, kept or self._kept
        self.commits += 1
        self._remember(fresh)
        return receipts

    def _header(self, entry: Entry, seq: int) -> Header:
        return Header(
            kind=entry.kind,
            schema=entry.schema,
            seq=seq,
            time_us=_now_us(),
            monotonic_ns=time.monotonic_ns(),
            boot=self._boot,
            epoch=self._epoch.epoch,
            salt=secrets.token_bytes(16),
        )

    def _keeps(self, size: int) -> tuple[int, int] | None:
        now = _now_us()
        return (size, now) if size - self._kept[0] >= _KEEP_EVERY or now - self._kept[1] >= _KEEP_AFTER_US else None

    async def _subject_key(
        self, subject: bytes, fresh: dict[bytes, tuple[SubjectKey, bytes]]
    ) -> tuple[SubjectKey, bytes]:
        known = fresh.get(subject) or self._subject_keys.get(subject)
        if known is not None:
            return known
        token = self._index.subject(subject)
        row = await self._store.subject_key(token)
        if row is not None:
            found = row, self._kek.unwrap(row.wrapped, b"subject" + token)
            self._remember({subject: found})
            return found
        key = secrets.token_bytes(32)
        fresh[subject] = SubjectKey(secrets.randbits(62), token, self._kek.wrap(key, b"subject" + token)), key
        return fresh[subject]

    def _remember(self, keys: dict[bytes, tuple[SubjectKey, bytes]]) -> None:
        if len(self._subject_keys) + len(keys) > _REMEMBERED_SUBJECTS:
            self._subject_keys.clear()
        self._subject_keys.update(keys)


class AuditReader:
    """Reads a log for those who hold its key, also while it is being written. Sees one moment; synchronous."""

    def __init__(self, store: StoreReader, kek: Kek) -> None:
        self._store = store
        self._kek = kek
        self._epochs: dict[bytes, bytes | None] = {}
        self.size = store.size()

    @classmethod
    @contextmanager
    def open(cls, path: Path, kek_file: Path) -> Iterator[AuditReader]:
        """Raises LogUnusableError, KeyFileError."""
        kek = Kek(read_key(kek_file))
        with StoreReader.open(path) as store:
            if store.meta().get("kek-check", kek.check) != kek.check:
                raise LogUnusableError("ключ шифрования журнала (KEK) не подходит к этому журналу")
            yield cls(store, kek)

    def entry(self, seq: int) -> OpenedEntry:
        """One record. Raises UnknownEntryError, LogDamagedError."""
        for entry in self.entries(seq, seq + 1):
            return entry
        raise UnknownEntryError(f"записи № {seq} нет: в журнале записи от 0 до {self.size - 1}")

    def entries(self, start: int, stop: int, *, reverse: bool = False) -> Iterator[OpenedEntry]:
        """Records start … stop - 1. Raises LogDamagedError at the first that cannot be opened."""
        for record, _ in self._store.records(start, stop, reverse=reverse):
            header = parse_header(record.header)
            if header.epoch not in self._epochs:
                self._epochs[header.epoch] = self._store.epoch(header.epoch)
            slots = self._store.slot_keys(record.seq) if record.subject else {}
            yield _open_record(record, header, self._kek, self._epochs[header.epoch], slots)


async def _opened(store: Store, signer: Signer, kek: Kek) -> tuple[IndexKey, Frontier, str]:
    """The state of a log, checked against its checkpoint and its tail; that of a new one is written."""
    meta, tree = await store.meta(), await store.tree()
    if not meta and tree is None:
        index = secrets.token_bytes(32)
        frontier = Frontier()
        note = signer.sign(0, frontier.root)
        values = {
            "kek-check": kek.check,
            "index": kek.wrap(index, b"index"),
            "verifier-key": signer.verifier_key.encode(),
        }
        await store.begin(values, frontier.encode(), note)
        return IndexKey(index), frontier, note
    if tree is None or not {"kek-check", "index", "verifier-key"} <= meta.keys():
        raise LogDamagedError("нет сведений о ключах или о дереве")
    if meta["kek-check"] != kek.check:
        raise LogUnusableError("ключ шифрования журнала (KEK) не подходит к этому журналу")
    if meta["verifier-key"] != signer.verifier_key.encode():
        raise LogUnusableError("журнал подписан другим ключом или носит другое имя (`audit.origin`)")
    frontier = Frontier.decode(tree[0])
    checkpoint = VerifierKey(signer.verifier_key).verify(tree[1])
    if (checkpoint.size, checkpoint.root) != (frontier.size, frontier.root) or await store.count() != (
        frontier.size,
        frontier.size,
    ):
        raise LogDamagedError(
            "число записей или край дерева не сходятся с подписанной контрольной точкой; выполните `appliance audit verify`"
        )
    for record, leaf in await store.tail(_TAIL):
        if leaf_hash(record.header) != leaf or not digests_agree(record):
            raise LogDamagedError("сохранённые байты не сходятся с хешами", record.seq)
    return IndexKey(kek.unwrap(meta["index"], b"index")), frontier, tree[1]


def _open_record(record: Sealed, header: Header, kek: Kek, wrapped: bytes | None, slots: SlotKeys) -> OpenedEntry:
    if wrapped is None:
        raise LogDamagedError("нет ключа эпохи", record.seq)
    if not digests_agree(record):
        raise LogDamagedError("сохранённые байты не сходятся с хешами", record.seq)
    epoch = EpochKey(header.epoch, kek.unwrap(wrapped, b"epoch" + header.epoch))
    body, commitment = epoch.open(header, record.body)
    subjects: list[bytes | None] = []
    for place in range(len(record.subject) // SLOT_SIZE):
        slot = record.subject[place * SLOT_SIZE : (place + 1) * SLOT_SIZE]
        key = slots.get(place)
        subjects.append(None if key is None else _subject(kek, key, header, place, slot))
    return OpenedEntry(record.seq, header.kind, header.schema, header.time_us, body, commitment, tuple(subjects))


def _subject(kek: Kek, wrapped: tuple[bytes, bytes], header: Header, place: int, slot: bytes) -> bytes:
    token, sealed = wrapped
    return open_slot(kek.unwrap(sealed, b"subject" + token), header, place, slot)


def _settle(taken: list[tuple[Entry, asyncio.Future[Receipt]]], error: AuditWriteError) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)


def _validate(entry: Entry) -> None:
    if not 1 <= entry.kind <= 0xFFFF or not 0 <= entry.schema <= 0xFFFF or len(entry.subjects) > 255:
        raise ValueError("kind or schema out of range, or more than 255 subjects")
    if any(len(subject) != SUBJECT_SIZE for subject in entry.subjects):
        raise ValueError(f"a subject is a pseudonym of {SUBJECT_SIZE} bytes")


def _now_us() -> int:
    return time.time_ns() // 1000


def _month(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y%m")
