"""The policy: purposes, the category of each kind of data, and rules that say what may happen to it.

A policy is one TOML file. It is read whole or not at all: `load_policy` names every problem it can find, and a policy with
one is never in force. For each category, residency and purpose (a *cell*) the first rule that covers the cell decides it.
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from policies.entities import Category, Entity
from policies.errors import PolicyFileError

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


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared purpose of processing (152-ФЗ ст. 5 ч. 2) and the ground it rests on (ст. 6)."""

    id: Id
    title: Words
    ground: Words
    article: Words


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `purposes` empty means all of them. `reason` and `advice` are for people, in Russian."""

    id: Id
    categories: tuple[Category, ...]
    residencies: tuple[Residency, ...]
    verdict: Verdict
    article: Words
    reason: Words
    advice: Words
    purposes: tuple[str, ...] = ()

    def covers(self, category: Category, residency: Residency, purpose: str) -> bool:
        """Whether the rule speaks of this cell."""
        return (
            category in self.categories
            and residency in self.residencies
            and (not self.purposes or purpose in self.purposes)
        )


class Policy(msgspec.Struct, frozen=True):
    """A policy in force. `digest` is the SHA-256 of its file's bytes, in hex; `version` is what its author calls it."""

    version: str
    digest: str
    purposes: Mapping[str, Purpose]
    entities: Mapping[Entity, Category]
    rules: tuple[Rule, ...]

    def category_of(self, entity: Entity) -> Category:
        """The category this policy gives to a kind of data."""
        return self.entities[entity]

    def rule_for(self, category: Category, residency: Residency, purpose: str) -> Rule:
        """The rule that decides this cell. Loading has shown that there is one for every declared purpose."""
        return next(rule for rule in self.rules if rule.covers(category, residency, purpose))


def load_policy(path: Path) -> Policy:
    """The policy in the file at `path`. Raises PolicyFileError with every problem found."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyFileError((f"{path}: не читается ({error.strerror})",)) from error
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyFileError((f"{path}: строка {line}: это не UTF-8",)) from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyFileError((f"{path}: это не TOML: {_lower_first(str(error))}",)) from error
    draft, problems = _decode(document)
    if draft is not None:
        problems += _inconsistencies(draft)
    if draft is None or problems:
        raise PolicyFileError(tuple(f"{path}: {problem}" for problem in problems))
    return Policy(
        version=draft.version,
        digest=hashlib.sha256(content).hexdigest(),
        purposes={purpose.id: purpose for purpose in draft.purposes},
        entities={Entity(name): Category(category) for name, category in draft.entities.items()},
        rules=tuple(draft.rules),
    )


def shipped_policy_path() -> Path:
    """The policy that comes with the product."""
    return Path(__file__).parent / "data" / "policy.toml"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file's outermost shape; its items are decoded one by one so that each can have its own problem."""

    version: Id
    purposes: list[dict[str, object]]
    entities: dict[str, str]
    rules: list[dict[str, object]]


class _Draft(msgspec.Struct):
    version: str
    purposes: list[Purpose]
    entities: dict[str, str]
    rules: list[Rule]
    complete: bool  # every item of the file could be decoded


def _decode(document: dict[str, object]) -> tuple[_Draft | None, list[str]]:
    try:
        file = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        return None, [_lower_first(str(error))]
    problems: list[str] = []
    purposes = _items(file.purposes, Purpose, "purposes", problems)
    rules = _items(file.rules, Rule, "rules", problems)
    return _Draft(file.version, purposes, file.entities, rules, complete=not problems), problems


_Item = TypeVar("_Item", Purpose, Rule)


def _items(tables: Sequence[dict[str, object]], kind: type[_Item], key: str, problems: list[str]) -> list[_Item]:
    items = []
    for number, table in enumerate(tables, 1):
        try:
            items.append(msgspec.convert(table, kind))
        except msgspec.ValidationError as error:
            problems.append(f"`{key}`, {number}-й по счёту ({_name(table)}): {_lower_first(str(error))}")
    return items


def _inconsistencies(draft: _Draft) -> list[str]:
    problems = [
        *_taxonomy_problems(draft.entities),
        *_duplicates("purposes", [purpose.id for purpose in draft.purposes]),
        *_duplicates("rules", [rule.id for rule in draft.rules]),
        *_reference_problems(draft),
    ]
    if draft.complete:
        # Only a policy whose items are all readable can be searched for holes: a lost rule would look like many of them.
        if not draft.purposes:
            problems.append("`purposes`: нет ни одной; без цели обрабатывать нельзя ничего")
        if draft.rules:
            problems += _coverage_problems(draft)
        else:
            problems.append("`rules`: нет ни одного; пустая политика ничего не решает")
    return problems


def _taxonomy_problems(entities: Mapping[str, str]) -> Iterator[str]:
    for name, category in entities.items():
        if name not in set(Entity):
            yield f"`entities.{name}`: такого вида данных нет"
        if category not in set(Category):
            yield f"`entities.{name}`: `{category}` — не категория; есть {_listed(Category)}"
    for entity in Entity:
        if entity not in entities:
            yield f"`entities`: нет `{entity}`; у каждого вида данных должна быть категория"


def _duplicates(key: str, ids: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(ids).items():
        if count > 1:
            yield f"`{key}`: `{name}` встречается {count} раза"


def _reference_problems(draft: _Draft) -> Iterator[str]:
    known = {purpose.id for purpose in draft.purposes}
    for rule in draft.rules:
        for purpose in rule.purposes:
            if draft.complete and purpose not in known:
                yield f"правило `{rule.id}`: `purposes`: цели `{purpose}` нет"
        for key, values in (("categories", rule.categories), ("residencies", rule.residencies)):
            if not values:
                yield f"правило `{rule.id}`: `{key}` пусто, правило ничего не решает"
        if UNMASKABLE.id == rule.id:
            yield f"правило `{rule.id}`: это имя занято встроенным правилом"


def _coverage_problems(draft: _Draft) -> Iterator[str]:
    purposes = [purpose.id for purpose in draft.purposes]
    deciding: dict[tuple[Category, Residency, str], Rule] = {}
    for rule in draft.rules:
        cells = [cell for cell in itertools.product(Category, Residency, purposes) if rule.covers(*cell)]
        if cells and all(cell in deciding for cell in cells):
            earlier = dict.fromkeys(f"`{deciding[cell].id}`" for cell in cells)
            yield f"правило `{rule.id}`: никогда не сработает; всё, о чём оно, решают до него {', '.join(earlier)}"
        for cell in cells:
            deciding.setdefault(cell, rule)
    for category, residency in itertools.product(Category, Residency):
        open_for = [purpose for purpose in purposes if (category, residency, purpose) not in deciding]
        if open_for:
            named = ", ".join(f"`{purpose}`" for purpose in open_for)
            yield f"`rules`: ни одно правило не решает категорию `{category}` для размещения `{residency}` (цели: {named})"


UNMASKABLE = Rule(
    id="unmaskable-field",
    categories=tuple(Category),
    residencies=tuple(Residency),
    verdict=Verdict.REFUSE,
    article="152-ФЗ, ст. 5 ч. 5",
    reason="Персональные данные стоят в поле, которое нельзя изменить, не сломав запрос: скрыть их там невозможно.",
    advice="Уберите персональные данные из имён функций и других служебных полей запроса или выберите локальную модель.",
)
"""Built in, for no file can lift it: what must be masked and cannot be is refused."""


def _name(table: Mapping[str, object]) -> str:
    name = table.get("id")
    return f"`{name}`" if isinstance(name, str) else "без `id`"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
