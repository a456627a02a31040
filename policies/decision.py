"""What a policy says about what was found: one ruling for each destination. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

import msgspec

from policies import statutes
from policies.bundle import Policy, bit_of
from policies.entities import Category, Entity
from policies.errors import UnknownPurposeError
from policies.masking import Method
from policies.purposes import AnswerCheck, Basis, Purpose
from policies.recipients import border_obstacles, obstacles
from policies.rules import Residency, Rule, Verdict
from policies.stops import Stop, StopKind


class Destination(msgspec.Struct, frozen=True):
    """Where a text could go. `route` names the model's route, `recipient` the card of who runs it; "" within the organisation."""

    route: str
    residency: Residency
    country: str = ""
    recipient: str = ""


class Context(msgspec.Struct, frozen=True):
    """What is decided besides the findings and the destinations.

    `day` is the date the decision is made on. `unmaskable`: the kinds found in a field that must keep its exact form. `subjects`: hex
    pseudonyms of the people whom the application named; `consent` that of the consent it referred to, "" for none. `primary_record`:
    the application says that what it collects is recorded in Russia. `template`: the template or topic that the request fits, "" for
    none. `suspicious`: the request looks like manipulation. `stops`: all kill switches in force.
    """

    purpose: str
    day: date
    unmaskable: frozenset[Entity] = frozenset()
    app: str = ""
    key_id: str = ""
    subjects: tuple[str, ...] = ()
    consent: str = ""
    primary_record: bool = False
    template: str = ""
    suspicious: bool = False
    stops: Collection[Stop] = frozenset()


class Ruling(msgspec.Struct, frozen=True):
    """The verdict for one destination.

    `rules` are those that brought it about: every rule whose own verdict it is, in the order in which they are told, those of the law
    first. Nothing found, and nothing against it, means no rules. `masks` are the kinds to hide before sending and by which method; empty
    unless the verdict is to mask.
    """

    verdict: Verdict
    rules: tuple[Rule, ...]
    masks: Mapping[Entity, Method]


class Decision(msgspec.Struct, frozen=True):
    """The rulings by route, and what they rest on. Holds counts only, never a value that was found.

    `review`: a person must look at the answer before anybody acts on it (ст. 16).
    """

    purpose: Purpose
    found: Mapping[Entity, int]
    categories: Mapping[Category, int]
    rulings: Mapping[str, Ruling]
    policy_digest: str
    review: bool


def evaluate(
    policy: Policy, found: Mapping[Entity, int], context: Context, destinations: Iterable[Destination]
) -> Decision:
    """What may happen to texts in which `found` (kind → how many) was found, in this context, for each destination.

    The strictest of all that is said of the kinds present wins. Raises UnknownPurposeError.
    """
    purpose = policy.purposes.get(context.purpose)
    if purpose is None:
        raise UnknownPurposeError("the purpose is not declared in the policy: name one of its purposes")
    present = {entity: count for entity, count in found.items() if count > 0}
    categories: dict[Category, int] = {}
    for entity, count in present.items():
        category = policy.entities[entity]
        categories[category] = categories.get(category, 0) + count
    personal = frozenset(categories) - {Category.SECRET}
    kinds = tuple((entity, bit_of(entity)) for entity in (*present, *(context.unmaskable - present.keys())))
    case = _Case(
        policy=policy,
        purpose=purpose,
        context=context,
        kinds=kinds,
        bits=sum(bit for _, bit in kinds),
        fixed=sum(map(bit_of, context.unmaskable)),
        personal=personal,
        everywhere=(
            *_everywhere(policy, purpose, context, personal=bool(personal or context.subjects)),
            *_unfit(policy, purpose, context),
        ),
    )
    return Decision(
        purpose=purpose,
        found=present,
        categories=categories,
        rulings={each.route: _ruling(case, each) for each in destinations},
        policy_digest=policy.digest,
        review=purpose.legal_effect and not purpose.written_consent,
    )


def admit(policy: Policy, found: Mapping[Entity, int], context: Context) -> tuple[Rule, ...]:
    """What keeps texts from being processed at all, even where nothing is sent: stops, terms, consent. Raises UnknownPurposeError."""
    purpose = policy.purposes.get(context.purpose)
    if purpose is None:
        raise UnknownPurposeError("the purpose is not declared in the policy: name one of its purposes")
    personal = any(count > 0 and policy.entities[entity] is not Category.SECRET for entity, count in found.items())
    return tuple(_everywhere(policy, purpose, context, personal=bool(personal or context.subjects)))


def stopped(context: Context, destination: Destination, stops: Collection[Stop]) -> tuple[Rule, ...]:
    """The rules of the kill switches among `stops` that a request under way to `destination` falls under."""
    return (*_stopped(context, stops), *_stopped_there(destination, stops))


class _Case(msgspec.Struct, frozen=True):
    """What is the same for all destinations. `bits` and `fixed` are the kinds present, and those that cannot be masked."""

    policy: Policy
    purpose: Purpose
    context: Context
    kinds: tuple[tuple[Entity, int], ...]
    bits: int
    fixed: int
    personal: frozenset[Category]
    everywhere: tuple[Rule, ...]


def _everywhere(policy: Policy, purpose: Purpose, context: Context, *, personal: bool) -> Iterator[Rule]:
    """What keeps the request from going anywhere. `personal`: personal data were found, or a person was named."""
    if not policy.in_force(context.day):
        yield statutes.POLICY_NOT_IN_FORCE
    yield from _stopped(context, context.stops)
    if not purpose.in_force(context.day):
        yield statutes.PURPOSE_NOT_IN_FORCE
    if personal and purpose.basis is Basis.CONSENT and not context.consent:
        yield statutes.NO_CONSENT
    if purpose.legal_effect and purpose.written_consent and not context.consent:
        yield statutes.NO_DECISION_CONSENT
    if personal and purpose.collects and not context.primary_record:
        yield statutes.NO_PRIMARY_RECORD


def _stopped(context: Context, stops: Collection[Stop]) -> Iterator[Rule]:
    if not stops:
        return
    for kind, names in (
        (StopKind.APP, (context.app,)),
        (StopKind.KEY, (context.key_id,)),
        (StopKind.PURPOSE, (context.purpose,)),
        (StopKind.SUBJECT, context.subjects),
        (StopKind.CONSENT, (context.consent,) if context.consent else ()),
    ):
        if any((kind, name) in stops for name in names):
            yield statutes.STOPPED[kind]


def _stopped_there(destination: Destination, stops: Collection[Stop]) -> Iterator[Rule]:
    if not stops:
        return
    for kind, name in ((StopKind.ROUTE, destination.route), (StopKind.RECIPIENT, destination.recipient)):
        if name and (kind, name) in stops:
            yield statutes.STOPPED[kind]


def _unfit(policy: Policy, purpose: Purpose, context: Context) -> Iterator[Rule]:
    if not context.template and (policy.templates_required or purpose.id in policy.templated):
        yield statutes.NO_TEMPLATE
    if context.suspicious and purpose.manipulation is AnswerCheck.REFUSE:
        yield statutes.MANIPULATION


def _there(case: _Case, destination: Destination) -> Iterator[Rule]:
    """What keeps the request from going to this destination, whatever its rules say of the kinds found."""
    policy, purpose, context = case.policy, case.purpose, case.context
    yield from _stopped_there(destination, context.stops)
    for rule in policy.closing:
        if rule.closes(destination.residency, purpose.id):
            yield rule
    if destination.residency is Residency.LOCAL:
        return
    if purpose.collects and destination.residency is Residency.FOREIGN:
        yield statutes.COLLECTING_ABROAD
    if not case.personal:
        return
    card = policy.recipients.get(destination.recipient)
    yield from obstacles(card, categories=case.personal, purpose=purpose.id, day=context.day)
    if card is not None and (destination.residency is Residency.FOREIGN or card.country != "RU"):
        yield from border_obstacles(
            card, country=destination.country, categories=case.personal, countries=policy.countries, day=context.day
        )


def _ruling(case: _Case, destination: Destination) -> Ruling:
    """The strictest of the law's rules, the profile's and the bundle's for one destination."""
    key = destination.residency, case.purpose.id
    deciding = [*case.everywhere, *_there(case, destination)]
    hidden = 0
    for row in case.policy.table[key]:
        if row.bits & case.bits:
            deciding.append(row.rule)
            if row.rule.verdict is Verdict.MASK:
                hidden |= row.bits
                if row.bits & case.fixed:
                    deciding.append(statutes.UNMASKABLE)
    verdict = next(
        (each for each in (Verdict.REFUSE, Verdict.MASK) if any(rule.verdict is each for rule in deciding)),
        Verdict.SEND,
    )
    told = [rule for rule in deciding if rule.verdict is verdict]
    if len(told) > 1:
        order = case.policy.order
        told.sort(key=lambda rule: order[rule.id])
    masks: dict[Entity, Method] = {}
    if verdict is Verdict.MASK:
        methods = case.policy.methods[key]
        masks = {entity: methods[entity] for entity, bit in case.kinds if bit & hidden}
    return Ruling(verdict, tuple(dict.fromkeys(told)), masks)
