"""Sealing of one record: the published AEAD vector, the key derivation as documented, and what each binding prevents."""

from __future__ import annotations

import hmac
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from hypothesis import given
from hypothesis import strategies as st

from audit import AuditReader, Entry, KeyFileError, LogDamagedError, LogSettings
from audit.leaf import HEADER_SIZE, PREFIX_SIZE, Record, pack_prefix, unpack_header
from audit.sealing import (
    EPOCH,
    INDEX,
    EpochKey,
    IndexKey,
    Kek,
    SubjectKey,
    WrappedKey,
    commitment,
    month_of,
    months_between,
    open_body,
    open_slot,
    record_key,
    seal_body,
    seal_slot,
)

EPOCH_KEY = EpochKey(b"e" * 16, bytes(range(32)))
SALT = bytes(range(16))
PREFIX = pack_prefix(7, 2, 5, 1_700_000_000_000_000, 99, (b"b" * 16, b"e" * 16, SALT))


def record(body: bytes, prefix: bytes = PREFIX) -> Record:
    header = prefix + sha256(body).digest() + sha256(b"").digest()
    return Record(5, header, sha256(b"\x00" + header).digest(), body, b"")


def test_the_cipher_gives_the_published_vector_of_rfc_8452() -> None:
    # Appendix C.2, AEAD_AES_256_GCM_SIV, the second and third case.
    key, nonce = bytes((1,)) + bytes(31), bytes((3,)) + bytes(11)
    cipher = AESGCMSIV(key)
    assert (
        cipher.encrypt(nonce, bytes.fromhex("0100000000000000"), None).hex()
        == "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"
    )
    sealed = cipher.encrypt(nonce, bytes.fromhex("010000000000000000000000"), None)
    assert sealed.hex() == "9aab2aeb3faa0a34aea8e2b18ca50da9ae6559e48fd10f6e5c9ca17e"


def test_the_keys_are_derived_as_documented() -> None:
    place = (5).to_bytes(8) + (1_700_000_000_000_000).to_bytes(8)
    assert record_key(EPOCH_KEY, PREFIX) == hmac.digest(EPOCH_KEY.key, b"rec" + SALT + place, "sha256")
    commit_key = hmac.digest(EPOCH_KEY.key, b"commit" + SALT + place, "sha256")
    assert commitment(EPOCH_KEY, PREFIX, b"text") == hmac.digest(commit_key, b"text", "sha256")


def test_one_record_key_and_the_standard_cipher_disclose_one_record() -> None:
    sealed = seal_body(EPOCH_KEY, PREFIX, Entry(7, 2, b"body"))
    assert AESGCMSIV(record_key(EPOCH_KEY, PREFIX)).decrypt(bytes(12), sealed, PREFIX) == b"\x00body"


def test_the_header_has_the_documented_layout() -> None:
    assert (PREFIX_SIZE, HEADER_SIZE) == (78, 142)
    assert PREFIX.hex() == (
        "01" "01" "0007" "0002" "0000000000000005" "00060a24181e4000" "0000000000000063" + "62" * 16 + "65" * 16 + SALT.hex()
    )  # fmt: skip
    header = unpack_header(PREFIX + bytes(64))
    assert (header.kind, header.schema, header.seq, header.time_us, header.salt) == (
        7,
        2,
        5,
        1_700_000_000_000_000,
        SALT,
    )


@given(st.binary(max_size=300), st.booleans(), st.none() | st.integers(0, (1 << 63) - 1), st.binary(max_size=40))
def test_what_is_sealed_opens_to_the_same_entry(body: bytes, opens: bool, closes: int | None, text: bytes) -> None:
    sealed = record(seal_body(EPOCH_KEY, PREFIX, Entry(7, 2, body, opens=opens, closes=closes, commit_to=text)))
    opened = open_body(EPOCH_KEY, sealed, unpack_header(sealed.header))
    assert (opened.kind, opened.schema, opened.seq, opened.body) == (7, 2, 5, body)
    assert (opened.opens, opened.closes) == (opens, closes)
    assert opened.commitment == (commitment(EPOCH_KEY, PREFIX, text) if text else b"")


def test_a_body_moved_to_any_other_header_does_not_open() -> None:
    sealed = seal_body(EPOCH_KEY, PREFIX, Entry(7, 2, b"body"))
    for at in range(PREFIX_SIZE):
        moved = bytearray(PREFIX)
        moved[at] ^= 1
        other = record(sealed, bytes(moved))
        with pytest.raises(LogDamagedError):
            open_body(EPOCH_KEY, other, unpack_header(other.header))


def test_a_slot_opens_under_its_own_key_record_and_place_only() -> None:
    key = SubjectKey(b"k" * 16, bytes(32))
    sealed = seal_slot(key, PREFIX, 1, b"s" * 16)
    assert open_slot(key, PREFIX, 1, sealed) == b"s" * 16
    assert open_slot(key, PREFIX, 0, sealed) is None
    assert open_slot(SubjectKey(b"k" * 16, bytes((1,)) * 32), PREFIX, 1, sealed) is None
    assert open_slot(key, bytes(PREFIX_SIZE), 1, sealed) is None


def test_a_slot_reference_is_masked_differently_everywhere_and_unmasks() -> None:
    index = IndexKey(bytes(32))
    masked = [index.mask(b"k" * 16, PREFIX, slot) for slot in range(3)]
    assert len({b"k" * 16, *masked}) == 4
    assert [index.mask(each, PREFIX, slot) for slot, each in enumerate(masked)] == [b"k" * 16] * 3


def test_the_blind_index_changes_with_the_month_and_is_as_documented() -> None:
    key = SubjectKey(b"k" * 16, bytes(32))
    june, july = (month_of(moment * 1_000_000) for moment in (1_782_863_999, 1_782_864_000))
    assert (june, july) == (b"202606", b"202607")
    assert key.monthly_tag(june) == hmac.digest(bytes(32), b"index202606", "sha256")[:16]
    assert key.monthly_tag(june) != key.monthly_tag(july)


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        (0, 0, [b"197001"]),
        (1_782_863_999, 1_782_864_000, [b"202606", b"202607"]),
        (1_735_689_599, 1_740_000_000, [b"202412", b"202501", b"202502"]),
        (1_782_864_000, 0, [b"202607"]),  # a clock that was set back
    ],
)
def test_every_month_from_one_time_to_another(first: int, last: int, months: list[bytes]) -> None:
    assert months_between(first * 1_000_000, last * 1_000_000) == months


def test_a_wrapped_key_opens_under_its_own_kek_role_and_id_only() -> None:
    kek = Kek(bytes(32))
    row = kek.wrap(EPOCH, b"i" * 16, b"k" * 32)
    assert kek.unwrap(EPOCH, row) == b"k" * 32
    for other, role, damaged in (
        (Kek(bytes((1,)) * 32), EPOCH, row),
        (kek, INDEX, row),
        (kek, EPOCH, WrappedKey(b"j" * 16, row.wrapped, row.key_check)),
        (kek, EPOCH, WrappedKey(row.key_id, b"", row.key_check)),
        (kek, EPOCH, WrappedKey(row.key_id, row.wrapped, bytes(16))),
    ):
        with pytest.raises(KeyFileError):
            other.unwrap(role, damaged)


def edit(path: Path, statement: str, *values: object) -> None:
    """Change a side table as whoever holds the file could."""
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_without_a_subjects_key_the_record_stays_and_the_subject_is_gone(settings: LogSettings, fill) -> None:
    fill(settings, [Entry(1, 1, b"x", subjects=(b"a" * 16, b"b" * 16)), Entry(1, 1, b"y", subjects=(b"a" * 16,))])
    with sqlite3.connect(settings.path) as connection:
        (reference,) = connection.execute("SELECT reference FROM subject_slots WHERE seq = 1").fetchone()
    connection.close()
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.subjects for entry in reader.entries()] == [(b"a" * 16, b"b" * 16), (b"a" * 16,)]
    edit(settings.path, "DELETE FROM subject_slots WHERE reference = ?", reference)
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.subjects for entry in reader.entries()] == [(b"a" * 16, b"b" * 16), (None,)]
    edit(settings.path, "DELETE FROM subject_keys")
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [(entry.body, entry.subjects) for entry in reader.entries()] == [(b"x", (None, None)), (b"y", (None,))]


def test_a_subject_that_returns_after_erasure_gets_a_new_key_and_no_old_record(settings: LogSettings, fill) -> None:
    fill(settings, [Entry(1, 1, b"x", subjects=(b"a" * 16,))])
    edit(settings.path, "DELETE FROM subject_keys")
    fill(settings, [Entry(1, 1, b"y", subjects=(b"a" * 16,))])
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.subjects for entry in reader.entries()] == [(None,), (b"a" * 16,)]


@pytest.mark.parametrize("role", ["epoch", "index"])
def test_a_lost_key_row_is_said_so(settings: LogSettings, fill, role: str) -> None:
    fill(settings, [Entry(1, 1, b"x", subjects=(b"a" * 16,))])
    edit(settings.path, "DELETE FROM keys WHERE role = ?", role)
    with AuditReader.open(settings.path, settings.kek_file) as reader, pytest.raises(LogDamagedError, match="нет"):
        reader.entry(0)
