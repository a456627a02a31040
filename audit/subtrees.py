"""Stored hashes of complete subtrees, so that a proof costs some twenty short queries and not a walk over all leaves.

A node of level L is the root over 256^L leaves, as in the tiles of c2sp.org/tlog-tiles. Nodes of level 0 are the leaf hashes of the
records themselves; higher ones are written in the transaction of the record that completes them, and never change.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from audit.errors import LogDamagedError
from audit.merkle import Frontier, consistency_ranges, inclusion_ranges, node_hash, tree_root
from audit.store import Database

WIDTH = 256  # nodes of a level under one node of the next
_BITS = 8


class Edge(Struct, frozen=True):
    """The nodes of each level that no stored node is over yet: fewer than WIDTH a level."""

    size: int = 0
    levels: tuple[tuple[bytes, ...], ...] = ((),)

    def extended(self, leaves: Sequence[bytes]) -> tuple[Edge, list[tuple[int, int, bytes]]]:
        """The edge after more leaf hashes, and the nodes that they complete: level, number, hash."""
        made: list[tuple[int, int, bytes]] = []
        size = self.size + len(leaves)
        levels: list[tuple[bytes, ...]] = []
        fresh: Sequence[bytes] = leaves
        level = 0
        while fresh or level < len(self.levels):
            nodes = (*(self.levels[level] if level < len(self.levels) else ()), *fresh)
            whole = len(nodes) // WIDTH * WIDTH
            fresh = [tree_root(nodes[at : at + WIDTH]) for at in range(0, whole, WIDTH)]
            levels.append(nodes[whole:])
            level += 1
            first = (size >> _BITS * level) - len(fresh)
            made += [(level, first + number, node) for number, node in enumerate(fresh)]
        return Edge(size, tuple(levels)), made

    @classmethod
    def load(cls, database: Database, size: int) -> Edge:
        """The edge of the tree in a database. Raises LogDamagedError when nodes are missing."""
        levels: list[tuple[bytes, ...]] = []
        level, count = 0, size
        while count or not levels:
            levels.append(tuple(_nodes(database, level, count // WIDTH * WIDTH, count)))
            level, count = level + 1, count // WIDTH
        return cls(size, tuple(levels))

    def frontier(self) -> Frontier:
        """The right edge of the tree, as these nodes make it."""
        nodes = [node for level in reversed(self.levels) for node in Frontier().extended(level).nodes]
        return Frontier(self.size, tuple(nodes))


def inclusion(database: Database, index: int, size: int) -> tuple[bytes, ...]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves. Raises LogDamagedError."""
    return tuple(range_root(database, start, stop) for start, stop in inclusion_ranges(index, size))


def consistency(database: Database, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of `old` leaves is a prefix of that of `new` leaves. Raises LogDamagedError."""
    return tuple(range_root(database, start, stop) for start, stop in consistency_ranges(old, new))


def range_root(database: Database, start: int, stop: int) -> bytes:
    """The root over a range of leaves as a proof asks for them: `start` is a multiple of the power of two not below its length."""
    size = stop - start
    if size <= WIDTH:
        return tree_root(_nodes(database, 0, start, stop))
    left = 1 << ((size - 1).bit_length() - 1)
    if left == size // 2 and left * 2 == size:  # complete
        return _complete(database, start, size)
    return node_hash(_complete(database, start, left), range_root(database, start + left, stop))


def _complete(database: Database, start: int, size: int) -> bytes:
    """The root over a power of two of leaves, from the highest level whose nodes are not larger."""
    level = (size.bit_length() - 1) // _BITS
    return tree_root(_nodes(database, level, start >> _BITS * level, (start + size) >> _BITS * level))


def _nodes(database: Database, level: int, start: int, stop: int) -> list[bytes]:
    nodes = database.leaf_hashes(start, stop) if level == 0 else database.subtrees(level, start, stop)
    if len(nodes) != stop - start:
        raise LogDamagedError("в базе нет узлов дерева, которые должны быть")
    return nodes
