"""The command line: `appliance …`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import ClassVar

import click

from appliance import __version__
from appliance.commands.options import chosen, fail, with_settings


class _Lazy(click.Group):
    """Groups are imported when they are asked for: `appliance pii` need not load a web server."""

    _ELSEWHERE: ClassVar = {
        "audit": "audit_group",
        "backup": "backup_command",
        "chat": "chat_command",
        "demo": "demo_command",
        "doctor": "doctor_command",
        "egress": "egress_group",
        "keys": "keys_group",
        "model": "model_group",
        "pii": "pii_group",
        "policy": "policy_group",
        "providers": "providers_group",
        "restore": "restore_command",
        "serve": "serve_command",
        "siem": "siem_group",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(import_module(f"appliance.commands.{cmd_name}"), self._ELSEWHERE[cmd_name])
        return found


@click.group(cls=_Lazy)
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """Шлюз между приложениями компании и языковыми моделями: находит персональные данные, применяет политику, ведёт журнал."""


@main.command(name="init")
@with_settings
def init_command(settings_file: Path | None, state: Path) -> None:
    """Создать недостающие файлы ключей. Существующие не трогаются."""
    from appliance.first_run import create_keys, missing_keys

    settings = chosen(settings_file, state)
    for path in create_keys(settings):
        click.echo(f"создан {path}")
    missing = missing_keys(settings)
    if missing:
        fail(
            *(
                f"`{path}`: журнал уже начат, новый ключ к нему не подойдёт; восстановите файл из резервной копии"
                for path in missing
            )
        )
    click.echo("Все файлы ключей на месте.")


@main.command(name="check")
@with_settings
@click.option("--reach", is_flag=True, help="Также проверить, что поставщики доступны по сети.")
def check_command(settings_file: Path | None, state: Path, *, reach: bool) -> None:
    """Проверить настройки, права на файлы ключей и политику; показать все ошибки сразу. Код выхода 2 — ошибки есть."""
    from appliance.commands.reach import unreachable
    from appliance.first_run import missing_keys
    from appliance.settings import problems

    settings = chosen(settings_file, state)
    found = problems(settings)
    if reach and not found:
        found = unreachable(settings)
    if found:
        fail(*found, missing=missing_keys(settings))
    click.echo(f"Настройки в порядке: поставщиков {len(settings.providers)}, ключей API {len(settings.keys)}.")


if __name__ == "__main__":
    main()
