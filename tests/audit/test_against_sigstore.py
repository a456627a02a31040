"""Our trees and proofs before the verifier of sigstore-python, and before what others have published.

sigstore-python verifies inclusion only, in `sigstore._internal.merkle`; consistency is held against the published vectors, and a
consistency proof's parts against roots that sigstore's own hashing makes.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from hashlib import sha256
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sigstore._internal import merkle as theirs
from sigstore.errors import VerificationError as TheirVerificationError

from audit import AuditLog, AuditReader, Entry, KeyFileError, LogSettings, Proof, Verifier, WitnessVerifier
from audit.errors import VerificationError
from audit.merkle import (
    Frontier,
    consistency_proof,
    consistency_ranges,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from audit.subtrees import consistency, inclusion
from audit.tiles import tile_path, write_tiles
from tests.audit.test_stored_subtrees import LEAVES, Shelf, grown

LARGEST = 70_000


def accepted_by_sigstore(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """What sigstore-python says of a proof; `leaf` is what is hashed."""
    given_proof = SimpleNamespace(log_index=index, tree_size=size, hashes=list(proof), root_hash=root)
    entry = SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=given_proof, canonicalized_body=leaf))
    try:
        theirs.verify_merkle_inclusion(entry)  # type: ignore[arg-type]  # it reads these fields and no others
    except TheirVerificationError:
        return False
    return True


def accepted_by_us(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf_hash(leaf), index, size, proof, root)
    except VerificationError:
        return False
    return True


def their_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.1 with sigstore's hashing."""
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << ((len(leaves) - 1).bit_length() - 1)
    return theirs._hash_children(their_root(leaves[:middle]), their_root(leaves[middle:]))


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_leaves_and_nodes_hash_alike(leaf: bytes, left: bytes, right: bytes) -> None:
    assert leaf_hash(leaf) == theirs._hash_leaf(leaf)
    assert node_hash(left, right) == theirs._hash_children(left, right)


BODIES = [b"%d" % number for number in range(3000)]
HASHES = [leaf_hash(body) for body in BODIES]


@given(st.data())
def test_sigstore_accepts_every_inclusion_proof_and_the_two_agree_on_every_damaged_one(data: st.DataObject) -> None:
    size = data.draw(st.one_of(st.integers(1, 600), st.integers(601, 3000)))
    index = data.draw(st.integers(0, size - 1))
    root, proof = tree_root(HASHES[:size]), list(inclusion_proof(HASHES[:size], index))
    assert accepted_by_sigstore(BODIES[index], index, size, proof, root)
    match data.draw(st.sampled_from(["index", "size", "drop", "repeat", "flip", "swap", "root", "leaf"])):
        case "index":
            index = data.draw(st.integers(0, size - 1))
        case "size":
            size = data.draw(st.integers(index + 1, 6000))
        case "drop" if proof:
            del proof[data.draw(st.integers(0, len(proof) - 1))]
        case "repeat" if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            proof.insert(at, proof[at])
        case "flip" if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            proof[at] = bytes((proof[at][0] ^ 1 << data.draw(st.integers(0, 7)),)) + proof[at][1:]
        case "swap" if len(proof) > 1:
            proof[0], proof[-1] = proof[-1], proof[0]
        case "root":
            root = tree_root(HASHES[: data.draw(st.integers(1, 600))])
        case _:
            leaf = BODIES[index] + b"x"
            assert not accepted_by_sigstore(leaf, index, size, proof, root)
            assert not accepted_by_us(leaf, index, size, proof, root)
    leaf = BODIES[index]
    assert accepted_by_us(leaf, index, size, proof, root) == accepted_by_sigstore(leaf, index, size, proof, root)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return grown(LARGEST, iter([1, 255, 256, 700, 65_000, 5_000]))[0]


@hypothesis_settings(deadline=None)
@given(st.data())
def test_sigstore_accepts_what_is_proved_from_stored_subtrees(shelf: Shelf, data: st.DataObject) -> None:
    size = data.draw(st.one_of(st.integers(1, LARGEST), st.sampled_from([255, 256, 257, 65_535, 65_536, 65_537])))
    index = data.draw(st.integers(0, size - 1))
    root = Frontier().extended(LEAVES[:size]).root()
    # sigstore hashes the leaf itself: its own parts are used on the leaf hashes that stand for records here.
    proof = inclusion(shelf, index, size)
    inner, border = theirs._decomp_inclusion_proof(index, size)
    assert len(proof) == inner + border
    half = theirs._chain_inner(LEAVES[index], list(proof[:inner]), index)
    assert theirs._chain_border_right(half, list(proof[inner:])) == root


@given(st.integers(1, 1500), st.data())
def test_the_parts_of_a_consistency_proof_are_the_roots_that_sigstores_hashing_makes(
    shelf: Shelf, new: int, data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, new))
    ranges = consistency_ranges(old, new)
    assert consistency(shelf, old, new) == tuple(their_root(LEAVES[start:stop]) for start, stop in ranges)


def test_a_record_of_a_real_log_is_proved_to_sigstore(settings: LogSettings, fill) -> None:
    fill(settings, [Entry(1, 1, b"%d" % number) for number in range(300)])
    verifier = Verifier.parse(settings.signing_key_file.with_suffix(".pub").read_text().splitlines()[0])
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        for seq in (0, 1, 255, 256, 299):
            disclosed = reader.disclose(seq, verifier, key=False, labels=())
            proof = Proof.parse(disclosed.proof)
            checkpoint = proof.check(verifier, leaf_hash(disclosed.header))
            assert accepted_by_sigstore(disclosed.header, seq, checkpoint.size, proof.hashes, checkpoint.root)


# What others have published


def test_one_more_published_consistency_proof_of_the_reference_tree() -> None:
    """From six to seven leaves: transparency-dev/merkle, proof/verify_test.go."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    leaves = [leaf_hash(bytes.fromhex(each)) for each in data]
    proof = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    six = bytes.fromhex("76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef")
    seven = bytes.fromhex("ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c")
    assert [each.hex() for each in consistency_proof(leaves, 6)] == proof
    verify_consistency(6, six, 7, seven, consistency_proof(leaves, 6))


@pytest.mark.parametrize(("index", "size"), [(0, 8), (5, 8), (2, 3), (1, 5), (0, 1)])
def test_the_probes_of_transparency_dev_are_refused(index: int, size: int) -> None:
    """The wrong numbers, roots, leaves and proofs of testdata/inclusion there, on the same proofs."""
    root, leaf, proof = tree_root(HASHES[:size]), HASHES[index], inclusion_proof(HASHES[:size], index)
    other = sha256(b"other").digest()
    probes = [
        *((leaf, at, size, proof, root) for at in (index - 1, index + 1, index ^ 2) if at != index),
        (leaf, index, size * 2, proof, root),
        (leaf, index, size // 2, proof, root),
        (b"WrongLeaf", index, size, proof, root),
        (leaf, index, size, proof, sha256(b"").digest()),
        (leaf, index, size, proof, other),
        *((leaf, index, size, (*proof, extra), root) for extra in (b"", root)),
        *((leaf, index, size, (extra, *proof), root) for extra in (b"", root)),
        (b"", index, size, proof, root),
        (b"", index, size, (), b""),
        *((leaf, index, size, proof[:-1], root) for _ in proof[:1]),
        *((leaf, index, size, (proof[0], other, *proof[1:]), root) for _ in proof[:1]),
    ]
    for probe in probes:
        with pytest.raises(VerificationError):
            verify_inclusion(*probe)


def test_a_published_checkpoint_of_a_sigsum_log_verifies() -> None:
    """Log key, origin and checkpoint from the tests of FiloSottile/torchwood (litewitness)."""
    origin = "sigsum.org/v1/tree/985ea163f5af026723561354f51f2ebcdcf2af809ce254ccfb64aa9aadd80f90"
    verifier = Verifier(origin, bytes.fromhex("52c05edad1bf5feffa81354faae59a655d9a9a1a793ed2f62c39c26c0be2aecd"))
    note = (
        f"{origin}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— {origin} "
        "7BKT0gOfNZ1J0So9unY3BZtm2YkPIoNYM/dce0Z2avJDs8dxN6ts9bOSwwrVrbjm6P9K3ZxpK6jJngOG6YvGGzV/lwo=\n"
    )
    assert verifier.open_checkpoint(note).size == 1
    with pytest.raises(VerificationError):
        verifier.open_checkpoint(note.replace("\n1\n", "\n2\n"))


def test_published_witness_keys_are_read_and_malformed_ones_are_not() -> None:
    """From transparency-dev/formats, note/note_cosigv1_test.go."""
    witness = WitnessVerifier.parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
    assert (witness.name, witness.key.key_id.hex()) == ("remora.n621.de", "da77ade7")
    log = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"
    assert Verifier.parse(log).vkey == log
    for vkey in (
        log,  # a log's key is no witness's
        "bananas.sigstore.dev+12344556",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
        "rekor.sigstore.dev+12345678+AwEB",
        "remora.n621.de+00000000+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "remora.n621.de+NOT_A_NUMBER+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    ):
        with pytest.raises(KeyFileError):
            WitnessVerifier.parse(vkey)


def test_tiles_lie_where_tlog_tiles_says(shelf: Shelf, tmp_path) -> None:
    """The examples of c2sp.org/tlog-tiles: number 1234067, and the tiles of 70 000 and of 256 entries."""
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path("entries", 1_234_067, 12) == "tile/entries/x001/x234/067.p/12"
    write_tiles(shelf, tmp_path / "large", "note", LARGEST, entries=False)
    found = {
        path.relative_to(tmp_path / "large").as_posix() for path in (tmp_path / "large").rglob("*") if path.is_file()
    }
    full = {tile_path(0, number) for number in range(273)}
    assert found == {
        *full, "checkpoint", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"
    }  # fmt: skip
    write_tiles(shelf, tmp_path / "small", "note", 256, entries=False)
    small = {
        path.relative_to(tmp_path / "small").as_posix() for path in (tmp_path / "small").rglob("*") if path.is_file()
    }
    assert small == {"checkpoint", "tile/0/000", "tile/1/000.p/1"}
    tile = (tmp_path / "large" / "tile/0/005").read_bytes()
    assert base64.b64encode(tile[:32]) == base64.b64encode(LEAVES[5 * 256])
    assert (tmp_path / "large" / "tile/1/000").read_bytes()[:32] == their_root(LEAVES[:256])


def test_a_log_grown_by_batches_has_the_root_that_sigstores_hashing_makes(settings: LogSettings) -> None:
    async def grow() -> str:
        async with AuditLog.open(settings) as log:
            receipts = await asyncio.gather(*(log.append(Entry(1, 1, b"%d" % number)) for number in range(777)))
            root = log.checkpoint().splitlines()[2]
        assert base64.b64encode(their_root([receipt.leaf_hash for receipt in receipts])).decode() == root
        return root

    assert asyncio.run(grow())
