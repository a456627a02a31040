"""The policy bundle: a folder of TOML with one digest; read whole or not at all.

Every `*.toml` of the folder is part of it, and so is the profile that it names; a top-level key may stand in any of the files, tables
of an array in several. `load_policy` names every problem it can find, and a bundle with one is never in force. For each kind of
data, residency and purpose (a *cell*) the first rule that covers the cell decides it; the rules of the profile can only make it stricter.
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from policies import statutes
from policies.countries import Country
from policies.entities import Category, Entity
from policies.errors import PolicyFileError
from policies.masking import Method
from policies.purposes import AnswerCheck, Purpose
from policies.recipients import CardStatus, Recipient
from policies.rules import Id, Residency, Rule, Verdict, Words
from policies.templates import Answered, Template, Topic, problems_of_templates

Cell = tuple[Entity, Residency, str]
"""A kind of data, a residency and a purpose."""


class Profile(StrEnum):
    """An overlay that makes every policy stricter, for a kind of organisation."""

    BASE = "base"
    BANK = "bank"
    GOS = "gos"
    KII = "kii"


class Masking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By which method values are hidden. The first that covers a value decides; empty lists mean all.

    `article` names the place in the order that the method follows.
    """

    method: Method
    article: Words
    categories: tuple[Category, ...] = ()
    entities: tuple[Entity, ...] = ()
    purposes: tuple[str, ...] = ()
    residencies: tuple[Residency, ...] = ()


class Deciding(msgspec.Struct, frozen=True):
    """A rule and the kinds of data that it decides for one residency and purpose, as a set of bits (see `bit_of`)."""

    rule: Rule
    bits: int


_BITS = {entity: 1 << place for place, entity in enumerate(Entity)}
bit_of = _BITS.__getitem__
"""A kind as a bit, by its place in `Entity`."""


class Policy(msgspec.Struct, frozen=True):
    """A policy in force. `digest` is the SHA-256 over all its files, in hex; `version` is what its author calls it.

    `templated` are the purposes with templates or topics. `table`: for each residency and purpose the rules that decide, the
    profile's and the law's on excess included. `closing`: the rules that speak of every text. `order`: the place of each rule, by id.
    """

    version: str
    digest: str
    profile: Profile
    valid_from: date | None
    valid_until: date | None
    purposes: Mapping[str, Purpose]
    entities: Mapping[Entity, Category]
    rules: tuple[Rule, ...]
    recipients: Mapping[str, Recipient]
    countries: tuple[Country, ...]
    maskings: tuple[Masking, ...]
    templates: tuple[Template, ...]
    topics: tuple[Topic, ...]
    templates_required: bool
    templated: frozenset[str]
    table: Mapping[tuple[Residency, str], tuple[Deciding, ...]]
    closing: tuple[Rule, ...]
    methods: Mapping[tuple[Residency, str], Mapping[Entity, Method]]
    order: Mapping[str, int]

    def category_of(self, entity: Entity) -> Category:
        """The category this policy gives to a kind of data."""
        return self.entities[entity]

    def answered(self, template: str) -> Answered | None:
        """The form that answers to a request of this template or topic must have; None without one."""
        forms = {
            **{each.id: each.answer for each in self.templates},
            **{each.id: each.answer for each in self.topics},
        }
        return forms.get(template)

    def card_digest(self, recipient: str) -> bytes:
        """SHA-256 of a recipient's card as it stands in this policy; empty when there is none."""
        card = self.recipients.get(recipient)
        return b"" if card is None else hashlib.sha256(msgspec.json.encode(card, order="deterministic")).digest()

    def in_force(self, day: date) -> bool:
        """Whether the bundle may be used on `day`; both its dates are days of it."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day <= self.valid_until
        )


def load_policy(path: Path) -> Policy:
    """The policy in the folder, or the single file, at `path`. Raises PolicyFileError with every problem found."""
    return read_policy(files_of(path), path)


def files_of(path: Path) -> dict[str, bytes]:
    """Name → bytes of every file of a bundle. Raises PolicyFileError."""
    paths = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not paths:
        raise PolicyFileError((f"{path}: в папке нет ни одного файла `*.toml`",))
    try:
        return {each.name: each.read_bytes() for each in paths}
    except OSError as error:
        raise PolicyFileError((f"{error.filename}: не читается ({error.strerror})",)) from error


def read_policy(files: Mapping[str, bytes], path: Path) -> Policy:
    """The policy in these files; `path` names them in what is said of problems. Raises PolicyFileError with every problem found."""
    document, problems = _merged(files, path)
    draft = None
    if not problems:
        draft, problems = _decode(document)
        if draft is not None:
            problems += _inconsistencies(draft)
        problems = [f"{path}: {problem}" for problem in problems]
    if draft is None or problems:
        raise PolicyFileError(tuple(problems))
    return _policy(draft, digest_of(files, draft.profile))


def digest_of(files: Mapping[str, bytes], profile: Profile) -> str:
    r"""SHA-256, in hex, of the SHA-256 and name of each file in the order of names, the profile's own file last: `HEX  NAME\n` each."""
    named = [*sorted(files.items()), (f"profile:{profile}", _profile_bytes(profile))]
    listing = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in named)
    return hashlib.sha256(listing.encode()).hexdigest()


def shipped_policy_path() -> Path:
    """The bundle that comes with the product."""
    return Path(__file__).parent / "data" / "bundle"


def _profile_bytes(profile: Profile) -> bytes:
    if profile is Profile.BASE:
        return b""
    return (Path(__file__).parent / "data" / "profiles" / f"{profile}.toml").read_bytes()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The outermost shape; its items are decoded one by one so that each can have its own problem."""

    version: Id
    purposes: list[dict[str, object]]
    entities: dict[str, str]
    rules: list[dict[str, object]]
    profile: Profile = Profile.BASE
    valid_from: date | None = None
    valid_until: date | None = None
    recipients: list[dict[str, object]] = []
    countries: list[dict[str, object]] = []
    masking: list[dict[str, object]] = []
    templates: list[dict[str, object]] = []
    topics: list[dict[str, object]] = []


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A profile: rules that only ever make a verdict stricter, and whether every text must fit a template or a topic."""

    title: Words
    rules: tuple[Rule, ...]
    templates_required: bool = False


class _Draft(msgspec.Struct):
    file: _File
    profile: Profile
    overlay: Overlay
    purposes: list[Purpose]
    entities: dict[str, str]
    rules: list[Rule]
    recipients: list[Recipient]
    countries: list[Country]
    maskings: list[Masking]
    templates: list[Template]
    topics: list[Topic]
    complete: bool  # every item of the files could be decoded


def _merged(files: Mapping[str, bytes], path: Path) -> tuple[dict[str, object], list[str]]:
    """The files as one document, and what is wrong with them as TOML."""
    document: dict[str, object] = {}
    problems: list[str] = []
    for name, content in sorted(files.items()):
        place = path if path.name == name else path / name
        try:
            tables = tomllib.loads(content.decode())
        except UnicodeDecodeError as error:
            problems.append(f"{place}: строка {_line(content, error.start)}: это не UTF-8")
            continue
        except tomllib.TOMLDecodeError as error:
            problems.append(f"{place}: это не TOML: {_lower_first(str(error))}")
            continue
        for key, value in tables.items():
            known = document.setdefault(key, value)
            if known is value:
                continue
            if isinstance(known, list) and isinstance(value, list):
                document[key] = [*known, *value]
            else:
                problems.append(f"{place}: `{key}` уже стоит в другом файле политики")
    return document, problems


def _decode(document: dict[str, object]) -> tuple[_Draft | None, list[str]]:
    try:
        file = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        return None, [_lower_first(str(error))]
    problems: list[str] = []
    draft = _Draft(
        file=file,
        profile=file.profile,
        overlay=load_overlay(file.profile),
        purposes=_items(file.purposes, Purpose, "purposes", problems),
        entities=file.entities,
        rules=_items(file.rules, Rule, "rules", problems),
        recipients=_items(file.recipients, Recipient, "recipients", problems),
        countries=_items(file.countries, Country, "countries", problems),
        maskings=_items(file.masking, Masking, "masking", problems),
        templates=_items(file.templates, Template, "templates", problems),
        topics=_items(file.topics, Topic, "topics", problems),
        complete=True,
    )
    draft.complete = not problems
    return draft, problems


def load_overlay(profile: Profile) -> Overlay:
    """The rules that a profile adds."""
    if profile is Profile.BASE:
        return Overlay(title="Без надстройки", rules=())
    return msgspec.convert(tomllib.loads(_profile_bytes(profile).decode()), Overlay)


_Item = TypeVar("_Item", bound=msgspec.Struct)


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
        *_duplicates("rules", [rule.id for rule in (*draft.rules, *draft.overlay.rules)]),
        *_duplicates("recipients", [recipient.id for recipient in draft.recipients]),
        *_duplicates("templates", [*(each.id for each in draft.templates), *(each.id for each in draft.topics)]),
        *_reference_problems(draft),
        *_purpose_problems(draft.purposes),
        *_date_problems(draft),
        *problems_of_templates(draft.templates, draft.topics),
    ]
    if draft.complete:
        # Only a policy whose items are all readable can be searched for holes: a lost rule would look like many of them.
        if not draft.purposes:
            problems.append("`purposes`: нет ни одной; без цели обрабатывать нельзя ничего")
        if draft.rules and not problems:
            problems += _coverage_problems(draft)
        elif not draft.rules:
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
    named: list[tuple[str, Sequence[str]]] = [
        *((f"правило `{rule.id}`", rule.purposes) for rule in draft.rules),
        *((f"карточка `{card.id}`", card.purposes) for card in draft.recipients),
        *((f"шаблон `{template.id}`", template.purposes) for template in draft.templates),
        *((f"тема `{topic.id}`", topic.purposes) for topic in draft.topics),
        *((f"`masking`, {number}-й по счёту", each.purposes) for number, each in enumerate(draft.maskings, 1)),
    ]
    for what, purposes in named:
        for purpose in purposes:
            if draft.complete and purpose not in known:
                yield f"{what}: `purposes`: цели `{purpose}` нет"
    for rule in draft.rules:
        for key, values in (("categories", rule.categories), ("residencies", rule.residencies)):
            if not values:
                yield f"правило `{rule.id}`: `{key}` пусто, правило ничего не решает"
        if rule.always and rule.verdict is not Verdict.REFUSE:
            yield f"правило `{rule.id}`: `always` бывает только у отказа: маскировать в любом тексте нечего"
        if rule.id in statutes.RESERVED:
            yield f"правило `{rule.id}`: это имя занято встроенным правилом"


def _purpose_problems(purposes: Iterable[Purpose]) -> Iterator[str]:
    words = {*Category, *Entity}
    for declared in purposes:
        if declared.manipulation is AnswerCheck.MASK:
            yield f"цель `{declared.id}`: `manipulation`: есть count, flag и refuse; маскировать тут нечего"
        for word in declared.allows:
            if word not in words:
                yield f"цель `{declared.id}`: `allows`: `{word}` — не категория и не вид данных"


def _date_problems(draft: _Draft) -> Iterator[str]:
    dated: list[tuple[str, date | None, date | None]] = [
        ("политика", draft.file.valid_from, draft.file.valid_until),
        *((f"цель `{each.id}`", each.valid_from, each.valid_until) for each in draft.purposes),
        *((f"карточка `{each.id}`", each.valid_from, each.valid_until) for each in draft.recipients),
        *((f"страна `{each.code}`", each.valid_from, each.valid_until) for each in draft.countries),
    ]
    for what, first, last in dated:
        if first is not None and last is not None and last < first:
            yield f"{what}: `valid_until` раньше `valid_from`: срок пуст"
    for card in draft.recipients:
        if card.status is CardStatus.ACTIVE and not card.inn and card.country == "RU":
            yield f"карточка `{card.id}`: у действующего получателя в России должен быть `inn`"


def _coverage_problems(draft: _Draft) -> Iterator[str]:
    purposes = tuple(purpose.id for purpose in draft.purposes)
    taxonomy = _taxonomy(draft.entities)
    deciding: dict[Cell, Rule] = {}
    for rule in draft.rules:
        cells = list(rule.cells(taxonomy, purposes))
        if cells and all(cell in deciding for cell in cells):
            earlier = dict.fromkeys(f"`{deciding[cell].id}`" for cell in cells)
            yield f"правило `{rule.id}`: никогда не сработает; всё, о чём оно, решают до него {', '.join(earlier)}"
        for cell in cells:
            deciding.setdefault(cell, rule)
    for category, residency in itertools.product(Category, Residency):
        kinds = taxonomy.get(category, ())
        holes = {
            entity: tuple(purpose for purpose in purposes if (entity, residency, purpose) not in deciding)
            for entity in kinds
        }
        open_for = {entity: missing for entity, missing in holes.items() if missing}
        if len(set(open_for.values())) == 1 and len(open_for) == len(kinds):
            named = _listed(next(iter(open_for.values())))
            yield f"`rules`: ни одно правило не решает категорию `{category}` для размещения `{residency}` (цели: {named})"
        else:
            for entity, missing in open_for.items():
                yield f"`rules`: ни одно правило не решает `{entity}` для размещения `{residency}` (цели: {_listed(missing)})"


def _taxonomy(entities: Mapping[str, str]) -> dict[Category, tuple[Entity, ...]]:
    return {category: tuple(Entity(name) for name in entities if entities[name] == category) for category in Category}


def _policy(draft: _Draft, digest: str) -> Policy:
    taxonomy = _taxonomy(draft.entities)
    purposes = tuple(purpose.id for purpose in draft.purposes)
    entities = {Entity(name): Category(category) for name, category in draft.entities.items()}
    deciding: dict[Cell, Rule] = {}
    for rule in draft.rules:
        for cell in rule.cells(taxonomy, purposes):
            deciding.setdefault(cell, rule)
    for rule in draft.overlay.rules:
        for cell in rule.cells(taxonomy, purposes):
            if rule.verdict.strictness > deciding[cell].verdict.strictness:
                deciding[cell] = rule
    declared = {purpose.id: purpose for purpose in draft.purposes}
    rows: dict[tuple[Residency, str], dict[Rule, int]] = {}
    for (entity, residency, purpose), rule in deciding.items():
        excess = rule.verdict is Verdict.SEND and not declared[purpose].needs(entity, entities[entity])
        row = rows.setdefault((residency, purpose), {})
        decides = statutes.EXCESS if excess else rule
        row[decides] = row.get(decides, 0) | _BITS[entity]
    ordered = (*statutes.ALL, *draft.overlay.rules, *draft.rules)
    return Policy(
        version=draft.file.version,
        digest=digest,
        profile=draft.profile,
        valid_from=draft.file.valid_from,
        valid_until=draft.file.valid_until,
        purposes=declared,
        entities=entities,
        rules=tuple(draft.rules),
        recipients={card.id: card for card in draft.recipients},
        countries=tuple(draft.countries),
        maskings=tuple(draft.maskings),
        templates=tuple(draft.templates),
        topics=tuple(draft.topics),
        templates_required=draft.overlay.templates_required,
        templated=frozenset(
            name
            for purposes_of in (*(each.purposes for each in draft.templates), *(each.purposes for each in draft.topics))
            for name in purposes_of
        ),
        table={key: tuple(Deciding(rule, bits) for rule, bits in row.items()) for key, row in rows.items()},
        closing=tuple(rule for rule in (*draft.overlay.rules, *draft.rules) if rule.always),
        methods={
            (residency, purpose): {
                entity: _method(draft.maskings, (entity, residency, purpose), category)
                for entity, category in entities.items()
            }
            for residency, purpose in rows
        },
        order={rule.id: place for place, rule in enumerate(ordered)},
    )


def _method(maskings: Iterable[Masking], cell: Cell, category: Category) -> Method:
    entity, residency, purpose = cell
    for masking in maskings:
        if (
            (not masking.categories or category in masking.categories)
            and (not masking.entities or entity in masking.entities)
            and (not masking.purposes or purpose in masking.purposes)
            and (not masking.residencies or residency in masking.residencies)
        ):
            return masking.method
    return Method.IDENTIFIER


def _name(table: Mapping[str, object]) -> str:
    name = table.get("id", table.get("code"))
    return f"`{name}`" if isinstance(name, str) else "без `id`"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
