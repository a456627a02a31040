"""Reading everything again finds what was changed under the log, names where, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256

import msgspec
import pytest

from audit import AuditLog, DamageFound, Entry, LogSettings, Round, Scrubbed

RECORDS = 1500  # more than a start checks, less than all
RECORD, MISSING, SUBTREES = DamageFound.RECORD, DamageFound.MISSING, DamageFound.SUBTREES


async def fill(log: AuditLog, count: int = RECORDS) -> None:
    for _ in range(count // 100):
        for waiting in [log.append(Entry(1, 1, bytes(20)), vital=False) for _ in range(100)]:
            await waiting


async def scrubbed(log: AuditLog, *, put_away: bool = False) -> tuple[Round, list[Scrubbed]]:
    at, found = log.begin_round(), []
    while not at.done:
        at, some = await log.scrub(at)
        found += some
        if put_away:
            at = msgspec.json.decode(msgspec.json.encode(at), type=Round)
            assert at.sound
            assert await log.is_of_round(at)
    return at, found


def change(settings: LogSettings, statement: str, *values: object) -> None:
    """Under the running log, past the triggers, as who edits the file would."""
    with closing(sqlite3.connect(settings.path)) as connection, connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement, values).rowcount > 0
        for _, sql in triggers:
            connection.execute(sql)


async def test_what_is_whole_adds_up_to_the_signed_root(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        assert await scrubbed(log) == (log.begin_round(), [])  # nothing yet
        await fill(log)
        for put_away in (False, True):
            at, found = await scrubbed(log, put_away=put_away)
            assert (found, at.damaged, at.size) == ([], 0, RECORDS)
            assert at.computed == at.root


@pytest.mark.parametrize(
    ("statement", "values", "found"),
    [
        ("UPDATE records SET body = zeroblob(length(body)) WHERE seq = 5", (), [(5, 6, RECORD)]),
        ("UPDATE records SET body = NULL WHERE seq BETWEEN 250 AND 260", (), [(250, 256, RECORD), (256, 261, RECORD)]),
        ("UPDATE records SET header = zeroblob(142) WHERE seq = 7", (), [(7, 8, RECORD)]),
        ("UPDATE records SET header = x'00' WHERE seq = 7", (), [(7, 8, RECORD)]),
        ("DELETE FROM records WHERE seq = 300", (), [(300, 301, MISSING)]),
        ("DELETE FROM records WHERE seq >= 256 AND seq < 512", (), [(256, 512, MISSING)]),
        ("UPDATE subtrees SET hash = zeroblob(32) WHERE level = 1 AND number = 2", (), [(512, 768, SUBTREES)]),
        ("DELETE FROM subtrees WHERE level = 1 AND number = 2", (), [(512, 768, SUBTREES)]),
        (
            "UPDATE records SET leaf_hash = zeroblob(32) WHERE seq = 9",
            (),
            [(9, 10, RECORD), (0, 256, SUBTREES), (0, RECORDS, DamageFound.ROOT)],
        ),
    ],
)
async def test_damage_is_named_by_its_place(
    settings: LogSettings, statement: str, values: tuple[object, ...], found: list[tuple[int, int, DamageFound]]
) -> None:
    async with AuditLog.open(settings) as log:
        await fill(log)
        change(settings, statement, *values)
        at, damage = await scrubbed(log)
        assert [(each.start, each.stop, each.what) for each in damage] == found
        assert at.damaged == len(found)
        assert (await log.append(Entry(1, 1, b"after"))).seq == RECORDS  # the log goes on


async def test_a_record_that_hides_behind_its_own_hashes_is_found_by_the_tree(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await fill(log)
        with closing(sqlite3.connect(settings.path)) as connection:
            header = bytearray(connection.execute("SELECT header FROM records WHERE seq = 20").fetchone()[0])
        header[70] ^= 1  # a bit of the salt, and a hash that agrees with it
        leaf = sha256(b"\x00" + header).digest()
        change(settings, "UPDATE records SET header = ?, leaf_hash = ? WHERE seq = 20", bytes(header), leaf)
        _, damage = await scrubbed(log)
    assert [(each.start, each.stop, each.what) for each in damage] == [
        (0, 256, SUBTREES),
        (0, RECORDS, DamageFound.ROOT),
    ]


async def test_pages_that_do_not_read_are_told_and_the_rest_is_read(settings: LogSettings) -> None:
    async with AuditLog.open(settings) as log:
        await fill(log)
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    async with AuditLog.open(settings) as log:
        with settings.path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        at, damage = await scrubbed(log)
    assert damage
    assert {each.what for each in damage} <= {DamageFound.UNREADABLE, MISSING}
    assert all(each.stop <= 512 for each in damage)
    assert at.done


@pytest.mark.parametrize(
    "spoil",
    [
        lambda at: msgspec.structs.replace(at, size=100),
        lambda at: msgspec.structs.replace(at, edge=msgspec.structs.replace(at.edge, size=3)),
        lambda at: msgspec.structs.replace(at, edge=msgspec.structs.replace(at.edge, levels=((b"short",) * 4,))),
    ],
)
async def test_a_round_that_nobody_left_is_not_taken_up(settings: LogSettings, spoil: Callable[[Round], Round]) -> None:
    async with AuditLog.open(settings) as log:
        await fill(log, 600)
        at, _ = await log.scrub(log.begin_round())
        assert at.sound
        assert not spoil(at).sound
        assert not await log.is_of_round(msgspec.structs.replace(at, root=bytes(32)))
        assert not await log.is_of_round(msgspec.structs.replace(at, size=601))
