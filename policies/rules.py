"""One rule of a policy: which data, where to, what for → what may happen, and why, in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec

from policies.entities import Category, Entity

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A name that is written to the log: lower-case Latin letters, digits, dot, hyphen, underscore."""

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Residency(StrEnum):
    """Where the model that a text would be sent to is run."""

    LOCAL = "local"
    RU = "ru"
    FOREIGN = "foreign"


class Verdict(StrEnum):
    """What may happen to a text."""

    SEND = "send"
    MASK = "mask"
    REFUSE = "refuse"

    @property
    def strictness(self) -> int:
        """0 for the most permissive; a stricter verdict has a greater number."""
        return _STRICTNESS[self]


_STRICTNESS = {Verdict.SEND: 0, Verdict.MASK: 1, Verdict.REFUSE: 2}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `purposes` empty means all of them, `entities` empty all kinds of the `categories`.

    `always`: the rule speaks of every text, also of one in which nothing was found. `reason` and `advice` are for people, in Russian.
    """

    id: Id
    categories: tuple[Category, ...]
    residencies: tuple[Residency, ...]
    verdict: Verdict
    article: Words
    reason: Words
    advice: Words
    purposes: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    always: bool = False

    def covers(self, entity: Entity, category: Category, residency: Residency, purpose: str) -> bool:
        """Whether the rule speaks of this cell."""
        return (
            category in self.categories
            and (not self.entities or entity in self.entities)
            and residency in self.residencies
            and (not self.purposes or purpose in self.purposes)
        )

    def closes(self, residency: Residency, purpose: str) -> bool:
        """Whether the rule speaks of this residency and purpose whatever stands in the text."""
        return self.always and residency in self.residencies and (not self.purposes or purpose in self.purposes)

    def cells(
        self, taxonomy: dict[Category, tuple[Entity, ...]], purposes: tuple[str, ...]
    ) -> Iterator[tuple[Entity, Residency, str]]:
        """Every cell (kind, residency, purpose) that the rule decides; none for a rule that speaks of every text."""
        for category in () if self.always else self.categories:
            for entity in taxonomy.get(category, ()):
                if not self.entities or entity in self.entities:
                    for residency in self.residencies:
                        for purpose in self.purposes or purposes:
                            yield entity, residency, purpose
