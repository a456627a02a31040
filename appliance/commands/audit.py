"""`appliance audit …`: read the log, verify it, take it to an auditor."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.commands import custody
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.events import (
    Analyzed,
    AuthFailed,
    Booted,
    ClockJumped,
    ErasureAsked,
    Event,
    Explained,
    HoldAct,
    HoldDecided,
    Intent,
    KeysRenewed,
    LogRead,
    Masked,
    Outcome,
    PolicyChanged,
    ReadWhat,
    RefusalReason,
    Refused,
    Resumed,
    ShutDown,
    Status,
    StopChanged,
    SubjectErased,
    SubjectHold,
    Unmasked,
    Unwitnessed,
    Witnessed,
    decode,
)
from audit import AuditError, AuditReader, OpenedEntry, Verifier, explain, export_bundle, verify_file
from policies import Entity, Verdict


@click.group(name="audit")
def audit_group() -> None:
    """Журнал: прочитать, проверить, выгрузить для проверяющего."""


for _command in custody.COMMANDS:
    audit_group.add_command(_command)


@audit_group.command(name="list")
@with_settings
@click.option("--last", default=50, show_default=True, type=click.IntRange(1), help="Сколько последних записей.")
@click.option("--json", "as_json", is_flag=True, help="Строки JSON вместо таблицы.")
def list_command(settings_file: Path | None, state: Path, last: int, *, as_json: bool) -> None:
    """Последние записи журнала."""
    with _reader(settings_file, state) as reader:
        records = list(reader.entries(max(0, reader.size - last), reader.size))
    noted(chosen(settings_file, state), ReadWhat.LIST, len(records))
    if as_json:
        for record in records:
            click.echo(json.dumps(_document(record), ensure_ascii=False))
        return
    Console().print(records_table(records))


@audit_group.command(name="show")
@click.argument("number", type=click.IntRange(0))
@with_settings
def show_command(number: int, settings_file: Path | None, state: Path) -> None:
    """Одна запись целиком."""
    with _reader(settings_file, state) as reader:
        record = reader.entry(number)
    noted(chosen(settings_file, state), ReadWhat.SHOW, 1)
    click.echo(json.dumps(_document(record), ensure_ascii=False, indent=2))


@audit_group.command(name="verify")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Отчёт в JSON.")
def verify_command(settings_file: Path | None, state: Path, *, as_json: bool) -> None:
    """Пересчитать журнал и сверить с подписанной контрольной точкой. Код выхода 1 — повреждение найдено."""
    log = chosen(settings_file, state).log
    try:
        report = verify_file(log.path, log.signing_key_file.with_suffix(".pub").read_text())
    except OSError as error:
        fail(f"`{error.filename}`: не читается ({error.strerror})")
    except AuditError as error:
        fail(str(error))
    click.echo(msgspec.json.encode(report).decode() if as_json else explain(report))
    sys.exit(0 if report.ok else 1)


@audit_group.command(name="export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def export_command(file: Path, settings_file: Path | None, state: Path) -> None:
    """Выгрузить журнал в один файл; ключей и открытых данных в нём нет."""
    settings = chosen(settings_file, state)
    log = settings.log
    try:
        count = export_bundle(log.path, file)
        try:
            noted(settings, ReadWhat.EXPORT, count)
        except SystemExit:
            file.unlink()
            raise
    except AuditError as error:
        fail(str(error))
    click.echo(f"Выгружено записей: {count}. Файл: {file}")
    click.echo(
        f"Проверка без этого сервиса: python -m audit verify {file} --key {log.signing_key_file.with_suffix('.pub')}"
    )


@audit_group.command(name="checkpoint")
@with_settings
def checkpoint_command(settings_file: Path | None, state: Path) -> None:
    """Подписанная контрольная точка: сохраните её вне этой машины и сверяйте с ней журнал (`verify --known`)."""
    with _reader(settings_file, state) as reader:
        click.echo(reader.checkpoint(), nl=False)


@audit_group.command(name="prove")
@click.argument("number", type=click.IntRange(0))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Новый файл.")
@click.option("--open", "opened", is_flag=True, help="Приложить ключ этой одной записи: её содержимое станет читаемым.")
@with_settings
def prove_command(number: int, out: Path, settings_file: Path | None, state: Path, *, opened: bool) -> None:
    """Доказать постороннему, что запись есть в журнале, и показать её, если нужно."""
    settings = chosen(settings_file, state)
    log = settings.log
    try:
        verifier = Verifier.parse(log.signing_key_file.with_suffix(".pub").read_text())
        with AuditReader.open(log.path, log.kek_file, log.subject_keys) as reader:
            event = _event(reader.entry(number))
            labels = () if event is None else event.__struct_fields__
            content = reader.disclose(number, verifier, key=opened, labels=labels).encoded()
        noted(settings, ReadWhat.OPEN if opened else ReadWhat.PROVE, 1)
        with out.open("xb") as file:
            file.write(content)
    except AuditError as error:
        fail(str(error))
    except OSError as error:
        fail(f"`{error.filename}`: {error.strerror}")
    click.echo(
        f"Запись {number}: {out}. {'Содержимое раскрыто ключом этой записи.' if opened else 'Содержимое не раскрыто.'}"
    )
    click.echo(
        f"Проверка без этого сервиса: python -m audit verify {out} --key {log.signing_key_file.with_suffix('.pub')}"
    )


@contextmanager
def _reader(settings_file: Path | None, state: Path) -> Iterator[AuditReader]:
    log = chosen(settings_file, state).log
    try:
        with AuditReader.open(log.path, log.kek_file, log.subject_keys) as reader:
            yield reader
    except AuditError as error:
        fail(str(error))


_VERDICT = {Verdict.SEND: "как есть", Verdict.MASK: "со скрытыми данными", Verdict.REFUSE: "отказ"}
_STATUS = {
    Status.COMPLETED: "ответ получен",
    Status.FAILED: "поставщик не ответил",
    Status.INTERRUPTED: "поставщик оборвал ответ",
    Status.WITHHELD: "ответ не выдан: политика или проверяющий",
    Status.STOPPED: "остановлено сотрудником",
    Status.ABORTED: "прервано с нашей стороны",
    Status.UNKNOWN: "неизвестно: процесс был остановлен",
}
_ACT = {HoldAct.VIEWED: "просмотрел", HoldAct.APPROVED: "разрешил выдать", HoldAct.DENIED: "не разрешил выдать"}
_READ = {
    ReadWhat.SUBJECT: "записи об одном человеке",
    ReadWhat.LIST: "список",
    ReadWhat.SHOW: "одна запись",
    ReadWhat.PROVE: "доказательство без содержимого",
    ReadWhat.OPEN: "доказательство с содержимым",
    ReadWhat.EXPORT: "выгрузка без расшифровки",
    ReadWhat.REPLAY: "решения заново по другой политике",
}
_REASON = {
    RefusalReason.POLICY: "политика",
    RefusalReason.PURPOSE: "цель не названа или не разрешена ключу",
    RefusalReason.NOT_READY: "разрешённый маршрут не готов",
    RefusalReason.UNINSPECTABLE: "есть то, что нельзя проверить",
    RefusalReason.DETECTOR: "проверка не удалась",
}


def records_table(records: list[OpenedEntry]) -> Table:
    """Records as a person reads them."""
    table = Table(title="Журнал решений", header_style="bold")
    table.add_column("№", justify="right")
    table.add_column("Время (UTC)", no_wrap=True)
    table.add_column("Событие", no_wrap=True)
    table.add_column("Подробности", overflow="fold")
    for record in records:
        when = datetime.fromtimestamp(record.time_us / 1e6, UTC).strftime("%d.%m.%y %H:%M:%S")
        event, details = _row(_event(record))
        table.add_row(str(record.seq), when, event, escape(details))
    return table


def _row(event: Event | None) -> tuple[str, str]:  # noqa: C901, PLR0911, PLR0912  (one line a kind)
    match event:
        case Intent():
            found = f"; найдено: {_counts(event.found)}" if event.found else "; ничего не найдено"
            hidden = f"; скрыто: {_counts(event.masked)}" if event.masked else ""
            where = f"{event.app} → {event.route} ({event.residency}), {_VERDICT[event.verdict]}"
            return "отправка", f"{where}{found}{hidden}; цель {event.purpose}"
        case Outcome():
            error = f", {event.error}" if event.error else ""
            tokens = f", токенов {event.total_tokens}" if event.total_tokens else ""
            return "исход", f"запись {event.intent}: {_STATUS[event.status]}{error}{tokens}"
        case Refused():
            where = f" → {', '.join(event.residencies)}" if event.residencies else ""
            rules = f" [{', '.join(event.rules)}]" if event.rules else ""
            found = f"; найдено: {_counts(event.found)}" if event.found else ""
            return "отказ", f"{event.app}{where}: {_REASON[event.reason]}{rules}{found}"
        case Analyzed():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            return "проверка", f"{event.app}: текстов {event.texts}, {found}; цель {event.purpose}"
        case Masked():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            where = f"{event.app} → {event.recipient or event.residency} ({event.residency})"
            return (
                "подготовка",
                f"{where}, {_VERDICT[event.verdict]}: текстов {event.texts}, {found}; цель {event.purpose}",
            )
        case Unmasked():
            left = f", не восстановлено {event.unrestored}" if event.unrestored else ""
            return "восстановление", f"{event.app}: текстов {event.texts} по записи {event.masked}{left}"
        case Explained():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            return "объяснение", f"{event.app}: {found}; цель {event.purpose}"
        case StopChanged():
            done = "остановлено" if event.laid else "снята остановка"
            return "управление", f"{event.officer}: {done}: {event.kind} {event.target}{_ground(event.ground)}"
        case LogRead():
            return (
                "чтение журнала",
                f"{event.officer}: {_READ[event.what]}, {event.records} шт.{_ground(event.ground)}",
            )
        case ErasureAsked():
            return "требование", f"{event.officer}: отвязать субъекта от записей{_ground(event.ground)}"
        case SubjectErased():
            if event.held:
                return "не отвязан", f"по записи {event.asked}: сведения удерживаются"
            return "субъект отвязан", f"по записи {event.asked}: записей {event.records}, поколение {event.generation}"
        case SubjectHold():
            done = "не удалять сведения о субъекте" if event.held else "удержание снято"
            return "удержание", f"{event.officer}: {done}{_ground(event.ground)}"
        case KeysRenewed():
            return "ключи", f"{event.officer}: ключи субъектов обновлены, поколение {event.generation}"
        case PolicyChanged():
            if not event.accepted:
                return "политика", f"не принята, ошибок: {event.problems}; действует прежняя"
            signed = f"; подписали {event.author}, {event.approver or '—'}" if event.author else ""
            return "политика", f"вступила в силу {event.version} ({event.new_digest.hex()[:12]}){signed}"
        case HoldDecided():
            return "проверка ответа", f"{event.officer}: {_ACT[event.act]}; запись {event.intent}"
        case Witnessed():
            return "свидетель", f"{event.witness} подтвердил первые записи, {event.size} шт."
        case Unwitnessed():
            since = datetime.fromtimestamp(event.since, UTC).strftime("%d.%m.%Y %H:%M")
            return "нет свидетеля", f"никто не подтверждал журнал с {since} (UTC)"
        case AuthFailed():
            return "чужой ключ", f"попыток: {event.count}"
        case Booted():
            orphans = f", незакрытых записей было {event.orphans}" if event.orphans else ""
            code = f", файлы {event.code.hex()[:12]}" if event.code else ""
            return "запуск", f"версия {event.version}{code}, политика {event.policy_version}{orphans}"
        case ClockJumped():
            return "часы", f"переведены на {event.gained / 1000:+.3f} с"
        case Resumed():
            return "возобновление", f"журнал снова пишет; не писал: {event.reason}"
        case ShutDown():
            return "остановка", f"запросов принято: {event.requests}"
        case None:
            return "?", "запись более новой версии"


def _ground(ground: str) -> str:
    return f"; основание {ground}" if ground else ""


def _counts(found: Mapping[Entity, int]) -> str:
    return ", ".join(f"{entity} {count}" for entity, count in sorted(found.items()))


def _document(record: OpenedEntry) -> dict[str, object]:
    event = _event(record)
    fields = {} if event is None else {name: _plain(getattr(event, name)) for name in event.__struct_fields__}
    return {
        "seq": record.seq,
        "time": datetime.fromtimestamp(record.time_us / 1e6, UTC).isoformat(),
        "kind": "unknown" if event is None else type(event).__name__,
        **fields,
        "subjects": [None if subject is None else subject.hex() for subject in record.subjects],
        "commitment": record.commitment.hex(),
    }


def _event(record: OpenedEntry) -> Event | None:
    return decode(record.kind, record.schema, record.body)


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else msgspec.to_builtins(value)
