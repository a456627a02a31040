"""Decisions: the strictest verdict wins, finding more never permits more, the law holds whatever the bundle says."""

import itertools
from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    Basis,
    Context,
    Entity,
    Method,
    Residency,
    StopKind,
    UnknownPurposeError,
    Verdict,
    evaluate,
    load_policy,
)
from policies.recipients import Assessment, CardStatus, Clause, Decision12, Operation
from tests.bundles import CLAUSES, DAY, DESTINATIONS, FOREIGN, LOCAL, RU, with_partners

found_counts = st.dictionaries(st.sampled_from(Entity), st.integers(1, 5))
purposes = st.sampled_from(["general", "support", "development"])
kinds = st.frozensets(st.sampled_from(Entity), max_size=3)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return load_policy(with_partners(tmp_path_factory.mktemp("decision") / "bundle"))


@pytest.fixture(scope="module")
def lax(tmp_path_factory):
    """A bundle whose rules send everything everywhere: what is refused, the law refuses."""
    folder = with_partners(tmp_path_factory.mktemp("lax") / "bundle")
    (folder / "rules.toml").write_text(
        '[[rules]]\nid = "all"\ncategories = ["general", "special", "biometric", "secret"]\n'
        'residencies = ["local", "ru", "foreign"]\nverdict = "send"\narticle = "-"\nreason = "-"\nadvice = "-"\n',
        encoding="utf-8",
    )
    return load_policy(folder)


def changed(policy, *, purpose=None, card=None, border=None):
    """The policy with other values in the purpose `general`, in the card of the recipient abroad, in its notice."""
    purposes = dict(policy.purposes)
    purposes["general"] = msgspec.structs.replace(purposes["general"], **(purpose or {}))
    recipients = dict(policy.recipients)
    notice = recipients["overseas"].cross_border
    fields = {"cross_border": msgspec.structs.replace(notice, **border)} if border else {}
    for name in ("overseas", "partner"):
        recipients[name] = msgspec.structs.replace(recipients[name], **(card or {}))
    recipients["overseas"] = msgspec.structs.replace(recipients["overseas"], **fields)
    return msgspec.structs.replace(policy, purposes=purposes, recipients=recipients)


def strictness(decision):
    return {route: ruling.verdict.strictness for route, ruling in decision.rulings.items()}


def told(policy, context, destination, found=None):
    """The ids of the rules of one ruling, if it refuses; else None."""
    found = {Entity.PERSON: 1} if found is None else found
    ruling = evaluate(policy, found, context, [destination]).rulings[destination.route]
    return {rule.id for rule in ruling.rules} if ruling.verdict is Verdict.REFUSE else None


def test_clean_text_may_go_anywhere(policy):
    decision = evaluate(policy, {}, Context("general", DAY), DESTINATIONS)
    assert all(ruling.verdict is Verdict.SEND for ruling in decision.rulings.values())
    assert all(ruling.rules == () and ruling.masks == {} for ruling in decision.rulings.values())


def test_a_purpose_that_is_not_declared_is_an_error_that_does_not_repeat_it(policy):
    with pytest.raises(UnknownPurposeError) as caught:
        evaluate(policy, {}, Context("leisure", DAY), DESTINATIONS)
    assert "leisure" not in str(caught.value)


def test_a_decision_counts_by_kind_and_by_category_and_names_its_policy(policy):
    found = {Entity.PHONE: 2, Entity.PERSON: 1, Entity.HEALTH: 3, Entity.INN: 0}
    decision = evaluate(policy, found, Context("support", DAY), DESTINATIONS)
    assert decision.found == {Entity.PERSON: 1, Entity.PHONE: 2, Entity.HEALTH: 3}
    assert decision.categories == {"general": 3, "special": 3}
    assert decision.policy_digest == policy.digest
    assert decision.purpose is policy.purposes["support"]


def test_a_ruling_to_mask_names_the_kinds_the_methods_and_the_rule(policy):
    found = {Entity.PERSON: 1, Entity.SECRET: 1}
    ruling = evaluate(policy, found, Context("general", DAY), DESTINATIONS).rulings[RU.route]
    assert ruling.verdict is Verdict.MASK
    assert ruling.masks == {Entity.PERSON: Method.IDENTIFIER, Entity.SECRET: Method.IDENTIFIER}
    assert [rule.id for rule in ruling.rules] == ["general-ru-masked", "secret-ru-masked"]


def test_a_ruling_to_refuse_names_only_the_rules_that_refuse(policy):
    found = {Entity.PERSON: 1, Entity.HEALTH: 1}
    ruling = evaluate(policy, found, Context("general", DAY), DESTINATIONS).rulings[RU.route]
    assert ruling.verdict is Verdict.REFUSE
    assert ruling.masks == {}
    assert [rule.id for rule in ruling.rules] == ["special-stays-local"]


def test_what_must_be_masked_and_cannot_be_is_refused_by_the_built_in_rule(policy):
    context = Context("general", DAY, unmaskable=frozenset({Entity.PERSON}))
    decision = evaluate(policy, {Entity.PERSON: 1, Entity.PHONE: 1}, context, DESTINATIONS)
    assert decision.rulings[RU.route].verdict is Verdict.REFUSE
    assert [rule.id for rule in decision.rulings[RU.route].rules] == ["unmaskable-field"]
    assert decision.rulings[LOCAL.route].verdict is Verdict.SEND


def test_what_a_purpose_does_not_need_is_masked_even_at_home(policy):
    found = {Entity.HEALTH: 1, Entity.PERSON: 1}
    ruling = evaluate(policy, found, Context("development", DAY), [LOCAL]).rulings[LOCAL.route]
    assert (ruling.verdict, set(ruling.masks)) == (Verdict.MASK, {Entity.HEALTH})
    assert [rule.id for rule in ruling.rules] == ["purpose-excess"]


# --- Laws ---


@given(found_counts, found_counts, purposes, kinds)
def test_finding_more_never_permits_more(policy, found, more, purpose, unmaskable):
    context = Context(purpose, DAY, unmaskable=unmaskable)
    mild, strict = (strictness(evaluate(policy, each, context, DESTINATIONS)) for each in (found, found | more))
    assert all(mild[route] <= strict[route] for route in mild)


@given(found_counts, found_counts, purposes)
def test_the_verdict_of_a_union_is_the_strictest_of_its_parts(policy, one, two, purpose):
    context = Context(purpose, DAY)
    parts = [strictness(evaluate(policy, part, context, DESTINATIONS)) for part in (one, two)]
    union = strictness(evaluate(policy, one | two, context, DESTINATIONS))
    assert union == {route: max(part[route] for part in parts) for route in union}


@given(found_counts, purposes, kinds)
def test_what_cannot_be_masked_never_permits_more(policy, found, purpose, unmaskable):
    free, bound = (
        strictness(evaluate(policy, found, Context(purpose, DAY, unmaskable=fixed), DESTINATIONS))
        for fixed in (frozenset(), unmaskable)
    )
    assert all(free[route] <= bound[route] for route in free)


@given(found_counts, purposes, kinds)
def test_a_decision_depends_on_its_inputs_alone_and_covers_every_destination(policy, found, purpose, unmaskable):
    context = Context(purpose, DAY, unmaskable=unmaskable)
    first = evaluate(policy, found, context, DESTINATIONS)
    assert evaluate(policy, dict(reversed(found.items())), context, DESTINATIONS) == first
    assert first.rulings.keys() == {each.route for each in DESTINATIONS}
    for ruling in first.rulings.values():
        assert all(rule.verdict is ruling.verdict for rule in ruling.rules)
        assert bool(ruling.masks) == (ruling.verdict is Verdict.MASK)
        assert ruling.masks.keys() <= found.keys() | unmaskable


@given(
    found_counts,
    st.frozensets(st.sampled_from(Clause)),
    st.frozensets(st.sampled_from(Operation)),
    st.frozensets(st.sampled_from(["general", "special", "biometric"])),
    st.booleans(),
)
def test_fewer_clauses_operations_or_categories_never_permit_more(
    lax, found, clauses, operations, categories, retained
):
    less = changed(
        lax,
        card={
            "clauses": tuple(clauses),
            "operations": tuple(operations),
            "categories": tuple(categories),
            "retention_switch": "" if retained else "store=false",
        },
    )
    context = Context("general", DAY)
    full, few = (strictness(evaluate(each, found, context, DESTINATIONS)) for each in (lax, less))
    assert all(full[route] <= few[route] for route in full)


@given(
    st.sets(st.sampled_from([
        (StopKind.APP, "crm"), (StopKind.KEY, "k1"), (StopKind.PURPOSE, "general"), (StopKind.SUBJECT, "aa"), (StopKind.CONSENT, "cc"),
        (StopKind.ROUTE, "r/m"), (StopKind.RECIPIENT, "partner"), (StopKind.APP, "wiki"), (StopKind.SUBJECT, "bb"),
    ])),
    found_counts,
)  # fmt: skip
def test_each_stop_closes_what_it_names_and_nothing_else(lax, stops, found):
    context = Context("general", DAY, app="crm", key_id="k1", subjects=("aa",), consent="cc", stops=frozenset(stops))
    rulings = evaluate(lax, found, context, DESTINATIONS).rulings
    everywhere = {(StopKind.APP, "crm"), (StopKind.KEY, "k1"), (StopKind.PURPOSE, "general"), (StopKind.SUBJECT, "aa"), (StopKind.CONSENT, "cc")}  # fmt: skip
    for destination in DESTINATIONS:
        mine = everywhere | {(StopKind.ROUTE, destination.route), (StopKind.RECIPIENT, destination.recipient)}
        closed = rulings[destination.route].verdict is Verdict.REFUSE
        assert closed == bool(stops & mine)
        if closed:
            expected = {f"stopped-{kind}" for kind, _ in stops & mine if kind is not StopKind.CONSENT}
            if (StopKind.CONSENT, "cc") in stops:
                expected.add("consent-withdrawn")
            assert {rule.id for rule in rulings[destination.route].rules} == expected


# --- Decision tables ---


@pytest.mark.parametrize("missing", [None, *CLAUSES])
@pytest.mark.parametrize("destination", [RU, FOREIGN])
def test_every_mandatory_clause_is_needed(lax, missing, destination):
    policy = changed(lax, card={"clauses": tuple(Clause(name) for name in CLAUSES if name != missing)})
    assert told(policy, Context("general", DAY), destination) == (None if missing is None else {"recipient-clauses"})
    assert told(policy, Context("general", DAY), destination, {}) is None  # nothing personal, nothing to entrust


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"status": CardStatus.DRAFT}, "recipient-not-in-force"),
        ({"status": CardStatus.CLOSED}, "recipient-not-in-force"),
        ({"contract": ""}, "recipient-not-in-force"),
        ({"valid_until": DAY - timedelta(1)}, "recipient-not-in-force"),
        ({"valid_until": None}, "recipient-not-in-force"),
        ({"valid_from": DAY + timedelta(1)}, "recipient-not-in-force"),
        ({"valid_from": None}, "recipient-not-in-force"),
        ({"valid_from": DAY, "valid_until": DAY}, None),
        ({"categories": ("special",)}, "recipient-scope"),
        ({"purposes": ("support",)}, "recipient-scope"),
        ({"operations": (Operation.USE,)}, "recipient-scope"),
        ({"operations": (Operation.USE,), "retention_switch": "store=false"}, None),
        ({"operations": (Operation.STORAGE,), "retention_switch": "store=false"}, "recipient-scope"),
    ],
)
def test_a_card_covers_only_what_it_says_while_it_says_so(lax, card, expected):
    policy = changed(lax, card=card)
    assert told(policy, Context("general", DAY), RU) == (None if expected is None else {expected})


def test_a_route_without_a_card_carries_nothing_personal(lax):
    nobody = msgspec.structs.replace(RU, recipient="")
    assert told(lax, Context("general", DAY), nobody) == {"recipient-missing"}
    assert told(lax, Context("general", DAY), nobody, {Entity.SECRET: 1}) is None
    assert told(lax, Context("general", DAY), nobody, {}) is None


def test_a_recipient_of_another_country_is_a_cross_border_transfer_even_on_a_russian_server(lax):
    there = msgspec.structs.replace(RU, recipient="overseas")
    policy = changed(lax, border={"decision": Decision12.BANNED})
    assert told(policy, Context("general", DAY), there) == {"cross-border-banned"}


NOTICED = date(2026, 10, 1)
TABLE_12 = list(
    itertools.product(
        [True, False],  # there is a notice
        [True, False],  # the country is on the list
        [None, NOTICED + timedelta(13), NOTICED + timedelta(14), DAY + timedelta(1)],  # the review was over on
        Decision12,
        [(Assessment.MEASURES, Assessment.CONTACTS, Assessment.LAW), (Assessment.MEASURES, Assessment.CONTACTS), (Assessment.LAW,)],
        [("US",), ("CN",)],  # countries in the notice
        [DAY, NOTICED - timedelta(1)],  # the day
    )
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE_12)
def test_the_table_of_article_12(lax, row):
    noticed, listed, reviewed, decision, assessment, named, day = row
    border = {
        "notice_date": NOTICED,
        "assessed": NOTICED - timedelta(5),
        "assessment": assessment,
        "reviewed": reviewed,
        "decision": decision,
        "limited_to": ("special",),
        "countries": named,
    }
    policy = changed(lax, border=border)
    if not noticed:
        cards = dict(policy.recipients)
        cards["overseas"] = msgspec.structs.replace(cards["overseas"], cross_border=None)
        policy = msgspec.structs.replace(policy, recipients=cards)
    if listed:
        us = msgspec.structs.replace(policy.countries[0], code="US", valid_from=date(2020, 1, 1))
        policy = msgspec.structs.replace(policy, countries=(us,))

    expected = set()
    if not noticed:
        expected.add("cross-border-notice-missing")
    else:
        if day < NOTICED:
            expected.add("cross-border-notice-missing")
        if decision is Decision12.BANNED:
            expected.add("cross-border-banned")
        if decision is Decision12.LIMITED or "US" not in named:
            expected.add("cross-border-scope")
        if (
            not {"measures", "contacts"} <= set(assessment)
            or (not listed and "law" not in assessment)
            or day < NOTICED - timedelta(5)
        ):
            expected.add("cross-border-assessment-missing")
        if not listed and (reviewed is None or reviewed > day or (reviewed - NOTICED).days < 14):
            expected.add("cross-border-review")
    assert told(policy, Context("general", day), FOREIGN) == (expected or None)
    assert told(policy, Context("general", day), FOREIGN, {}) is None
    assert told(policy, Context("general", day), RU) is None


def test_a_country_that_leaves_the_list_closes_its_routes_on_that_day(lax):
    us = msgspec.structs.replace(lax.countries[0], code="US", valid_from=date(2026, 1, 1), valid_until=DAY)
    policy = msgspec.structs.replace(changed(lax, border={"reviewed": None}), countries=(us,))
    assert told(policy, Context("general", DAY), FOREIGN) is None
    assert told(policy, Context("general", DAY + timedelta(1)), FOREIGN) == {"cross-border-review"}


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("destination", DESTINATIONS)
@pytest.mark.parametrize("found", [{}, {Entity.SECRET: 1}, {Entity.PERSON: 1}, {Entity.HEALTH: 2, Entity.SNILS: 1}])
def test_the_table_of_article_18_part_5(lax, collects, recorded, destination, found):
    policy = changed(lax, purpose={"collects": collects})
    expected = set()
    if collects and destination.residency is Residency.FOREIGN:
        expected.add("collecting-stays-in-russia")
    if collects and not recorded and set(found) - {Entity.SECRET}:
        expected.add("primary-record-missing")
    assert told(policy, Context("general", DAY, primary_record=recorded), destination, found) == (expected or None)


@pytest.mark.parametrize("consent", ["", "c1"])
@pytest.mark.parametrize("withdrawn", [True, False])
@pytest.mark.parametrize("basis", Basis)
@pytest.mark.parametrize(("found", "subjects"), [({}, ()), ({}, ("aa",)), ({Entity.PHONE: 1}, ())])
def test_the_table_of_consent(lax, consent, withdrawn, basis, found, subjects):
    policy = changed(lax, purpose={"basis": basis})
    stops = frozenset({(StopKind.CONSENT, "c1")}) if withdrawn else frozenset()
    context = Context("general", DAY, subjects=subjects, consent=consent, stops=stops)
    expected = set()
    if basis is Basis.CONSENT and not consent and (found or subjects):
        expected.add("consent-missing")
    if consent and withdrawn:
        expected.add("consent-withdrawn")
    for destination in DESTINATIONS:
        assert told(policy, context, destination, found) == (expected or None)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("legal_effect", [True, False])
@pytest.mark.parametrize("consent", ["", "c1"])
def test_the_table_of_article_16(lax, written, legal_effect, consent):
    policy = changed(lax, purpose={"legal_effect": legal_effect, "written_consent": written})
    decision = evaluate(policy, {}, Context("general", DAY, consent=consent), DESTINATIONS)
    refused = legal_effect and written and not consent
    assert all((ruling.verdict is Verdict.REFUSE) == refused for ruling in decision.rulings.values())
    assert decision.review == (legal_effect and not written)


def test_a_purpose_and_a_bundle_hold_on_their_days_only(lax):
    first, last = DAY, DAY + timedelta(10)
    for day, open_ in ((first - timedelta(1), False), (first, True), (last, True), (last + timedelta(1), False)):
        dated = changed(lax, purpose={"valid_from": first, "valid_until": last})
        assert told(dated, Context("general", day), LOCAL, {}) == (None if open_ else {"purpose-not-in-force"})
        dated = msgspec.structs.replace(lax, valid_from=first, valid_until=last)
        assert told(dated, Context("general", day), LOCAL, {}) == (None if open_ else {"policy-not-in-force"})


def test_every_refusal_names_an_article_and_what_to_change(lax):
    policy = changed(
        lax, purpose={"collects": True, "basis": Basis.CONSENT}, card={"status": CardStatus.DRAFT, "clauses": ()}
    )
    for ruling in evaluate(policy, {Entity.PERSON: 1}, Context("general", DAY), DESTINATIONS).rulings.values():
        assert ruling.rules
        for rule in ruling.rules:
            assert "ст. " in rule.article
            assert rule.reason.endswith(".")
            assert rule.advice.endswith(".")
