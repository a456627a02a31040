"""What a policy says about what was found: one ruling for each residency. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from policies.entities import Category, Entity
from policies.errors import UnknownPurposeError
from policies.rules import UNMASKABLE, Policy, Residency, Rule, Verdict


class Context(msgspec.Struct, frozen=True):
    """What is decided besides the findings: the purpose, and the kinds found in a field that must keep its exact form."""

    purpose: str
    unmaskable: frozenset[Entity] = frozenset()


class Ruling(msgspec.Struct, frozen=True):
    """The verdict for one residency.

    `rules` are those that brought it about: every rule whose own verdict it is, a built-in one first. Nothing found means
    no rules. `masks` are the kinds to hide before sending; empty unless the verdict is to mask.
    """

    verdict: Verdict
    rules: tuple[Rule, ...]
    masks: frozenset[Entity]


class Decision(msgspec.Struct, frozen=True):
    """The rulings for all residencies, and what they rest on. Holds counts only, never a value that was found."""

    purpose: str
    found: Mapping[Entity, int]
    categories: Mapping[Category, int]
    rulings: Mapping[Residency, Ruling]
    policy_digest: str


def evaluate(policy: Policy, found: Mapping[Entity, int], context: Context) -> Decision:
    """What may happen to texts in which `found` (kind → how many) was found, for the purpose in `context`.

    For each residency the strictest verdict over the categories present wins. Raises UnknownPurposeError.
    """
    if context.purpose not in policy.purposes:
        raise UnknownPurposeError("the purpose is not declared in the policy: name one of its purposes")
    present = {entity: found[entity] for entity in Entity if found.get(entity, 0) > 0}
    categories: dict[Category, int] = {}
    for entity, count in present.items():
        category = policy.category_of(entity)
        categories[category] = categories.get(category, 0) + count
    return Decision(
        purpose=context.purpose,
        found=present,
        categories=categories,
        rulings={residency: _ruling(policy, present, residency, context) for residency in Residency},
        policy_digest=policy.digest,
    )


def _ruling(policy: Policy, present: Mapping[Entity, int], residency: Residency, context: Context) -> Ruling:
    by_entity = {
        entity: policy.rule_for(policy.category_of(entity), residency, context.purpose)
        for entity in present.keys() | context.unmaskable
    }
    rules = set(by_entity.values())
    if any(by_entity[entity].verdict is Verdict.MASK for entity in context.unmaskable):
        rules.add(UNMASKABLE)
    verdict = max((rule.verdict for rule in rules), key=lambda verdict: verdict.strictness, default=Verdict.SEND)
    order = {rule.id: place for place, rule in enumerate((UNMASKABLE, *policy.rules))}
    return Ruling(
        verdict=verdict,
        rules=tuple(sorted((rule for rule in rules if rule.verdict is verdict), key=lambda rule: order[rule.id])),
        masks=frozenset(
            entity for entity, rule in by_entity.items() if verdict is Verdict.MASK and rule.verdict is Verdict.MASK
        ),
    )
