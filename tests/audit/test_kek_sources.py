"""The log takes its key-encryption key from anything that yields it, and from a plain file when nothing was said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from audit import (
    AuditLog,
    AuditReader,
    KekFile,
    KekSource,
    KeyFileError,
    LogSettings,
    create_kek,
    key_check_of,
    key_check_of_log,
)
from tests.audit.conftest import numbered


class Yields:
    """A source that counts how often it was asked."""

    description = "ключ из теста"

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.asked = 0

    def load(self) -> bytes:
        self.asked += 1
        return self.key


class Fails:
    description = "ключ, которого не дадут"

    def load(self) -> bytes:
        raise KeyFileError("хранилище `там` недоступно; проверьте сеть")


def under(settings: LogSettings, source: KekSource) -> LogSettings:
    return msgspec.structs.replace(settings, kek=source)


async def test_a_log_begun_with_a_plain_file_goes_on_with_a_source_of_the_same_key(settings: LogSettings) -> None:
    source = Yields(settings.kek_file.read_bytes())
    entries = numbered(6)
    async with AuditLog.open(settings) as log:
        for each in entries[:3]:
            await log.append(each)
    settings.kek_file.unlink()
    async with AuditLog.open(under(settings, source)) as log:
        for each in entries[3:]:
            await log.append(each)
        assert (await log.read(0)).body == entries[0].body
    assert source.asked == 1
    with AuditReader.open(settings.path, source, settings.subject_keys) as reader:
        assert [each.body for each in reader.entries()] == [each.body for each in entries]
        assert [each.subjects for each in reader.entries()] == [each.subjects for each in entries]


def test_a_path_a_file_and_a_source_open_the_same_log(settings: LogSettings, fill) -> None:
    fill(settings, numbered(2))
    for kek in (settings.kek_file, KekFile(settings.kek_file), Yields(settings.kek_file.read_bytes())):
        with AuditReader.open(settings.path, kek, settings.subject_keys) as reader:
            assert reader.size == 2
    assert settings.kek_source.load() == settings.kek_file.read_bytes()
    assert str(settings.kek_file) in settings.kek_source.description


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
async def test_a_source_of_another_length_is_refused_and_named(settings: LogSettings, size: int) -> None:
    with pytest.raises(KeyFileError, match=f"ключ из теста: в ключе {size} байт, нужно 32"):
        async with AuditLog.open(under(settings, Yields(bytes(size)))):
            pass
    assert not settings.path.exists()


async def test_what_a_source_says_is_wrong_reaches_whoever_opens_the_log(settings: LogSettings) -> None:
    with pytest.raises(KeyFileError, match="хранилище `там` недоступно"):
        async with AuditLog.open(under(settings, Fails())):
            pass
    assert not settings.path.exists()


async def test_another_logs_key_opens_nothing(settings: LogSettings, tmp_path: Path) -> None:
    async with AuditLog.open(settings) as log:
        await log.append(numbered(1, subject=False)[0])
    create_kek(tmp_path / "other")
    stranger = Yields((tmp_path / "other").read_bytes())
    with pytest.raises(KeyFileError, match="не от этого"):
        async with AuditLog.open(under(settings, stranger)):
            pass
    with (
        pytest.raises(KeyFileError, match="не от этого"),
        AuditReader.open(settings.path, stranger, settings.subject_keys),
    ):
        pass


def test_a_source_alone_does_not_say_where_the_keys_of_subjects_lie(settings: LogSettings, fill) -> None:
    fill(settings, numbered(1))
    with (
        pytest.raises(KeyFileError, match="не сказано"),
        AuditReader.open(settings.path, Yields(settings.kek_file.read_bytes())),
    ):
        pass


def test_a_log_tells_without_a_key_by_which_key_it_is_opened(settings: LogSettings, tmp_path: Path, fill) -> None:
    fill(settings, numbered(1))
    key = settings.kek_file.read_bytes()
    settings.kek_file.unlink()
    assert key_check_of_log(settings.path) == key_check_of(key) != key_check_of(bytes(32))
    assert key not in key_check_of(key) + settings.path.read_bytes()
