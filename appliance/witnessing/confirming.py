"""What every kind of witness does: confirm a log at its size of now, or say why not."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from audit import AuditLog, Finding, VerificationError


class Trouble(StrEnum):
    """Why a witness did not confirm, for programs; the words are for people."""

    UNREACHABLE = "unreachable"  # it cannot be reached, or does not answer in time
    REFUSED = "refused"  # it answers that it will not
    ANSWER = "answer"  # what it answers does not hold
    STORED = "stored"  # what it keeps here is spoiled or cannot be written
    LOG = "log"  # our own log cannot be read or written
    ROLLED_BACK = "rolled-back"  # it has seen more than there is, or another history
    FAILED = "failed"  # a fault of ours


class NotConfirmedError(Exception):
    """A witness did not confirm; the message is for the administrator."""

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(words)
        self.trouble = trouble


class RolledBackError(Exception):
    """A witness has seen more than there is, or another history: the log must write nothing more."""


class Seen(Struct, frozen=True):
    """What a witness has confirmed: so many records, at that time (seconds of POSIX, 0 for never).

    `ahead`: by how many milliseconds its clock is before ours, when that is more than it may be.
    """

    size: int = 0
    time: float = 0
    ahead: int = 0


class Confirming(Protocol):
    """A witness. `counts`: whether it is one of the k that have to confirm; `every`: seconds between two confirmations."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def counts(self) -> bool: ...

    @property
    def every(self) -> float: ...

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:
        """What it has seen now, durably kept. Raises NotConfirmedError, RolledBackError, AuditError, RecordingError."""


async def continued(log: AuditLog, note: str, where: str) -> int:
    """The size of a checkpoint that was kept elsewhere, which the log continues. Raises RolledBackError, NotConfirmedError."""
    try:
        return await log.check_continues(note)
    except VerificationError as error:
        if error.finding in {Finding.SIZE, Finding.ROOT}:
            raise RolledBackError(str(error)) from None
        raise NotConfirmedError(Trouble.STORED, f"{where}: последняя контрольная точка испорчена ({error})") from None
