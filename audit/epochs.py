"""Signing epochs: beside the log's own key signs one that changes; each certifies the next and is destroyed (`FORMAT.md`, section 3).

Whoever takes the machine finds the log key and the key of today. What was signed before today needs keys that are no more.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from audit.checkpoint import SIGNATURE, Checkpoint, Signer, Verifier, VerifierKey, split_note
from audit.entry import MAX_SEQ
from audit.errors import Finding, KeyFileError, VerificationError
from audit.keyfiles import parse_signing_key, read_key_file, replace_key_file, signing_key_line
from audit.merkle import HASH_SIZE
from audit.strict import base64_of

_SUFFIX = "/signing-epoch"


class Reason(StrEnum):
    """Why an epoch began. The last two are breaks: the key before did not certify it."""

    FIRST = "first"
    NEXT = "next"
    LOST_KEY = "lost-key"
    RESTORED = "restored"

    @property
    def is_break(self) -> bool:
        """Whether the log key alone vouches for this epoch."""
        return self in {self.LOST_KEY, self.RESTORED}


class TrustRoot(Struct, frozen=True):
    """What an auditor is given once: the log's key, and the key of its first epoch if it is pinned."""

    log: Verifier
    first: VerifierKey | None = None

    @classmethod
    def parse(cls, text: str) -> TrustRoot:
        """The keys in a `.pub` file of one or two lines. Raises KeyFileError."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not 1 <= len(lines) <= 2:
            raise KeyFileError(f"в открытом ключе журнала одна или две строки, а здесь {len(lines)}")
        log = Verifier.parse(lines[0])
        first = VerifierKey.parse(lines[1], SIGNATURE) if len(lines) == 2 else None
        if first is not None and (first.name != log.name or first.public == log.key.public):
            raise KeyFileError("вторая строка открытого ключа — не ключ первой эпохи этого журнала")
        return cls(log, first)

    def text(self) -> str:
        """The file."""
        return "".join(f"{key.vkey}\n" for key in (self.log.key, self.first) if key is not None)


class Certificate(Struct, frozen=True):
    """From tree size `since` on, whose root is `root`, `key` signs too. `abandoned`: the newest checkpoint that a restore lost."""

    origin: str
    number: int
    since: int
    root: bytes
    key: VerifierKey
    time_s: int
    reason: Reason
    abandoned: tuple[int, bytes] | None = None

    def text(self) -> str:
        """The note's text."""
        lost = () if self.abandoned is None else (str(self.abandoned[0]), _encode(self.abandoned[1]))
        opening = f"{self.origin}{_SUFFIX}", str(self.number), str(self.since), _encode(self.root)
        return "".join(f"{line}\n" for line in (*opening, self.key.vkey, str(self.time_s), self.reason, *lost))

    @classmethod
    def parse(cls, note: str, origin: str) -> Certificate:
        """What a note says, its signatures unchecked. Raises VerificationError."""
        text, _ = split_note(note)
        lines = text.split("\n")[:-1]
        try:
            reason = Reason(lines[6])
            if len(lines) != (9 if reason is Reason.RESTORED else 7) or lines[0] != origin + _SUFFIX:
                raise _malformed()
            abandoned = (_number(lines[7]), _hash(lines[8])) if reason is Reason.RESTORED else None
            certificate = cls(
                origin,
                _number(lines[1]),
                _number(lines[2]),
                _hash(lines[3]),
                VerifierKey.parse(lines[4], SIGNATURE),
                _number(lines[5]),
                reason,
                abandoned,
            )
        except (IndexError, ValueError, KeyFileError):
            raise _malformed() from None
        if certificate.text() != text or certificate.key.name != origin:
            raise _malformed()
        return certificate


class Chain:
    """The epochs of a log as they are met, front to back; `accepted` are the numbers of breaks that the auditor knows of."""

    def __init__(self, root: TrustRoot, accepted: Collection[int] = ()) -> None:
        self._root = root
        self._accepted = accepted
        self.certificates: list[Certificate] = []
        self.breaks: list[int] = []
        self._verifiers: list[Verifier] = []

    def add(self, note: str) -> Certificate:
        """The certificate in a note that continues the chain; its root is the caller's to compare. Raises VerificationError."""
        certificate = Certificate.parse(note, self._root.log.name)
        last = self.certificates[-1] if self.certificates else None
        number = len(self.certificates)
        if certificate.number != number or (certificate.reason is Reason.FIRST) != (number == 0):
            raise _error(f"вместо удостоверения эпохи {number} идёт {certificate.number} ({certificate.reason})")
        if last is not None and certificate.since < last.since:
            raise _error(f"эпоха {number} начинается раньше прежней")
        by = self._verifiers[-1] if certificate.reason is Reason.NEXT else self._root.log
        other = self._root.log if certificate.reason is Reason.NEXT else (self._verifiers or [self._root.log])[-1]
        try:
            by.verify(note)
            if other.key != by.key and any(map(other.is_signature, split_note(note)[1])):
                raise _malformed()
        except VerificationError:
            raise _error(f"удостоверение эпохи {number} подписано не тем ключом") from None
        if number == 0 and self._root.first is not None and certificate.key != self._root.first:
            raise _error("ключ первой эпохи не тот, что дан проверяющему")
        if certificate.reason.is_break:
            if number not in self._accepted:
                raise VerificationError(
                    f"эпоху {number} (с записи {certificate.since}) удостоверил не прежний её ключ, а ключ журнала"
                    f" ({_BREAKS[certificate.reason]}); если об этом есть акт, укажите `--accept-break {number}`",
                    Finding.BREAK,
                )
            self.breaks.append(number)
        self.certificates.append(certificate)
        self._verifiers.append(Verifier(certificate.origin, certificate.key.public))
        return certificate

    def open_checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint in a note that the log key signed, and the key of its epoch. Raises VerificationError."""
        checkpoint = self._root.log.open_checkpoint(note)
        self.check(note, checkpoint.size)
        return checkpoint

    def check(self, note: str, size: int) -> None:
        """Raise VerificationError unless the key of the epoch of this size signed the note."""
        epoch = next((each for each in reversed(self.certificates) if each.since < size), None)
        if epoch is None:
            return
        try:
            self._verifiers[epoch.number].verify(note)
        except VerificationError:
            raise _error(
                f"контрольная точка на {size} записей не подписана ключом своей эпохи {epoch.number}"
            ) from None

    @property
    def pinned(self) -> bool:
        """Whether the first epoch is the one the auditor was given."""
        return self._root.first is not None and bool(self.certificates)


class EpochKeys:
    """The private key of the epoch, in a file of its own; two while one is being handed over."""

    def __init__(self, path: Path, log: Signer) -> None:
        self._path = path
        self._log = log
        self._signers: list[Signer] = []

    @classmethod
    def load(cls, path: Path, log: Signer) -> EpochKeys:
        """Those in the file; none when there is no file. Raises KeyFileError."""
        keys = cls(path, log)
        if path.exists():
            lines = read_key_file(path).splitlines()
            keys._signers = [Signer(*parse_signing_key(line, path)) for line in lines]
            if not 1 <= len(lines) <= 2 or any(signer.name != log.name for signer in keys._signers):
                raise KeyFileError(f"`{path}`: это не ключ эпохи журнала `{log.name}`")
        return keys

    def holds(self, key: VerifierKey) -> Signer | None:
        """The signer of this public key."""
        return next((signer for signer in self._signers if signer.verifier.key == key), None)

    def first(self) -> Signer:
        """The key for a log that has no epoch yet, durable. Raises KeyFileError."""
        return self._signers[0] if len(self._signers) == 1 else self.stage(None)

    def stage(self, current: Signer | None) -> Signer:
        """A new key, durably beside the one in force. Raises KeyFileError."""
        fresh = Signer(self._log.name, os.urandom(32))
        self._write([fresh] if current is None else [current, fresh])
        return fresh

    def settle(self, current: Signer) -> None:
        """Destroy every key but this one, in memory and on disk. Raises KeyFileError: then the file still has them."""
        if self._signers != [current]:
            self._write([current])

    def _write(self, signers: list[Signer]) -> None:
        lines = (signing_key_line(signer.name, signer.seed) for signer in signers)
        replace_key_file(self._path, "".join(lines).encode())
        self._signers = signers


def epoch_keys_beside(signing_key_file: Path) -> Path:
    """Where the key of the epoch lies unless it was said otherwise."""
    return signing_key_file.with_name(f"{signing_key_file.stem}-epoch.key")


def sign_certificate(by: Signer, certificate: Certificate) -> str:
    """The certificate's note."""
    return by.sign(certificate.text())


_BREAKS = {
    Reason.LOST_KEY: "ключ эпохи утрачен",
    Reason.RESTORED: "журнал восстановлен из копии, часть записей утрачена",
}


def _number(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if str(value) != text or value > MAX_SEQ:
        raise _malformed()
    return value


def _hash(text: str) -> bytes:
    value = base64_of(text)
    if len(value) != HASH_SIZE:
        raise _malformed()
    return value


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _malformed() -> VerificationError:
    return _error("удостоверение эпохи не по форме")


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.EPOCH)
