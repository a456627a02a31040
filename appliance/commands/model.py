"""`appliance model fetch`: bring the embedded model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from providers import WeightsError
from providers.embedded import cpu_problem
from providers.weights import SPECS, already_there, fetch


@click.group(name="model")
def model_group() -> None:
    """Встроенная локальная модель."""


@model_group.command(name="fetch")
@click.argument("name", type=click.Choice(sorted(SPECS)), default="default")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path("var/models"), show_default=True)
def fetch_command(name: str, into: Path) -> None:
    """Скачать веса модели по частям из обычного индекса пакетов и проверить их SHA-256. Прерванная загрузка продолжается."""
    spec = SPECS[name]
    target = into / spec.file_name
    if already_there(spec, target):
        click.echo(f"Модель уже на месте: {target}")
        return
    slow = cpu_problem(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    if slow:
        _without("процессор без AVX2, встроенная модель на нём не работает")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as progress:
            task = progress.add_task(f"Модель {spec.file_name}", total=spec.size)
            fetch(spec, target, progress=lambda done, total: progress.update(task, completed=done, total=total))
    except WeightsError as error:
        _without(str(error))
    click.echo(f"Модель готова: {target}")


def _without(reason: str) -> NoReturn:
    click.echo(f"Модель не получена: {reason}", err=True)
    click.echo(
        "Сервис работает и без неё: за локальную модель отвечает встроенный имитатор `local/mock-normal`.", err=True
    )
    raise SystemExit(3)
