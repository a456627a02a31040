"""Recipients: to whom personal data may be handed, by which contract and, abroad, after which notice (152-ФЗ ст. 6 ч. 3, ст. 12)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from policies import statutes
from policies.countries import Country, CountryCode, is_listed
from policies.entities import Category
from policies.rules import Id, Rule, Words


class Clause(StrEnum):
    """What an instruction to process must fix, 152-ФЗ ст. 6 ч. 3; all of them."""

    DATA = "data"
    OPERATIONS = "operations"
    PURPOSES = "purposes"
    CONFIDENTIALITY = "confidentiality"
    LOCALISATION = "localisation"
    DUTIES = "duties"
    PROOF = "proof"
    PROTECTION = "protection"
    INCIDENTS = "incidents"

    @property
    def words(self) -> str:
        """In Russian, with the article it comes from."""
        return _CLAUSES[self]


_CLAUSES = {
    Clause.DATA: "перечень персональных данных",
    Clause.OPERATIONS: "перечень действий с ними",
    Clause.PURPOSES: "цели обработки",
    Clause.CONFIDENTIALITY: "соблюдение конфиденциальности",
    Clause.LOCALISATION: "требования ст. 18 ч. 5",
    Clause.DUTIES: "обязанности ст. 18.1",
    Clause.PROOF: "подтверждение соблюдения по запросу",
    Clause.PROTECTION: "требования к защите по ст. 19",
    Clause.INCIDENTS: "уведомление об инцидентах, ст. 21 ч. 3.1",
}


class Operation(StrEnum):
    """What may be done with personal data, 152-ФЗ ст. 3 п. 3."""

    COLLECTION = "collection"
    RECORDING = "recording"
    SYSTEMATISATION = "systematisation"
    ACCUMULATION = "accumulation"
    STORAGE = "storage"
    UPDATING = "updating"
    RETRIEVAL = "retrieval"
    USE = "use"
    TRANSFER = "transfer"
    DEPERSONALISATION = "depersonalisation"
    BLOCKING = "blocking"
    DELETION = "deletion"
    DESTRUCTION = "destruction"


class CardStatus(StrEnum):
    """Whether a card may be relied on."""

    DRAFT = "draft"
    ACTIVE = "active"
    CLOSED = "closed"


class Assessment(StrEnum):
    """What must be got from a foreign recipient before the first transfer, 152-ФЗ ст. 12 ч. 5."""

    MEASURES = "measures"  # its measures of protection and conditions for ending the processing
    CONTACTS = "contacts"
    LAW = "law"  # of its country; needed where the country is not listed


class Decision12(StrEnum):
    """What the authority decided of the transfer, 152-ФЗ ст. 12 ч. 8, 9, 12."""

    NONE = "none"  # nothing yet, or nothing against it
    LIMITED = "limited"
    BANNED = "banned"


class CrossBorder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The notice of a cross-border transfer and what came of it, 152-ФЗ ст. 12 ч. 3–6, 8–12.

    `reviewed`: the day on which the term of review ended without a ban, written down by a person; needed for states that are not listed.
    `limited_to`: the categories that a limitation left.
    """

    notice: Words
    notice_date: date
    countries: tuple[CountryCode, ...]
    categories: tuple[Category, ...]
    assessed: date
    assessment: tuple[Assessment, ...]
    reviewed: date | None = None
    decision: Decision12 = Decision12.NONE
    decision_date: date | None = None
    limited_to: tuple[Category, ...] = ()


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card of one recipient. `categories`, `operations` and `purposes` are what its contract covers.

    `retention_switch` names the request header or field that keeps the provider from storing what it gets; without one
    the provider may keep it, and the contract must allow storage.
    """

    id: Id
    name: Words
    inn: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{10}|[0-9]{12}|)$")]
    country: CountryCode
    status: CardStatus
    contract: str = ""
    clauses: tuple[Clause, ...] = ()
    categories: tuple[Category, ...] = ()
    operations: tuple[Operation, ...] = ()
    purposes: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    retention_switch: str = ""
    cross_border: CrossBorder | None = None


_REVIEW = timedelta(days=14)  # ten working days are never fewer days of the calendar (ст. 12 ч. 10, 11)


def obstacles(card: Recipient | None, *, categories: Collection[Category], purpose: str, day: date) -> Iterator[Rule]:
    """What keeps personal data of these categories from this recipient on `day`; nothing when the card covers it (ст. 6 ч. 3)."""
    if card is None:
        yield statutes.NO_RECIPIENT
        return
    if card.status is not CardStatus.ACTIVE or not card.contract:
        yield statutes.said(
            statutes.RECIPIENT_NOT_IN_FORCE, f"Карточка `{card.id}` не действует или в ней нет договора."
        )
    if card.valid_from is None or card.valid_from > day:
        yield statutes.said(statutes.RECIPIENT_NOT_IN_FORCE, f"Срок карточки `{card.id}` ещё не начался.")
    if card.valid_until is None or card.valid_until < day:
        yield statutes.said(statutes.RECIPIENT_NOT_IN_FORCE, f"Срок карточки `{card.id}` истёк или не указан.")
    if missing := [clause.words for clause in Clause if clause not in card.clauses]:
        yield statutes.said(statutes.RECIPIENT_CLAUSES, f"В договоре карточки `{card.id}` нет: {'; '.join(missing)}.")
    uncovered = sorted({category.value for category in categories} - set(card.categories))
    if uncovered:
        yield statutes.said(
            statutes.RECIPIENT_SCOPE, f"Карточка `{card.id}` не включает категории: {', '.join(uncovered)}."
        )
    if purpose not in card.purposes:
        yield statutes.said(statutes.RECIPIENT_SCOPE, f"Карточка `{card.id}` не включает цель `{purpose}`.")
    needed = {Operation.USE} if card.retention_switch else {Operation.USE, Operation.STORAGE}
    if lacking := sorted(needed - set(card.operations)):
        yield statutes.said(
            statutes.RECIPIENT_SCOPE, f"Карточка `{card.id}` не включает действия: {', '.join(lacking)}."
        )


def border_obstacles(
    card: Recipient, *, country: str, categories: Collection[Category], countries: Iterable[Country], day: date
) -> Iterator[Rule]:
    """What keeps a transfer to `country` from being made on `day`, 152-ФЗ ст. 12. Nothing for Russia."""
    if country == card.country == "RU":
        return
    notice = card.cross_border
    if notice is None:
        yield statutes.said(statutes.NO_NOTICE, f"В карточке `{card.id}` нет уведомления о трансграничной передаче.")
        return
    if notice.decision is Decision12.BANNED:
        yield statutes.TRANSFER_BANNED
    allowed = set(notice.categories)
    if notice.decision is Decision12.LIMITED:
        allowed &= set(notice.limited_to)
    if uncovered := sorted({category.value for category in categories} - allowed):
        yield statutes.said(
            statutes.NOTICE_SCOPE, f"Уведомление карточки `{card.id}` не включает категории: {', '.join(uncovered)}."
        )
    places = {country, card.country} - {"RU"}
    if unnamed := sorted(places - set(notice.countries)):
        yield statutes.said(
            statutes.NOTICE_SCOPE, f"Уведомление карточки `{card.id}` не включает страны: {', '.join(unnamed)}."
        )
    if notice.notice_date > day:
        yield statutes.said(statutes.NO_NOTICE, f"Дата уведомления карточки `{card.id}` ещё не наступила.")
    listed = all(is_listed(countries, place, day) for place in places)
    needed = {Assessment.MEASURES, Assessment.CONTACTS} | (set() if listed else {Assessment.LAW})
    if notice.assessed > day or not needed <= set(notice.assessment):
        yield statutes.said(
            statutes.NO_ASSESSMENT, f"В карточке `{card.id}` не хватает сведений: {', '.join(sorted(needed))}."
        )
    if not listed:
        over = notice.reviewed is not None and notice.reviewed <= day
        if not over or notice.reviewed is None or notice.reviewed < notice.notice_date + _REVIEW:
            yield statutes.said(
                statutes.REVIEW_NOT_OVER,
                f"Укажите в карточке `{card.id}` день окончания срока рассмотрения (`reviewed`), когда он наступит.",
            )
