"""Decisions: the strictest verdict wins, finding more never permits more, and nothing but the inputs counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    Context,
    Entity,
    Residency,
    UnknownPurposeError,
    Verdict,
    evaluate,
    load_policy,
    shipped_policy_path,
)

POLICY = load_policy(shipped_policy_path())
found_counts = st.dictionaries(st.sampled_from(Entity), st.integers(1, 5))
purposes = st.sampled_from(sorted(POLICY.purposes))
kinds = st.frozensets(st.sampled_from(Entity), max_size=3)


def strictness(decision):
    return {residency: ruling.verdict.strictness for residency, ruling in decision.rulings.items()}


def test_clean_text_may_go_anywhere():
    decision = evaluate(POLICY, {}, Context("general"))
    assert all(ruling.verdict is Verdict.SEND for ruling in decision.rulings.values())
    assert all(ruling.rules == () and ruling.masks == frozenset() for ruling in decision.rulings.values())


def test_a_purpose_that_is_not_declared_is_an_error_that_does_not_repeat_it():
    with pytest.raises(UnknownPurposeError) as caught:
        evaluate(POLICY, {}, Context("leisure"))
    assert "leisure" not in str(caught.value)


def test_a_decision_counts_by_kind_and_by_category_and_names_its_policy():
    decision = evaluate(
        POLICY, {Entity.PHONE: 2, Entity.PERSON: 1, Entity.HEALTH: 3, Entity.INN: 0}, Context("support")
    )
    assert decision.found == {Entity.PERSON: 1, Entity.PHONE: 2, Entity.HEALTH: 3}
    assert decision.categories == {"general": 3, "special": 3}
    assert decision.policy_digest == POLICY.digest
    assert decision.purpose == "support"


def test_a_ruling_to_mask_names_the_kinds_and_the_rule():
    ruling = evaluate(POLICY, {Entity.PERSON: 1, Entity.SECRET: 1}, Context("general")).rulings[Residency.RU]
    assert ruling.verdict is Verdict.MASK
    assert ruling.masks == {Entity.PERSON, Entity.SECRET}
    assert [rule.id for rule in ruling.rules] == ["general-ru-masked", "secret-ru-masked"]


def test_a_ruling_to_refuse_names_only_the_rules_that_refuse():
    ruling = evaluate(POLICY, {Entity.PERSON: 1, Entity.HEALTH: 1}, Context("general")).rulings[Residency.RU]
    assert ruling.verdict is Verdict.REFUSE
    assert ruling.masks == frozenset()
    assert [rule.id for rule in ruling.rules] == ["special-stays-local"]


def test_what_must_be_masked_and_cannot_be_is_refused_by_the_built_in_rule():
    context = Context("general", frozenset({Entity.PERSON}))
    decision = evaluate(POLICY, {Entity.PERSON: 1, Entity.PHONE: 1}, context)
    assert decision.rulings[Residency.RU].verdict is Verdict.REFUSE
    assert [rule.id for rule in decision.rulings[Residency.RU].rules] == ["unmaskable-field"]
    assert decision.rulings[Residency.LOCAL].verdict is Verdict.SEND


@given(found_counts, found_counts, purposes, kinds)
def test_finding_more_never_permits_more(found, more, purpose, unmaskable):
    context = Context(purpose, unmaskable)
    less_strict, strict = (
        strictness(evaluate(POLICY, found, context)),
        strictness(evaluate(POLICY, found | more, context)),
    )
    assert all(less_strict[residency] <= strict[residency] for residency in Residency)


@given(found_counts, found_counts, purposes)
def test_the_verdict_of_a_union_is_the_strictest_of_its_parts(one, two, purpose):
    context = Context(purpose)
    parts = [strictness(evaluate(POLICY, part, context)) for part in (one, two)]
    union = strictness(evaluate(POLICY, one | two, context))
    assert union == {residency: max(part[residency] for part in parts) for residency in Residency}


@given(found_counts, purposes, kinds)
def test_what_cannot_be_masked_never_permits_more(found, purpose, unmaskable):
    free, bound = (strictness(evaluate(POLICY, found, Context(purpose, kinds))) for kinds in (frozenset(), unmaskable))
    assert all(free[residency] <= bound[residency] for residency in Residency)


@given(found_counts, purposes, kinds)
def test_a_decision_depends_on_its_inputs_alone_and_covers_every_residency(found, purpose, unmaskable):
    first = evaluate(POLICY, found, Context(purpose, unmaskable))
    again = evaluate(load_policy(shipped_policy_path()), dict(reversed(found.items())), Context(purpose, unmaskable))
    assert first == again
    assert first.rulings.keys() == set(Residency)
    for ruling in first.rulings.values():
        assert all(rule.verdict is ruling.verdict for rule in ruling.rules)
        assert bool(ruling.masks) == (ruling.verdict is Verdict.MASK)
        assert ruling.masks <= found.keys() | unmaskable
