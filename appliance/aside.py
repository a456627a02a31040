"""Requests recorded aside while the log cannot write, and brought into it when it can: the mode `deny-personal-data`.

A side file holds an Intent or an Outcome a line, on disk before the provider is called. What is in it enters the log as the same records,
marked with the digest and the time of their lines, before anything that came later; only then is the file emptied. A crash between leaves
records twice in the log, with the same request, attempt and digest, and never none.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import count

import msgspec

from appliance.events import SCHEMA, Intent, Outcome, SideBroughtIn, decode, entry
from audit import AuditError, AuditLog, AuditWriteError, SideFile, SideFileError, SideLine, WriteFailure

_AT_ONCE = 256  # lines brought in together: one transaction
_EVERY = 5.0  # seconds between two tries of a log that does not write
_LOG = logging.getLogger("appliance")


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is in a line. `line`: of the Intent that an Outcome is about, in this file; -1 when its number in the log stands in the body."""

    kind: int
    schema: int
    body: bytes
    line: int = -1


class _Pending(msgspec.Struct):
    event: Intent | Outcome
    reference: int
    done: asyncio.Future[None]


class Aside:
    """Keeps Intents and Outcomes for a log that cannot write; `taking`: new ones too, and not only what an earlier run left.

    An Intent that is here and not in the log is known by a reference below -1.
    """

    def __init__(self, log: AuditLog, file: SideFile, *, taking: bool) -> None:
        self.taking = taking
        self.failure: str | None = None  # why the file could not be written, at the last try
        self._log = log
        self._file = file
        self._turn = asyncio.Lock()
        self._references = count(2)
        self._pending: list[_Pending] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[int, int] = {}  # reference → line of the Intent in the file
        self._numbers: dict[int, int] = {}  # reference → number of the Intent in the log, once it was brought in
        self._brought: dict[int, int] = {}  # line → number in the log, while the file is being brought in
        self._done = 0  # lines that are in the log already
        self._unfit = 0  # of them, those that said nothing
        self._told = False

    @property
    def waiting(self) -> bool:
        """Whether anything is to be brought in."""
        return self._file.waiting

    @property
    def takes(self) -> bool:
        """Whether an Intent would be kept here now: the log does not write, for a reason that passes."""
        return self.taking and self._log.may_recover

    async def intent(self, intent: Intent, commit_to: bytes) -> int:
        """Keep an Intent; its reference, once it is on disk. Raises AuditError: then it is not."""
        reference = -next(self._references)
        key = os.urandom(32)
        committed = hmac.digest(key, commit_to, "sha256")
        await self._write(msgspec.structs.replace(intent, commitment=committed, commit_key=key), reference)
        return reference

    async def outcome(self, outcome: Outcome) -> None:
        """Record the Outcome of an Intent that was kept here: in the log when that has it by now and writes. Raises AuditError."""
        number = self._numbers.get(outcome.intent)
        if number is not None:
            with suppress(AuditWriteError):
                await self._log.append(entry(msgspec.structs.replace(outcome, intent=number)))
                del self._numbers[outcome.intent]
                return
        await self._write(outcome, outcome.intent)
        self._numbers.pop(outcome.intent, None)

    async def make_way(self) -> None:
        """Bring in what waits, before anything later is recorded. Raises AuditError: then nothing may be recorded yet."""
        if self.waiting:
            if self._log.blocked is not None:
                raise AuditWriteError(WriteFailure(self._log.blocked))
            await self.bring_in()

    async def bring_in(self) -> None:
        """Make records of all that is here, then empty the file. Raises AuditError: the rest waits for another try.

        Once begun it goes on, even when the caller is cancelled.
        """
        if self.waiting:
            await asyncio.shield(self._spawn(self._bring_in()))

    async def _write(self, event: Intent | Outcome, reference: int) -> None:
        pending = _Pending(event, reference, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._spawn(self._flush())
        await pending.done

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # an error is told to who waits
        return task

    async def _flush(self) -> None:
        """Write what has gathered, in one go."""
        async with self._turn:
            batch, self._pending = self._pending, []
            for kind in (Intent, Outcome):
                await self._keep([each for each in batch if isinstance(each.event, kind)], closing=kind is Outcome)

    async def _keep(self, batch: Sequence[_Pending], *, closing: bool) -> None:
        if not batch:
            return
        contents = [msgspec.msgpack.encode(self._kept(each)) for each in batch]
        try:
            lines = await asyncio.to_thread(self._file.append, contents, closing=closing)
        except AuditError as error:
            self.failure = str(error)
            for each in batch:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        self.failure = None
        for each, line in zip(batch, lines, strict=True):
            if not closing:
                self._lines[each.reference] = line.number
            if not each.done.done():  # done: its caller was cancelled
                each.done.set_result(None)

    def _kept(self, pending: _Pending) -> _Kept:
        event, line = pending.event, -1
        if isinstance(event, Outcome):
            line = self._lines.get(pending.reference, -1)
            # A reference says nothing to another run; its Intent may have been brought in while this waited for its turn.
            event = msgspec.structs.replace(event, intent=self._numbers.get(pending.reference, 0))
        written = entry(event)
        return _Kept(written.kind, written.schema, written.body, line)

    async def _bring_in(self) -> None:
        async with self._turn:
            found = await asyncio.to_thread(self._file.lines)
            while self._done < len(found.lines):
                part = found.lines[self._done : self._done + _AT_ONCE]
                await self._bring(part)
                self._done += len(part)
            damaged = found.damaged + self._unfit
            if not self._told:
                intents = len(self._brought)
                outcomes = len(found.lines) - self._unfit - intents
                await self._log.append(entry(SideBroughtIn(intents, outcomes, damaged, found.head)))
                self._told = True
            if damaged:
                kept = await asyncio.to_thread(self._file.put_aside)
                _LOG.error("в файле записей в стороне повреждено строк: %d; он сохранён: %s", damaged, kept)
            else:
                await asyncio.to_thread(self._file.clear)
            self._numbers.update(
                {each: self._brought[line] for each, line in self._lines.items() if line in self._brought}
            )
            self._lines, self._brought = {}, {}
            self._done, self._unfit, self._told = 0, 0, False

    async def _bring(self, lines: Sequence[SideLine]) -> None:
        """Make records of some lines: Intents first, for Outcomes name them by number."""
        intents: list[tuple[SideLine, Intent]] = []
        outcomes: list[tuple[SideLine, Outcome, int]] = []
        for line in lines:
            kept, event = _read(line)
            match event:
                case Intent():
                    intents.append((line, event))
                case Outcome():
                    outcomes.append((line, event, kept.line))
                case _:
                    self._unfit += 1
        marked = [msgspec.structs.replace(event, side=line.digest, side_time=line.time_us) for line, event in intents]
        receipts = await asyncio.gather(*(self._log.append(entry(event)) for event in marked))
        for (line, _), receipt in zip(intents, receipts, strict=True):
            self._brought[line.number] = receipt.seq
        ended = []
        for line, outcome, about in outcomes:
            number = outcome.intent if about < 0 else self._brought.get(about)
            if number is None:  # its Intent is one of the damaged lines
                self._unfit += 1
                continue
            ended.append(msgspec.structs.replace(outcome, intent=number, side=line.digest, side_time=line.time_us))
        await asyncio.gather(*(self._log.append(entry(event)) for event in ended))


async def recover(log: AuditLog, aside: Aside | None) -> None:
    """Try whether a log that could not write can now, then bring in what was recorded aside. Raises AuditError: not yet."""
    await log.recover()
    if aside is not None:
        await aside.bring_in()


async def keep_recovering(log: AuditLog, aside: Aside | None) -> None:
    """Try, for ever: no request may come to do it while we are not ready."""
    while True:
        try:
            if log.may_recover or (aside is not None and aside.waiting and log.blocked is None):
                await recover(log, aside)
        except SideFileError as error:
            _LOG.error("%s", error)
        except AuditError:  # the state of the log says which
            _LOG.debug("the log still does not write")
        await asyncio.sleep(_EVERY)


def _read(line: SideLine) -> tuple[_Kept, object]:
    try:
        kept = msgspec.msgpack.decode(line.content, type=_Kept)
        return kept, decode(kept.kind, kept.schema, kept.body)
    except msgspec.DecodeError:
        return _Kept(0, SCHEMA, b""), None
