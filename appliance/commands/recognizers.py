"""`appliance pii recognizers`: what is looked for in every text, built in and the customer's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.commands.options import chosen, fail, with_settings
from policies import (
    TITLES,
    ClassEntry,
    Entity,
    RuleEntry,
    built_in,
    load_custom,
    problems_of_recognizers,
    read_custom,
)


class _Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recogniser. `source` is a module, a file or the path of a class."""

    name: str
    origin: str  # built-in | file | class
    source: str
    kinds: tuple[Entity, ...]
    score: float | None = None  # what it gives each finding; of a class, the least that counts
    examples: int | None = None
    patterns: int | None = None
    words: int | None = None  # forms included


_ORIGINS = {"built-in": "встроенный", "file": "файл", "class": "класс"}


@click.command(name="recognizers")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Строки JSON вместо таблицы.")
def recognizers_command(settings_file: Path | None, state: Path, *, as_json: bool) -> None:
    """Что ищется в каждом тексте: встроенные распознаватели и свои из файла `detector.recognizers`.

    Файл проверяется целиком, вместе с классами; код выхода 2 — в нём есть ошибки, все они показаны.
    """
    path = chosen(settings_file, state).detector.recognizers
    if path and (problems := problems_of_recognizers(Path(path))):
        fail(*problems)
    listed = [*_built_in(), *(_custom(Path(path)) if path else ())]
    if as_json:
        for each in listed:
            click.echo(json.dumps(msgspec.to_builtins(each), ensure_ascii=False))
        return
    Console().print(_table(listed))
    if not path:
        click.echo("Своих распознавателей нет: файл называют в настройках, [detector] recognizers.")


def _built_in() -> Iterator[_Listed]:
    for each in built_in():
        yield _Listed(
            name=each.kind.lower().replace("_", "-"),
            origin="built-in",
            source=each.module,
            kinds=(each.kind,),
            examples=each.examples,
        )


def _custom(path: Path) -> Iterator[_Listed]:
    loaded = load_custom(read_custom(path))
    for entry in loaded.entries:
        match entry:
            case RuleEntry():
                yield _Listed(
                    name=entry.name,
                    origin="file",
                    source=str(path),
                    kinds=(entry.kind,),
                    score=entry.score,
                    patterns=len(entry.patterns),
                    words=loaded.rules.words.get(entry.name, 0),
                )
            case ClassEntry():
                kinds = tuple(dict.fromkeys(entry.kinds.values()))
                yield _Listed(entry.name, "class", entry.path, kinds, score=entry.threshold)


def _table(listed: list[_Listed]) -> Table:
    table = Table(title="Распознаватели", title_justify="left", header_style="bold")
    for title in ("Имя", "Вид данных", "Источник", "Оценка", "Чем задан"):
        table.add_column(title, overflow="fold")
    for each in listed:
        kinds = ", ".join(f"{TITLES[kind]} ({kind})" for kind in each.kinds)
        source = _ORIGINS[each.origin] + ("" if each.origin == "file" else f": {each.source}")
        score = "по признакам" if each.score is None else f"{'от ' if each.origin == 'class' else ''}{each.score:.2f}"
        table.add_row(*(escape(cell) for cell in (each.name, kinds, source, score, _size(each))))
    return table


def _size(each: _Listed) -> str:
    parts = (("примеров", each.examples), ("шаблонов", each.patterns), ("слов", each.words))
    return ", ".join(f"{title} {count}" for title, count in parts if count) or "—"
