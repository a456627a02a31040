"""`appliance doctor`: everything that is wrong with an installation and what to do about it; works while the service does not."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from appliance.commands.options import chosen, with_settings
from appliance.commands.reach import unreachable
from appliance.doctor import Check, Level, examine

_MARK = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.FAILURE: "[red]✗[/]"}


@click.command(name="doctor")
@with_settings
@click.option("--reach", is_flag=True, help="Также проверить, что поставщики доступны по сети.")
@click.option("--json", "as_json", is_flag=True, help="В JSON.")
def doctor_command(settings_file: Path | None, state: Path, *, reach: bool, as_json: bool) -> None:
    """Осмотреть установку: что не так и что с этим делать. Код выхода 1 — есть отказы; предупреждения его не меняют."""
    found = examine(chosen(settings_file, state), unreachable if reach else None)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _show(found)
    raise SystemExit(1 if any(check.level is Level.FAILURE for check in found) else 0)


def _show(found: list[Check]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for check in found:
        console.print(f"{_MARK[check.level]} {escape(check.name)}: {escape(check.words)}")
        if check.hint:
            console.print(f"    → {escape(check.hint)}")
    failures, warnings = (sum(check.level is level for check in found) for level in (Level.FAILURE, Level.WARNING))
    console.print(f"Отказов: {failures}, предупреждений: {warnings}.")
