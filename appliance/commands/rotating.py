"""`appliance keys rotate`: another key-encryption key for the log, while the service is stopped."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.events import ReadWhat
from appliance.kek import FileKek
from appliance.settings import Settings
from audit import (
    AuditError,
    KekFile,
    KekSource,
    create_kek,
    key_check_of,
    key_check_of_log,
    load_kek,
    replace_key_file,
    rotate_kek,
)


@click.command(name="rotate")
@click.option(
    "--new-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Куда записать новый ключ; без этого он займёт место прежнего открытого файла.",
)
@with_settings
def rotate_command(new_file: Path | None, settings_file: Path | None, state: Path) -> None:
    """Сменить ключ шифрования журнала: все ключи под ним шифруются заново. Служба должна быть остановлена.

    Прерванную смену закончит та же команда. Копии базы, сделанные раньше, по-прежнему раскрывает прежний ключ.
    """
    settings = chosen(settings_file, state)
    plain = isinstance(settings.audit.kek, FileKek)
    if new_file is None and not plain:
        fail(
            "ключ журнала под печатью: назовите файл для нового (`--new-file`), затем запечатайте его: appliance keys seal"
        )
    target = new_file or settings.kek_file.with_name(f"{settings.kek_file.name}.next")
    try:
        if not target.exists():
            create_kek(target)
        generation = rotate_kek(
            settings.log.path, settings.log.subject_keys, _opening(settings, target), KekFile(target)
        )
        noted(settings, ReadWhat.KEK_ROTATED, generation)
        if new_file is None:
            replace_key_file(settings.kek_file, load_kek(target))
            replace_key_file(target, bytes(1))
            target.unlink()
    except AuditError as error:
        fail(str(error))
    where = settings.kek_file if new_file is None else new_file
    click.echo(f"Новый ключ шифрования, поколение {generation}: `{where}`.")
    if new_file is not None and plain:
        click.echo(
            f'В настройки: `audit.kek_file = "{new_file}"` и `audit.subject_keys_file = "{settings.log.subject_keys}"`:'
            " файл ключей субъектов остаётся, где был. Прежний ключ журналу больше не нужен."
        )
    elif new_file is not None:
        kind = settings.audit.kek.__struct_config__.tag
        click.echo(
            f"Запечатайте его: appliance keys seal --to {kind} --from {new_file} -o sealed_file={new_file}.sealed --remove-plain"
        )
    click.echo("Сделайте новую резервную копию и новые доли: appliance keys escrow split")


def _opening(settings: Settings, target: Path) -> KekSource:
    """What opens the log now: after an interruption the new key may already do."""
    if key_check_of_log(settings.log.path) == key_check_of(load_kek(target)):
        return KekFile(target)
    return settings.log.kek_source
