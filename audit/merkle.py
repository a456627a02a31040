"""Merkle tree hashes, inclusion and consistency proofs, RFC 9162 section 2.1."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from audit.errors import Finding, VerificationError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()  # section 2.1.1: MTH({})


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00 ‖ leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(Struct, frozen=True):
    """The right edge of a tree: the roots of its complete subtrees, largest first, one for every bit set in `size`."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaves: Sequence[bytes]) -> Frontier:
        """The frontier after more leaf hashes. Costs one node hash a leaf; `self` stays as it is."""
        row = list(leaves)
        waiting = list(self.nodes)
        nodes: list[bytes] = []
        size = self.size
        while row or size:
            if size & 1:
                row.insert(0, waiting.pop())
            if len(row) & 1:
                nodes.append(row.pop())
            pairs = iter(row)
            row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            size >>= 1
        return Frontier(self.size + len(leaves), tuple(reversed(nodes)))

    def joined(self, level: int, node: bytes) -> Frontier:
        """The frontier after 2^level more leaves whose root is `node`. Raises VerificationError where no such subtree can stand."""
        step = 1 << level
        if self.size % step:
            raise VerificationError("поддерево стоит не на своём месте", Finding.FORMAT)
        nodes = [*self.nodes, node]
        place = self.size >> level
        while place & 1:
            right = nodes.pop()
            nodes.append(node_hash(nodes.pop(), right))
            place >>= 1
        return Frontier(self.size + step, tuple(nodes))

    def root(self) -> bytes:
        """The Merkle tree hash over all leaves so far."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root

    def packed(self) -> bytes:
        """The nodes, concatenated; with the size that is all there is to store."""
        return b"".join(self.nodes)

    @classmethod
    def unpacked(cls, size: int, packed: bytes) -> Frontier:
        """The frontier that was stored. Raises VerificationError when the two do not fit together."""
        if size < 0 or len(packed) != HASH_SIZE * size.bit_count():
            raise VerificationError("сохранённый край дерева не подходит к его размеру", Finding.STATE)
        return cls(size, tuple(packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)))


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over these leaf hashes (section 2.1.1)."""
    return Frontier().extended(leaves).root()


def inclusion_ranges(index: int, size: int) -> tuple[tuple[int, int], ...]:
    """The leaf ranges whose roots are the inclusion proof of leaf `index`, in the proof's order (section 2.1.3.1).

    Kept apart from the hashes so that whoever stores subtree hashes can answer from them.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of {size}")
    ranges = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return tuple(reversed(ranges))


def consistency_ranges(old: int, new: int) -> tuple[tuple[int, int], ...]:
    """The leaf ranges whose roots are the consistency proof between two sizes, in the proof's order (section 2.1.4.1)."""
    if not 0 < old <= new:
        raise IndexError(f"size {old} of {new}")
    ranges = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start != 0:  # the old tree is not a complete subtree of the new one: its last part must be given
        ranges.append((start, stop))
    return tuple(reversed(ranges))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The inclusion proof of leaf `index` in the tree over these leaf hashes."""
    return tuple(tree_root(leaves[start:stop]) for start, stop in inclusion_ranges(index, len(leaves)))


def consistency_proof(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """The proof that the tree over the first `old` leaf hashes is a prefix of the tree over all of them."""
    return tuple(tree_root(leaves[start:stop]) for start, stop in consistency_ranges(old, len(leaves)))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise VerificationError unless `leaf` (a leaf hash) is number `index` of the tree with this size and root (2.1.3.2)."""
    if not 0 <= index < size:
        raise _proof_error("номер записи не меньше размера дерева", index)
    if len(leaf) != HASH_SIZE:
        raise _proof_error("хеш листа неверной длины", index)
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_SIZE:
            raise _proof_error("доказательство включения неверной длины", index)
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(computed, root):
        raise _proof_error("доказательство включения не сходится с корнем", index)


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise VerificationError unless the tree of `old` leaves is a prefix of the tree of `new` leaves (section 2.1.4.2)."""
    if not 0 < old <= new:
        raise _proof_error("размеры деревьев не упорядочены")
    if old == new:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise _proof_error("деревья одного размера различны")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path or any(len(node) != HASH_SIZE for node in path):
        raise _proof_error("доказательство согласованности неверной длины")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _proof_error("доказательство согласованности неверной длины")
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(before, old_root) or not hmac.compare_digest(after, new_root):
        raise _proof_error("доказательство согласованности не сходится с корнями")


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 9162 calls it k)."""
    return 1 << ((size - 1).bit_length() - 1)


def _proof_error(message: str, seq: int | None = None) -> VerificationError:
    return VerificationError(message, Finding.PROOF, seq)
