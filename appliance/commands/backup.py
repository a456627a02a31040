"""`appliance backup`: a sealed copy of the log and of what goes with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from appliance import backups
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.errors import BackupError, ParcelError, SettingsError
from appliance.events import ReadWhat
from audit import AuditError, VerificationError

_T = TypeVar("_T")


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--to", "recipients", multiple=True, metavar="age1…", help="Кому зашифровать; без этого — `[backup] recipients`."
)
@with_settings
def backup_command(file: Path, recipients: tuple[str, ...], settings_file: Path | None, state: Path) -> None:
    """Резервная копия в новый FILE, зашифрованная получателям (age). Служба может работать.

    В копии нет ключа шифрования журнала и файла ключей субъектов: первый хранится долями (`keys escrow`), второй — отдельно.
    """
    settings = chosen(settings_file, state)
    to = recipients or settings.backup.recipients
    if not to:
        fail(
            "некому зашифровать копию: укажите `--to age1…` или `[backup] recipients`. Незашифрованных копий не бывает"
        )

    def make() -> backups.Manifest:
        noted(settings, ReadWhat.BACKUP, 0)
        return backups.make_backup(settings, settings_file, file, to)

    manifest = told(make)
    click.echo(f"Копия: {file}. Записей: {manifest.size}, корень {manifest.root[:16]}…")


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
