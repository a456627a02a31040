"""Opening records for somebody outside: one officer asks, another agrees, and both stand in the log that the export is made from."""

from __future__ import annotations

import time
from datetime import datetime

from appliance.auth import Duty, Officer, Pseudonyms
from appliance.errors import BadRequestError, CustodyError, DutyError, NotThereError
from appliance.events import DisclosureAsked, DisclosureDecided, decode
from appliance.recorder import Recorder
from appliance.selecting import Filter
from appliance.wire.admin import DisclosureDecision, DisclosureRequest
from audit import AuditError, AuditLog, AuditReader, OpenedEntry, UnknownEntryError

VALID_US = 72 * 3600 * 1_000_000
"""How long after it was given an agreement is good, microseconds."""


class Disclosures:
    """Requests to open records, and what others decide."""

    def __init__(self, log: AuditLog, recorder: Recorder, pseudonyms: Pseudonyms) -> None:
        self._log = log
        self._recorder = recorder
        self._pseudonyms = pseudonyms

    async def ask(self, officer: Officer, request_id: str, asked: DisclosureRequest) -> int:
        """Record the request; its number. Raises DutyError, BadRequestError, RecordingError."""
        officer.needs(Duty.DPO, Duty.SECURITY)
        if asked == DisclosureRequest(ground=asked.ground):
            raise BadRequestError("name what to open: the whole log is not opened for anybody", "since")
        subject = self._pseudonyms.of(asked.subject) if asked.subject else None
        event = DisclosureAsked(
            request_id,
            officer.id,
            _us(asked.since),
            _us(asked.until),
            asked.app,
            asked.case,
            tuple(sorted(set(asked.records))),
            subject is not None,
            asked.ground,
        )
        return (await self._recorder.append(event, () if subject is None else (subject,))).seq

    async def decide(self, officer: Officer, request_id: str, decision: DisclosureDecision) -> int:
        """Record what a second officer says to a request; the record's number. Raises DutyError, NotThereError, RecordingError."""
        officer.needs(Duty.DPO, Duty.SECURITY)
        try:
            opened = await self._log.read(decision.asked)
        except UnknownEntryError:
            raise NotThereError(f"запись {decision.asked} — не запрос на раскрытие") from None
        except AuditError as error:
            raise CustodyError(str(error)) from None
        event = decode(opened.kind, opened.schema, opened.body)
        if not isinstance(event, DisclosureAsked):
            raise NotThereError(f"запись {decision.asked} — не запрос на раскрытие")
        if event.officer == officer.id:
            raise DutyError("раскрытие разрешает не тот, кто о нём просил: нужен второй сотрудник")
        answer = DisclosureDecided(request_id, officer.id, decision.asked, decision.approve)
        return (await self._recorder.append(answer)).seq


def agreed(reader: AuditReader, number: int) -> Filter:
    """What two officers agreed to open, by the number of the agreement's record. Raises NotThereError, AuditError."""
    given = _read(reader, number)
    decided = decode(given.kind, given.schema, given.body)
    if not isinstance(decided, DisclosureDecided):
        raise NotThereError(f"запись {number} — не решение о раскрытии; её номер печатает `appliance audit approve`")
    if not decided.approved:
        raise NotThereError(f"запись {number}: в раскрытии отказано")
    opened = _read(reader, decided.asked)
    asked = decode(opened.kind, opened.schema, opened.body)
    if not isinstance(asked, DisclosureAsked) or asked.officer == decided.officer:
        raise NotThereError(f"запись {decided.asked} — не запрос на раскрытие другого сотрудника")
    if time.time_ns() // 1000 > given.time_us + VALID_US:
        raise NotThereError(f"запись {number}: разрешение дано больше 72 часов назад; попросите о новом")
    subject = opened.subjects[0] if asked.about and opened.subjects else None
    if asked.about and subject is None:
        raise NotThereError("связь субъекта с записями стёрта: раскрывать нечего")
    return Filter(asked.since, asked.until, asked.app, asked.case, asked.numbers, subject or b"")


def _read(reader: AuditReader, number: int) -> OpenedEntry:
    try:
        return reader.entry(number)
    except UnknownEntryError as error:
        raise NotThereError(str(error)) from None


def _us(moment: datetime | None) -> int:
    """Raises BadRequestError for a time without its zone."""
    if moment is None:
        return 0
    if moment.tzinfo is None:
        raise BadRequestError("a time needs its zone, such as `2026-11-01T00:00:00+03:00`", "since")
    return int(moment.timestamp() * 1_000_000)
