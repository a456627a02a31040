"""Having the log confirmed by its witnesses, k of n, whenever it has grown.

A witness that has seen more than there is, or another history, says that the log was rolled back or forked: it then stops writing, and with
it everything that needs a record, until an administrator has settled it. A witness that cannot be reached stops nothing; that fewer than k
have confirmed for a day is said and recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from appliance.errors import RecordingError
from appliance.events import ClockDisputed, Unwitnessed, Witnessed
from appliance.recorder import Recorder
from appliance.witnessing import Confirming, NotConfirmedError, RolledBackError, Seen, Trouble, mark_stopped
from audit import AuditError, AuditLog, VerificationError

_OK = "ok"
_AGAIN = 60.0  # seconds until one that did not confirm is asked again, at most
_FIRST_WORDS = 20.0  # seconds that the alarm waits for everybody's first word
_LOG = logging.getLogger("appliance")


class Confirmation(Struct, frozen=True):
    """When the log counts as witnessed: by `quorum` of them; `alarm` seconds without is too long. `every` seconds this is looked at."""

    quorum: int
    alarm: float
    every: float


class Standing(Struct, frozen=True):
    """Where a witness stands. `size`, `time` (seconds of POSIX, 0 for never): its last confirmation; `state`: "ok" or words, in Russian."""

    name: str
    kind: str
    counts: bool
    size: int
    time: float
    state: str
    trouble: Trouble | None


class Witnesses:
    """Has the log confirmed. `stop_mark` is left when it was rolled back; `clock` is POSIX."""

    def __init__(
        self,
        log: AuditLog,
        recorder: Recorder,
        witnesses: Sequence[Confirming],
        wanted: Confirmation,
        stop_mark: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._recorder = recorder
        self._followed = [_Followed(each) for each in witnesses]
        self._counted = [each for each in self._followed if each.witness.counts]
        self._wanted = wanted
        self._stop_mark = stop_mark
        self._clock = clock
        self._started = clock()
        self._alarmed = False
        self._heard = asyncio.Event()  # every witness confirmed once, or did not

    @property
    def states(self) -> dict[str, str]:
        """Witness → "ok" or what is wrong, in Russian; of those that were asked."""
        return {each.witness.name: each.state for each in self._followed if each.state}

    @property
    def standings(self) -> list[Standing]:
        """All of them, as in the settings."""
        return [each.standing for each in self._followed]

    @property
    def size(self) -> int:
        """How many records there are to confirm."""
        return self._log.size

    @property
    def quorum(self) -> int:
        """How many have to confirm."""
        return self._wanted.quorum

    @property
    def counted(self) -> int:
        """How many could."""
        return len(self._counted)

    @property
    def witnessed(self) -> int:
        """How many records as many witnesses as are wanted have confirmed."""
        sizes = sorted((each.seen.size for each in self._counted), reverse=True)
        return sizes[self.quorum - 1] if len(sizes) >= self.quorum else 0

    @property
    def lacking(self) -> str:
        """What is wrong when fewer than are wanted have confirmed for too long, in Russian; empty when enough have."""
        since = self._since()
        if not self._counted or self._clock() - since <= self._wanted.alarm:
            return ""
        moment = datetime.fromtimestamp(since, UTC).strftime("%d.%m.%Y %H:%M")
        why = "; ".join(f"{name} — {state}" for name, state in self.states.items() if state != _OK)
        if self.quorum == 1:
            return f"никто не подтверждал журнал с {moment} (UTC): {why}"
        return f"журнал подтверждают {self._confirming()} из нужных {self.quorum}, с {moment} (UTC): {why}"

    async def heard(self, patience: float) -> None:
        """Return once every witness was asked, or after so many seconds: a log that was rolled back is known before the first request."""
        if self._followed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), patience)

    async def run(self) -> None:
        """Ask all of them, for ever."""
        if self._followed:
            remembered = await self._log.witnessed()
            for each in self._followed:
                each.saw(Seen(*remembered.get(each.witness.name, (0, 0))), self._clock())
            await asyncio.gather(self._watch(), *(self._follow(each) for each in self._followed))

    async def ask_now(self) -> None:
        """Ask all of them at once, grown or not."""
        await asyncio.gather(*(self._ask(each) for each in self._followed))

    async def _follow(self, each: _Followed) -> None:
        while True:
            if self._is_due(each):
                await self._ask(each)
            if all(one.state for one in self._followed):
                self._heard.set()
            await asyncio.sleep(each.witness.every if each.state == _OK else min(each.witness.every, _AGAIN))

    def _is_due(self, each: _Followed) -> bool:
        """When the log has grown, when the last try failed, and once in a while, that silence of an idle log is no alarm."""
        if each.state != _OK or self._log.size != each.seen.size:
            return True
        return each.witness.counts and self._clock() - each.seen.time > self._wanted.alarm / 2

    async def _ask(self, each: _Followed) -> None:
        async with each.turn:
            if self._log.blocked is not None:
                return
            try:
                await self._confirmed(each, await each.witness.confirm(self._log, each.seen))
            except RolledBackError as error:
                await self._rolled_back(each, str(error))
            except NotConfirmedError as error:
                each.failed(error.trouble, str(error))
            except VerificationError as error:
                each.failed(Trouble.ANSWER, str(error))
            except RecordingError as error:
                each.failed(Trouble.LOG, str(error))
            except AuditError as error:
                each.failed(Trouble.LOG, f"журнал: {error}")
            except Exception as error:  # noqa: BLE001  (whatever it is, the next try comes, and the state says so)
                each.failed(Trouble.FAILED, f"сбой ({type(error).__name__})")

    async def _confirmed(self, each: _Followed, seen: Seen) -> None:
        each.saw(seen, self._clock())
        if each.witness.counts and each.state != _OK:
            await self._recorder.append(Witnessed(each.witness.name, seen.size))
        if seen.ahead and not each.disputed:
            _LOG.warning("часы свидетеля %s и наши расходятся на %+.1f с", each.witness.name, seen.ahead / 1000)
            await self._recorder.append(ClockDisputed(each.witness.name, seen.ahead))
        each.disputed = bool(seen.ahead)
        each.state, each.trouble = _OK, None

    async def _rolled_back(self, each: _Followed, words: str) -> None:
        self._log.stop_as_rolled_back()
        each.failed(
            Trouble.ROLLED_BACK,
            f"{words}: журнал откатили или подменили. Верните его из более новой копии (`appliance restore`)",
        )
        _LOG.error("свидетель %s: %s", each.witness.name, each.state)
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%d.%m.%Y %H:%M:%S")
        try:
            await asyncio.to_thread(mark_stopped, self._stop_mark, f"{each.witness.name}, {moment} (UTC): {words}")
        except OSError as error:
            _LOG.error("`%s`: метка об остановке не записана (%s)", self._stop_mark, error.strerror)

    def _confirming(self) -> int:
        """How many have confirmed of late."""
        return sum(self._clock() - each.seen.time <= self._wanted.alarm for each in self._counted)

    def _since(self) -> float:
        """Since when no more than now have confirmed: the time of the k-th last, or the start."""
        times = sorted((each.seen.time for each in self._counted if each.seen.time), reverse=True)
        return times[self.quorum - 1] if len(times) >= self.quorum else self._started

    async def _watch(self) -> None:
        """Say once when fewer than are wanted have confirmed for too long."""
        await self.heard(_FIRST_WORDS)
        while True:
            if self.lacking and not self._alarmed:
                await self.ask_now()  # a machine that slept has not asked anybody
            lacking = self.lacking
            if lacking and not self._alarmed:
                _LOG.error("%s", lacking)
                with suppress(RecordingError):
                    await self._recorder.append(Unwitnessed(round(self._since()), self._confirming(), self.quorum))
            self._alarmed = bool(lacking)
            await asyncio.sleep(min(self._wanted.every, 60.0))


class _Followed:
    """A witness and what is known of it."""

    def __init__(self, witness: Confirming) -> None:
        self.witness = witness
        self.seen = Seen()
        self.state = ""  # not asked yet
        self.trouble: Trouble | None = None
        self.disputed = False
        self.turn = asyncio.Lock()

    @property
    def standing(self) -> Standing:
        """For the administrator."""
        witness, seen = self.witness, self.seen
        return Standing(witness.name, witness.kind, witness.counts, seen.size, seen.time, self.state, self.trouble)

    def saw(self, seen: Seen, now: float) -> None:
        """Note what it has seen. A witness whose clock is ahead of ours shall not put off the alarm."""
        self.seen = Seen(seen.size, min(seen.time, now))

    def failed(self, trouble: Trouble, words: str) -> None:
        """Note that it did not confirm."""
        self.state, self.trouble = words, trouble
