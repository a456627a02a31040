"""What every command takes: which settings, and how a settings error is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from appliance.errors import SettingsError
from appliance.events import ReadWhat
from appliance.readings import note
from appliance.settings import Settings, default_settings, load_settings

_F = TypeVar("_F", bound=Callable[..., object])


def with_settings(command: _F) -> _F:
    """Adds `--settings FILE` and `--state DIR` to a command; it gets them as `settings_file` and `state`."""
    command = click.option(
        "--settings",
        "settings_file",
        type=click.Path(path_type=Path),
        help="Файл настроек TOML. Без него — настройки первого запуска.",
    )(command)
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("var"),
        show_default=True,
        help="Каталог состояния, когда файла настроек нет.",
    )(command)


def chosen(settings_file: Path | None, state: Path, local_model: str = "auto") -> Settings:
    """The settings that the options name; exits with every problem when they cannot be read."""
    try:
        return load_settings(settings_file) if settings_file is not None else default_settings(state, local_model)
    except SettingsError as error:
        fail(*error.problems)


def noted(settings: Settings, what: ReadWhat, records: int, ground: str = "") -> None:
    """Note that the log was read, before anything of it is shown; exits when that cannot be done."""
    try:
        note(settings.readings, what, records, ground)
    except OSError as error:
        fail(
            f"`{settings.readings}`: о чтении журнала нельзя оставить запись ({error.strerror}), поэтому он не показан"
        )


def fail(*problems: str, missing: Sequence[Path] = ()) -> NoReturn:
    """Say what is wrong, a line each, and exit with 2. `missing` are key files that could be created."""
    for problem in problems:
        click.echo(f"ошибка: {problem}", err=True)
    if missing:
        click.echo(
            "подсказка: недостающие файлы ключей новой установки создаёт `appliance init`; ключи", nl=False, err=True
        )
        click.echo(" уже начатого журнала возьмите из резервной копии", err=True)
    raise SystemExit(2)
