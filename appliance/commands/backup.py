"""`appliance backup`: a sealed copy of the log and of what goes with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from appliance import backups
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.errors import BackupError, ParcelError, SettingsError
from appliance.events import ReadWhat
from audit import AuditError, VerificationError

_T = TypeVar("_T")
_NAME, _SUFFIX = "appliance-", ".age"


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to", "recipients", multiple=True, metavar="age1…", help="Кому зашифровать; без этого — `[backup] recipients`."
)
@click.option("--keep", type=click.IntRange(1), help="Сколько последних копий оставить в каталоге FILE.")
@with_settings
def backup_command(
    file: Path, recipients: tuple[str, ...], keep: int | None, settings_file: Path | None, state: Path
) -> None:
    """Резервная копия в новый FILE, зашифрованная получателям (age). Служба может работать. FILE-каталог — имя по времени (UTC).

    В копии нет ключа шифрования журнала и файла ключей субъектов: первый хранится долями (`keys escrow`), второй — отдельно.
    """
    settings = chosen(settings_file, state)
    to = recipients or settings.backup.recipients
    if not to:
        fail(
            "некому зашифровать копию: укажите `--to age1…` или `[backup] recipients`. Незашифрованных копий не бывает"
        )

    folder = file if file.is_dir() else None
    if keep is not None and folder is None:
        fail("`--keep` — для копий в каталоге: назовите существующий каталог")
    if folder is not None:
        file = folder / f"{_NAME}{datetime.now(UTC):%Y%m%dT%H%M%SZ}{_SUFFIX}"

    def make() -> backups.Manifest:
        noted(settings, ReadWhat.BACKUP, 0)
        return backups.make_backup(settings, settings_file, file, to)

    manifest = told(make)
    click.echo(f"Копия: {file}. Записей: {manifest.size}, корень {manifest.root[:16]}…")
    if folder is not None and keep is not None:
        for old in sorted(folder.glob(f"{_NAME}*{_SUFFIX}"))[:-keep]:
            old.unlink()
            click.echo(f"Убрана старая: {old}")


def told(action: Callable[[], _T]) -> _T:
    """The action's answer; exits with its words when it cannot be done."""
    try:
        return action()
    except (AuditError, BackupError, ParcelError, VerificationError) as error:
        fail(str(error))
    except SettingsError as error:
        fail(*error.problems)
    except OSError as error:
        fail(f"`{error.filename}`: {error.strerror}")
