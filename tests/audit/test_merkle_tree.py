"""RFC 9162 hashes and proofs: the published vectors of Certificate Transparency, then laws, then forgeries."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import VerificationError
from audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistency_ranges,
    inclusion_proof,
    inclusion_ranges,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# The reference tree of the Certificate Transparency implementations (merkletree tests of google/certificate-transparency).
DATA = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
LEAVES = [leaf_hash(each) for each in DATA]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEFT_OF_TWO = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
THIRD_AND_FOURTH = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LAST_FOUR = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LAST_TWO = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
FIFTH = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
FIFTH_AND_SIXTH = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


def unhex(proof: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(each) for each in proof)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree_root([]) == EMPTY_ROOT == sha256(b"").digest() == Frontier().root()


def test_the_published_roots_of_one_to_eight_leaves_come_out() -> None:
    assert [tree_root(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 1, []),
        (0, 8, [LEFT_OF_TWO, THIRD_AND_FOURTH, LAST_FOUR]),
        (5, 8, [FIFTH, LAST_TWO, ROOTS[3]]),
        (2, 3, [ROOTS[1]]),
        (1, 5, [ROOTS[0], THIRD_AND_FOURTH, FIFTH]),
    ],
)
def test_the_published_inclusion_proofs_are_made_and_verify(index: int, size: int, proof: list[str]) -> None:
    assert inclusion_proof(LEAVES[:size], index) == unhex(proof)
    verify_inclusion(LEAVES[index], index, size, unhex(proof), bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        (1, 1, []),
        (1, 8, [LEFT_OF_TWO, THIRD_AND_FOURTH, LAST_FOUR]),
        (6, 8, [FIFTH_AND_SIXTH, LAST_TWO, ROOTS[3]]),
        (2, 5, [THIRD_AND_FOURTH, FIFTH]),
    ],
)
def test_the_published_consistency_proofs_are_made_and_verify(old: int, new: int, proof: list[str]) -> None:
    assert consistency_proof(LEAVES[:new], old) == unhex(proof)
    verify_consistency(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), unhex(proof))


def mth(leaves: list[bytes]) -> bytes:
    """Section 2.1.1 word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4)) for number in range(count)]


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_frontier_grown_in_any_steps_has_the_root_the_rfc_defines(steps: list[int]) -> None:
    leaves = some_leaves(sum(steps))
    frontier, done = Frontier(), 0
    for step in steps:
        frontier = frontier.extended(leaves[done : done + step])
        done += step
        assert frontier.root() == mth(leaves[:done])
        assert Frontier.unpacked(frontier.size, frontier.packed()) == frontier


def test_growing_leaves_the_old_frontier_as_it_was() -> None:
    before = Frontier().extended(LEAVES[:3])
    before.extended(LEAVES[3:])
    assert (before.size, before.root().hex()) == (3, ROOTS[2])


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (2, bytes(64)), (3, bytes(63)), (-1, bytes(32))])
def test_a_stored_frontier_of_the_wrong_shape_is_refused(size: int, packed: bytes) -> None:
    with pytest.raises(VerificationError):
        Frontier.unpacked(size, packed)


@given(st.integers(1, 130), st.data())
def test_every_leaf_proves_its_inclusion_and_nothing_else_does(size: int, data: st.DataObject) -> None:
    leaves, index = some_leaves(size), data.draw(st.integers(0, size - 1))
    root, proof = mth(leaves), inclusion_proof(leaves, index)
    verify_inclusion(leaves[index], index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index)) if size > 1 else None
    forged = [
        (leaves[index], index, size, proof, mth([*leaves[:-1], bytes(32)])),
        (bytes(32), index, size, proof, root),
        (leaves[index], index, size, (*proof, bytes(32)), root),
        (leaves[index], size, size, proof, root),
        (leaves[index], -1, size, proof, root),
    ]
    if proof:
        cut = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes((proof[cut][0] ^ 1,)) + proof[cut][1:]
        forged += [
            (leaves[index], index, size, proof[:cut] + proof[cut + 1 :], root),
            (leaves[index], index, size, (*proof[:cut], flipped, *proof[cut + 1 :]), root),
            (leaves[index], index, size, (*proof[:cut], b"short", *proof[cut + 1 :]), root),
        ]
    if other is not None:
        forged.append((leaves[other], index, size, proof, root))
    for leaf, at, of, path, against in forged:
        with pytest.raises(VerificationError):
            verify_inclusion(leaf, at, of, path, against)


@given(st.integers(1, 130), st.data())
def test_every_prefix_proves_its_consistency_and_nothing_else_does(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    leaves = some_leaves(new)
    old_root, new_root, proof = mth(leaves[:old]), mth(leaves), consistency_proof(leaves, old)
    verify_consistency(old, old_root, new, new_root, proof)
    forged = [
        (old, bytes(32), new, new_root, proof),
        (old, old_root, new, bytes(32), proof),
        (old, old_root, new, new_root, (*proof, bytes(32))),
        (0, EMPTY_ROOT, new, new_root, proof),
        (new + 1, old_root, new, new_root, proof),
    ]
    if proof:
        cut = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes((proof[cut][0] ^ 1,)) + proof[cut][1:]
        forged += [
            (old, old_root, new, new_root, proof[:cut] + proof[cut + 1 :]),
            (old, old_root, new, new_root, (*proof[:cut], flipped, *proof[cut + 1 :])),
            (old, old_root, new, new_root, (*proof[:cut], b"short", *proof[cut + 1 :])),
            (old, old_root, new, new_root, ()),
        ]
    for before, before_root, after, after_root, path in forged:
        with pytest.raises(VerificationError):
            verify_consistency(before, before_root, after, after_root, path)


def test_a_proof_is_asked_for_within_the_tree_only() -> None:
    for ask in (
        lambda: inclusion_ranges(8, 8),
        lambda: inclusion_ranges(-1, 8),
        lambda: consistency_ranges(0, 8),
        lambda: consistency_ranges(9, 8),
    ):
        with pytest.raises(IndexError):
            ask()


def test_a_proof_in_a_tree_of_a_million_is_twenty_hashes_long() -> None:
    assert len(inclusion_ranges(123_456, 1 << 20)) == 20
