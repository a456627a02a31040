"""What officers do with the log itself: find a person's records, cut a person off, hold them, renew keys. Each is a record too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from appliance.auth import Duty, Officer, Pseudonyms
from appliance.errors import CustodyError, SubjectHeldError
from appliance.events import (
    ErasureAsked,
    HandedOver,
    KeysRenewed,
    LogRead,
    ReadWhat,
    SubjectErased,
    SubjectHold,
)
from appliance.recorder import Recorder
from audit import AuditError, AuditLog, KeyFileError
from audit import SubjectHeldError as HeldError


class Erasure(msgspec.Struct, frozen=True):
    """What was done for one person: the number of the demand's record and of the act's, and how many records led to them."""

    asked: int
    record: int
    records: int
    generation: int
    wal_emptied: bool


class Custody:
    """Joins the log with its record of what is done to it."""

    def __init__(self, log: AuditLog, recorder: Recorder, pseudonyms: Pseudonyms) -> None:
        self._log = log
        self._recorder = recorder
        self._pseudonyms = pseudonyms
        self._turn = asyncio.Lock()

    async def search(self, officer: Officer, request_id: str, subject: str, ground: str) -> tuple[list[int], int]:
        """Numbers of the records that speak of a person, oldest first, and of the record of this search, which is none of them.

        Raises DutyError, RecordingError, CustodyError.
        """
        officer.needs(Duty.DPO)
        pseudonym = self._pseudonyms.of(subject)
        try:
            numbers = await self._log.of_subject(pseudonym)
        except AuditError as error:
            raise CustodyError(str(error)) from None
        read = LogRead(request_id, officer.id, ReadWhat.SUBJECT, len(numbers), ground)
        receipt = await self._recorder.append(read, (pseudonym,), subject.encode())
        return numbers, receipt.seq

    async def hold(
        self, officer: Officer, request_id: str, subject: str, ground: str, *, held: bool
    ) -> tuple[bool, int]:
        """Keep a person from being erased, or no longer; whether anything changed. Recorded before it is done, whatever was.

        Raises DutyError, RecordingError, CustodyError.
        """
        officer.needs(Duty.DPO)
        pseudonym = self._pseudonyms.of(subject)
        async with self._turn:
            event = SubjectHold(request_id, officer.id, held, ground)
            receipt = await self._recorder.append(event, (pseudonym,), subject.encode())
            try:
                return await self._log.hold_subject(pseudonym, held=held), receipt.seq
            except AuditError as error:
                raise CustodyError(str(error)) from None

    async def erase(self, officer: Officer, request_id: str, subjects: Sequence[str], ground: str) -> list[Erasure]:
        """Cut people off from their records, and make older copies of the log useless for them (152-ФЗ ст. 21 ч. 3–5).

        What a crash interrupts is finished at the next start. Raises DutyError, SubjectHeldError (for those who are held, and that is
        recorded; the others were cut off), RecordingError, CustodyError.
        """
        officer.needs(Duty.DPO)
        async with self._turn:
            asked = [await self._ask(officer, request_id, subject, ground) for subject in subjects]
            return await self._carry_out(asked)

    async def renew(self, officer: Officer, request_id: str, ground: str) -> tuple[int, int]:
        """Wrap all subjects' keys anew; the generation and the record's number. Raises DutyError, RecordingError, CustodyError."""
        officer.needs(Duty.DPO, Duty.OPERATOR)
        async with self._turn:
            try:
                renewed = await self._log.renew_subject_keys()
            except AuditError as error:
                raise CustodyError(str(error)) from None
            event = KeysRenewed(request_id, officer.id, renewed.generation, renewed.wal_emptied, ground)
            return renewed.generation, (await self._recorder.append(event)).seq

    async def hand_over(self, officer: Officer, request_id: str, ground: str) -> tuple[int, int]:
        """Begin a signing epoch and destroy the key of the one before; its number and the record's. Raises as `renew`."""
        officer.needs(Duty.DPO, Duty.OPERATOR, Duty.SECURITY)
        try:
            number = await self._log.hand_over()
        except AuditError as error:
            raise CustodyError(str(error)) from None
        receipt = await self._recorder.append(HandedOver(request_id, officer.id, number, ground))
        return number, receipt.seq

    async def resume(self, asked: Sequence[int]) -> None:
        """Finish the erasures that a crash left open, by the numbers of their demands. Raises as `erase`."""
        if asked:
            async with self._turn:
                await self._carry_out([(seq, (await self._log.read(seq)).subjects[0]) for seq in asked])

    async def _ask(self, officer: Officer, request_id: str, subject: str, ground: str) -> tuple[int, bytes | None]:
        pseudonym = self._pseudonyms.of(subject)
        event = ErasureAsked(request_id, officer.id, ground)
        return (await self._recorder.append(event, (pseudonym,), subject.encode())).seq, pseudonym

    async def _carry_out(self, asked: Sequence[tuple[int, bytes | None]]) -> list[Erasure]:
        """INVARIANT: the act is recorded after all of it was done, and never before."""
        counts: dict[int, int] = {}
        held: list[int] = []
        try:
            for seq, pseudonym in asked:
                # A demand whose own subject no longer opens was carried out as far as this before a crash.
                try:
                    erased = 0 if pseudonym is None else (await self._log.erase_subject(pseudonym)).records
                    counts[seq] = max(erased - 1, 0)  # one of them is the demand
                except HeldError:
                    held.append(seq)
            renewed = await self._log.renew_subject_keys() if counts else None
        except KeyFileError as error:
            raise CustodyError(f"Связь удалена, но старые копии журнала ещё раскрываются: {error}") from None
        except AuditError as error:
            raise CustodyError(str(error)) from None
        acts = []
        for seq in held:
            await self._recorder.append(SubjectErased(seq, 0, 0, wal_emptied=False, held=True))
        if renewed is not None:
            for seq, records in counts.items():
                event = SubjectErased(seq, records, renewed.generation, wal_emptied=renewed.wal_emptied, held=False)
                record = (await self._recorder.append(event)).seq
                acts.append(Erasure(seq, record, records, renewed.generation, renewed.wal_emptied))
        if held:
            raise SubjectHeldError(
                f"Сведения удерживаются, связь с записями не удалена (требования: записи {', '.join(map(str, held))})."
                " Снимите удержание или дождитесь его окончания."
            )
        return acts
