"""Rules that no bundle can lift: what the law asks of every request whatever its policy says. Words for people are in Russian."""

from __future__ import annotations

import msgspec

from policies.entities import Category
from policies.rules import Residency, Rule, Verdict
from policies.stops import StopKind


def said(rule: Rule, detail: str) -> Rule:
    """The rule with what exactly is lacking put before its advice."""
    return msgspec.structs.replace(rule, advice=f"{detail} {rule.advice}")


def _statute(name: str, article: str, reason: str, advice: str, verdict: Verdict = Verdict.REFUSE) -> Rule:
    return Rule(
        id=name,
        categories=tuple(Category),
        residencies=tuple(Residency),
        verdict=verdict,
        article=article,
        reason=reason,
        advice=advice,
    )


UNMASKABLE = _statute(
    "unmaskable-field",
    "152-ФЗ, ст. 5 ч. 5",
    "Персональные данные стоят в поле, которое нельзя изменить, не сломав запрос: скрыть их там невозможно.",
    "Уберите персональные данные из имён функций и других служебных полей запроса или выберите локальную модель.",
)
EXCESS = _statute(
    "purpose-excess",
    "152-ФЗ, ст. 5 ч. 5",
    "В запросе есть данные, которые не нужны заявленной цели: они заменены.",
    "Если данные нужны, выберите подходящую цель или дополните `allows` этой цели в политике.",
    Verdict.MASK,
)
POLICY_NOT_IN_FORCE = _statute(
    "policy-not-in-force",
    "152-ФЗ, ст. 18.1 ч. 1 п. 2",
    "Срок действия политики не наступил или истёк.",
    "Проверьте часы сервера и даты в `bundle.toml`; примените действующую политику.",
)
PURPOSE_NOT_IN_FORCE = _statute(
    "purpose-not-in-force",
    "152-ФЗ, ст. 5 ч. 2",
    "Срок цели обработки не наступил или истёк.",
    "Выберите действующую цель или продлите её в политике (`valid_from`, `valid_until`).",
)
NO_CONSENT = _statute(
    "consent-missing",
    "152-ФЗ, ст. 6 ч. 1 п. 1, ст. 9",
    "Цель основана на согласии субъекта, а запрос не ссылается на согласие.",
    "Передайте ссылку на согласие в заголовке `X-Consent` или в `metadata.consent`.",
)
CONSENT_WITHDRAWN = _statute(
    "consent-withdrawn",
    "152-ФЗ, ст. 9 ч. 2, ст. 21 ч. 5",
    "Согласие, на которое ссылается запрос, отозвано.",
    "Прекратите обработку этих данных или укажите другое основание.",
)
NO_DECISION_CONSENT = _statute(
    "decision-consent-missing",
    "152-ФЗ, ст. 16 ч. 2",
    "Решение с юридическими последствиями без участия человека возможно только с письменного согласия, а ссылки на него нет.",
    "Передайте ссылку на согласие в `X-Consent` или снимите `written_consent`: тогда ответ проверит сотрудник.",
)
NO_PRIMARY_RECORD = _statute(
    "primary-record-missing",
    "152-ФЗ, ст. 18 ч. 5",
    "Данные собираются, а запрос не подтверждает, что они уже записаны в базе данных в России.",
    "Сначала запишите данные в российскую базу, затем передайте её ссылку в `X-Primary-Record` или `metadata.primary_record`.",
)
COLLECTING_ABROAD = _statute(
    "collecting-stays-in-russia",
    "152-ФЗ, ст. 18 ч. 5",
    "При сборе данных граждан модели за пределами России не используются.",
    "Выберите российскую или локальную модель.",
)
NO_RECIPIENT = _statute(
    "recipient-missing",
    "152-ФЗ, ст. 6 ч. 3",
    "У маршрута за пределами организации нет карточки получателя: кому и на каком основании передаются данные, неизвестно.",
    "Заведите карточку в `recipients` политики и укажите её в `recipient` модели в настройках.",
)
RECIPIENT_NOT_IN_FORCE = _statute(
    "recipient-not-in-force",
    "152-ФЗ, ст. 6 ч. 3",
    "Карточка получателя не действует.",
    "Заключите или продлите договор и обновите карточку.",
)
RECIPIENT_CLAUSES = _statute(
    "recipient-clauses",
    "152-ФЗ, ст. 6 ч. 3",
    "В договоре с получателем нет обязательных условий поручения.",
    "Дополните договор и отметьте условия в карточке (`clauses`).",
)
RECIPIENT_SCOPE = _statute(
    "recipient-scope",
    "152-ФЗ, ст. 6 ч. 3",
    "Договор с получателем не охватывает этот запрос.",
    "Расширьте договор и карточку или выберите другой маршрут.",
)
NO_NOTICE = _statute(
    "cross-border-notice-missing",
    "152-ФЗ, ст. 12 ч. 3",
    "О трансграничной передаче не уведомлён Роскомнадзор.",
    "Подайте уведомление и внесите его номер и дату в карточку получателя (`cross_border`).",
)
NOTICE_SCOPE = _statute(
    "cross-border-scope",
    "152-ФЗ, ст. 12 ч. 4",
    "Уведомление о трансграничной передаче не охватывает этот запрос.",
    "Подайте новое уведомление или выберите другой маршрут.",
)
NO_ASSESSMENT = _statute(
    "cross-border-assessment-missing",
    "152-ФЗ, ст. 12 ч. 5",
    "До передачи за рубеж не получены сведения о получателе.",
    "Получите сведения и отметьте их в карточке (`assessment`, `assessed`).",
)
REVIEW_NOT_OVER = _statute(
    "cross-border-review",
    "152-ФЗ, ст. 12 ч. 11",
    "Страна получателя не входит в перечень Роскомнадзора, а срок рассмотрения уведомления не истёк.",
    "До его окончания выберите российскую или локальную модель.",
)
TRANSFER_BANNED = _statute(
    "cross-border-banned",
    "152-ФЗ, ст. 12 ч. 8, 9, 12",
    "Роскомнадзор запретил эту трансграничную передачу.",
    "Выберите российскую или локальную модель.",
)
NO_TEMPLATE = _statute(
    "template-missing",
    "Приказ ФСТЭК России № 117 (2025), п. 61",
    "Запрос не подходит ни под один шаблон и ни под одну разрешённую тему этой цели.",
    "Измените запрос по шаблону или попросите добавить шаблон или тему в политику.",
)
MANIPULATION = _statute(
    "manipulation",
    "152-ФЗ, ст. 19 ч. 1",
    "Запрос похож на попытку выманить у модели скрытые данные или её указания.",
    "Переформулируйте запрос; если это ошибка — сообщите ответственному, он видит её в журнале.",
)
REVIEW_HERE = _statute(
    "review-here",
    "152-ФЗ, ст. 16 ч. 1, 2",
    "Ответ для этой цели сначала проверяет человек, а здесь его получило бы сразу приложение.",
    "Отправляйте такой запрос через шлюз (`/v1/chat/completions`): ответ дождётся проверки.",
)
_STOPPED_ADVICE = "Обратитесь к ответственному за обработку персональных данных."
STOPPED = {
    StopKind.APP: _statute(
        "stopped-app", "152-ФЗ, ст. 21 ч. 3", "Работа этого приложения с моделями остановлена.", _STOPPED_ADVICE
    ),
    StopKind.KEY: _statute("stopped-key", "152-ФЗ, ст. 21 ч. 3", "Этот ключ API остановлен.", _STOPPED_ADVICE),
    StopKind.PURPOSE: _statute(
        "stopped-purpose", "152-ФЗ, ст. 21 ч. 3, 4", "Обработка для этой цели остановлена.", _STOPPED_ADVICE
    ),
    StopKind.RECIPIENT: _statute(
        "stopped-recipient", "152-ФЗ, ст. 21 ч. 3", "Передача этому получателю остановлена.", _STOPPED_ADVICE
    ),
    StopKind.ROUTE: _statute("stopped-route", "152-ФЗ, ст. 21 ч. 3", "Этот маршрут остановлен.", _STOPPED_ADVICE),
    StopKind.SUBJECT: _statute(
        "stopped-subject", "152-ФЗ, ст. 20 ч. 2, ст. 21 ч. 1", "Данные этого субъекта заблокированы.", _STOPPED_ADVICE
    ),
    StopKind.CONSENT: CONSENT_WITHDRAWN,
}

ALL = (
    POLICY_NOT_IN_FORCE, *STOPPED.values(), PURPOSE_NOT_IN_FORCE, NO_CONSENT, NO_DECISION_CONSENT, NO_PRIMARY_RECORD, COLLECTING_ABROAD,
    NO_TEMPLATE, MANIPULATION, REVIEW_HERE, NO_RECIPIENT, RECIPIENT_NOT_IN_FORCE, RECIPIENT_CLAUSES, RECIPIENT_SCOPE, NO_NOTICE,
    NOTICE_SCOPE, NO_ASSESSMENT, REVIEW_NOT_OVER, TRANSFER_BANNED, UNMASKABLE, EXCESS,
)  # fmt: skip
"""All of them, in the order in which they are told."""

RESERVED = frozenset(rule.id for rule in ALL)
"""Their names, which no rule of a bundle may bear."""
