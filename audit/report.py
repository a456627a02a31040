"""The report of a verification: what was established, what was found wrong, and what such a check cannot prove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from audit.entry import OpenedEntry
from audit.errors import Finding
from audit.proof import RecordReport
from audit.timestamps import Timestamped


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
    source: str  # "bundle", "folder" or "database"
    key: str  # the public key everything was checked against
    origin: str = ""
    size: int = 0  # as signed
    root: str = ""  # as signed; hexadecimal
    records: int = 0  # given whole
    skipped: int = 0  # not given: their place is covered by a hash
    opened: int = 0  # bodies read with keys that came along
    dropped: int = 0  # records whose ciphertexts are no longer kept
    checkpoints: int = 0  # earlier ones, kept in the log, whose root was found again
    epochs: int = 0  # of signing, certified
    breaks: tuple[int, ...] = ()  # epochs that began without the word of the one before, as the auditor knows
    sealing_keys: int = 0  # ids of them in the records given
    first_us: int | None = None  # UTC, microseconds: the lowest and the highest time in the records
    last_us: int | None = None
    witnesses: tuple[Cosigned, ...] = ()
    witnessed: int = 0  # entries that as many witnesses as were asked for have cosigned
    known: int | None = None  # size of the checkpoint seen earlier that the log was compared with
    tiles: int = 0  # files of tiles compared
    timestamps: tuple[Timestamped, ...] = ()  # RFC 3161 tokens that hold
    damage: tuple[Damage, ...] = ()
    not_proven: tuple[str, ...] = ()


NOT_PROVEN = {
    "witness": "внешнего свидетеля нет (`--witness`): владелец машины и ключа подписи мог переписать журнал целиком",
    "unwitnessed-tail": "записи после последней засвидетельствованной контрольной точки владелец машины мог переписать",
    "truncation": "не с чем сравнить размер: журнал, обрезанный до прежнего состояния, не отличить от целого (`--known`)",
    "first-epoch": "ключ первой эпохи подписи не дан (вторая строка открытого ключа): цепочку эпох удостоверяет ключ журнала",
    "epoch-tail": "записи последней эпохи подписи мог переписать тот, у кого её ключ: он ещё на машине",
    "break": "эпоху без слова прежней удостоверил один ключ журнала: чем это вызвано, говорит акт, а не журнал",
    "skipped": "выгрузка выборочная: о пропущенных записях показаны только их место и число",
    "dropped": "у части записей содержимое уже не хранится: что оно удалено по сроку, показывает не проверка, а запись об этом",
    "clock": "время в записях — по часам самой машины",
    "content": "содержимое расшифровано не у всех записей: проверено, что оно не менялось, а не что в нём написано",
    "labels": "названия полей раскрытых записей дал тот, кто их раскрыл; их ничто не доказывает",
    "timestamps": "метки времени RFC 3161 не проверены: нужен сертификат службы меток (`--tsa-ca`)",
    "epoch-roots": "по одной записи не проверить, с каких состояний журнала начинались эпохи подписи: для этого нужна выгрузка",
    "side-tables": "служебные таблицы базы (ключи, указатели) проверке не подлежат и в журнал не входят",
}
"""What even a log without damage does not show: code → words."""


_SOURCE = {"bundle": "выгрузка", "folder": "папка выгрузки", "database": "база данных"}


def explain(report: Report) -> str:
    """The report for a person, in Russian."""
    lines = ["Журнал цел." if report.ok else "ЖУРНАЛ НЕ ПРОШЁЛ ПРОВЕРКУ."]
    lines += [f"  • {_damage(damage)}" for damage in report.damage]
    lines += [
        f"Источник:            {_SOURCE[report.source]}",
        f"Журнал:              {report.origin or 'не установлен'}",
        f"Открытый ключ:       {report.key}",
        f"Записей:             {report.records} (подписано: {report.size}{_left_out(report)})",
        f"Корень дерева:       {report.root or 'не установлен'}",
    ]
    if report.first_us is not None and report.last_us is not None:
        lines.append(f"Время записей (UTC): {_moment(report.first_us)} — {_moment(report.last_us)}")
    lines.append(f"Эпох подписи:        {report.epochs}; прежних контрольных точек сверено: {report.checkpoints}")
    if report.breaks:
        lines.append(f"Разрывы цепочки, о которых вы знаете: эпохи {', '.join(map(str, report.breaks))}")
    if report.opened:
        lines.append(f"Раскрыто записей:    {report.opened}")
    if report.tiles:
        lines.append(f"Файлов tlog-tiles сверено: {report.tiles}")
    lines += [
        f"Свидетель {each.witness}: видел {each.size} записей {_moment(each.time * 1_000_000)} (UTC, по его часам)"
        for each in report.witnesses
    ]
    if report.witnesses:
        lines.append(f"Засвидетельствовано записей: {report.witnessed} из {report.size}")
    if report.timestamps:
        last = report.timestamps[-1]
        lines.append(
            f"Меток времени проверено: {len(report.timestamps)}; последняя: {last.size} записей были {_moment(last.time * 1_000_000)}"
            f" (UTC, по часам {_plain(last.tsa)})"
        )
    if report.known is not None:
        lines.append(f"Сверено с известной контрольной точкой: {report.known} записей")
    lines.append("Что эта проверка не доказывает:")
    lines += [f"  – {NOT_PROVEN[code]}" for code in report.not_proven]
    return "\n".join(lines)


def _left_out(report: Report) -> str:
    skipped = f"; не выгружено: {report.skipped}" if report.skipped else ""
    return f"{skipped}; содержимое не хранится: {report.dropped}" if report.dropped else skipped


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
    else:
        lines.append("Содержимое (названия полей дал тот, кто раскрыл запись; их ничто не доказывает):")
        fields = fields_of(report.entry, report.labels)
        lines += [f"  {_plain(name)}: {_plain(msgspec.json.encode(value).decode())}" for name, value in fields.items()]
    lines += [f"Свидетель:           {name} — {_moment(time * 1_000_000)}" for name, time in report.cosigned]
    lines.append("Не доказано:")
    lines += [f"  – {NOT_PROVEN[code]}" for code in _not_proven(report)]
    return "\n".join(lines)


def record_document(report: RecordReport) -> dict[str, object]:
    """The same for programs: members as in `FORMAT.md`, section 8."""
    entry = report.entry
    return {
        "ok": True,
        "source": "record",
        "origin": report.origin,
        "size": report.size,
        "root": report.root,
        "seq": report.seq,
        "kind": report.kind,
        "schema": report.schema,
        "time_us": report.time_us,
        "closes": None if entry is None else entry.closes,
        "fields": None if entry is None else fields_of(entry, report.labels),
        "epochs": report.epochs,
        "breaks": report.breaks,
        "witnesses": [Cosigned(name, report.size, time) for name, time in report.cosigned],
        "not_proven": _not_proven(report),
    }


def _not_proven(report: RecordReport) -> list[str]:
    unproven = {
        "witness": not report.witnessed,
        "first-epoch": not report.pinned,
        "epoch-roots": report.epochs > 0,
        "break": bool(report.breaks),
        "clock": True,
        "content": report.entry is None,
        "labels": report.entry is not None,
    }
    return [code for code in NOT_PROVEN if unproven.get(code)]


def fields_of(entry: OpenedEntry, labels: Sequence[str]) -> dict[str, object]:
    """The body of an opened record by the names of its fields, or by their places; as `body`, hexadecimal, when it is no array."""
    try:
        body = msgspec.msgpack.decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if not isinstance(body, list):
        return {"body": entry.body.hex()}
    names = [*labels, *("" for _ in body)]
    return {names[at] or str(at): _readable(value) for at, value in enumerate(body)}


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
