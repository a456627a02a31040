"""A log that cannot write says so to everybody, records nothing halfway, and is whole afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

import audit.store
from audit import (
    AuditLog,
    AuditReader,
    AuditWriteError,
    Entry,
    KeyFileError,
    LogDamagedError,
    LogFileError,
    LogInUseError,
    LogSettings,
    create_kek,
    create_signing_key,
    verify_file,
)

BIG = Entry(1, 1, bytes(30_000))


async def reasons(log: AuditLog, count: int) -> list[str]:
    """What `count` appends at once end with."""
    results = await asyncio.gather(*(log.append(BIG) for _ in range(count)), return_exceptions=True)
    return [result.reason if isinstance(result, AuditWriteError) else type(result).__name__ for result in results]


async def test_a_full_log_refuses_whole_batches_and_takes_what_still_fits(settings: LogSettings, vkey: str) -> None:
    async with AuditLog.open(msgspec.structs.replace(settings, max_bytes=300_000)) as log:
        before = await log.append(Entry(1, 1, b"", subjects=(b"a" * 16,)))
        checkpoint = log.checkpoint()
        assert await reasons(log, 20) == ["disk-full"] * 20
        assert (log.size, log.checkpoint(), log.blocked) == (1, checkpoint, "disk-full")
        small = await log.append(Entry(1, 1, b"fits"))
        assert (small.seq, log.blocked) == (before.seq + 1, None)
    assert verify_file(settings.path, vkey).ok
    async with AuditLog.open(settings) as log:
        assert await reasons(log, 20) == ["Receipt"] * 20
        assert log.size == 22
    assert verify_file(settings.path, vkey).ok


async def test_a_subject_first_met_in_a_failed_batch_gets_its_key_in_the_next(settings: LogSettings) -> None:
    subject = b"s" * 16
    async with AuditLog.open(msgspec.structs.replace(settings, max_bytes=200_000)) as log:
        with pytest.raises(AuditWriteError):
            await log.append(Entry(1, 1, bytes(400_000), subjects=(subject,)))
        receipt = await log.append(Entry(1, 1, b"", subjects=(subject,)))
        assert (await log.read(receipt.seq)).subjects == (subject,)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Writes beyond this size fail in the kernel (EFBIG), which SQLite reports as an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_an_io_error_blocks_the_log_until_a_restart_and_loses_nothing(settings: LogSettings, vkey: str) -> None:
    async with AuditLog.open(settings) as log:
        for _ in range(3):
            await log.append(BIG)
        wal = settings.path.with_name("audit.db-wal").stat().st_size
        with no_file_longer_than(wal + 10_000):
            assert await reasons(log, 3) == ["io-error"] * 3
        assert (log.blocked, log.size) == ("io-error", 3)
        assert await reasons(log, 2) == ["io-error"] * 2  # the disk is well again: still refused
        assert len((await log.read(2)).body) == 30_000
    async with AuditLog.open(settings) as log:
        assert (log.blocked, log.size) == (None, 3)
        await log.append(BIG)
    assert verify_file(settings.path, vkey).size == 4


async def test_a_log_removed_under_the_writer_blocks_it(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(BIG)
        settings.path.rename(settings.path.with_name("elsewhere"))
        assert await reasons(log, 1) == ["moved"]
        settings.path.write_bytes(b"another file")
        assert await reasons(log, 1) == ["moved"]
        assert log.blocked == "moved"


async def test_a_log_that_another_program_holds_is_busy_and_recovers(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit.store, "_BUSY_SECONDS", 0.01)  # the real five seconds would only make the test slow
    async with AuditLog.open(settings) as log:
        await log.append(BIG)
        intruder = sqlite3.connect(settings.path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        assert await reasons(log, 2) == ["busy"] * 2
        intruder.execute("ROLLBACK")
        intruder.close()
        assert await reasons(log, 2) == ["Receipt"] * 2
        assert (log.size, log.blocked) == (3, None)


async def test_a_queue_without_end_is_refused(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        results = await asyncio.gather(*(log.append(Entry(1, 1, b"")) for _ in range(17_000)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, AuditWriteError)]
        assert {error.reason for error in refused} == {"overloaded"}
        assert log.size == 17_000 - len(refused) == 16_384


async def test_a_fault_of_our_own_blocks_the_log_and_comes_out(settings: LogSettings) -> None:
    opened = AuditLog.open(settings)
    log = await opened.__aenter__()
    wrong = Entry(1, 1, b"", commit_to=7)  # a type error that no check at the door looks for
    results = await asyncio.gather(*(log.append(each) for each in (BIG, wrong, BIG)), return_exceptions=True)
    assert [result.reason for result in results] == ["failed"] * 3
    assert (log.size, log.blocked) == (0, "failed")
    assert await reasons(log, 1) == ["failed"]
    with pytest.raises(TypeError):
        await opened.__aexit__(None, None, None)


async def test_a_second_writer_is_refused_while_the_first_works_on(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        with pytest.raises(LogInUseError, match="уже пишет"):
            async with AuditLog.open(settings):
                pytest.fail("two writers")
        await log.append(BIG)
    async with AuditLog.open(settings) as log:
        assert log.size == 1


@pytest.mark.parametrize(("mode", "words"), [(0o400, "только для чтения"), (0o620, "другие"), (0o602, "другие")])
async def test_a_file_with_wrong_rights_is_refused(settings: LogSettings, fill, mode: int, words: str) -> None:
    async with AuditLog.open(settings):
        pass
    settings.path.chmod(mode)
    with pytest.raises(LogFileError, match=words):
        async with AuditLog.open(settings):
            pytest.fail("opened")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_another_user_is_refused(settings: LogSettings) -> None:
    async with AuditLog.open(settings):
        pass
    os.chown(settings.path, 65534, -1)
    with pytest.raises(LogFileError, match="другому пользователю"):
        async with AuditLog.open(settings):
            pytest.fail("opened")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + bytes(4080)])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(settings: LogSettings, content: bytes) -> None:
    settings.path.write_bytes(content)
    settings.path.chmod(0o600)
    with pytest.raises(LogFileError):
        async with AuditLog.open(settings):
            pytest.fail("opened")
    assert settings.path.read_bytes() == content


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE visits (id)",
        "PRAGMA user_version = 9",
        "PRAGMA application_id = 1",
        "CREATE TRIGGER quiet AFTER INSERT ON records BEGIN DELETE FROM open_entries; END",
        "DROP TRIGGER records_stay",
    ],
)
async def test_a_foreign_schema_is_refused(settings: LogSettings, statement: str) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(BIG)
    with sqlite3.connect(settings.path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(LogFileError, match="другой версии"):
        async with AuditLog.open(settings):
            pytest.fail("opened")
    with pytest.raises(LogFileError), AuditReader.open(settings.path, settings.kek_file):
        pytest.fail("opened")


async def test_somebody_elses_database_is_refused_and_left_alone(settings: LogSettings) -> None:
    with sqlite3.connect(settings.path) as connection:
        connection.execute("CREATE TABLE visits (id)")
    connection.close()
    settings.path.chmod(0o600)
    with pytest.raises(LogFileError):
        async with AuditLog.open(settings):
            pytest.fail("opened")
    with sqlite3.connect(settings.path) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("visits",)]
    connection.close()


async def test_paths_that_cannot_hold_a_log_are_refused(settings: LogSettings) -> None:
    (settings.path.parent / "folder").mkdir()
    (settings.path.parent / "link.lock").symlink_to("nowhere")
    for path in (settings.path.parent / "folder", settings.kek_file / "audit.db", settings.path.parent / "link"):
        with pytest.raises(LogFileError):
            async with AuditLog.open(msgspec.structs.replace(settings, path=path)):
                pytest.fail("opened")
    with pytest.raises(LogFileError), AuditReader.open(settings.path, settings.kek_file):
        pytest.fail("there is no log yet")


async def test_a_log_too_small_for_its_own_schema_is_full_at_once(settings: LogSettings) -> None:
    with pytest.raises(AuditWriteError) as refusal:
        async with AuditLog.open(msgspec.structs.replace(settings, max_bytes=5000)):
            pytest.fail("opened")
    assert refusal.value.reason == "disk-full"
    async with AuditLog.open(settings) as log:
        await log.append(BIG)


async def test_the_wrong_keys_are_refused_before_anything_is_written(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(BIG)
    content = settings.path.read_bytes()
    folder = settings.path.parent
    create_kek(folder / "other-kek")
    create_signing_key(folder / "other.key", settings.origin)
    create_signing_key(folder / "elsewhere.key", "log.test/other")
    for change in (
        {"kek_file": folder / "other-kek"},
        {"signing_key_file": folder / "other.key"},
        {"signing_key_file": folder / "elsewhere.key"},
        {"signing_key_file": folder / "elsewhere.key", "origin": "log.test/other"},
        {"origin": "log.test/other"},
        {"kek_file": folder / "absent"},
        {"signing_key_file": folder / "absent"},
    ):
        with pytest.raises(KeyFileError):
            async with AuditLog.open(msgspec.structs.replace(settings, **change)):
                pytest.fail("opened")
    with pytest.raises(KeyFileError), AuditReader.open(settings.path, folder / "other-kek"):
        pytest.fail("opened")
    assert settings.path.read_bytes() == content


def tamper(settings: LogSettings, *statements: str) -> None:
    """Change records as somebody with the file and SQLite could: the triggers go and come back."""
    connection = sqlite3.connect(settings.path, isolation_level=None)
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name DESC"
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM records WHERE seq = 19",
        "DELETE FROM records WHERE seq = 0",
        "DELETE FROM records WHERE seq = 7",
        "DELETE FROM records",
        "UPDATE records SET body = x'00' WHERE seq = 18",
        "UPDATE records SET body = NULL WHERE seq = 18",
        "UPDATE records SET subjects = x'00' WHERE seq = 18",
        "UPDATE records SET header = zeroblob(142) WHERE seq = 18",
        "UPDATE records SET leaf_hash = zeroblob(32) WHERE seq = 18",
        "INSERT INTO records SELECT 20, header, leaf_hash, body, subjects FROM records WHERE seq = 19",
        "INSERT INTO records SELECT -1, header, leaf_hash, body, subjects FROM records WHERE seq = 19",
        "UPDATE tree SET size = 19",
        "UPDATE tree SET frontier = zeroblob(64)",
        "UPDATE tree SET frontier = x'00'",
        "UPDATE tree SET note = replace(note, 'log.test/audit' || char(10) || '20', 'log.test/audit' || char(10) || '21')",
        "DELETE FROM tree",
    ],
)
async def test_a_changed_log_does_not_open(settings: LogSettings, statement: str) -> None:
    async with AuditLog.open(settings) as log:
        for _ in range(20):
            await log.append(Entry(1, 1, b"x"))
    tamper(settings, statement)
    with pytest.raises(LogDamagedError):
        async with AuditLog.open(settings):
            pytest.fail("opened")


async def test_a_writer_whose_bytes_do_not_read_back_signs_nothing(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(BIG)
        checkpoint = log.checkpoint()
        intruder = sqlite3.connect(settings.path, isolation_level=None)
        intruder.execute(
            "CREATE TRIGGER flip AFTER INSERT ON records BEGIN UPDATE records SET body = x'00' WHERE seq = new.seq; END"
        )
        intruder.close()
        assert await reasons(log, 2) == ["damaged"] * 2
        assert (log.checkpoint(), log.blocked) == (checkpoint, "damaged")


async def test_a_damaged_subject_key_fails_the_append_rather_than_make_a_second_one(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(Entry(1, 1, b"", subjects=(b"a" * 16,)))
    tamper(settings, "UPDATE subject_keys SET wrapped = x'00'")
    async with AuditLog.open(settings) as log:
        with pytest.raises(AuditWriteError) as refusal:
            await log.append(Entry(1, 1, b"", subjects=(b"a" * 16,)))
        assert (refusal.value.reason, log.size) == ("damaged", 1)


def test_a_reader_names_the_record_whose_bytes_were_changed(settings: LogSettings, fill) -> None:
    fill(settings, [Entry(1, 1, b"x") for _ in range(5)])
    tamper(settings, "UPDATE records SET body = x'00' WHERE seq = 3")
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert reader.entry(2).body == b"x"
        with pytest.raises(LogDamagedError) as damage:
            reader.entry(3)
    assert damage.value.seq == 3


@pytest.mark.parametrize("full", [False, True])
async def test_a_log_that_was_stopped_while_a_batch_is_written_stays_stopped(
    settings: LogSettings, *, full: bool
) -> None:
    async with AuditLog.open(msgspec.structs.replace(settings, max_bytes=200_000 if full else None)) as log:
        entry = Entry(1, 1, bytes(400_000) if full else b"x")
        waiting = asyncio.create_task(log.append(entry))
        await asyncio.sleep(0)
        while (
            log._queue
        ):  # taken out of the queue: it is being written, and how that ends is not told before we wait again
            await asyncio.sleep(0)
        log.stop_as_rolled_back()
        await asyncio.gather(waiting, return_exceptions=True)
        assert log.blocked == "rolled-back"
        with pytest.raises(AuditWriteError):
            await log.append(Entry(1, 1, b"y"))
        assert log.blocked == "rolled-back"
