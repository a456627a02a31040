"""What would happen to a request on every route, and why: decided by the parts that decide for real, recorded or sent nowhere."""

from __future__ import annotations

import msgspec

from appliance.errors import told
from appliance.inspector import Inspected, R, outgoing
from policies import TITLES, Entity, Verdict
from providers import Route


class RouteExplained(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route: the verdict, the rules behind it, and how each kind would be hidden. `words` are for people, in Russian."""

    route: str
    residency: str
    verdict: Verdict
    country: str = ""
    recipient: str = ""
    rules: tuple[str, ...] = ()
    articles: tuple[str, ...] = ()
    words: str = ""
    masks: dict[str, str] = {}


class Explained(msgspec.Struct, frozen=True):
    """A request explained. `found`: kind → how many; never a value. `review`: a person would look at the answer first (ст. 16)."""

    policy: str
    policy_digest: str
    purpose: str
    ground: str
    found: dict[Entity, int]
    categories: dict[str, int]
    template: str
    review: bool
    routes: tuple[RouteExplained, ...]


def explained(inspected: Inspected[R], routes: tuple[Route, ...]) -> Explained:
    """The decision on a request for these routes, in words."""
    decision = inspected.decision
    return Explained(
        policy=inspected.policy.version,
        policy_digest=decision.policy_digest,
        purpose=decision.purpose.id,
        ground=decision.purpose.article,
        found=dict(decision.found),
        categories={category.value: count for category, count in decision.categories.items()},
        template=inspected.context.template,
        review=decision.review,
        routes=tuple(_route(inspected, route) for route in routes),
    )


def leaving(inspected: Inspected[R], route: Route) -> R:
    """The request in the form in which it would leave for a route that it may take."""
    request, _ = outgoing(inspected, inspected.decision.rulings[route.id], route.upstream)
    return request


def in_words(found: dict[Entity, int]) -> str:
    """«ФИО — 1, телефон — 2»; «ничего»."""
    return ", ".join(f"{TITLES[entity]} — {count}" for entity, count in found.items()) or "ничего"


def _route(inspected: Inspected[R], route: Route) -> RouteExplained:
    ruling = inspected.decision.rulings[route.id]
    return RouteExplained(
        route=route.id,
        residency=route.residency,
        verdict=ruling.verdict,
        country=route.country,
        recipient=route.recipient,
        rules=tuple(dict.fromkeys(rule.id for rule in ruling.rules)),
        articles=tuple(dict.fromkeys(rule.article for rule in ruling.rules)),
        words=told(ruling.rules),
        masks={entity.value: method.value for entity, method in ruling.masks.items()},
    )
