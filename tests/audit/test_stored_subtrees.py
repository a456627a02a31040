"""Proofs from stored subtrees: the same as from all leaves, whatever the sizes and however the log grew."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import AuditLog, Entry, LogDamagedError, LogSettings
from audit.merkle import consistency_proof, inclusion_proof, tree_root
from audit.store import Database, open_reader
from audit.subtrees import Edge, consistency, inclusion, range_root

LEAVES = [sha256(b"%d" % number).digest() for number in range(70_000)]


class Shelf:
    """Leaf hashes and nodes in memory, in place of a file with seventy thousand records."""

    def __init__(self, leaves: list[bytes], nodes: list[tuple[int, int, bytes]]) -> None:
        self._leaves = leaves
        self._nodes = {(level, number): node for level, number, node in nodes}

    def leaf_hashes(self, start: int, stop: int) -> list[bytes]:
        return self._leaves[start:stop]

    def subtrees(self, level: int, start: int, stop: int) -> list[bytes]:
        return [self._nodes[level, number] for number in range(start, stop) if (level, number) in self._nodes]


def grown(size: int, steps: Iterator[int]) -> tuple[Shelf, Edge]:
    edge, nodes, at = Edge(), [], 0
    while at < size:
        step = min(next(steps), size - at)
        edge, made = edge.extended(LEAVES[at : at + step])
        nodes += made
        at += step
    return Shelf(LEAVES[:size], nodes), edge


@pytest.fixture(scope="module")
def large() -> Shelf:
    return grown(70_000, iter([1, 255, 256, 700, 65_000, 5_000]))[0]


@given(st.data())
@pytest.mark.no_cover  # many thousand times the same lines
def test_every_proof_is_the_one_from_all_leaves(large: Shelf, data: st.DataObject) -> None:
    new = data.draw(st.one_of(st.integers(1, 1100), st.sampled_from([65_536, 65_537, 69_999, 70_000])))
    index, old = data.draw(st.integers(0, new - 1)), data.draw(st.integers(1, new))
    assert inclusion(large, index, new) == inclusion_proof(LEAVES[:new], index)
    assert consistency(large, old, new) == consistency_proof(LEAVES[:new], old)


def test_the_whole_root_is_one_range(large: Shelf) -> None:
    for size in (1, 255, 256, 257, 512, 513, 65_535, 65_536, 65_537, 70_000):
        assert range_root(large, 0, size) == tree_root(LEAVES[:size])


@given(st.integers(0, 3000), st.lists(st.integers(1, 700), min_size=1))
def test_an_edge_grown_in_any_steps_is_the_one_that_is_read_back(size: int, steps: list[int]) -> None:
    shelf, edge = grown(size, (step for _ in range(4000) for step in steps))
    assert edge == Edge.load(shelf, size)
    assert [len(level) for level in edge.levels] == (
        [0] if size == 0 else [size % 256, size // 256][: len(edge.levels)]
    )


def test_a_log_keeps_its_nodes_over_restarts_and_misses_them_when_they_are_gone(settings: LogSettings) -> None:
    async def fill(count: int) -> None:
        async with AuditLog.open(settings) as log:
            await asyncio.gather(*(log.append(Entry(1, 1, b"%d" % number)) for number in range(count)))

    for count in (200, 100, 900):
        asyncio.run(fill(count))
    with open_reader(settings.path) as database:
        leaves = database.leaf_hashes(0, 1200)
        assert [inclusion(database, index, 1200) for index in (0, 255, 256, 1023, 1199)] == [
            inclusion_proof(leaves, index) for index in (0, 255, 256, 1023, 1199)
        ]
        assert consistency(database, 300, 1200) == consistency_proof(leaves, 300)
        assert len(database.subtrees(1, 0, 100)) == 4
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.execute("DELETE FROM subtrees WHERE number = 1")
        connection.commit()
    with open_reader(settings.path) as database, pytest.raises(LogDamagedError):
        inclusion(database, 600, 1200)


def test_a_shelf_is_read_as_a_database_is() -> None:
    assert all(hasattr(Database, name) for name in ("leaf_hashes", "subtrees"))
