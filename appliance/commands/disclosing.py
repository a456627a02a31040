"""`appliance audit export | prove | request | approve`: records for somebody outside, closed or, as two officers agreed, opened."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from appliance import parcels
from appliance.auth import Pseudonyms
from appliance.commands.calling import Service
from appliance.commands.custody import by_an_officer
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.disclosures import agreed
from appliance.errors import GatewayError, ParcelError, SettingsError
from appliance.events import KINDS, ReadWhat, decode
from appliance.selecting import Filter, numbers_of
from appliance.settings import Settings
from audit import (
    AuditError,
    AuditReader,
    Selection,
    TrustRoot,
    Verifier,
    export_bundle,
    export_folder,
)

_SECONDS = 60.0
_F = TypeVar("_F", bound=Callable[..., object])
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
_LABELS = {number: kind.__struct_fields__ for number, kind in KINDS.items()}


def with_filters(command: _F) -> _F:
    """Adds the options that choose records; the command gets them as `records`, `subject`, `case`, `app`, `since` and `until`."""
    for option in (
        click.option(
            "--record", "records", multiple=True, type=click.IntRange(0), help="Номер записи; можно несколько."
        ),
        click.option("--subject", default="", help="Идентификатор человека, каким его называют приложения."),
        click.option("--case", default="", help="Основание, которое называли сотрудники (--ground)."),
        click.option("--app", default="", help="Приложение."),
        click.option("--until", type=click.DateTime(_TIMES), help="До этого времени (UTC), не включая."),
        click.option("--since", type=click.DateTime(_TIMES), help="С этого времени (UTC)."),
    ):
        command = option(command)
    return command


@click.command(name="export")
@click.argument("out", type=click.Path(path_type=Path))
@with_filters
@click.option(
    "--approved", type=click.IntRange(0), help="Номер разрешения (`approve`): содержимое этих записей станет читаемым."
)
@click.option(
    "--to", "recipients", multiple=True, metavar="age1…", help="Зашифровать получателю (age); можно несколько."
)
@click.option("--bundle-only", is_flag=True, help="Один файл выгрузки вместо папки с проверяющей программой.")
@with_settings
def export_command(
    out: Path,
    settings_file: Path | None,
    state: Path,
    recipients: tuple[str, ...],
    approved: int | None,
    *,
    bundle_only: bool,
    **filters: object,
) -> None:
    """Выгрузить журнал или его часть для проверяющего: папка OUT (с `--to` — файл). Ключей и открытых данных в ней нет.

    Что выгружается вместе с ключами записей, решают двое: `request` и `approve`, затем `--approved НОМЕР`.
    """
    settings = chosen(settings_file, state)
    with _told():
        for each in recipients:
            parcels.recipient(each)
        with AuditReader.open(settings.log.path, settings.log.kek_source, settings.log.subject_keys) as reader:
            wanted = agreed(reader, approved) if approved is not None else filter_of(settings, **filters)
            if approved is not None and any(filters.values()):
                fail("с `--approved` выгружается ровно то, что разрешено: других условий не называйте")
            numbers = None if wanted.is_whole else numbers_of(reader, wanted)
            size = reader.size
            count = size if numbers is None else len(numbers)
            if not count:
                fail("под условия не подходит ни одна запись")
            what = ReadWhat.EXPORT if approved is None else ReadWhat.EXPORT_OPEN
            noted(settings, what, count, "" if approved is None else f"approval:{approved}")
            opening = None if approved is None else reader.keys()
            selection = Selection(numbers, opening, _LABELS if opening else {})
            _write(settings, out, selection, recipients, bundle_only=bundle_only)
    click.echo(f"Выгружено записей: {count} из {size}. {'Файл' if recipients or bundle_only else 'Папка'}: {out}")
    if not recipients:
        public = settings.log.signing_key_file.with_suffix(".pub")
        click.echo(f"Проверка без этого сервиса: python -m audit verify {out} --key {public}")


@click.command(name="prove")
@click.argument("number", type=click.IntRange(0))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Новый файл.")
@click.option("--approved", type=click.IntRange(0), help="Номер разрешения: приложить ключ этой одной записи.")
@with_settings
def prove_command(number: int, out: Path, approved: int | None, settings_file: Path | None, state: Path) -> None:
    """Доказать постороннему, что запись есть в журнале, и, если двое это разрешили, показать её."""
    settings = chosen(settings_file, state)
    log = settings.log
    with _told():
        verifier = Verifier.parse(log.signing_key_file.with_suffix(".pub").read_text())
        with AuditReader.open(log.path, log.kek_source, log.subject_keys) as reader:
            if approved is not None and number not in numbers_of(reader, agreed(reader, approved)):
                fail(f"разрешение {approved} — не об этой записи")
            opened = reader.entry(number)
            event = decode(opened.kind, opened.schema, opened.body)
            labels = () if event is None else event.__struct_fields__
            content = reader.disclose(number, verifier, key=approved is not None, labels=labels).encoded()
        what = ReadWhat.PROVE if approved is None else ReadWhat.OPEN
        noted(settings, what, 1, "" if approved is None else f"approval:{approved}")
        with out.open("xb") as file:
            file.write(content)
    shown = "Содержимое не раскрыто." if approved is None else "Содержимое раскрыто ключом этой записи."
    click.echo(f"Запись {number}: {out}. {shown}")
    click.echo(
        f"Проверка без этого сервиса: python -m audit verify {out} --key {log.signing_key_file.with_suffix('.pub')}"
    )


@click.command(name="request")
@with_filters
@by_an_officer
def request_command(
    url: str, ca_file: Path | None, officer_key: Path, ground: str, records: tuple[int, ...], **filters: object
) -> None:
    """Попросить раскрыть записи постороннему; разрешает другой сотрудник (`approve`)."""
    body: dict[str, object] = {"ground": ground, "records": records}
    for name, value in filters.items():
        if isinstance(value, datetime):
            body[name] = value.replace(tzinfo=UTC).isoformat()
        elif value:
            body[name] = value
    answer = Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/disclosures", body)
    click.echo(
        f"Запрос записан под номером {answer['asked']}. Второму сотруднику: appliance audit approve {answer['asked']}"
    )


@click.command(name="approve")
@click.argument("asked", type=click.IntRange(0))
@click.option("--deny", is_flag=True, help="Отказать.")
@by_an_officer
def approve_command(asked: int, url: str, ca_file: Path | None, officer_key: Path, ground: str, *, deny: bool) -> None:  # noqa: ARG001  (an officer's command has it)
    """Разрешить раскрытие, о котором попросил другой сотрудник. Разрешение действует 72 часа."""
    body = {"asked": asked, "approve": not deny}
    answer = Service(url, officer_key, ca_file, {}, _SECONDS).asked("/v1/admin/disclosures/decide", body)
    if deny:
        click.echo(f"Отказ записан под номером {answer['_record']}.")
    else:
        click.echo(
            f"Разрешение — запись {answer['_record']}. Выгрузка: appliance audit export ПАПКА --approved {answer['_record']}"
        )


def filter_of(settings: Settings, **filters: object) -> Filter:
    """What the options of `with_filters` ask for. Raises SettingsError."""
    since, until = (_us(filters[name]) for name in ("since", "until"))
    subject = str(filters["subject"])
    numbers = tuple(sorted(set(msgspec.convert(filters["records"], tuple[int, ...]))))
    pseudonym = Pseudonyms.load(settings.pseudonym_key).of(subject) if subject else b""
    return Filter(since, until, str(filters["app"]), str(filters["case"]), numbers, pseudonym)


def _us(moment: object) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000) if isinstance(moment, datetime) else 0


def _write(
    settings: Settings, out: Path, selection: Selection, recipients: tuple[str, ...], *, bundle_only: bool
) -> None:
    root = TrustRoot.parse(settings.log.signing_key_file.with_suffix(".pub").read_text())
    if not recipients:
        if bundle_only:
            export_bundle(settings.log.path, out, selection)
        else:
            export_folder(settings.log.path, out, root, selection, settings.timestamps)
        return
    # Sealed for somebody, it must not lie open anywhere: beside the log, where only we can read, and only meanwhile.
    temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=settings.log.path.parent))
    try:
        name = out.name.removesuffix(".age") or "export"
        if bundle_only:
            export_bundle(settings.log.path, temporary / name, selection)
        else:
            export_folder(settings.log.path, temporary / name, root, selection, settings.timestamps)
        parcels.seal_files(out, [(name, temporary / name)], recipients)
    finally:
        shutil.rmtree(temporary)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (AuditError, GatewayError, ParcelError) as error:
        fail(str(error))
    except SettingsError as error:
        fail(*error.problems)
    except OSError as error:
        fail(f"`{error.filename}`: {error.strerror}")


COMMANDS = (export_command, prove_command, request_command, approve_command)
