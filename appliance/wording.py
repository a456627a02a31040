"""Records of the log in words for people: what happened and the details, in Russian."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from appliance.events import (
    Analyzed,
    AuditBlocked,
    AuthFailed,
    Booted,
    Checkpointed,
    ClockDisputed,
    ClockJumped,
    ContentDropped,
    DisclosureAsked,
    DisclosureDecided,
    ErasureAsked,
    Event,
    Explained,
    HandedOver,
    HoldAct,
    HoldDecided,
    Intent,
    KeysRenewed,
    LogRead,
    Masked,
    Outcome,
    PolicyChanged,
    ReadWhat,
    RefusalReason,
    Refused,
    Restored,
    Resumed,
    ScrubDamaged,
    SelfChecked,
    ShutDown,
    SideBroughtIn,
    Status,
    StopChanged,
    SubjectErased,
    SubjectHold,
    Unmasked,
    Unwitnessed,
    Witnessed,
    decode,
)
from audit import DamageFound, OpenedEntry
from policies import Entity, Verdict

_VERDICT = {Verdict.SEND: "как есть", Verdict.MASK: "со скрытыми данными", Verdict.REFUSE: "отказ"}
_STATUS = {
    Status.COMPLETED: "ответ получен",
    Status.FAILED: "поставщик не ответил",
    Status.INTERRUPTED: "поставщик оборвал ответ",
    Status.WITHHELD: "ответ не выдан: политика или проверяющий",
    Status.STOPPED: "остановлено сотрудником",
    Status.ABORTED: "прервано с нашей стороны",
    Status.UNKNOWN: "неизвестно: процесс был остановлен",
}
_ACT = {HoldAct.VIEWED: "просмотрел", HoldAct.APPROVED: "разрешил выдать", HoldAct.DENIED: "не разрешил выдать"}
_READ = {
    ReadWhat.SUBJECT: "записи об одном человеке",
    ReadWhat.LIST: "список",
    ReadWhat.SHOW: "одна запись",
    ReadWhat.PROVE: "доказательство без содержимого",
    ReadWhat.OPEN: "доказательство с содержимым",
    ReadWhat.EXPORT: "выгрузка без расшифровки",
    ReadWhat.EXPORT_OPEN: "выгрузка с ключами записей",
    ReadWhat.WITNESS_FORGOT: "принято ветвление чужого журнала",
    ReadWhat.BACKUP: "резервная копия",
    ReadWhat.KEK_ROTATED: "смена ключа шифрования, поколение",
    ReadWhat.REPLAY: "решения заново по другой политике",
    ReadWhat.KEY_SEALED: "ключ журнала запечатан",
    ReadWhat.ESCROW_SPLIT: "ключ журнала разделён на доли",
    ReadWhat.ESCROW_RESTORE: "ключ журнала восстановлен из долей",
    ReadWhat.ESCROW_DRILL: "учения: последняя запись открыта ключом из долей",
}
_DAMAGE = {
    DamageFound.RECORD: "байты не совпадают с хешами",
    DamageFound.MISSING: "записи нет или она не на своём месте",
    DamageFound.SUBTREES: "хеши не складываются в сохранённый узел дерева",
    DamageFound.ROOT: "записи не складываются в подписанный корень",
    DamageFound.UNREADABLE: "база не читается",
}
_REASON = {
    RefusalReason.POLICY: "политика",
    RefusalReason.PURPOSE: "цель не названа или не разрешена ключу",
    RefusalReason.NOT_READY: "разрешённый маршрут не готов",
    RefusalReason.UNINSPECTABLE: "есть то, что нельзя проверить",
    RefusalReason.DETECTOR: "проверка не удалась",
}


def told(record: OpenedEntry, event: Event | None) -> tuple[str, str]:  # noqa: C901, PLR0911, PLR0912, PLR0915  (one line a kind)
    """A name for what happened, and the details; nothing in them says who a person is."""
    match event:
        case Intent():
            found = f"; найдено: {_counts(event.found)}" if event.found else "; ничего не найдено"
            hidden = f"; скрыто: {_counts(event.masked)}" if event.masked else ""
            where = f"{event.app} → {event.route} ({event.residency}), {_VERDICT[event.verdict]}"
            return "отправка", f"{where}{found}{hidden}; цель {event.purpose}{_aside(event.side_time)}"
        case Outcome():
            error = f", {event.error}" if event.error else ""
            tokens = f", токенов {event.total_tokens}" if event.total_tokens else ""
            return "исход", f"запись {event.intent}: {_STATUS[event.status]}{error}{tokens}{_aside(event.side_time)}"
        case Refused():
            where = f" → {', '.join(event.residencies)}" if event.residencies else ""
            rules = f" [{', '.join(event.rules)}]" if event.rules else ""
            found = f"; найдено: {_counts(event.found)}" if event.found else ""
            return "отказ", f"{event.app}{where}: {_REASON[event.reason]}{rules}{found}"
        case Analyzed():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            return "проверка", f"{event.app}: текстов {event.texts}, {found}; цель {event.purpose}"
        case Masked():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            where = f"{event.app} → {event.recipient or event.residency} ({event.residency})"
            return (
                "подготовка",
                f"{where}, {_VERDICT[event.verdict]}: текстов {event.texts}, {found}; цель {event.purpose}",
            )
        case Unmasked():
            left = f", не восстановлено {event.unrestored}" if event.unrestored else ""
            return "восстановление", f"{event.app}: текстов {event.texts} по записи {event.masked}{left}"
        case Explained():
            found = f"найдено: {_counts(event.found)}" if event.found else "ничего не найдено"
            return "объяснение", f"{event.app}: {found}; цель {event.purpose}"
        case StopChanged():
            done = "остановлено" if event.laid else "снята остановка"
            return "управление", f"{event.officer}: {done}: {event.kind} {event.target}{_ground(event.ground)}"
        case LogRead():
            return (
                "чтение журнала",
                f"{event.officer}: {_READ[event.what]}, {event.records} шт.{_ground(event.ground)}",
            )
        case ErasureAsked():
            return "требование", f"{event.officer}: отвязать субъекта от записей{_ground(event.ground)}"
        case SubjectErased():
            if event.held:
                return "не отвязан", f"по записи {event.asked}: сведения удерживаются"
            return "субъект отвязан", f"по записи {event.asked}: записей {event.records}, поколение {event.generation}"
        case SubjectHold():
            done = "не удалять сведения о субъекте" if event.held else "удержание снято"
            return "удержание", f"{event.officer}: {done}{_ground(event.ground)}"
        case KeysRenewed():
            return "ключи", f"{event.officer}: ключи субъектов обновлены, поколение {event.generation}"
        case DisclosureAsked():
            return "просьба раскрыть", f"{event.officer}: {_wish(event)}{_ground(event.ground)}"
        case DisclosureDecided():
            return (
                "раскрытие",
                f"{event.officer}: {'разрешено' if event.approved else 'отказано'}, запрос {event.asked}",
            )
        case Restored():
            lost = f", утрачено {event.lost}" if event.lost else ""
            return "восстановление", f"из копии на {event.size} записей{lost}{_ground(event.ground)}"
        case HandedOver():
            return "ключи", f"{event.officer}: новая эпоха подписи {event.epoch}{_ground(event.ground)}"
        case ContentDropped():
            day = datetime.fromtimestamp(event.day * 86400, UTC).strftime("%d.%m.%Y")
            return "срок хранения", f"удалено содержимое записей за {day}, {event.records} шт."
        case PolicyChanged():
            if not event.accepted:
                return "политика", f"не принята, ошибок: {event.problems}; действует прежняя"
            signed = f"; подписали {event.author}, {event.approver or '—'}" if event.author else ""
            return "политика", f"вступила в силу {event.version} ({event.new_digest.hex()[:12]}){signed}"
        case HoldDecided():
            return "проверка ответа", f"{event.officer}: {_ACT[event.act]}; запись {event.intent}"
        case Witnessed():
            return "свидетель", f"{event.witness} подтвердил первые записи, {event.size} шт."
        case Unwitnessed():
            since = datetime.fromtimestamp(event.since, UTC).strftime("%d.%m.%Y %H:%M")
            few = (
                f"подтверждали {event.confirming} из нужных {event.quorum}"
                if event.quorum > 1
                else "никто не подтверждал"
            )
            return "нет свидетеля", f"{few} журнал с {since} (UTC)"
        case Checkpointed():
            return "контрольная точка", f"записей {event.size}, корень {event.root.hex()[:16]}…"
        case ClockDisputed():
            return "часы свидетеля", f"{event.witness}: расходятся с нашими на {event.ahead / 1000:+.1f} с"
        case AuthFailed():
            return "чужой ключ", f"попыток: {event.count}"
        case Booted():
            orphans = f", незакрытых записей было {event.orphans}" if event.orphans else ""
            code = f", файлы {event.code.hex()[:12]}" if event.code else ""
            return "запуск", f"версия {event.version}{code}, политика {event.policy_version}{orphans}"
        case ClockJumped():
            return "часы", f"переведены на {event.gained / 1000:+.3f} с"
        case Resumed():
            return "возобновление", f"журнал снова пишет; не писал: {event.reason}"
        case AuditBlocked():
            return "журнал не пишет", f"с {_moment(event.since)} (UTC): {event.reason}; это записано в резерв места"
        case SideBroughtIn():
            damaged = f"; повреждённых строк: {event.damaged}, файл сохранён" if event.damaged else ""
            return "записано в стороне", f"перенесено: отправок {event.intents}, исходов {event.outcomes}{damaged}"
        case ScrubDamaged():
            where = (
                f"запись {event.start}" if event.stop == event.start + 1 else f"записи {event.start}–{event.stop - 1}"
            )
            return "ПОВРЕЖДЕНИЕ", f"{where}: {_DAMAGE[event.what]}"
        case SelfChecked():
            damaged = f"повреждений: {event.damaged}" if event.damaged else "повреждений нет"
            return "самопроверка", f"записей {event.size}, {damaged}, корень {event.root.hex()[:16]}…"
        case ShutDown():
            return "остановка", f"запросов принято: {event.requests}"
        case None:
            return "?", "содержимое удалено по сроку хранения" if not record.kept else "запись более новой версии"


def told_damage(what: str) -> str:
    """What the scrubber found, by its word in the record."""
    return _DAMAGE[DamageFound(what)]


def _wish(asked: DisclosureAsked) -> str:
    parts = [
        f"записи {', '.join(map(str, asked.numbers))}" if asked.numbers else "",
        "об одном человеке" if asked.about else "",
        f"приложение {asked.app}" if asked.app else "",
        f"дело {asked.case}" if asked.case else "",
        f"с {_moment(asked.since)}" if asked.since else "",
        f"до {_moment(asked.until)}" if asked.until else "",
    ]
    return "; ".join(part for part in parts if part)


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%d.%m.%Y %H:%M")


def _aside(time_us: int) -> str:
    """That it was recorded aside, and when."""
    return f"; записано в стороне {_moment(time_us)} (UTC)" if time_us else ""


def _ground(ground: str) -> str:
    return f"; основание {ground}" if ground else ""


def _counts(found: Mapping[Entity, int]) -> str:
    return ", ".join(f"{entity} {count}" for entity, count in sorted(found.items()))


def event_of(record: OpenedEntry) -> Event | None:
    """What a record says; None for what this version does not know, and for content that is no longer kept."""
    return decode(record.kind, record.schema, record.body)
