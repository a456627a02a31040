"""Recorded decisions made again under another policy, from the labels in the log: no text is needed, and none is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from appliance.events import Intent, RefusalReason, Refused, decode
from audit import OpenedEntry
from policies import Context, Decision, Destination, Policy, UnknownPurposeError, Verdict, evaluate

_OWN_RECIPIENTS = 3  # the schema from which on records say who runs a model


class Change(msgspec.Struct, frozen=True):
    """How decisions would turn out otherwise: `what` is refused, masked or allowed; `rules` are those that would decide."""

    what: str
    app: str
    purpose: str
    where: str  # the route, or the routes asked for
    rules: tuple[str, ...]


class Replayed(msgspec.Struct, frozen=True):
    """`decisions` were made again, `unknown` could not be: records of older versions do not say enough."""

    decisions: int
    unknown: int
    changes: Counter[Change]

    def count(self, what: str) -> int:
        """How many decisions would be newly refused, masked or allowed."""
        return sum(number for change, number in self.changes.items() if change.what == what)


def replay(records: Iterable[OpenedEntry], policy: Policy) -> Replayed:
    """What `policy` would have said, each record decided on its own day, and without the stops: those are no part of a policy."""
    decisions = unknown = 0
    changes: Counter[Change] = Counter()
    for record in records:
        event = decode(record.kind, record.schema, record.body)
        if not isinstance(event, Intent | Refused) or (
            isinstance(event, Refused) and (event.reason is not RefusalReason.POLICY or _was_stopped(event))
        ):
            continue
        if record.schema < _OWN_RECIPIENTS or (isinstance(event, Refused) and not event.destinations):
            unknown += 1
            continue
        decisions += 1
        change = _intent(record, event, policy) if isinstance(event, Intent) else _refusal(record, event, policy)
        if change is not None:
            changes[change] += 1
    return Replayed(decisions, unknown, changes)


def _intent(record: OpenedEntry, event: Intent, policy: Policy) -> Change | None:
    destination = Destination(event.route, event.residency, event.country, event.recipient)
    decision = _decide(record, event, policy, [destination])
    if decision is None:
        return Change("refused", event.app, event.purpose, event.route, ("purpose-unknown",))
    ruling = decision.rulings[event.route]
    rules = tuple(dict.fromkeys(rule.id for rule in ruling.rules))
    if ruling.verdict is Verdict.REFUSE:
        return Change("refused", event.app, event.purpose, event.route, rules)
    before, after = set(event.masked), set(ruling.masks)
    if after - before:
        return Change("masked", event.app, event.purpose, event.route, rules)
    if before - after:
        return Change("allowed", event.app, event.purpose, event.route, rules)
    return None


def _refusal(record: OpenedEntry, event: Refused, policy: Policy) -> Change | None:
    destinations = [Destination(*each) for each in event.destinations]
    decision = _decide(record, event, policy, destinations)
    if decision is None:
        return None
    open_now = [route for route, ruling in decision.rulings.items() if ruling.verdict is not Verdict.REFUSE]
    if not open_now:
        return None
    return Change("allowed", event.app, event.purpose, ", ".join(open_now), ())


def _decide(
    record: OpenedEntry, event: Intent | Refused, policy: Policy, destinations: Iterable[Destination]
) -> Decision | None:
    context = Context(
        purpose=event.purpose,
        day=datetime.fromtimestamp(record.time_us / 1_000_000).astimezone().date(),
        unmaskable=frozenset(event.unmaskable),
        app=event.app,
        key_id=event.key_id,
        subjects=tuple(subject.hex() for subject in record.subjects if subject is not None),
        consent=event.consent.hex(),
        primary_record=event.primary_record,
        template=event.template,
    )
    try:
        return evaluate(policy, event.found, context, destinations)
    except UnknownPurposeError:
        return None


def _was_stopped(event: Refused) -> bool:
    return any(rule.startswith("stopped-") or rule == "consent-withdrawn" for rule in event.rules)
