"""`appliance audit …`: read the log, verify it, take it to an auditor."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from appliance.commands import custody, disclosing, witness
from appliance.commands.disclosing import filter_of, with_filters
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.commands.rows import records_table
from appliance.events import (
    ReadWhat,
)
from appliance.selecting import matches, numbers_of
from appliance.wording import event_of
from audit import AuditError, AuditReader, OpenedEntry, explain, verify_file


@click.group(name="audit")
def audit_group() -> None:
    """Журнал: прочитать, проверить, выгрузить для проверяющего."""


for _command in (*custody.COMMANDS, *disclosing.COMMANDS, witness.witness_group):
    audit_group.add_command(_command)


@audit_group.command(name="list")
@with_filters
@click.option(
    "--last", default=50, show_default=True, type=click.IntRange(1), help="Сколько последних из подходящих записей."
)
@click.option("--follow", is_flag=True, help="И новые записи, по мере появления; прервать — Ctrl+C.")
@click.option("--json", "as_json", is_flag=True, help="Строки JSON вместо таблицы.")
@with_settings
def list_command(
    settings_file: Path | None, state: Path, last: int, *, follow: bool, as_json: bool, **filters: object
) -> None:
    """Записи журнала, которые подходят под условия."""
    settings = chosen(settings_file, state)
    with _reader(settings_file, state) as reader:
        wanted = filter_of(settings, **filters)
        if follow and (wanted.numbers or wanted.subject):
            fail("с `--follow` нельзя `--record` и `--subject`: о новых записях по ним заранее ничего не известно")
        size = reader.size
        numbers = (range(size) if wanted.is_whole else numbers_of(reader, wanted))[-last:]
        noted(settings, ReadWhat.LIST, len(numbers))
        _show([reader.entry(number) for number in numbers], as_json=as_json)
        while follow:
            time.sleep(_EVERY)
            fresh = [each for each in reader.entries(size) if matches(wanted, each)]
            size = max(size, reader.size)
            if fresh:
                noted(settings, ReadWhat.LIST, len(fresh))
                _show(fresh, as_json=as_json)


def _show(records: list[OpenedEntry], *, as_json: bool) -> None:
    if as_json:
        for record in records:
            click.echo(json.dumps(_document(record), ensure_ascii=False))
    else:
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


@audit_group.command(name="checkpoint")
@with_settings
def checkpoint_command(settings_file: Path | None, state: Path) -> None:
    """Подписанная контрольная точка: сохраните её вне этой машины и сверяйте с ней журнал (`verify --known`)."""
    with _reader(settings_file, state) as reader:
        click.echo(reader.checkpoint(), nl=False)


@contextmanager
def _reader(settings_file: Path | None, state: Path) -> Iterator[AuditReader]:
    log = chosen(settings_file, state).log
    try:
        with AuditReader.open(log.path, log.kek_source, log.subject_keys) as reader:
            yield reader
    except AuditError as error:
        fail(str(error))


_EVERY = 1.0  # seconds


def _document(record: OpenedEntry) -> dict[str, object]:
    event = event_of(record)
    fields = {} if event is None else {name: _plain(getattr(event, name)) for name in event.__struct_fields__}
    return {
        "seq": record.seq,
        "time": datetime.fromtimestamp(record.time_us / 1e6, UTC).isoformat(),
        "kind": "unknown" if event is None else type(event).__name__,
        **fields,
        "subjects": [None if subject is None else subject.hex() for subject in record.subjects],
        "commitment": record.commitment.hex(),
    }


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else msgspec.to_builtins(value)
