"""Another key-encryption key: everything is wrapped anew, the old one opens nothing, and a crash leaves a log that one of the two opens."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from audit import (
    AuditLog,
    AuditReader,
    Entry,
    KekFile,
    KeyFileError,
    LogInUseError,
    LogSettings,
    create_kek,
    verify_file,
)
from audit.generations import Generations
from audit.rotation import rotate_kek
from audit.store import Database
from tests.audit.conftest import Fill

ANNA = b"a" * 16


def with_subjects() -> list[Entry]:
    return [Entry(1, 1, b"%d" % number, subjects=(ANNA,)) for number in range(5)]


def rotate(settings: LogSettings, new: Path, old: Path | None = None) -> int:
    return rotate_kek(settings.path, settings.subject_keys, KekFile(old or settings.kek_file), KekFile(new))


def bodies(settings: LogSettings, kek: Path) -> list[tuple[bytes, tuple[bytes | None, ...]]]:
    with AuditReader.open(settings.path, kek, settings.subject_keys) as reader:
        return [(entry.body, entry.subjects) for entry in reader.entries()]


def test_the_new_key_opens_all_and_the_old_one_nothing(
    settings: LogSettings, fill: Fill, vkey: str, tmp_path: Path
) -> None:
    fill(settings, with_subjects())
    fill(settings, with_subjects())
    before = bodies(settings, settings.kek_file)
    new = tmp_path / "new"
    create_kek(new)
    assert rotate(settings, new) == 2
    assert bodies(settings, new) == before
    with pytest.raises(KeyFileError):
        bodies(settings, settings.kek_file)
    assert verify_file(settings.path, vkey).ok
    shutil.copy(new, settings.kek_file)
    fill(settings, with_subjects())
    assert len(bodies(settings, settings.kek_file)) == 15
    create_kek(tmp_path / "third")
    assert rotate(settings, tmp_path / "third") == 3


@pytest.mark.parametrize("at", ["wrap_under", "put_kek", "replace_key", "after"])
def test_a_crash_leaves_a_log_that_one_of_the_two_opens(
    settings: LogSettings, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    fill(settings, with_subjects())
    before = bodies(settings, settings.kek_file)
    new = tmp_path / "new"
    create_kek(new)
    calls = []

    def stop(*arguments: object) -> None:
        calls.append(arguments)
        if at != "after" or len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    owner, name = (Database, at) if at in {"put_kek", "replace_key"} else (Generations, "wrap_under")
    real = getattr(owner, name)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, stop)
        with pytest.raises(KeyboardInterrupt):
            rotate(settings, new)
    opened, closed = (new, settings.kek_file) if at == "after" else (settings.kek_file, new)
    assert bodies(settings, opened) == before
    with pytest.raises(KeyFileError):
        bodies(settings, closed)
    assert rotate(settings, new, opened) == 2
    assert bodies(settings, new) == before


def test_a_wrong_key_a_log_in_use_and_none_at_all_change_nothing(
    settings: LogSettings, fill: Fill, tmp_path: Path
) -> None:
    for name in ("new", "wrong"):
        create_kek(tmp_path / name)
    with pytest.raises(KeyFileError, match="не начат"):
        rotate(settings, tmp_path / "new")
    fill(settings, with_subjects())
    before = settings.subject_keys.read_bytes()
    with pytest.raises(KeyFileError):
        rotate(settings, tmp_path / "new", tmp_path / "wrong")

    async def in_use() -> None:
        async with AuditLog.open(settings):
            with pytest.raises(LogInUseError):
                await asyncio.to_thread(rotate, settings, tmp_path / "new")

    asyncio.run(in_use())
    assert settings.subject_keys.read_bytes() == before
    assert len(bodies(settings, settings.kek_file)) == 5
