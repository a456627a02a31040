"""Key files are made once for their owner alone, and refused when anything about them is wrong."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from audit import KeyFileError, Verifier, check_kek, check_signing_key, create_kek, create_signing_key
from audit.keyfiles import load_signing_key


def test_new_keys_are_private_pass_their_check_and_differ(tmp_path: Path) -> None:
    one, two = tmp_path / "deep" / "one", tmp_path / "deep" / "two"
    for path in (one, two):
        create_kek(path)
        check_kek(path)
        assert (path.stat().st_mode & 0o777, len(path.read_bytes())) == (0o600, 32)
    assert one.read_bytes() != two.read_bytes()


def test_a_signing_key_comes_with_its_public_half(tmp_path: Path) -> None:
    path = tmp_path / "sign.key"
    create_signing_key(path, "log.test/a")
    check_signing_key(path)
    public = Verifier.parse((tmp_path / "sign.pub").read_text())
    assert (path.stat().st_mode & 0o777, public.name) == (0o600, "log.test/a")
    note = load_signing_key(path).sign_checkpoint(0, bytes(32))
    assert public.open_checkpoint(note).size == 0
    assert path.read_bytes().split(b"+", 4)[4].strip() not in (tmp_path / "sign.pub").read_bytes()


def test_no_key_file_is_ever_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sign.key"
    create_signing_key(path, "log.test/a")
    create_kek(tmp_path / "kek")
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for create in (
        lambda: create_kek(tmp_path / "kek"),
        lambda: create_signing_key(path, "log.test/a"),
        lambda: create_signing_key(tmp_path / "kek", "log.test/a"),
        lambda: create_signing_key(tmp_path / "sign.other", "log.test/a"),
        lambda: create_signing_key(tmp_path / "new.pub", "log.test/a"),
    ):
        with pytest.raises(KeyFileError):
            create()
    assert {each: each.read_bytes() for each in tmp_path.iterdir() if each in before} == before


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nfeed"])
def test_a_name_that_a_note_cannot_carry_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(KeyFileError):
        create_signing_key(tmp_path / "sign.key", origin)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    create_kek(tmp_path / "kek")
    create_signing_key(tmp_path / "sign.key", "log.test/a")
    for check, path in ((check_kek, tmp_path / "kek"), (check_signing_key, tmp_path / "sign.key")):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="chmod 600"):
            check(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"x" * 5000])
def test_a_kek_of_the_wrong_length_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="kek"):
        check_kek(path)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(KeyFileError):
            check_kek(path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(KeyFileError, match="не создаётся"):
        create_kek(tmp_path / "file" / "kek")


def test_a_malformed_signing_key_is_refused_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "sign.key"
    create_signing_key(path, "log.test/a")
    good = path.read_text()
    seed = base64.b64encode(b"\x01" + bytes(32)).decode()
    for content in (
        good.replace("PRIVATE", "PUBLIC"),
        good.replace("log.test/a", "log.test/b"),
        good.replace("+log.test/a+", "++"),
        good[:-6],
        f"PRIVATE+KEY+log.test/a+00000000+{seed}\n",
        f"PRIVATE+KEY+log.test/a+00000000+{seed[:-8]}\n",
        "PRIVATE+KEY+log.test/a+00000000+!\n",
        "nonsense",
        "\udcff",
    ):
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(KeyFileError) as refusal:
            check_signing_key(path)
        assert good.split("+")[-1].strip() not in str(refusal.value)
