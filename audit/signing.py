"""What signs a running log: its own key, and the key of the present signing epoch, handed over at every start and every day."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from audit.checkpoint import Checkpoint, Signer, Verifier
from audit.epochs import Certificate, Chain, EpochKeys, Reason, TrustRoot, sign_certificate
from audit.errors import KeyFileError, LogDamagedError, VerificationError
from audit.keyfiles import replace_key_file
from audit.merkle import Frontier
from audit.sealer import day_of
from audit.store import Database

_AGAIN_US = 600_000_000  # after a hand-over that failed


class Break(Struct, frozen=True):
    """An epoch is to begin that the one before does not certify; `abandoned` is the newest checkpoint that a restore lost."""

    reason: Reason
    abandoned: tuple[int, bytes] | None = None


class Signing:
    """The log's key and the epoch's. Used in the writing connection's thread."""

    def __init__(self, log: Signer, keys: EpochKeys, breaking: Break | None = None) -> None:
        self.log = log
        self._keys = keys
        self._breaking = breaking
        self._epoch: Signer | None = None
        self._certificate: Certificate | None = None
        self._not_before_us = 0
        self.failure: str | None = None  # why the last hand-over did not happen; the epoch before goes on

    def start(self, database: Database, head: str, tree: Frontier, now_us: int) -> None:
        """Check the chain and the newest checkpoint, and begin an epoch: the first of a log without one, else the next.

        Raises KeyFileError (the epoch's key is gone), LogDamagedError, AuditWriteError.
        """
        chain = stored_chain(database, TrustRoot(self.log.verifier))
        try:
            chain.check(head, tree.size)
        except VerificationError as error:
            raise LogDamagedError(f"контрольная точка журнала: {error}") from None
        if not chain.certificates:
            self._begin(database, self._keys.first(), tree, now_us, Break(Reason.FIRST))
            return
        self._certificate = chain.certificates[-1]
        if self._breaking is not None:
            self._begin(database, self._keys.stage(None), tree, now_us, self._breaking)
            return
        self._epoch = self._keys.holds(self._certificate.key)
        if self._epoch is None:
            raise KeyFileError(
                f"ключа эпохи подписи {self._certificate.number} нет в его файле: верните файл. Если он утрачен,"
                " выполните `appliance audit rotate --lost-epoch-key`: проверяющие увидят разрыв"
            )
        self.hand_over(database, tree, now_us)

    def sign_checkpoint(self, size: int, root: bytes) -> str:
        """The note over a tree of this log, signed by both keys."""
        text = Checkpoint(self.log.name, size, root).text()
        return self.log.sign(text) + (self._epoch.line(text) if self._epoch else "")

    def hand_over(self, database: Database, tree: Frontier, now_us: int) -> int:
        """Begin the next epoch at this tree, and destroy the key of the one before; its number. Raises KeyFileError, AuditWriteError."""
        self._begin(database, self._keys.stage(self._epoch), tree, now_us, Break(Reason.NEXT))
        return self.number

    def hand_over_daily(self, database: Database, tree: Frontier, now_us: int) -> None:
        """Hand over when the day has changed. What fails is told in `failure` and tried again later; the log writes on meanwhile."""
        if self._certificate is None or now_us < self._not_before_us:
            return
        if day_of(now_us) == day_of(self._certificate.time_s * 1_000_000):
            return
        try:
            self.hand_over(database, tree, now_us)
        except KeyFileError as error:
            self.failure, self._not_before_us = str(error), now_us + _AGAIN_US

    @property
    def number(self) -> int:
        """The epoch that signs."""
        return -1 if self._certificate is None else self._certificate.number

    def _begin(self, database: Database, fresh: Signer, tree: Frontier, now_us: int, why: Break) -> None:
        """INVARIANT: the new key is on disk before its certificate is; the old one goes only after."""
        by = self._epoch if why.reason is Reason.NEXT and self._epoch else self.log
        key, time_s = fresh.verifier.key, now_us // 1_000_000
        certificate = Certificate(
            self.log.name, self.number + 1, tree.size, tree.root(), key, time_s, why.reason, why.abandoned
        )
        with database.transaction():
            database.put_certificate(certificate.number, tree.size, sign_certificate(by, certificate))
        self._epoch, self._certificate = fresh, certificate
        self._keys.settle(fresh)
        self.failure, self._not_before_us = None, 0


def pin_first_epoch(database: Database, public: Path, log: Verifier) -> None:
    """Complete the trust root beside the signing key when it has one line: auditors get that file. Raises KeyFileError, LogDamagedError."""
    if not public.exists():
        return
    try:
        root = TrustRoot.parse(public.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise KeyFileError(f"`{public}`: файл открытого ключа не читается") from None
    if root.first is None and root.log.key == log.key:
        first = stored_chain(database, root).certificates[0].key
        replace_key_file(public, TrustRoot(log, first).text().encode(), 0o644)


def stored_chain(database: Database, root: TrustRoot) -> Chain:
    """The epochs in a database; breaks are taken as they are. Raises LogDamagedError."""
    notes = database.certificates()
    chain = Chain(root, range(len(notes)))
    try:
        for _, note in notes:
            chain.add(note)
    except VerificationError as error:
        raise LogDamagedError(str(error)) from None
    return chain
