"""Purposes of processing: what for, on which legal ground, with which data and for how long (152-ФЗ ст. 5 ч. 2, ст. 6 ч. 1)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from policies.entities import Category, Entity
from policies.rules import Id, Words


class Basis(StrEnum):
    """The ground of 152-ФЗ ст. 6 ч. 1 that a purpose rests on, by its number there."""

    CONSENT = "6.1.1"
    LAW = "6.1.2"
    JUSTICE = "6.1.3"
    PUBLIC_SERVICE = "6.1.4"
    CONTRACT = "6.1.5"
    VITAL_INTERESTS = "6.1.6"
    LEGITIMATE_INTEREST = "6.1.7"
    JOURNALISM = "6.1.8"
    STATISTICS = "6.1.9"
    STATE_DATA_SETS = "6.1.9.1"
    DISTRIBUTION = "6.1.10"
    DUTY_TO_PUBLISH = "6.1.11"

    @property
    def article(self) -> str:
        """As people write it: «152-ФЗ, ст. 6 ч. 1 п. 7»."""
        return f"152-ФЗ, ст. 6 ч. 1 п. {self.value.removeprefix('6.1.')}"


class AnswerCheck(StrEnum):
    """What becomes of personal data that a model adds of its own accord. Each does all that stands before it."""

    COUNT = "count"  # counted in the record
    FLAG = "flag"  # and the application is told
    MASK = "mask"  # and it is starred out
    REFUSE = "refuse"  # and the answer is withheld

    @property
    def strictness(self) -> int:
        """0 for the mildest."""
        return list(AnswerCheck).index(self)


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared purpose of processing and what belongs to it.

    `allows`: categories, and kinds of data besides, that the purpose needs; everything else is excess (ст. 5 ч. 5) and is masked.
    `collects`: the data of citizens are gathered for it, so ст. 18 ч. 5 applies. `legal_effect`: a decision with legal
    consequences follows (ст. 16): a person looks at the answer first, unless there is `written_consent` to a decision without one.
    `publish`: the answer is meant for an unlimited circle (ст. 10.1). `retention`: the class of terms its records belong to.
    """

    id: Id
    title: Words
    basis: Basis
    ground: Words
    allows: tuple[str, ...]
    collects: bool = False
    legal_effect: bool = False
    written_consent: bool = False
    publish: bool = False
    retention: Id = "default"
    valid_from: date | None = None
    valid_until: date | None = None
    answers: AnswerCheck = AnswerCheck.COUNT
    manipulation: AnswerCheck = (
        AnswerCheck.FLAG
    )  # of what looks like an attempt to talk the model into giving data away

    @property
    def article(self) -> str:
        """The article of its ground."""
        return self.basis.article

    def needs(self, entity: Entity, category: Category) -> bool:
        """Whether a kind of data is among those the purpose was declared with."""
        return category in self.allows or entity in self.allows

    def in_force(self, day: date) -> bool:
        """Whether the purpose may be served on `day`; both its dates are days of it."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day <= self.valid_until
        )
