"""What one policy says otherwise than another: items that came, went or changed, and verdicts that are no longer the same. In Russian."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from policies.bundle import Policy, bit_of
from policies.entities import Entity
from policies.rules import Residency, Rule

_RESIDENCY = {Residency.LOCAL: "локально", Residency.RU: "в России", Residency.FOREIGN: "за рубежом"}


def differences(old: Policy, new: Policy) -> tuple[str, ...]:
    """A line for each difference, in a fixed order; none when the two decide and say the same."""
    return (
        *_plain("версия", old.version, new.version),
        *_plain("надстройка", old.profile, new.profile),
        *_plain("действует с", old.valid_from, new.valid_from),
        *_plain("действует по", old.valid_until, new.valid_until),
        *_items("цель", old.purposes, new.purposes),
        *_items("получатель", old.recipients, new.recipients),
        *_items("правило", {rule.id: rule for rule in old.rules}, {rule.id: rule for rule in new.rules}),
        *_order(old, new),
        *_taxonomy(old, new),
        *_items("страна", _by_code(old), _by_code(new)),
        *_items("шаблон", {each.id: each for each in old.templates}, {each.id: each for each in new.templates}),
        *_items("тема", {each.id: each for each in old.topics}, {each.id: each for each in new.topics}),
        *_methods(old, new),
        *_verdicts(old, new),
    )


def _plain(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what}: {_shown(old)} → {_shown(new)}"


def _items(what: str, old: Mapping[str, msgspec.Struct], new: Mapping[str, msgspec.Struct]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{what} `{name}`: больше нет"
        elif name not in old:
            yield f"{what} `{name}`: новое"
        else:
            for field in new[name].__struct_fields__:
                before, after = getattr(old[name], field), getattr(new[name], field)
                if before != after:
                    yield f"{what} `{name}`: `{field}`: {_shown(before)} → {_shown(after)}"


def _order(old: Policy, new: Policy) -> Iterator[str]:
    kept = {rule.id for rule in old.rules} & {rule.id for rule in new.rules}
    before, after = ([rule.id for rule in policy.rules if rule.id in kept] for policy in (old, new))
    if before != after:
        yield f"порядок правил: {', '.join(after)}"


def _taxonomy(old: Policy, new: Policy) -> Iterator[str]:
    for entity in Entity:
        yield from _plain(f"категория `{entity}`", old.entities[entity], new.entities[entity])


def _by_code(policy: Policy) -> dict[str, msgspec.Struct]:
    return {f"{country.code} с {country.valid_from}": country for country in policy.countries}


def _methods(old: Policy, new: Policy) -> Iterator[str]:
    for residency, purpose in _cells(old, new):
        changed = [
            f"{entity}: {before} → {after}"
            for entity, after in new.methods[residency, purpose].items()
            if (before := old.methods[residency, purpose][entity]) is not after
        ]
        if changed:
            yield f"метод, {_RESIDENCY[residency]}, цель `{purpose}`: {'; '.join(changed)}"


def _verdicts(old: Policy, new: Policy) -> Iterator[str]:
    for residency, purpose in _cells(old, new):
        before, after = (_row(policy, residency, purpose) for policy in (old, new))
        changes: dict[tuple[str, str], list[str]] = {}
        for entity in Entity:
            if before[entity].verdict is not after[entity].verdict:
                change = before[entity].verdict.value, after[entity].verdict.value
                changes.setdefault(change, []).append(entity)
        for (was, now), entities in changes.items():
            yield f"решение, {_RESIDENCY[residency]}, цель `{purpose}`: {was} → {now}: {', '.join(entities)}"
        closed = [any(rule.closes(residency, purpose) for rule in policy.closing) for policy in (old, new)]
        if closed[0] != closed[1]:
            yield f"решение, {_RESIDENCY[residency]}, цель `{purpose}`: {'закрыто для любого текста' if closed[1] else 'открыто'}"


def _cells(old: Policy, new: Policy) -> list[tuple[Residency, str]]:
    return sorted(old.table.keys() & new.table.keys())


def _row(policy: Policy, residency: Residency, purpose: str) -> dict[Entity, Rule]:
    row = policy.table[residency, purpose]
    return {entity: next(each.rule for each in row if each.bits & bit_of(entity)) for entity in Entity}


def _shown(value: object) -> str:
    match value:
        case None:
            return "—"
        case tuple():
            return "[" + ", ".join(map(_shown, value)) + "]"
        case msgspec.Struct():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value) or "—"
