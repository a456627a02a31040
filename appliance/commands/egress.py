"""`appliance egress list`: where the service connects to, for the egress broker's list and for firewalls."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from appliance.commands.options import chosen, fail, with_settings
from appliance.egress.places import destinations


@click.group(name="egress")
def egress_group() -> None:
    """Куда служба соединяется: для посредника и для межсетевых экранов."""


@egress_group.command(name="list")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Список `allow` для посредника, JSON.")
def list_command(settings_file: Path | None, state: Path, *, as_json: bool) -> None:
    """Все адреса, к которым ведут настройки: поставщики и их службы токенов, свидетели, приёмники SIEM, Vault. Сеть не нужна.

    Код выхода 2 — настройки не читаются или адрес в них не адрес. Остального не проверяет: это делает `appliance check`.
    """
    try:
        places = destinations(chosen(settings_file, state))
    except ValueError:
        fail("один из адресов в настройках — не адрес http или https; какой, скажет `appliance check`")
    if as_json:
        rows = [{"host": each.host, "port": each.port, "tls": each.tls, "local": each.local} for each in places]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    if not places:
        click.echo("Соединений наружу нет.")
        return
    table = Table("Адрес", "Порт", "TLS", "Где", "Для чего")
    for each in places:
        where = "внутри компании" if each.local else "снаружи"
        table.add_row(each.host, str(each.port), "да" if each.tls else "нет", where, each.who)
    Console().print(table)
