"""Merkle tree hashes and proofs, RFC 9162 sections 2.1.1 to 2.1.4, with SHA-256. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from audit.errors import VerificationError

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf: SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier(msgspec.Struct, frozen=True):
    """The right edge of a tree: the roots of its perfect subtrees, largest first. Enough to append and to tell the root."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """The edge after one more leaf hash; O(log size)."""
        hashes = list(self.hashes)
        joined, size = leaf, self.size
        while size & 1:  # a perfect subtree of this height stands to the left: the two become one
            joined = node_hash(hashes.pop(), joined)
            size >>= 1
        return Frontier(self.size + 1, (*hashes, joined))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The edge after several leaf hashes."""
        frontier = self
        for leaf in leaves:
            frontier = frontier.append(leaf)
        return frontier

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def encode(self) -> bytes:
        """Size (8 bytes, big-endian), then the hashes."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @classmethod
    def decode(cls, data: bytes) -> Frontier:
        """Of `encode`'s bytes. Raises VerificationError when the number of hashes does not fit the size."""
        size = int.from_bytes(data[:8], "big")
        hashes = tuple(data[at : at + HASH_SIZE] for at in range(8, len(data), HASH_SIZE))
        if len(data) < 8 or (len(data) - 8) % HASH_SIZE or len(hashes) != size.bit_count():
            raise VerificationError("край дерева записан неверно")
        return cls(size, hashes)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over all leaf hashes."""
    return Frontier().extend(leaves).root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of leaf `index`, nearest sibling first (section 2.1.3.1). `leaves` are leaf hashes."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*inclusion_proof(leaves[:split], index), root_of(leaves[split:]))
    return (*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split]))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` (a leaf hash) stands at `index` in a tree of `size` with `root` (section 2.1.3.2).

    Raises VerificationError.
    """
    if not 0 <= index < size:
        raise VerificationError("номер записи больше размера журнала")
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationError("доказательство длиннее дерева")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    if last or result != root:
        raise VerificationError("доказательство включения не сходится с корнем")


def consistency_proof(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Proof that the tree over the first `old` leaves is a prefix of the whole (section 2.1.4.1)."""
    if not 0 < old <= len(leaves):
        raise IndexError(old)
    return _subproof(leaves, old, whole=True)


def _subproof(leaves: Sequence[bytes], old: int, *, whole: bool) -> tuple[bytes, ...]:
    if old == len(leaves):
        return () if whole else (root_of(leaves),)
    split = _split(len(leaves))
    if old <= split:
        return (*_subproof(leaves[:split], old, whole=whole), root_of(leaves[split:]))
    return (*_subproof(leaves[split:], old - split, whole=False), root_of(leaves[:split]))


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `size` with `root` grew out of the one of `old` with `old_root` (section 2.1.4.2).

    Raises VerificationError.
    """
    if old == size:
        if proof or old_root != root:
            raise VerificationError("две разные истории одного размера")
        return
    if not 0 < old < size or not proof:
        raise VerificationError("доказательство преемственности неверной формы")
    path = list(proof)
    if old & (old - 1) == 0:  # a perfect tree: its root is where the path starts
        path.insert(0, old_root)
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationError("доказательство длиннее дерева")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    if last or first != old_root or second != root:
        raise VerificationError("новое состояние журнала не продолжает прежнее")


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
