"""Secret files: made for their owner alone, refused when they are anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.auth import Keyring, Principal, digest, new_key
from appliance.errors import AuthenticationError, NotAllowedError, PurposeError, SettingsError
from appliance.keyfiles import read_secret, write_secret

PRINCIPAL = Principal("k", "app", frozenset({"general"}), None)


def test_a_secret_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret"
    write_secret(path, b"x" * 32)

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_secret(path, b"y" * 32)
    assert read_secret(path, size=32) == b"x" * 32


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"x" * 32, 0o640, "не только владельцу"),
        (b"x" * 32, 0o604, "не только владельцу"),
        (b" \n", 0o600, "пуст"),
        (b"x" * 31, 0o600, "31 байт"),
    ],
)
def test_a_secret_that_others_can_read_or_of_the_wrong_form_is_refused(
    tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)

    with pytest.raises(SettingsError, match=words):
        read_secret(path, size=32)


def test_keys_are_long_random_and_kept_only_as_digests(tmp_path: Path) -> None:
    new_key(tmp_path / "a")
    new_key(tmp_path / "b")
    first, second = ((tmp_path / name).read_text().strip() for name in "ab")
    ring = Keyring([(digest(first), PRINCIPAL)])

    assert first != second
    assert len(first) > 40
    assert ring.authenticate(f"Bearer {first}") == ring.authenticate(f"bearer  {first} ") == PRINCIPAL
    assert first not in repr(vars(ring))
    for header in (None, "", first, f"Basic {first}", "Bearer ", f"Bearer {second}", "Bearer \udcff"):
        with pytest.raises(AuthenticationError):
            ring.authenticate(header)


def test_a_purpose_must_be_named_and_be_the_keys_own() -> None:
    assert PRINCIPAL.purpose("general") == "general"
    with pytest.raises(PurposeError):
        PRINCIPAL.purpose(None)
    with pytest.raises(NotAllowedError):
        PRINCIPAL.purpose("support")
