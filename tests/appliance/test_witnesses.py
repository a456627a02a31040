"""When the log counts as witnessed, and when it is said that it does not: by clocks that stand as long as the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from appliance.errors import RecordingError
from appliance.events import Event, Unwitnessed, Witnessed, decode, entry
from appliance.witnesses import Confirmation, Witnesses
from appliance.witnessing import NotConfirmedError, RolledBackError, Seen, Trouble
from audit import AuditError, AuditLog, LogSettings, Receipt, create_kek, create_signing_key

HOUR = 3600.0
DAY = 24 * HOUR


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """What the service's own does, without policy and detector."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def append(self, event: Event) -> Receipt:
        try:
            return await self._log.append(entry(event))
        except AuditError:
            raise RecordingError("no log") from None


class Somebody:
    """A witness that confirms, or does not, as the test says. `ahead` is how far its clock is before ours, in seconds."""

    kind, counts, every = "fake", True, 0.001

    def __init__(self, name: str, clock: Clock, ahead: float = 0) -> None:
        self.name = name
        self.fails: Exception | None = None
        self.asked = 0
        self._clock = clock
        self._ahead = ahead

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        time = self._clock() + self._ahead
        await log.keep_seen(self.name, log.checkpoint(), int(time))
        return Seen(log.size, time)


AWAY = NotConfirmedError(Trouble.UNREACHABLE, "не отвечает")


class House:
    """A log, its clock and its witnesses."""

    def __init__(self, log: AuditLog, folder: Path) -> None:
        self.log, self.folder, self.clock = log, folder, Clock()
        self.somebodies: list[Somebody] = []

    def somebody(self, name: str, ahead: float = 0) -> Somebody:
        self.somebodies.append(Somebody(name, self.clock, ahead))
        return self.somebodies[-1]

    @asynccontextmanager
    async def watched(self, quorum: int = 1) -> AsyncIterator[Witnesses]:
        wanted = Confirmation(quorum, DAY, 0.001)
        mark = self.folder / "rolled-back"
        witnesses = Witnesses(self.log, Recorder(self.log), self.somebodies, wanted, mark, self.clock)  # type: ignore[arg-type]
        running = asyncio.create_task(witnesses.run())
        try:
            await witnesses.heard(30)
            yield witnesses
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def events(self, kind: type[Event]) -> list[Event]:
        records = [await self.log.read(number) for number in range(self.log.size)]
        decoded = [decode(record.kind, record.schema, record.body) for record in records]
        return [event for event in decoded if isinstance(event, kind)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = LogSettings(tmp_path / "audit.db", tmp_path / "kek", tmp_path / "sign.key", "log.test/audit")
    create_kek(settings.kek_file)
    create_signing_key(settings.signing_key_file, settings.origin)
    async with AuditLog.open(settings) as log:
        yield House(log, tmp_path)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_idle_log_is_shown_again_before_its_silence_is_an_alarm(house: House) -> None:
    witness = house.somebody("one")
    async with house.watched() as witnesses:
        await until(lambda: witnesses.states == {"one": "ok"} and witnesses.standings[0].size == house.log.size)
        size = house.log.size
        for _ in range(4):
            asked = witness.asked
            house.clock.now += 13 * HOUR
            await until(lambda asked=asked: witness.asked > asked)
            await until(lambda: witnesses.standings[0].time == house.clock.now)
            assert witnesses.lacking == ""
    assert await house.events(Unwitnessed) == []
    assert house.log.size == size  # nor does it make records


async def test_a_machine_that_slept_for_days_raises_no_alarm_before_it_has_asked(house: House) -> None:
    house.somebody("one")
    async with house.watched() as witnesses:
        await until(lambda: witnesses.states == {"one": "ok"})
        for _ in range(20):
            house.clock.now += 30 * DAY
            await until(lambda: witnesses.standings[0].time == house.clock.now)
            await asyncio.sleep(
                0.03
            )  # the watch may be between asking and looking, where the clock shall not jump again
    assert await house.events(Unwitnessed) == []


async def test_a_witness_whose_clock_is_ahead_puts_no_alarm_off(house: House, caplog) -> None:
    witness = house.somebody("one", ahead=1000 * DAY)
    async with house.watched() as witnesses:
        await until(lambda: witnesses.states == {"one": "ok"})
        since = house.clock.now
        witness.fails = AWAY
        house.clock.now += 25 * HOUR
        await until(lambda: witnesses.states["one"] != "ok")
        assert "не отвечает" in witnesses.lacking
        await until(lambda: witnesses._alarmed)
    async with house.watched() as witnesses:  # nor after a restart, which remembers what it said
        house.clock.now += 25 * HOUR
        assert "не отвечает" in witnesses.lacking
    assert (await house.events(Unwitnessed))[0] == Unwitnessed(int(since), 0, 1)
    assert (
        "никто не подтверждал журнал с 15.01.2027 08:00 (UTC): one — не отвечает" in caplog.messages
    )  # for the administrator


async def test_the_k_th_of_n_decides_how_far_and_since_when(house: House) -> None:
    _, two, three = (house.somebody(name) for name in ("one", "two", "three"))
    async with house.watched(quorum=2) as witnesses:
        await until(lambda: set(witnesses.states.values()) == {"ok"})
        await until(lambda: witnesses.witnessed == house.log.size)
        full = house.log.size
        two.fails = three.fails = AWAY
        house.clock.now += HOUR
        await house.log.append(entry(Witnessed("x", 1)))
        await until(lambda: witnesses.standings[0].size > full)
        await until(lambda: list(witnesses.states.values()) == ["ok", "не отвечает", "не отвечает"])
        assert witnesses.witnessed == full
        assert witnesses.lacking == ""
        house.clock.now += DAY
        await until(lambda: witnesses.lacking != "")
        await until(lambda: witnesses.standings[0].time == house.clock.now)
        await until(lambda: witnesses._alarmed)
        three.fails = None
        await until(lambda: witnesses.witnessed == house.log.size)
        await until(lambda: not witnesses._alarmed)
        assert witnesses.lacking == ""
    unwitnessed = await house.events(Unwitnessed)
    assert [event.quorum for event in unwitnessed] == [2]


async def test_one_that_saw_more_stops_the_log_and_leaves_the_mark_of_the_first_reason(house: House) -> None:
    house.somebody("good")
    bad = house.somebody("bad")
    bad.fails = RolledBackError("свидетель видел больше")
    async with house.watched() as witnesses:
        await until(lambda: "откатили" in witnesses.states["bad"])
        assert house.log.blocked == "rolled-back"
        mark = house.folder / "rolled-back"
        await until(mark.exists)
        left = mark.read_text()
        assert "bad" in left
        assert "свидетель видел больше" in left
        await witnesses.ask_now()
        with pytest.raises(AuditError):
            await house.log.append(entry(Witnessed("x", 1)))
    assert mark.read_text() == left
    assert mark.stat().st_mode & 0o777 == 0o600


async def test_what_a_witness_confirmed_is_remembered_over_a_restart(house: House) -> None:
    witness = house.somebody("one")
    async with house.watched() as witnesses:
        await until(lambda: witnesses.witnessed == house.log.size)
        size = house.log.size
    witness.fails = AWAY
    house.clock.now += HOUR
    async with house.watched() as witnesses:
        (standing,) = witnesses.standings
        assert (standing.size, standing.time, standing.trouble) == (size, house.clock.now - HOUR, Trouble.UNREACHABLE)
        assert witnesses.witnessed == size
        assert witnesses.lacking == ""
