"""`appliance siem test`: one marked line by the very path that records take."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import click

from appliance.commands.options import chosen, fail, with_settings
from appliance.siem import FileSink, SinkSettings, Told, line, opened


@click.group(name="siem")
def siem_group() -> None:
    """Приёмники записей журнала ([[siem]] в настройках). Как они отстают, показывает /readyz."""


@siem_group.command(name="test")
@click.argument("name")
@with_settings
def test_command(name: str, settings_file: Path | None, state: Path) -> None:
    """Отправить приёмнику NAME одну помеченную строку тем же путём, которым уходят записи."""
    settings = chosen(settings_file, state)
    sink = next((each for each in settings.siem if each.name == name), None)
    if sink is None:
        fail(
            f"приёмника `{name}` в настройках нет; есть: {', '.join(each.name for each in settings.siem) or 'ни одного'}"
        )
    message = "Проверка связи. Это не запись журнала."
    record = Told(0, time.time_ns() // 1000, 0, "Test", 0, "проверка", message, {}, 0, "", settings.audit.origin)
    try:
        asyncio.run(_send(sink, record, settings.broker))
    except ssl.SSLCertVerificationError as error:
        fail(f"приёмник `{name}`: сертификату нет доверия ({error.verify_message}); укажите `ca_file`")
    except (OSError, TimeoutError) as error:
        fail(f"приёмник `{name}`: {getattr(error, 'strerror', None) or type(error).__name__}")
    where = f"файл {sink.path}" if isinstance(sink, FileSink) else sink.address
    click.echo(f"Передано: {where}. Найдите у приёмника строку «{message}»: подтверждений в syslog нет.")


async def _send(sink: SinkSettings, record: Told, broker: str) -> None:
    async with opened(sink, broker) as transport:
        await transport.send([line(record, sink.format, syslog=transport.syslog)])
