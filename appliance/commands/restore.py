"""`appliance restore`: a backup put back in its place, or only tried."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec

from appliance import backups
from appliance.commands.backup import told
from appliance.commands.options import chosen, fail, with_settings
from appliance.events import Reference


@click.command(name="restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--identity", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Файл закрытого ключа age."
)
@click.option("--check", is_flag=True, help="Только учения: раскрыть, проверить целиком, ничего не менять.")
@click.option(
    "--known",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Контрольная точка, сохранённая вне машины; можно несколько.",
)
@click.option(
    "--fork", is_flag=True, help="Признать утрату записей, которых нет в копии: журнал разветвится, это увидит каждый."
)
@click.option("--ground", default="", help="Основание: номер акта.")
@click.option("--without-witnesses", is_flag=True, help="Не спрашивать свидетелей.")
@click.option(
    "--without-subject-keys",
    is_flag=True,
    help="Файл ключей субъектов утрачен: о ком прежние записи, узнать будет нельзя.",
)
@with_settings
def restore_command(  # noqa: PLR0913  (one for each option)
    file: Path,
    identity: Path,
    known: tuple[Path, ...],
    ground: str,
    settings_file: Path | None,
    state: Path,
    *,
    check: bool,
    fork: bool,
    without_witnesses: bool,
    without_subject_keys: bool,
) -> None:
    """Вернуть журнал и то, что к нему относится, из резервной копии FILE. Служба должна быть остановлена.

    Журнал, который лежит на своём месте, не удаляется, а переименовывается. Копию короче того, что кто-либо уже видел, команда не вернёт
    без `--fork` и основания.
    """
    settings = chosen(settings_file, state)
    try:
        msgspec.convert(ground, Reference)
    except msgspec.ValidationError:
        fail("`--ground`: номер акта из латиницы, цифр и знаков `._:@/-`")

    def put() -> None:
        with backups.opened_backup(file, identity, settings) as opened:
            loss = opened.loss(settings, [path.read_text() for path in known], ask=not without_witnesses)
            if loss.records and not check and not (fork and ground):
                fail(
                    f"в копии {loss.size} записей, а {loss.by} показывает {loss.seen.size}: утрачено будет {loss.records}."
                    " Найдите более новую копию. Если её нет, утрату признают актом: `--fork --ground НОМЕР`"
                )
            made = opened.manifest
            click.echo(
                f"Копия от {made.created:%d.%m.%Y %H:%M} (UTC), версия {made.version}: записей {loss.size}, журнал цел."
            )
            if check:
                click.echo(f"Учения прошли: копия раскрывается и проверена целиком. Новее неё записей: {loss.records}.")
                return
            number, left = asyncio.run(opened.put(settings, loss, ground, without_subject_keys=without_subject_keys))
            click.echo(f"Журнал восстановлен; об этом запись {number}.")
            for path in left:
                click.echo(f"Оставлен тот, что был: {path}")
            if loss.records:
                click.echo(
                    "Свидетели не признают продолжение, пока их администраторы не примут акт (`audit witness forget`)."
                )

    told(put)
