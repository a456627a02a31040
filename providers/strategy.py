"""The order in which routes are tried, and how long to wait before trying again. Pure: chance and turn are arguments."""

import statistics
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Final, assert_never

from msgspec import Struct

from providers.errors import UnknownModelError
from providers.health import Standing
from providers.router import AUTO, Route


class Strategy(StrEnum):
    """How to choose among routes that are all permitted and work.

    - first-available: the order of the settings.
    - round-robin: that order, begun one route further with each turn.
    - random: any order is as likely as another.
    - weighted: a route comes first as often as its share of the weights says; weight 0 comes last.
    - least-latency: two routes are drawn and the one with less latency × (requests in flight + 1) is taken, and so on with
      the rest. A route without a recent latency counts as the median of the others: asked now and then, never by all.
    - least-cost: the cheapest first; a route whose price is unknown comes after those whose price is known.
    - best-available: fewest errors, to the nearest 10 %, then least latency × (requests in flight + 1). A route without a
      recent latency counts as the quickest, so that it is measured; its own requests in flight keep others from it. Among
      equals chance decides.
    """

    FIRST_AVAILABLE = "first-available"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    WEIGHTED = "weighted"
    LEAST_LATENCY = "least-latency"
    LEAST_COST = "least-cost"
    BEST_AVAILABLE = "best-available"


class Candidate(Struct, frozen=True):
    """A route that may be taken, and what is known of it. `price`: rubles this request may cost there, None if unknown."""

    route: Route
    standing: Standing
    weight: float = 1.0
    price: Decimal | None = None


class Choice(Struct, frozen=True):
    """A route to try. `reason` is a token for headers and logs. `open`: its breaker says that it should not be asked now."""

    route: Route
    reason: str
    open: bool = False


def order(candidates: Sequence[Candidate], strategy: Strategy, *, turn: int, draw: Random) -> tuple[Choice, ...]:
    """Every candidate once: closed ones by the strategy, then half-open ones, then open ones, the soonest to close first."""
    closed = [each for each in candidates if each.standing.state == "closed"]
    half_open = [each for each in candidates if each.standing.state == "half-open"]
    opened = [each for each in candidates if each.standing.state == "open"]
    opened.sort(key=lambda each: each.standing.retry_after or 0.0)
    return (
        *_by_strategy(closed, strategy, turn, draw),
        *(Choice(each.route, "breaker:half-open") for each in half_open),
        *(Choice(each.route, "breaker:open", open=True) for each in opened),
    )


def parse(name: str) -> tuple[str, Strategy | None]:
    """Split `auto:cheap` into "auto" and its strategy; any other name is left as it is, for models' names may have a ":".

    Raises UnknownModelError for `auto:` with anything else behind it.
    """
    plain, colon, word = name.partition(":")
    if plain != AUTO or not colon:
        return name, None
    strategy = _WORDS.get(word)
    if strategy is None:
        # The word is the caller's text: it is not repeated, for it may be anything.
        raise UnknownModelError(f"there is no such strategy, ask for {', '.join(f'`auto:{each}`' for each in _WORDS)}")
    return AUTO, strategy


def backoff(attempt: int, retry_after: float | None, draw: Random, *, base: float = 0.5, cap: float = 8.0) -> float:
    """Seconds to wait before attempt number `attempt` + 1: anything up to `base`, doubled each time, `cap` at most.

    Attempts count from 1. What the upstream asked for comes first and in full: the jitter is added to it, so that those
    who were all told the same time do not all come back at once.
    """
    ceiling = min(cap, base * 2.0 ** min(max(attempt - 1, 0), _DOUBLINGS))
    return max(retry_after or 0.0, 0.0) + draw.uniform(0.0, ceiling)


_WORDS: Final = MappingProxyType(
    {
        "cheap": Strategy.LEAST_COST,
        "fast": Strategy.LEAST_LATENCY,
        "best": Strategy.BEST_AVAILABLE,
        "first": Strategy.FIRST_AVAILABLE,
        "round-robin": Strategy.ROUND_ROBIN,
        "random": Strategy.RANDOM,
        "weighted": Strategy.WEIGHTED,
    }
)
_DOUBLINGS: Final = 60  # more would overflow; any sensible cap is reached long before
_QUICKEST: Final = 0.001  # seconds: a latency below it is no measurement, and in-flight requests must go on counting


def _by_strategy(candidates: list[Candidate], strategy: Strategy, turn: int, draw: Random) -> list[Choice]:  # noqa: PLR0911  (one line for each)
    match strategy:
        case Strategy.FIRST_AVAILABLE:
            return [Choice(each.route, strategy.value) for each in candidates]
        case Strategy.ROUND_ROBIN:
            begin = turn % len(candidates) if candidates else 0
            turned = candidates[begin:] + candidates[:begin]
            return [Choice(each.route, f"{strategy}:turn={turn}") for each in turned]
        case Strategy.RANDOM:
            return [Choice(each.route, strategy.value) for each in draw.sample(candidates, len(candidates))]
        case Strategy.WEIGHTED:
            return _weighted(candidates, draw)
        case Strategy.LEAST_LATENCY:
            return _least_latency(candidates, draw)
        case Strategy.LEAST_COST:
            return _least_cost(candidates)
        case Strategy.BEST_AVAILABLE:
            return _best_available(candidates, draw)
        case _ as never:
            assert_never(never)


def _weighted(candidates: list[Candidate], draw: Random) -> list[Choice]:
    """Drawn without replacement: the first of exponential clocks whose rates are the weights (Efraimidis, Spirakis 2006)."""
    rings = [(draw.expovariate(each.weight), each) for each in candidates if each.weight > 0]
    rings.sort(key=lambda ring: ring[0])
    return [
        *(Choice(each.route, "weighted") for _, each in rings),
        *(Choice(each.route, "weighted:zero") for each in candidates if not each.weight > 0),  # so that NaN is here too
    ]


def _least_latency(candidates: list[Candidate], draw: Random) -> list[Choice]:
    wait = _wait(candidates, statistics.median)
    left = draw.sample(candidates, len(candidates))
    choices = []
    while left:
        two = draw.sample(range(len(left)), min(2, len(left)))
        taken = left.pop(min(two, key=lambda index: wait(left[index])))
        known = taken.standing.latency is not None
        choices.append(Choice(taken.route, "least-latency:p2c" if known else "least-latency:unmeasured"))
    return choices


def _least_cost(candidates: list[Candidate]) -> list[Choice]:
    known = [(each.price, each.route) for each in candidates if each.price is not None]
    known.sort(key=lambda priced: priced[0])
    return [
        *(Choice(route, "least-cost:known") for _, route in known),
        *(Choice(each.route, "least-cost:unknown") for each in candidates if each.price is None),
    ]


def _best_available(candidates: list[Candidate], draw: Random) -> list[Choice]:
    wait = _wait(candidates, min)
    mixed = draw.sample(candidates, len(candidates))
    mixed.sort(key=lambda each: (round(each.standing.error_rate, 1), wait(each)))
    return [Choice(each.route, f"best-available:errors={each.standing.error_rate:.1f}") for each in mixed]


def _wait(candidates: list[Candidate], assumed: Callable[[list[float]], float]) -> Callable[[Candidate], float]:
    """How long a candidate's first chunk is likely to take; `assumed` tells an unknown latency from the known ones."""
    known = [each.standing.latency for each in candidates if each.standing.latency is not None]
    unknown = assumed(known) if known else 1.0

    def wait(candidate: Candidate) -> float:
        latency = candidate.standing.latency
        return max(unknown if latency is None else latency, _QUICKEST) * (candidate.standing.in_flight + 1)

    return wait
