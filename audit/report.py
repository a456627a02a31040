"""The report of a verification: what was established, what was found wrong, and what such a check cannot prove."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from audit.errors import Finding
from audit.proof import RecordReport


class Damage(Struct, frozen=True):
    """One thing found wrong. `seq` is the record when one can be named; the first `since` records are as signed."""

    finding: Finding
    message: str
    seq: int | None = None
    since: int | None = None


class Cosigned(Struct, frozen=True):
    """The largest checkpoint in the log that a witness cosigned, and when: seconds of POSIX, by the witness's clock."""

    witness: str
    size: int
    time: int


class Report(Struct, frozen=True, kw_only=True):
    """What a verification established. `ok`: these records, in this order and no others, are what the key signed."""

    ok: bool
    source: str  # "bundle" or "database"
    key: str  # the public key everything was checked against
    origin: str = ""
    size: int = 0  # as signed
    root: str = ""  # as signed; hexadecimal
    records: int = 0  # as found
    checkpoints: int = 0  # earlier ones, kept in the log, whose root was found again
    first_us: int | None = None  # UTC, microseconds: the lowest and the highest time in the records
    last_us: int | None = None
    runs: int = 0  # starts of the writer, by their epoch keys
    witnesses: tuple[Cosigned, ...] = ()
    witnessed: int = 0  # entries that as many witnesses as were asked for have cosigned
    known: int | None = None  # size of the checkpoint seen earlier that the log was compared with
    damage: tuple[Damage, ...] = ()
    not_proven: tuple[str, ...] = ()


NOT_PROVEN = {
    "witness": "внешнего свидетеля нет (`--witness`): владелец машины и ключа подписи мог переписать журнал целиком",
    "unwitnessed-tail": "записи после последней засвидетельствованной контрольной точки владелец машины мог переписать",
    "truncation": "не с чем сравнить размер: журнал, обрезанный до прежнего состояния, не отличить от целого (`--known`)",
    "clock": "время в записях — по часам самой машины",
    "content": "содержимое не расшифровывалось: проверено, что оно не менялось, а не что в нём написано",
    "side-tables": "служебные таблицы базы (ключи, указатели) проверке не подлежат и в журнал не входят",
}
"""What even a log without damage does not show: code → words."""


def explain(report: Report) -> str:
    """The report for a person, in Russian."""
    lines = ["Журнал цел." if report.ok else "ЖУРНАЛ НЕ ПРОШЁЛ ПРОВЕРКУ."]
    lines += [f"  • {_damage(damage)}" for damage in report.damage]
    lines += [
        f"Источник:            {'выгрузка' if report.source == 'bundle' else 'база данных'}",
        f"Журнал:              {report.origin or 'не установлен'}",
        f"Открытый ключ:       {report.key}",
        f"Записей:             {report.records} (подписано: {report.size})",
        f"Корень дерева:       {report.root or 'не установлен'}",
    ]
    if report.first_us is not None and report.last_us is not None:
        lines.append(f"Время записей (UTC): {_moment(report.first_us)} — {_moment(report.last_us)}")
    lines.append(f"Запусков службы:     {report.runs}; прежних контрольных точек сверено: {report.checkpoints}")
    lines += [
        f"Свидетель {each.witness}: видел {each.size} записей {_moment(each.time * 1_000_000)} (UTC, по его часам)"
        for each in report.witnesses
    ]
    if report.witnesses:
        lines.append(f"Засвидетельствовано записей: {report.witnessed} из {report.size}")
    if report.known is not None:
        lines.append(f"Сверено с известной контрольной точкой: {report.known} записей")
    lines.append("Что эта проверка не доказывает:")
    lines += [f"  – {NOT_PROVEN[code]}" for code in report.not_proven]
    return "\n".join(lines)


def explain_record(report: RecordReport) -> str:
    """What a disclosed record shows, for a person, in Russian."""
    lines = [
        "Запись есть в журнале.",
        f"Журнал:              {report.origin}",
        f"Номер записи:        {report.seq} (всего подписано: {report.size})",
        f"Корень дерева:       {report.root}",
        f"Время записи (UTC):  {_moment(report.time_us)} — по часам самой машины",
        f"Вид записи:          {report.kind}",
    ]
    if report.entry is None:
        lines.append("Содержимое не раскрыто: ключа записи в файле нет. Показано, что она есть и не менялась.")
        return "\n".join(lines)
    lines.append("Содержимое (названия полей дал тот, кто раскрыл запись; их ничто не доказывает):")
    try:
        body = msgspec.msgpack.decode(report.entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if not isinstance(body, list):
        lines.append(f"  {report.entry.body.hex()}")
        return "\n".join(lines)
    names = [*report.labels, *("" for _ in body)]
    lines += [f"  {_plain(names[at]) or at}: {_shown(value)}" for at, value in enumerate(body)]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return _plain(msgspec.json.encode(_readable(value)).decode())


def _readable(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_readable(each) for each in value]
        case dict():
            return {str(_readable(name)): _readable(each) for name, each in value.items()}
        case str() | int() | float() | bool() | None:
            return value
    return str(value)


def _plain(text: str) -> str:
    """Text that cannot command a terminal: it comes from a file."""
    return "".join(character for character in text if character.isprintable())


def _damage(damage: Damage) -> str:
    since = "" if damage.since is None else f"; первые записи, {damage.since} шт., совпадают с подписанными"
    return f"{damage.message}{since}"


def _moment(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%d.%m.%Y %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time_us} мкс"
