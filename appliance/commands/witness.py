"""`appliance audit witness status | now | forget`: who confirms a running service's log, and how far; a fork, accepted."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.commands.calling import Service, at_a_service, plain
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.events import ReadWhat
from audit import AuditError, Witness, load_witness_key

_SECONDS = 60.0
_KIND = {"c2sp": "свидетель C2SP", "tsa": "метки времени", "file": "файл", "siem": "SIEM"}
_TROUBLE = {
    "": "",
    "unreachable": "недоступен",
    "refused": "отказал",
    "answer": "неверный ответ",
    "stored": "испорчено хранимое",
    "log": "журнал не пишет",
    "rolled-back": "ЖУРНАЛ ОТКАТИЛИ",
    "failed": "сбой",
}


@click.group(name="witness")
def witness_group() -> None:
    """Свидетели журнала: кто и сколько записей подтвердил."""


@witness_group.command(name="status")
@click.option(
    "--officer-key", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Файл ключа сотрудника."
)
@click.option("--json", "as_json", is_flag=True, help="В JSON.")
@at_a_service
def status_command(url: str, ca_file: Path | None, officer_key: Path, *, as_json: bool) -> None:
    """Как обстоит дело, никого не спрашивая. Код выхода 1 — подтверждений не хватает."""
    _show(Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/witnesses", None), as_json=as_json)


@witness_group.command(name="now")
@click.option(
    "--officer-key", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Файл ключа сотрудника."
)
@click.option("--json", "as_json", is_flag=True, help="В JSON.")
@at_a_service
def now_command(url: str, ca_file: Path | None, officer_key: Path, *, as_json: bool) -> None:
    """Спросить всех сейчас же. Код выхода 1 — подтверждений не хватает."""
    _show(Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/witnesses/ask", {}), as_json=as_json)


@witness_group.command(name="forget")
@click.argument("origin")
@click.option("--ground", required=True, help="Номер акта о ветвлении чужого журнала.")
@with_settings
def forget_command(origin: str, ground: str, settings_file: Path | None, state: Path) -> None:
    """На машине свидетеля: принять ветвление чужого журнала ORIGIN (его имя) и подтверждать его заново с начала.

    Что свидетель видел раньше, не удаляется, а откладывается в сторону: это доказательство того, что было утрачено.
    """
    settings = chosen(settings_file, state)
    try:
        witness = Witness(load_witness_key(settings.witness_key), (), settings.state / "witness", time.time)
        if witness.seen(origin) is None:
            fail(f"свидетель никогда не видел журнала `{origin}`")
        noted(settings, ReadWhat.WITNESS_FORGOT, 1, ground)
        aside = witness.forget(origin)
    except msgspec.ValidationError:
        fail("`--ground`: номер акта из латиницы, цифр и знаков `._:@/-`")
    except AuditError as error:
        fail(str(error))
    click.echo(f"Журнал `{origin}` будет подтверждаться заново. Виденное отложено: {aside}")


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    del answer["_record"]
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    elif not answer["witnesses"]:
        fail("свидетелей нет: [[audit.witnesses]] в настройках. Владелец машины может переписать журнал целиком")
    else:
        Console().print(_table(answer["witnesses"]))
        wanted = f"нужно {answer['quorum']} из {answer['counted']}"
        click.echo(f"Подтверждено записей: {answer['witnessed']} из {answer['size']} ({wanted}).")
        if answer["lacking"]:
            click.echo(plain(answer["lacking"]), err=True)
    raise SystemExit(1 if answer["lacking"] else 0)


def _table(witnesses: list[dict[str, Any]]) -> Table:
    table = Table(title="Свидетели журнала", header_style="bold")
    table.add_column("Свидетель", overflow="fold")
    table.add_column("Вид", no_wrap=True)
    table.add_column("Записей", justify="right")
    table.add_column("Когда (UTC)", no_wrap=True)
    table.add_column("Ошибка", overflow="fold")
    for each in witnesses:
        seen = datetime.fromisoformat(each["seen"]).strftime("%d.%m.%y %H:%M:%S") if each["seen"] else "никогда"
        kind = _KIND.get(each["kind"], each["kind"]) + ("" if each["counts"] else " (не считается)")
        table.add_row(escape(plain(each["name"])), kind, str(each["size"]), seen, escape(plain(_wrong(each))))
    return table


def _wrong(witness: dict[str, Any]) -> str:
    trouble = _TROUBLE.get(witness["trouble"], witness["trouble"])
    if trouble:
        return f"{trouble}: {witness['state']}"
    return "" if witness["state"] else "ещё не спрошен"
