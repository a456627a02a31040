"""C2SP signed notes and checkpoints: the published example, then the form, then forgeries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Checkpoint, KeyFileError, Signer, VerificationError, Verifier
from audit.checkpoint import parse_checkpoint

# The example of golang.org/x/mod/sumdb/note, whose format C2SP signed-note specifies.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

SIGNER = Signer("log.test/a", bytes(range(32)))
ROOT = bytes(range(100, 132))
SIGNED = SIGNER.sign_checkpoint(42, ROOT)


def test_the_published_note_verifies_and_its_key_round_trips() -> None:
    verifier = Verifier.parse(VKEY)
    assert verifier.verify(NOTE) == TEXT
    assert (verifier.name, verifier.key_id.hex(), verifier.vkey) == ("PeterNeumann", "c74f20a3", VKEY)


def test_the_published_private_key_makes_the_published_signature() -> None:
    import base64

    seed = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    assert Signer("PeterNeumann", seed).sign(TEXT) == NOTE


def test_a_checkpoint_has_three_lines_and_a_signature_and_opens_again() -> None:
    lines = SIGNED.split("\n")
    assert lines[:2] == ["log.test/a", "42"]
    assert lines[3] == ""
    assert lines[4].startswith("— log.test/a ")
    assert SIGNER.verifier.open_checkpoint(SIGNED) == Checkpoint("log.test/a", 42, ROOT)


def test_signatures_of_others_are_allowed_beside_ours() -> None:
    witness = Signer("witness.test/w", bytes(32)).sign(Checkpoint("log.test/a", 42, ROOT).text()).split("\n\n")[1]
    assert SIGNER.verifier.open_checkpoint(SIGNED + witness).size == 42


def test_extension_lines_are_allowed_and_signed() -> None:
    note = SIGNER.sign(Checkpoint("log.test/a", 42, ROOT).text() + "extension\n")
    assert SIGNER.verifier.open_checkpoint(note).size == 42
    with pytest.raises(VerificationError):
        SIGNER.verifier.open_checkpoint(note.replace("extension", "extensior"))


def test_every_flipped_bit_of_a_checkpoint_is_noticed() -> None:
    raw = SIGNED.encode()
    for bit in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            note = damaged.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(VerificationError):
            SIGNER.verifier.open_checkpoint(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log.test/a\n42\n",
        "log.test/a\n042\nAAAA\n",
        "log.test/a\n-1\n" + "A" * 43 + "=\n",
        "log.test/a\n٤\n" + "A" * 43 + "=\n",
        "log.test/a\n42\n" + "A" * 42 + "B=\n",
        "log.test/a\n42\n" + "A" * 44 + "\n",
        "log.test/a\n42\n" + "A" * 43 + "=\n\nx\n",
        "log.test/a\n42\n" + "A" * 43 + "=",
    ],
)
def test_a_checkpoint_out_of_form_is_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        parse_checkpoint(text)


def test_another_logs_checkpoint_is_refused_even_under_the_right_key() -> None:
    with pytest.raises(VerificationError, match="другого журнала"):
        SIGNER.verifier.open_checkpoint(SIGNER.sign(Checkpoint("log.test/b", 42, ROOT).text()))


@given(st.text())
def test_no_text_passes_for_a_signed_note(text: str) -> None:
    with pytest.raises(VerificationError):
        SIGNER.verifier.verify(text)
    with pytest.raises(VerificationError):
        SIGNER.verifier.verify(TEXT + "\n" + text)


def test_an_endless_note_is_refused() -> None:
    with pytest.raises(VerificationError):
        SIGNER.verifier.verify("x\n" * 50_000 + SIGNED)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+c74f20a3",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("+ARpc", "+AhpC"),
        VKEY[:-4],
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "a b" + VKEY.removeprefix("PeterNeumann"),
    ],
)
def test_what_is_not_a_public_key_is_refused(vkey: str) -> None:
    with pytest.raises(KeyFileError):
        Verifier.parse(vkey)
