"""Cutting a person off from the log: what remains opens with no key that remains, and every proof still holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from audit import AuditLog, AuditReader, Entry, KeyFileError, LogSettings, SubjectHeldError, verify_file
from audit.generations import Generations
from audit.sealing import EPOCH, INDEX, Kek, SubjectKek, SubjectKey, WrappedKey, months_between
from tests.audit.conftest import installed

ANNA, BORIS, VERA = b"a" * 16, b"b" * 16, b"v" * 16


def entries() -> list[Entry]:
    return [Entry(1, 1, b"%d" % number, subjects=((ANNA, BORIS), (ANNA,), (VERA,))[number % 3]) for number in range(9)]


def subjects(settings: LogSettings) -> list[tuple[bytes | None, ...]]:
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        return [entry.subjects for entry in reader.entries()]


def copied(settings: LogSettings, folder: Path) -> LogSettings:
    """A backup of the database as it lies, write-ahead log and all."""
    folder.mkdir()
    for path in settings.path.parent.glob("audit.db*"):
        shutil.copy(path, folder / path.name)
    return LogSettings(
        folder / "audit.db", settings.kek_file, settings.signing_key_file, settings.origin, settings.subject_keys
    )


def keys_left(settings: LogSettings) -> list[bytes]:
    """Every key that whoever has the key files and the database can get hold of."""
    material = settings.kek_file.read_bytes()
    kek = Kek(material)
    generations = Generations.load(settings.subject_keys, kek)
    left = [material, *(each.material for each in generations._keys.values())]
    with closing(sqlite3.connect(settings.path)) as connection:
        for role, *row in connection.execute("SELECT role, key_id, wrapped, key_check FROM keys"):
            left.append(kek.unwrap({"epoch": EPOCH, "index": INDEX}[role], WrappedKey(*row)))
    return left


def opened_with(left: list[bytes], database: Path) -> set[bytes]:
    """Subjects whose keys in a database open with any of these keys."""
    found = set()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT key_id, wrapped, key_check FROM subject_keys").fetchall()
    for row in rows:
        for key in left:
            for role in (b"subject", b"subject-kek", b"epoch", b"index"):
                try:
                    found.add(Kek(key).unwrap(role, WrappedKey(*row))[32:])
                except KeyFileError:
                    continue
    return found


def tags_of(left: list[bytes], subject: bytes) -> set[bytes]:
    """Every tag by which somebody with these keys could look for a subject."""
    months = months_between(1_700_000_000_000_000, 2_000_000_000_000_000)
    return {SubjectKek(key).tag(subject) for key in left} | {
        SubjectKey(b"", key).monthly_tag(month) for key in left for month in months
    }


async def test_after_erasure_nothing_that_remains_leads_to_the_person(settings: LogSettings, tmp_path: Path) -> None:
    async with AuditLog.open(settings) as log:
        for entry in entries():
            await log.append(entry)
        before = copied(settings, tmp_path / "before")
        row = sqlite3.connect(settings.path).execute("SELECT count(*) FROM subject_keys").fetchone()
        erased = await log.erase_subject(ANNA)
        renewed = await log.renew_subject_keys()
        running = copied(settings, tmp_path / "running")
        assert (row, erased.records, renewed.generation, renewed.wal_emptied) == ((3,), 6, 2, True)
        assert [entry.subjects for entry in [await log.read(number) for number in range(3)]] == [
            (None, BORIS),
            (None,),
            (VERA,),
        ]
        assert (await log.of_subject(ANNA), await log.of_subject(BORIS)) == ([], [0, 3, 6])

    left = keys_left(settings)
    assert opened_with(left, settings.path) == {BORIS, VERA}
    for copy in (before, running):
        with closing(sqlite3.connect(copy.path)):  # the write-ahead log of the copy is read
            assert ANNA not in opened_with(left, copy.path)
    assert opened_with(left, before.path) == set()
    assert subjects(before) == [(None,) * len(entry.subjects) for entry in entries()]
    tags = tags_of(left, ANNA)
    for copy in (before, running, settings):
        content = b"".join(path.read_bytes() for path in copy.path.parent.glob("audit.db*"))
        assert not [tag for tag in tags if tag in content]
        assert ANNA not in content
    assert verify_file(settings.path, settings.signing_key_file.with_suffix(".pub").read_text()).ok


async def test_before_the_renewal_an_older_copy_still_opens_which_is_why_there_is_one(
    settings: LogSettings, tmp_path: Path
) -> None:
    async with AuditLog.open(settings) as log:
        for entry in entries():
            await log.append(entry)
        before = copied(settings, tmp_path / "before")
        await log.erase_subject(ANNA)
        assert subjects(before)[0] == (ANNA, BORIS)
        assert opened_with(keys_left(settings), before.path) == {ANNA, BORIS, VERA}
        await log.renew_subject_keys()
        assert subjects(before)[0] == (None, None)


async def test_a_database_put_back_from_before_goes_on_without_the_ties_that_were_destroyed(
    settings: LogSettings, tmp_path: Path
) -> None:
    async with AuditLog.open(settings) as log:
        for entry in entries():
            await log.append(entry)
        before = copied(settings, tmp_path / "before")
        await log.erase_subject(ANNA)
        await log.renew_subject_keys()
    async with AuditLog.open(before) as log:
        again = await log.append(Entry(1, 1, b"x", subjects=(BORIS,)))
        assert [await log.of_subject(person) for person in (ANNA, BORIS)] == [[], [again.seq]]
        assert (await log.renew_subject_keys()).generation == 3
        assert (await log.read(0)).body == b"0"
    with closing(sqlite3.connect(before.path)) as connection:
        assert connection.execute("SELECT count(*), min(generation) FROM subject_keys").fetchone() == (1, 3)


async def test_a_person_who_returns_is_tied_to_nothing_from_before(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        for entry in entries():
            await log.append(entry)
        await log.erase_subject(ANNA)
        again = await log.append(Entry(1, 1, b"x", subjects=(ANNA,)))
        assert await log.of_subject(ANNA) == [again.seq]
        assert (await log.erase_subject(ANNA)).records == 1
        assert (await log.erase_subject(ANNA)).records == 0


async def test_a_hold_wins_until_it_is_lifted_over_restarts_too(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(entries()[0])
        assert await log.hold_subject(ANNA, held=True)
        assert not await log.hold_subject(ANNA, held=True)
        assert await log.hold_subject(VERA, held=True)  # of whom there is nothing yet
        assert not await log.hold_subject(b"n" * 16, held=False)
    async with AuditLog.open(settings) as log:
        for held in (ANNA, VERA):
            with pytest.raises(SubjectHeldError):
                await log.erase_subject(held)
        await log.renew_subject_keys()
        with pytest.raises(SubjectHeldError):
            await log.erase_subject(ANNA)
        assert await log.of_subject(ANNA) == [0]
        assert await log.hold_subject(ANNA, held=False)
        assert (await log.erase_subject(ANNA)).records == 1


async def test_entries_are_recorded_while_keys_are_renewed(settings: LogSettings) -> None:
    people = [bytes((number // 256, number % 256)) * 8 for number in range(1200)]
    async with AuditLog.open(settings) as log:
        await asyncio.gather(*(log.append(Entry(1, 1, b"x", subjects=(person,))) for person in people))
        renewing = asyncio.create_task(log.renew_subject_keys())
        during = [await log.append(Entry(1, 1, b"y", subjects=(person,))) for person in people[:40]]
        assert (await renewing).generation == 2
        assert [await log.of_subject(person) for person in people[:40]] == [
            [number, receipt.seq] for number, receipt in enumerate(during)
        ]
    async with AuditLog.open(settings) as log:
        assert [await log.of_subject(person) for person in people[1190:]] == [[number] for number in range(1190, 1200)]


class _StopError(Exception):
    """In place of a crash."""


@pytest.mark.parametrize("at", ["begin", "rewrap", "end"])
async def test_a_renewal_that_was_interrupted_is_finished_at_the_next_start(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    async with AuditLog.open(settings) as log:
        for entry in entries():
            await log.append(entry)
        await log.erase_subject(ANNA)
        writer = log._writer
        name = {"begin": "rewrap", "rewrap": "end_generation", "end": "end_generation"}[at]

        def stop(*_: object) -> None:
            raise _StopError

        if at == "end":  # the file was being replaced
            monkeypatch.setattr(Generations, "_write", stop)
            monkeypatch.setattr(writer, "begin_generation", lambda _: 1)
        else:
            monkeypatch.setattr(writer, name, stop)
        with pytest.raises(_StopError):
            await log.renew_subject_keys()
        monkeypatch.undo()
    generations = [each["generation"] for each in json.loads(settings.subject_keys.read_bytes())["generations"]]
    assert generations == ([1] if at == "end" else [1, 2])
    async with AuditLog.open(settings) as log:
        assert await log.of_subject(BORIS) == [0, 3, 6]
        assert (await log.renew_subject_keys()).generation == max(generations) + 1
    assert len(json.loads(settings.subject_keys.read_bytes())["generations"]) == 1


def test_the_file_of_subjects_keys_is_private_sealed_and_needed(settings: LogSettings, fill, tmp_path: Path) -> None:
    fill(settings, entries())
    assert settings.subject_keys.stat().st_mode & 0o777 == 0o600
    other = installed(tmp_path / "other")
    fill(other, entries())
    kept = settings.subject_keys.read_bytes()
    settings.subject_keys.unlink()
    with pytest.raises(KeyFileError, match="верните"):
        fill(settings, [])
    for content, words in ((other.subject_keys.read_bytes(), "не от этого"), (b"{}", "это не файл"), (b"", "пуст")):
        settings.subject_keys.write_bytes(content)
        settings.subject_keys.chmod(0o600)
        with pytest.raises(KeyFileError, match=words):
            fill(settings, [])
    settings.subject_keys.write_bytes(kept)
    settings.subject_keys.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        fill(settings, [])


def test_a_log_of_the_preliminary_layout_can_be_verified_and_is_not_written(settings: LogSettings, fill) -> None:
    fill(settings, entries())
    with closing(sqlite3.connect(settings.path)) as connection:
        for table in ("subject_holds", "subtrees", "witnessed", "signing_epochs", "sealing_keys"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    log_key, _ = settings.signing_key_file.with_suffix(".pub").read_text().splitlines()
    assert verify_file(settings.path, log_key).ok
    with pytest.raises(Exception, match="предварительной"):
        fill(settings, entries())
