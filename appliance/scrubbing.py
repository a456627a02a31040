"""The log reads itself again, all of it in a given time, and records what it found; a restart goes on where it was."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from appliance.auth import Duty, Officer
from appliance.errors import CustodyError, RecordingError
from appliance.events import ScrubDamaged, SelfChecked
from appliance.placing import place
from appliance.recorder import Recorder
from audit import AuditError, AuditLog, LogDamagedError, Round, Scrubbed

_PAUSE = 1.0  # seconds between two blocks, at most: a small log is read in minutes, however long the whole may take
_AFTER_START = 60.0  # seconds; a start has other things to read
_LATER = 60.0  # seconds until another try, when one failed
_NOTED = 64  # blocks between two notes of how far it is
_TOLD = 100  # damaged places of a round that get a record each; of the rest only their number is told
_BLOCK = 256
_LOG = logging.getLogger("appliance")


class Scrubber:
    """Rounds over all records, one after the other; `hours`: from the begin of one to that of the next, 0 for none."""

    def __init__(self, log: AuditLog, recorder: Recorder, path: Path, hours: float) -> None:
        self._log = log
        self._recorder = recorder
        self._path = path
        self._seconds = hours * 3600
        self._found = 0  # damaged places, in the round under way
        self._last = 0  # and in the last one that was finished
        self._failure = ""

    @property
    def state(self) -> str:
        """What is wrong, in Russian; empty while nothing is."""
        damaged = max(self._found, self._last)
        if damaged:
            return f"повреждённых мест в журнале: {damaged}; где — в записях «ПОВРЕЖДЕНИЕ» (`appliance audit list`)"
        return self._failure

    async def run(self) -> None:
        """Read for ever."""
        await asyncio.sleep(min(_AFTER_START, self._seconds))
        while self._seconds:
            try:
                at = await self._taken_up() or self._log.begin_round()
                if not at.done:
                    await self._round(at)
                self._failure = ""
                left = at.since + self._seconds - time.time()
                await asyncio.sleep(min(max(left, _PAUSE), self._seconds))  # whatever was done to the clock
                await asyncio.to_thread(self._path.unlink, missing_ok=True)
            except (AuditError, RecordingError, OSError) as error:
                self._failure = f"самопроверка не идёт ({error})"
                _LOG.error("the audit log was not read again: %s", type(error).__name__)
                await asyncio.sleep(_LATER)

    async def now(self, officer: Officer) -> tuple[SelfChecked, list[Scrubbed], int]:
        """Read everything at once: what the record of it says, the damaged places, the record's number.

        Raises DutyError, RecordingError, CustodyError.
        """
        officer.needs(Duty.DPO, Duty.SECURITY, Duty.OPERATOR)
        at, found = self._log.begin_round(), list[Scrubbed]()
        try:
            while not at.done:
                at, some = await self._log.scrub(at)
                await self._tell(len(found), some)
                found += some
        except AuditError as error:
            raise CustodyError(str(error)) from None
        self._last = at.damaged
        checked = _checked(at)
        return checked, found, (await self._recorder.append(checked)).seq

    async def _round(self, at: Round) -> None:
        pause = min(self._seconds * _BLOCK / max(at.size, 1), _PAUSE)
        blocks = 0
        while not at.done:
            before = at.damaged
            after, found = await self._log.scrub(at)
            await self._tell(before, found)  # recorded before the round moves on: what is damaged is rather told twice
            at, blocks = after, blocks + 1
            self._found = at.damaged
            if at.done:
                await self._recorder.append(_checked(at))
                self._last, self._found = at.damaged, 0
            if at.done or found or blocks % _NOTED == 0:
                await asyncio.to_thread(place, self._path, msgspec.json.encode(at))
            await asyncio.sleep(pause)

    async def _tell(self, before: int, found: Sequence[Scrubbed]) -> None:
        for each in found[: max(_TOLD - before, 0)]:
            _LOG.error("audit log: records %d to %d are damaged: %s", each.start, each.stop - 1, each.what.value)
            await self._recorder.append(ScrubDamaged(each.start, each.stop, each.what))

    async def _taken_up(self) -> Round | None:
        """The round that an earlier run left, if it is of this log."""
        at = await asyncio.to_thread(self._load)
        with suppress(LogDamagedError):  # a new one finds where
            if at is not None and await self._log.is_of_round(at):
                self._found, self._last = (0, at.damaged) if at.done else (at.damaged, self._last)
                return at
        return None

    def _load(self) -> Round | None:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Round)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:  # a round begins anew: nothing is lost but time
            return None
        return found if found.sound else None


def _checked(at: Round) -> SelfChecked:
    return SelfChecked(at.size, at.computed, at.damaged, at.since)
