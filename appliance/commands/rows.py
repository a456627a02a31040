"""Records of the log as a table for the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from appliance.wording import event_of, told
from audit import OpenedEntry


def records_table(records: list[OpenedEntry]) -> Table:
    """Records as a person reads them."""
    table = Table(title="Журнал решений", header_style="bold")
    table.add_column("№", justify="right")
    table.add_column("Время (UTC)", no_wrap=True)
    table.add_column("Событие", no_wrap=True)
    table.add_column("Подробности", overflow="fold")
    for record in records:
        when = datetime.fromtimestamp(record.time_us / 1e6, UTC).strftime("%d.%m.%y %H:%M:%S")
        event, details = told(record, event_of(record))
        table.add_row(str(record.seq), when, event, escape(details))
    return table
