"""`appliance audit search | erase | hold | unhold | renew-keys | rotate | scrub`: what a DPO does with the log of a running service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from appliance.commands.calling import Service, at_a_service
from appliance.wording import told_damage

_SECONDS = 3600.0  # a million subjects' keys are wrapped anew in less
_F = TypeVar("_F", bound=Callable[..., object])
_OFFICER_KEY = click.option(
    "--officer-key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Файл ключа сотрудника ([[staff]] в настройках).",
)


def by_an_officer(command: _F) -> _F:
    """Adds the address of the service, `--officer-key` and `--ground`."""
    command = click.option(
        "--ground", default="", help="Основание: номер обращения или дела (латиница, цифры, знаки `._:@/-`)."
    )(command)
    return _OFFICER_KEY(at_a_service(command))


@click.command(name="search")
@click.option("--subject", required=True, help="Идентификатор человека, каким его называют приложения в X-Subject.")
@click.option("--json", "as_json", is_flag=True, help="В JSON.")
@by_an_officer
def search_command(
    subject: str, url: str, ca_file: Path | None, officer_key: Path, ground: str, *, as_json: bool
) -> None:
    """Номера записей о человеке. Сам поиск тоже записывается."""
    service = Service(url, officer_key, ca_file, {}, _SECONDS)
    answer = service.asked("/v1/admin/subjects/search", {"subject": subject, "ground": ground})
    if as_json:
        click.echo(json.dumps({"records": answer["records"]}))
        return
    numbers = ", ".join(map(str, answer["records"])) or "нет"
    click.echo(
        f"Записи: {numbers}. Поиск записан под номером {answer['_record']}. Подробно: appliance audit show НОМЕР"
    )


@click.command(name="erase")
@click.option("--subject", "subjects", required=True, multiple=True, help="Кого отвязать; можно несколько раз.")
@click.option("--yes", is_flag=True, help="Не переспрашивать.")
@by_an_officer
def erase_command(
    subjects: tuple[str, ...], url: str, ca_file: Path | None, officer_key: Path, ground: str, *, yes: bool
) -> None:
    """Стереть связь людей с записями журнала (152-ФЗ, ст. 21). Отменить нельзя."""
    service = Service(url, officer_key, ca_file, {}, _SECONDS)
    if not yes:
        click.confirm(
            f"Связь с записями будет стёрта навсегда, и в прежних копиях журнала тоже. Людей: {len(subjects)}. Продолжить?",
            abort=True,
        )
    answer = service.asked("/v1/admin/subjects/erase", {"subjects": subjects, "ground": ground})
    for each in answer["erasures"]:
        click.echo(f"Запись {each['record']}. {each['act']}")
    click.echo("Сделайте новую резервную копию: связи остальных людей в прежних копиях тоже больше не раскрываются.")


@click.command(name="hold")
@click.option("--subject", required=True, help="О ком сведения нельзя отвязывать.")
@by_an_officer
def hold_command(subject: str, url: str, ca_file: Path | None, officer_key: Path, ground: str) -> None:
    """Запретить отвязывать записи о человеке (152-ФЗ, ст. 21 ч. 6)."""
    _hold(
        "hold", subject, Service(url, officer_key, ca_file, {}, _SECONDS), ground, ("удерживается", "уже удерживалось")
    )


@click.command(name="unhold")
@click.option("--subject", required=True, help="О ком сведения снова можно отвязать.")
@by_an_officer
def unhold_command(subject: str, url: str, ca_file: Path | None, officer_key: Path, ground: str) -> None:
    """Снять удержание."""
    _hold(
        "unhold",
        subject,
        Service(url, officer_key, ca_file, {}, _SECONDS),
        ground,
        ("удержание снято", "удержания не было"),
    )


@click.command(name="renew-keys")
@by_an_officer
def renew_command(url: str, ca_file: Path | None, officer_key: Path, ground: str) -> None:
    """Обновить ключи субъектов: прежние копии журнала перестанут раскрывать, о ком записи."""
    answer = Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/keys/renew", {"ground": ground})
    click.echo(f"Поколение {answer['generation']}, запись {answer['_record']}. Сделайте новую резервную копию.")


@click.command(name="rotate")
@by_an_officer
def rotate_command(url: str, ca_file: Path | None, officer_key: Path, ground: str) -> None:
    """Начать новую эпоху подписи: прежний ключ удостоверит новый и будет уничтожен. Само это происходит каждый день и при запуске."""
    answer = Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/keys/hand-over", {"ground": ground})
    click.echo(f"Эпоха подписи {answer['epoch']}, запись {answer['_record']}.")


@click.command(name="scrub")
@at_a_service
@_OFFICER_KEY
def scrub_command(url: str, ca_file: Path | None, officer_key: Path) -> None:
    """Перечитать весь журнал сейчас и сверить с хешами; в фоне это идёт само (`audit.scrub_hours`). Код 1 — повреждён."""
    answer = Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/log/scrub", {})
    for each in answer["damaged"]:
        click.echo(f"ПОВРЕЖДЕНИЕ: записи {each['start']}–{each['stop'] - 1}: {told_damage(each['what'])}")
    sound = "повреждений нет" if not answer["damaged"] else f"повреждённых мест: {len(answer['damaged'])}"
    click.echo(f"Перечитано записей: {answer['size']}; {sound}. Это записано под номером {answer['_record']}.")
    if answer["damaged"]:
        click.echo(
            "Журнал пишется дальше. Что делать: проверьте диск; повреждённые записи возьмите из резервной копии."
        )
        raise SystemExit(1)


def _hold(act: str, subject: str, service: Service, ground: str, words: tuple[str, str]) -> None:
    answer = service.asked(f"/v1/admin/subjects/{act}", {"subject": subject, "ground": ground})
    click.echo(f"Сведения о субъекте: {words[0] if answer['changed'] else words[1]}. Запись {answer['_record']}.")


COMMANDS = (search_command, erase_command, hold_command, unhold_command, renew_command, rotate_command, scrub_command)
