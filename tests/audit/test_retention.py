"""Content whose time is over is dropped, a class and day at a time; headers, hashes and proofs stay, and a hold wins."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from audit import AuditLog, AuditReader, Entry, LogDamagedError, LogSettings, export_bundle, verify_file
from audit.store import Database

DAY_US = 86_400_000_000
NOON_US = 1_790_000_000_000_000
ANNA, BORIS = b"a" * 16, b"b" * 16


class Days:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOON_US

    def __call__(self) -> int:
        return self.now


async def filled(log: AuditLog, clock: Days, days: int = 3) -> None:
    """Each day two records of class 1, the first about Anna, and one of class 0."""
    for day in range(days):
        await log.append(Entry(1, 1, b"decision %d" % day, subjects=(ANNA,), retention=1))
        await log.append(Entry(2, 1, b"kept %d" % day, subjects=(BORIS,)))
        await log.append(Entry(1, 1, b"decision %d again" % day, retention=1))
        clock.now += DAY_US


async def swept(log: AuditLog, days: dict[int, int]) -> list[tuple[int, int]]:
    found = await log.expired(days)
    for each in found:
        await log.drop(each)
    return [(each.retention, each.records) for each in found]


async def test_what_is_too_old_goes_and_the_rest_stays(settings: LogSettings, vkey: str, tmp_path: Path) -> None:
    clock = Days()
    async with AuditLog.open(settings, clock=clock) as log:
        await filled(log, clock)
        assert await swept(log, {}) == []
        assert await swept(log, {1: 3}) == []
        clock.now += DAY_US
        assert await swept(log, {1: 3}) == [(1, 2)]
        assert await swept(log, {1: 3}) == []
        assert [(await log.read(seq)).kept for seq in range(9)] == [False, True, False, *[True] * 6]
        assert (await log.read(1)).subjects == (BORIS,)
        assert await log.of_subject(ANNA) == [3, 6]
        assert await log.of_subject(BORIS) == [1, 4, 7]
        await log.append(Entry(1, 1, b"today", retention=1))
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("audit.db*"))
    with closing(sqlite3.connect(settings.path)) as connection:
        assert connection.execute("SELECT seq FROM records WHERE body IS NULL").fetchall() == [(0,), (2,)]
        for (kept,) in connection.execute("SELECT body FROM records WHERE body IS NOT NULL"):
            assert kept in everything
    export_bundle(settings.path, tmp_path / "bundle")
    for path in (settings.path, tmp_path / "bundle"):
        report = verify_file(path, vkey)
        assert (report.ok, report.size, report.dropped) == (True, 10, 2)
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.kept for entry in reader.entries(0, 3)] == [False, True, False]


async def test_the_bytes_are_overwritten_and_the_key_is_gone(settings: LogSettings, tmp_path: Path) -> None:
    clock = Days()
    async with AuditLog.open(settings, clock=clock) as log:
        await filled(log, clock)
        with closing(sqlite3.connect(settings.path)) as connection:
            bodies = [body for (body,) in connection.execute("SELECT body FROM records WHERE seq IN (0, 2)")]
            (wrapped,) = connection.execute(
                "SELECT wrapped FROM keys JOIN sealing_keys USING (key_id) WHERE class = 1 ORDER BY first"
            ).fetchone()
        clock.now += DAY_US
        assert await swept(log, {1: 3}) == [(1, 2)]
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("audit.db*"))
    assert not [gone for gone in (*bodies, wrapped) if gone in everything]


async def test_a_hold_and_an_open_entry_keep_their_day(settings: LogSettings) -> None:
    clock = Days()
    async with AuditLog.open(settings, clock=clock) as log:
        await filled(log, clock, 1)
        opened = await log.append(Entry(1, 1, b"open", opens=True, retention=1))
        await log.hold_subject(ANNA, held=True)
        clock.now += 10 * DAY_US
        assert await swept(log, {1: 1}) == []  # the second day's key may still be used
        await log.append(Entry(1, 1, b"later", closes=opened.seq, retention=1))
        clock.now += 10 * DAY_US
        await log.append(Entry(1, 1, b"latest", retention=1))
        assert await swept(log, {1: 12}) == [(1, 1)]  # of the day whose entry is closed by now
        await log.hold_subject(ANNA, held=False)
        assert await swept(log, {1: 12}) == [(1, 2)]
        assert (await log.read(opened.seq)).kept is False


async def test_a_clock_set_back_never_seals_under_a_key_that_is_gone(settings: LogSettings) -> None:
    clock = Days()
    async with AuditLog.open(settings, clock=clock) as log:
        await log.append(Entry(1, 1, b"that day", retention=1))
        clock.now += 5 * DAY_US
        (found,) = await log.expired({1: 3})
        clock.now = NOON_US
        await log.drop(found)  # it is that day again: its key is in use
        assert (await log.read(0)).kept
        clock.now += 5 * DAY_US
        await log.drop(found)
        clock.now = NOON_US
        again = await log.append(Entry(1, 1, b"that day again", retention=1))
        assert (await log.read(again.seq)).body == b"that day again"
        assert (await log.read(0)).kept is False


async def test_what_was_interrupted_goes_with_the_next_sweep(
    settings: LogSettings, vkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Days()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    async with AuditLog.open(settings, clock=clock) as log:
        await filled(log, clock)
        clock.now += DAY_US
        (found,) = await log.expired({1: 3})
        with monkeypatch.context() as patched:
            patched.setattr(Database, "drop_ciphertexts", stop)
            with pytest.raises(KeyboardInterrupt):
                await log.drop(found)
    async with AuditLog.open(settings, clock=clock) as log:
        with pytest.raises(LogDamagedError):
            await log.read(0)  # its key is gone already
        assert await swept(log, {1: 3}) == [(1, 2)]
        assert (await log.read(0)).kept is False
    assert verify_file(settings.path, vkey).dropped == 2


async def test_a_ciphertext_that_went_before_its_key_is_damage(settings: LogSettings) -> None:
    clock = Days()
    async with AuditLog.open(settings, clock=clock) as log:
        await filled(log, clock)
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.execute("UPDATE records SET body = NULL WHERE seq = 1")
        connection.commit()
    with pytest.raises(LogDamagedError, match="срок"):
        async with AuditLog.open(settings, clock=clock):
            pass
    with AuditReader.open(settings.path, settings.kek_file) as reader, pytest.raises(LogDamagedError):
        reader.entry(1)
