"""`appliance providers …`: which routes there are and what they cost, and whether their upstreams work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.accounting import today
from appliance.commands.options import chosen, fail, with_settings
from appliance.settings import Settings, problems
from providers import (
    Check,
    Examinable,
    ProviderError,
    ProviderSettings,
    Route,
    Tariff,
    Task,
    explain,
    load_tariffs,
    open_provider,
    routes_of,
    vendor_of,
)

_RESIDENCY = {"local": "внутри компании", "ru": "в России", "foreign": "за пределами России"}
_TASK = {Task.CHAT: "чат", Task.EMBEDDING: "векторы"}
_SIGN = {True: "[green]да[/green]", False: "[red]нет[/red]", None: "[yellow]?[/yellow]"}


@click.group(name="providers")
def providers_group() -> None:
    """Поставщики моделей: список маршрутов с ценами, проверка доступа."""


@providers_group.command(name="list")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Строки JSON вместо таблицы.")
def list_command(settings_file: Path | None, state: Path, *, as_json: bool) -> None:
    """Маршруты в порядке настроек: где выполняется модель, что она делает, сколько стоит."""
    settings = _usable(settings_file, state)
    tariffs = load_tariffs(settings.router.tariff_file)
    vendors = {each.name: vendor_of(each) for each in settings.providers}
    rows = [
        (route, tariffs.tariff(vendors[route.provider], route.upstream, today()))
        for route in routes_of(settings.providers)
    ]
    if as_json:
        for route, tariff in rows:
            document = {**msgspec.to_builtins(route), "id": route.id, "tariff": msgspec.to_builtins(tariff)}
            click.echo(json.dumps(document, ensure_ascii=False))
        return
    Console().print(_routes_table(rows, settings))


@providers_group.command(name="check")
@click.argument("name", required=False)
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Строки JSON вместо таблицы.")
def check_command(name: str | None, settings_file: Path | None, state: Path, *, as_json: bool) -> None:
    """Спросить поставщика (или всех): принят ли ключ, есть ли модели, где они выполняются. Запросов моделям не шлёт.

    Код выхода 1 — хотя бы одна проверка не прошла.
    """
    settings = _usable(settings_file, state)
    known = {each.name: each for each in settings.providers}
    if name is not None and name not in known:
        fail(f"поставщика `{name}` нет в настройках; есть: {', '.join(f'`{each}`' for each in known)}")
    asked = tuple(known.values()) if name is None else (known[name],)
    results = asyncio.run(_examine_all(asked, settings.broker))
    for each, checks in zip(asked, results, strict=True):
        if as_json:
            for check in checks:
                click.echo(json.dumps({"provider": each.name, **msgspec.to_builtins(check)}, ensure_ascii=False))
        else:
            Console().print(_checks_table(each.name, checks))
    raise SystemExit(1 if any(check.passed is False for checks in results for check in checks) else 0)


async def _examine_all(asked: Sequence[ProviderSettings], broker: str) -> list[tuple[Check, ...]]:
    return await asyncio.gather(*(_examine(settings, broker) for settings in asked))


async def _examine(settings: ProviderSettings, broker: str) -> tuple[Check, ...]:
    try:
        async with open_provider(settings, broker) as provider:
            if isinstance(provider, Examinable):
                return await provider.examine()
            state = provider.readiness()
            return (Check("Готовность", passed=state.ready, description=state.reason),)
    except ProviderError as error:
        told = explain(error)
        return (Check(told.title, passed=False, description=told.description, action=told.action),)


def _usable(settings_file: Path | None, state: Path) -> Settings:
    """Settings without problems of their own; exits with each of them."""
    settings = chosen(settings_file, state)
    if found := problems(settings):
        fail(*found)
    return settings


def _routes_table(rows: Sequence[tuple[Route, Tariff | None]], settings: Settings) -> Table:
    table = Table(title="Маршруты", header_style="bold")
    for title in ("Маршрут", "Где выполняется", "Задача", "Цена, ₽", "Псевдонимы"):
        table.add_column(title, overflow="fold")
    for route, tariff in rows:
        where = _RESIDENCY[route.residency] + (f", {route.country}" if route.country else "")
        aliases = [alias.name for alias in settings.aliases if route.id in alias.routes]
        names = [*aliases, *(["auto"] if route.auto and route.task is Task.CHAT else [])]
        cells = (route.id, where, _TASK[route.task], _price(tariff), ", ".join(names))
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _price(tariff: Tariff | None) -> str:
    """What a tariff says, with its date and whether VAT is in it."""
    if tariff is None:
        return "неизвестна"
    parts = [
        f"{title} {_number(value)}"
        for title, value in (("вход", tariff.input), ("выход", tariff.output), ("кэш", tariff.cached))
        if value is not None and not (value is tariff.cached and value == tariff.input)
    ]
    words = [f"{', '.join(parts)} за {_grouped(tariff.per)} токенов"] if parts else []
    if tariff.per_hour is not None:
        words.append(f"{_number(tariff.per_hour)} за час")
    if tariff.per_request is not None:
        words.append(f"{_number(tariff.per_request)} за запрос")
    vat = {"included": "с НДС", "excluded": "без НДС", "unknown": "НДС не указан"}[tariff.vat]
    return f"{'; '.join(words)} ({vat}, с {tariff.valid_from:%d.%m.%Y})"


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _number(value: Decimal) -> str:
    shown = f"{value.normalize():f}"
    kopecks = shown.partition(".")[2]
    return (f"{value:.2f}" if len(kopecks) == 1 else shown).replace(".", ",")


def _checks_table(name: str, checks: Sequence[Check]) -> Table:
    table = Table(title=f"Поставщик {escape(name)}", title_justify="left", header_style="bold", show_lines=True)
    table.add_column("Проверка", overflow="fold")
    table.add_column("", justify="center", no_wrap=True)
    table.add_column("Что видно и что делать", overflow="fold")
    for check in checks:
        words = "\n".join(part for part in (check.description, check.action) if part)
        table.add_row(escape(check.title), _SIGN[check.passed], escape(words))
    return table
