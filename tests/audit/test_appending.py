"""The log through its public door: what is appended is there, whoever waits, in order and in batches."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from audit import (
    MAX_BODY,
    AuditLog,
    AuditReader,
    AuditWriteError,
    Entry,
    InvalidEntryError,
    LogSettings,
    UnknownEntryError,
    Verifier,
    export_bundle,
    verify_file,
)


async def test_an_entry_reads_back_as_it_was(settings: LogSettings) -> None:
    entry = Entry(300, 9, b"\x00body\xff", subjects=(b"a" * 16, b"b" * 16), opens=True, commit_to=b"the text")
    async with AuditLog.open(settings) as log:
        receipt = await log.append(entry)
        opened = await log.read(receipt.seq)
        assert (opened.seq, opened.kind, opened.schema, opened.body) == (0, 300, 9, entry.body)
        assert (opened.subjects, len(opened.commitment), opened.opens) == (entry.subjects, 32, True)
        assert opened.time_us == receipt.time_us
        assert len(receipt.leaf_hash) == 32


async def test_a_receipt_means_that_a_stranger_sees_the_entry(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        for number in range(5):
            receipt = await log.append(Entry(1, 1, b"%d" % number))
            with AuditReader.open(settings.path, settings.kek_file) as reader:
                assert reader.size == log.size == receipt.seq + 1
                assert reader.entry(receipt.seq).body == b"%d" % number


async def test_numbers_run_without_gap_over_restarts_and_every_run_has_its_own_epoch_key(
    settings: LogSettings, vkey: str
) -> None:
    receipts = []
    for _ in range(3):
        async with AuditLog.open(settings) as log:
            receipts += await asyncio.gather(*(log.append(Entry(1, 1, b"")) for _ in range(7)))
    assert [receipt.seq for receipt in receipts] == list(range(21))
    report = verify_file(settings.path, vkey)
    assert (report.ok, report.size, report.epochs, report.sealing_keys) == (True, 21, 3, 3)


async def test_the_checkpoint_always_covers_exactly_what_is_there(settings: LogSettings, vkey: str) -> None:
    verifier = Verifier.parse(vkey)
    async with AuditLog.open(settings) as log:
        assert verifier.open_checkpoint(log.checkpoint()).size == 0
        for size in range(1, 5):
            await log.append(Entry(1, 1, b""))
            assert verifier.open_checkpoint(log.checkpoint()).size == log.size == size
            report = verify_file(settings.path, vkey, log.checkpoint())
            assert (report.ok, report.known) == (True, size)


async def test_appends_of_many_tasks_share_commits(settings: LogSettings) -> None:
    seen = set()

    async def client(log: AuditLog) -> None:
        for _ in range(10):
            await log.append(Entry(1, 1, b""))
            seen.add(log.checkpoint())

    async with AuditLog.open(settings) as log:
        await asyncio.gather(*(client(log) for _ in range(20)))
        assert log.size == 200
    assert len(seen) < 100  # a checkpoint is signed at every commit


async def test_large_entries_are_spread_over_several_commits(settings: LogSettings) -> None:
    seen = set()

    async def client(log: AuditLog) -> None:
        await log.append(Entry(1, 1, bytes(MAX_BODY)))
        seen.add(log.checkpoint())

    async with AuditLog.open(settings) as log:
        await asyncio.gather(*(client(log) for _ in range(20)))
        assert log.size == 20
    assert 3 <= len(seen) < 20


async def test_the_loop_stays_free_while_the_log_writes(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        writing = asyncio.gather(*(log.append(Entry(1, 1, os.urandom(1000))) for _ in range(1000)))
        turns = 0
        while not writing.done():
            await asyncio.sleep(0.0005)  # a loop that only spins would take the interpreter from the writer's thread
            turns += 1
        await writing
        assert turns >= 5
        assert log.size == 1000


async def test_a_cancelled_callers_entry_is_recorded_and_the_batch_is_whole(settings: LogSettings, vkey: str) -> None:
    async with AuditLog.open(settings) as log:
        appends = [asyncio.create_task(log.append(Entry(1, 1, b"%d" % number, opens=True))) for number in range(30)]
        await asyncio.sleep(0)
        for append in appends[::3]:
            append.cancel()
        results = await asyncio.gather(*appends, return_exceptions=True)
        assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 10
        await log.append(Entry(1, 1, b"last"))
        assert log.size == 31
        assert len(await log.unclosed()) == 30
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.body for entry in reader.entries()][:30] == [b"%d" % number for number in range(30)]
    assert verify_file(settings.path, vkey).ok


async def test_what_waits_when_the_log_closes_is_still_written(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        appends = [asyncio.create_task(log.append(Entry(1, 1, b""))) for _ in range(10)]
        await asyncio.sleep(0)
    assert sorted([(await append).seq for append in appends]) == list(range(10))
    assert log.blocked == "closed"
    with pytest.raises(AuditWriteError) as refusal:
        await log.append(Entry(1, 1, b""))
    assert refusal.value.reason == "closed"


async def test_an_opened_entry_is_unclosed_until_its_closing_one_over_restarts(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        opened = [await log.append(Entry(1, 1, b"", opens=True)) for _ in range(3)]
        await log.append(Entry(2, 1, b"", closes=opened[1].seq))
        assert await log.unclosed() == (0, 2)
    async with AuditLog.open(settings) as log:
        assert await log.unclosed() == (0, 2)
        for seq in (0, 2, 2, 77):
            receipt = await log.append(Entry(2, 1, b"", closes=seq))
            assert (await log.read(receipt.seq)).closes == seq
        assert await log.unclosed() == ()


async def test_an_entry_may_open_and_be_closed_within_one_batch(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await asyncio.gather(
            *(
                log.append(Entry(1, 1, b"", opens=number % 2 == 0, closes=number - 1 if number % 2 else None))
                for number in range(40)
            )
        )
        assert await log.unclosed() == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 0),
        ("kind", 65536),
        ("schema", -1),
        ("schema", 65536),
        ("body", bytes(MAX_BODY + 1)),
        ("subjects", (b"short",)),
        ("subjects", (bytes(16),) * 1025),
        ("closes", -1),
        ("closes", 1 << 63),
    ],
)
async def test_an_entry_out_of_bounds_is_refused_and_blocks_nobody(
    settings: LogSettings, field: str, value: object
) -> None:
    bad = msgspec.structs.replace(Entry(1, 1, b""), **{field: value})
    async with AuditLog.open(settings) as log:
        with pytest.raises(InvalidEntryError) as refusal:
            await log.append(bad)
        assert (refusal.value.field, refusal.value.reason) == (field, "invalid-entry")
        await log.append(Entry(1, 1, bytes(MAX_BODY), subjects=(bytes(16),) * 1024))
        assert (log.size, log.blocked) == (1, None)
        assert len((await log.read(0)).body) == MAX_BODY


async def test_a_number_that_no_entry_has_is_said_so(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(Entry(1, 1, b""))
        for seq in (-1, 1, 1 << 70):
            with pytest.raises(UnknownEntryError):
                await log.read(seq)
        with AuditReader.open(settings.path, settings.kek_file) as reader:
            for seq in (-1, 1, 1 << 70):
                with pytest.raises(UnknownEntryError):
                    reader.entry(seq)


def test_entries_come_in_ranges_and_backwards(settings: LogSettings, fill) -> None:
    fill(settings, [Entry(1, 1, b"%d" % number) for number in range(30)])
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        everything = [entry.seq for entry in reader.entries()]
        assert everything == list(range(30))
        assert [entry.seq for entry in reader.entries(reverse=True)] == everything[::-1]
        assert [entry.seq for entry in reader.entries(5, 8)] == [5, 6, 7]
        assert [entry.seq for entry in reader.entries(5, 8, reverse=True)] == [7, 6, 5]
        assert [entry.seq for entry in reader.entries(-5, 900)] == everything
        assert list(reader.entries(8, 8)) == list(reader.entries(30, 40)) == []


async def test_ranges_longer_than_a_page_are_whole_in_both_directions(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await asyncio.gather(*(log.append(Entry(1, 1, b"")) for _ in range(1100)))
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.seq for entry in reader.entries(3, 1099)] == list(range(3, 1099))
        assert [entry.seq for entry in reader.entries(3, 1099, reverse=True)] == list(range(1098, 2, -1))


async def test_a_kept_checkpoint_stands_at_least_every_thousand_records(settings: LogSettings, vkey: str) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(Entry(1, 1, b""))
        await asyncio.gather(*(log.append(Entry(1, 1, b"")) for _ in range(2100)))
    report = verify_file(settings.path, vkey)
    assert report.ok
    assert report.checkpoints >= 2


async def test_more_subjects_than_memory_keeps_are_all_read_back(settings: LogSettings) -> None:
    subjects = [number.to_bytes(16) for number in range(4200)]
    async with AuditLog.open(settings) as log:
        for start in range(0, 4200, 600):
            await log.append(Entry(1, 1, b"", subjects=tuple(subjects[start : start + 600])))
        again = await log.append(Entry(1, 1, b"", subjects=(subjects[0], subjects[-1])))
        assert (await log.read(again.seq)).subjects == (subjects[0], subjects[-1])
        assert (await log.read(0)).subjects == tuple(subjects[:600])


async def test_no_plaintext_reaches_a_file(settings: LogSettings, tmp_path: Path) -> None:
    body, subject, text = b"CANARY-BODY-" + os.urandom(8).hex().encode(), os.urandom(16), b"CANARY-TEXT-" * 3
    async with AuditLog.open(settings) as log:
        for _ in range(3):
            await log.append(Entry(1, 1, body, subjects=(subject,), opens=True, commit_to=text))
        export_bundle(settings.path, tmp_path / "bundle")
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert len(files["audit.db-wal"]) > 3 * len(body)
        assert (await log.read(0)).body == body
    files |= {f"closed {path.name}": path.read_bytes() for path in tmp_path.iterdir()}
    assert {"audit.db", "closed audit.db", "audit.db-wal", "bundle"} <= set(files)
    for name, content in files.items():
        for secret in (body, subject, subject.hex().encode(), text[:12], settings.kek_file.read_bytes()):
            assert secret not in content or name.endswith("kek"), name


async def test_the_files_of_the_log_are_private(settings: LogSettings, tmp_path: Path) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(Entry(1, 1, b""))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("audit.db*")}
    assert set(modes) == {"audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"}
    assert set(modes.values()) == {0o600}
