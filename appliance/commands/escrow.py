"""`appliance keys escrow …`: shares of the log's key for people to keep, getting it back from them, and practising that."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from appliance.commands.options import chosen, fail, with_settings
from appliance.events import ReadWhat
from appliance.kek import FileKek
from appliance.kek.escrow import (
    MOST,
    WORDS,
    Given,
    Sheet,
    check_matches,
    combine,
    read_share,
    spelled,
    split,
    threshold_of,
    written,
)
from appliance.kek.secret_files import write_new
from appliance.readings import note
from appliance.settings import Settings
from audit import AuditError, AuditReader, KeyFileError, OpenedEntry, key_check_of, key_check_of_log

_FAR_ENOUGH = 1000  # records looked at for one that opens without the file of subjects' keys

_shares = click.option(
    "--share",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Файл доли; столько раз, сколько долей. Без него слова спросят.",
)


@click.group(name="escrow")
def escrow_group() -> None:
    """Доли ключа журнала у хранителей (SLIP-39): любые k из n восстанавливают ключ."""


@escrow_group.command(name="split")
@click.option("--shares", default=3, show_default=True, type=click.IntRange(2, MOST), help="Сколько долей.")
@click.option("--threshold", default=2, show_default=True, type=click.IntRange(2, MOST), help="Сколько из них нужно.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Каталог для листов, по одному на долю.",
)
@with_settings
def split_command(shares: int, threshold: int, out: Path, settings_file: Path | None, state: Path) -> None:
    """Разделить ключ на доли. Сам ключ и журнал не меняются."""
    settings = chosen(settings_file, state)
    paths = [out / f"share-{number}-of-{shares}.txt" for number in range(1, shares + 1)]
    done: list[Path] = []
    try:
        key = settings.log.kek_source.load()
        if settings.log.path.exists():
            _check_of_the_log(settings, key)
        if taken := [path for path in paths if path.exists()]:
            raise KeyFileError(f"`{taken[0]}`: такой файл уже есть; доли не перезаписываются")
        words = split(key, threshold, shares)
        check = spelled(key_check_of(key))
        sheet = Sheet(settings.audit.origin, check, threshold, shares, datetime.now(UTC).date())
        _noted(settings, ReadWhat.ESCROW_SPLIT, shares)
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number, (path, each) in enumerate(zip(paths, words, strict=True), 1):
            write_new(path, written(each, number, sheet).encode())
            done.append(path)
    except (AuditError, OSError) as error:
        for path in done:
            path.unlink(missing_ok=True)
        fail(str(error) if isinstance(error, AuditError) else f"`{error.filename}`: {error.strerror}")
    for path in done:
        click.echo(f"{path}")
    click.echo(f"Контрольное значение ключа: {check}. Любые {threshold} из {shares} долей восстанавливают его.")
    click.echo("Сейчас все доли лежат в одном каталоге, то есть это сам ключ: раздайте листы и сотрите файлы.")
    click.echo("Затем проверьте: appliance keys escrow drill")


@escrow_group.command(name="restore")
@_shares
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Новый файл ключа вместо названного в настройках."
)
@click.option(
    "--check", "told", default="", help="Контрольное значение с листа, если нет ни журнала, ни листов файлами."
)
@with_settings
def restore_command(
    files: tuple[Path, ...], out: Path | None, told: str, settings_file: Path | None, state: Path
) -> None:
    """Собрать ключ из долей и записать в файл, сверив его с журналом. Существующий файл не перезаписывается."""
    settings = chosen(settings_file, state)
    path = out or settings.kek_file
    try:
        if path.exists():
            raise KeyFileError(f"`{path}`: такой файл уже есть; ключ не перезаписывается")
        given = _given(files)
        key = combine(given)
        _check(settings, key, told, given)
        _noted(settings, ReadWhat.ESCROW_RESTORE, 1)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(path, key)
    except AuditError as error:
        fail(str(error))
    except OSError as error:
        fail(f"`{path}`: файл ключа не создаётся ({error.strerror})")
    click.echo(f"Ключ восстановлен: `{path}`. Контрольное значение: {spelled(key_check_of(key))}")
    if not isinstance(settings.audit.kek, FileKek):
        click.echo(
            'Это открытый файл. Впишите `kind = "file"` в [audit.kek] или запечатайте его снова: appliance keys seal'
        )


@escrow_group.command(name="drill")
@_shares
@with_settings
def drill_command(files: tuple[Path, ...], settings_file: Path | None, state: Path) -> None:
    """Учения: собрать ключ из долей в памяти и открыть им последнюю запись журнала. Ничего не меняется."""
    settings = chosen(settings_file, state)
    try:
        if not settings.log.path.exists():
            raise KeyFileError(f"`{settings.log.path}`: журнала нет; учения проводят на журнале или на его копии")
        given = _given(files)
        key = combine(given)
        _check_of_the_log(settings, key)
        entry, whole = _newest(settings, key)
        _noted(settings, ReadWhat.ESCROW_DRILL, 0 if entry is None else 1)
    except AuditError as error:
        fail("учения не прошли", str(error))
    when = datetime.now(UTC).strftime("%d.%m.%Y %H:%M")
    click.echo(f"Учения прошли {when} (UTC): журнал `{settings.audit.origin}`, долей {len(given)}.")
    click.echo(f"Контрольное значение ключа: {spelled(key_check_of(key))}")
    if entry is None:
        click.echo("Записей в журнале ещё нет: проверен только ключ.")
    else:
        moment = datetime.fromtimestamp(entry.time_us / 1e6, UTC).strftime("%d.%m.%Y %H:%M:%S")
        click.echo(f"Открыта запись {entry.seq} от {moment} (UTC).")
    if not whole:
        click.echo(f"Внимание: файла `{settings.log.subject_keys}` нет: к кому относятся записи, не раскрыть.")


class _Combined:
    """A key that was put together and lies in memory alone."""

    description = "ключ, собранный из долей"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def load(self) -> bytes:
        """The 32 bytes."""
        return self._key


def _newest(settings: Settings, key: bytes) -> tuple[OpenedEntry | None, bool]:
    """The newest record that opens, and whether there is the file of subjects' keys. Raises KeyFileError, LogFileError, LogDamagedError."""
    with AuditReader.open(settings.log.path, _Combined(key), settings.log.subject_keys) as reader:
        for seq in range(reader.size - 1, max(-1, reader.size - 1 - _FAR_ENOUGH), -1):
            try:
                return reader.entry(seq), settings.log.subject_keys.exists()
            except KeyFileError:
                continue  # its subjects do not open: the file of their keys is lost, bodies need it not
        if reader.size:
            raise KeyFileError(f"`{settings.log.subject_keys}`: без файла ключей субъектов ни одна запись не открылась")
        return None, True


def _given(files: tuple[Path, ...]) -> list[Given]:
    """The shares in files, else those that are typed, as many as the first one asks for. Raises KeyFileError."""
    if files:
        return [read_share(path) for path in files]
    given = [_typed(1)]
    given += [_typed(number) for number in range(2, threshold_of(given[0]) + 1)]
    return given


def _typed(number: int) -> Given:
    return Given(click.prompt(f"Доля {number}, {WORDS} слова через пробел", err=True), f"введённая доля {number}")


def _check(settings: Settings, key: bytes, told: str, given: list[Given]) -> None:
    """Raise KeyFileError unless the log, or else a sheet, says that this is the key."""
    if settings.log.path.exists():
        _check_of_the_log(settings, key)
        return
    named = {each.check for each in given if each.check} | ({told} if told else set())
    if not named:
        raise KeyFileError(
            f"`{settings.log.path}`: журнала нет, сверить ключ не с чем; верните копию журнала или дайте --check с листа"
        )
    if not all(check_matches(each, key) for each in named):
        raise KeyFileError("контрольное значение с листа не от этого ключа; сверьте его и доли")


def _check_of_the_log(settings: Settings, key: bytes) -> None:
    if not secrets.compare_digest(key_check_of_log(settings.log.path), key_check_of(key)):
        raise KeyFileError(
            f"это ключ не от журнала `{settings.log.path}`: доли другого журнала или сделаны до смены ключа"
        )


def _noted(settings: Settings, what: ReadWhat, count: int) -> None:
    try:
        note(settings.readings, what, count)
    except OSError as error:
        raise KeyFileError(
            f"`{settings.readings}`: об этом нельзя оставить запись ({error.strerror}); ничего не сделано"
        ) from None
