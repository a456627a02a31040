"""The health of each route: a circuit breaker and what of a route's past is still known. Pure: the time is an argument.

A route is *broken* by `failures_to_open` failures in a row, or by one refusal of its credential. It is then not asked for
`open_seconds`, twice as long after each failed probe; after that it lets `half_open_probes` attempts through at once. A
probe that succeeds makes it whole. A route that nobody probes is asked as usual once `window_seconds` have passed without
a failure, for a breaker must not outlive its reason where others always come first; its next failure breaks it at once.

A rate limit that names a time (429 with Retry-After) is no sickness: the route rests for exactly that long.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from providers.errors import (
    AuthenticationFailedError,
    CredentialExpiredError,
    PaymentRequiredError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
)

State = Literal["closed", "open", "half-open"]
Label = Literal["healthy", "degraded", "unhealthy"]

_Count = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class HealthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a route is not asked any more, for how long, and over which time its errors are counted."""

    failures_to_open: _Count = 5
    open_seconds: _Seconds = 10.0
    max_open_seconds: _Seconds = 300.0
    window_seconds: _Seconds = 60.0
    half_open_probes: _Count = 1


class Standing(Struct, frozen=True):
    """A route's health at one moment.

    `state`: "half-open" when one more probe may be made; "open" when the route is not to be asked, also while its probes
    are under way. `retry_after` (seconds) is given exactly when it is open. `latency`: seconds to the first chunk, recent
    answers counting most; None when no recent one is known. `error_rate` and `requests`: of those attempts that ended in
    the window and say something of the route's health.
    """

    state: State = "closed"
    retry_after: float | None = None
    in_flight: int = 0
    latency: float | None = None
    error_rate: float = 0.0
    requests: int = 0
    label: Label = "healthy"


class Health:
    """Of one route. Each `began` is followed by one of `succeeded`, `failed` and `abandoned`.

    These take as `began` the time that was given to `began`, so that the end of an attempt that was made before the route
    broke is not taken for that of a probe. Without it the end of any attempt is that of the oldest probe.
    """

    __slots__ = (
        "_broken",
        "_failures",
        "_held_until",
        "_in_flight",
        "_latency",
        "_open_until",
        "_probes",
        "_settings",
        "_trips",
        "_window",
    )

    def __init__(self, settings: HealthSettings = HealthSettings()) -> None:  # noqa: B008  (frozen: sharing it is safe)
        self._settings = settings
        self._in_flight = 0
        self._failures = 0  # in a row
        self._broken = False
        self._trips = 0  # how often it was broken without having been whole since
        self._open_until = -math.inf
        self._held_until = -math.inf
        self._probes: list[float] = []  # when each of them began; never more than `half_open_probes`
        self._window = _Window(settings.window_seconds)
        self._latency = _Latency(settings.window_seconds)

    def began(self, now: float) -> None:
        """An attempt is made; the next one is a probe when the route is half-open."""
        self._in_flight += 1
        if self._state(now) == "half-open":
            self._probes = [*self._probes_under_way(now), now]

    def succeeded(self, now: float, first_chunk_seconds: float | None, *, began: float | None = None) -> None:
        """The answer came whole. None when the time to its first chunk is not known."""
        probe = self._end(began)
        self._window.add(now, failed=False)
        if first_chunk_seconds is not None:
            self._latency.add(now, first_chunk_seconds)
        if probe or self._state(now) == "closed":
            self._mend()

    def failed(self, now: float, error: ProviderError, *, began: float | None = None) -> None:
        """The attempt failed. An error that the request itself is to blame for harms nobody's health."""
        probe = self._end(began)
        if not _harms(error):
            return
        self._window.add(now, failed=True)
        if isinstance(error, RateLimitedError) and error.retry_after:
            self._held_until = max(self._held_until, now + error.retry_after)
        elif probe:
            self._break(now)
        elif self._state(now) == "closed":  # else the attempt is older than the breaking, which it has no say in
            self._failures += 1
            if self._broken or _is_of_credential(error) or self._failures >= self._settings.failures_to_open:
                self._break(now)

    def abandoned(self, now: float, *, began: float | None = None) -> None:  # noqa: ARG002  (one shape for every end)
        """Nobody waits for the answer any more. That says nothing of the route; another probe may be made."""
        self._end(began)

    def standing(self, now: float) -> Standing:
        """How it stands; changes nothing."""
        state = self._state(now)
        requests, failures = self._window.counts(now)
        error_rate = failures / requests if requests else 0.0
        return Standing(
            state=state,
            retry_after=self._retry_after(now) if state == "open" else None,
            in_flight=self._in_flight,
            latency=self._latency.at(now),
            error_rate=error_rate,
            requests=requests,
            label=self._label(now, state, requests, error_rate),
        )

    def _end(self, began: float | None) -> bool:
        """Whether the attempt that ends was a probe."""
        self._in_flight = max(0, self._in_flight - 1)
        if began is None and self._probes:
            began = self._probes[0]
        if began not in self._probes:
            return False
        self._probes.remove(began)
        return True

    def _break(self, now: float) -> None:
        seconds = self._settings.open_seconds * 2.0 ** min(self._trips, _DOUBLINGS)
        self._open_until = now + min(seconds, self._settings.max_open_seconds)
        self._broken = True
        self._trips += 1
        self._failures = 0
        self._probes = []

    def _mend(self) -> None:
        self._broken = False
        self._trips = 0
        self._failures = 0
        self._probes = []

    def _state(self, now: float) -> State:
        rests_until = max(self._open_until, self._held_until)
        if now < rests_until:
            return "open"
        if not self._broken:
            return "closed"
        probes = len(self._probes_under_way(now))
        if probes >= self._settings.half_open_probes:
            return "open"
        if not probes and now >= rests_until + self._settings.window_seconds:
            return "closed"
        return "half-open"

    def _probes_under_way(self, now: float) -> list[float]:
        """A probe that takes too long holds no place: whoever forgot to say how it ended must not close a route for good."""
        return [began for began in self._probes if now - began < self._settings.max_open_seconds]

    def _retry_after(self, now: float) -> float:
        rest = max(self._open_until, self._held_until) - now
        return rest if rest > 0 else _PROBE_WAIT

    def _label(self, now: float, state: State, requests: int, error_rate: float) -> Label:
        counts = requests >= _ENOUGH
        if (self._broken and now < self._open_until) or (counts and error_rate >= _UNHEALTHY):
            return "unhealthy"
        return "degraded" if state != "closed" or (counts and error_rate >= _DEGRADED) else "healthy"


class HealthBoard(Mapping[str, Health]):
    """The health of every route, by its id. It holds the routes it was made with and no other: KeyError."""

    __slots__ = ("_health", "_settings")

    def __init__(self, route_ids: Iterable[str], settings: HealthSettings = HealthSettings()) -> None:  # noqa: B008  (as above)
        self._settings = settings
        self._health: dict[str, Health | None] = dict.fromkeys(route_ids)

    def standing(self, route_id: str, now: float) -> Standing:
        """How the route stands. Raises KeyError for one that is not on the board."""
        return self[route_id].standing(now)

    def __getitem__(self, route_id: str) -> Health:
        health = self._health[route_id]
        if health is None:
            health = self._health[route_id] = Health(self._settings)
        return health

    def __iter__(self) -> Iterator[str]:
        return iter(self._health)

    def __len__(self) -> int:
        return len(self._health)


_ENOUGH: Final = 5  # requests: fewer say nothing of a rate
_DEGRADED: Final = 0.3
_UNHEALTHY: Final = 0.6
_PROBE_WAIT: Final = 1.0  # seconds: a probe may end at any moment
_DOUBLINGS: Final = 60  # more would overflow; `max_open_seconds` is reached long before
_BUCKETS: Final = 12
_REMEMBERED: Final = 3.0  # windows: an older latency says nothing, so that a route that was slow once is asked again


def _harms(error: ProviderError) -> bool:
    return error.failover or _is_of_credential(error)


def _is_of_credential(error: ProviderError) -> bool:
    """Whether every further request would fail as this one did. An expired token has a successor."""
    kinds = (AuthenticationFailedError, PermissionDeniedError, PaymentRequiredError)
    return isinstance(error, kinds) and not isinstance(error, CredentialExpiredError)


class _Window:
    """How many attempts ended, and failed, in the last `seconds`, to within a twelfth of them."""

    __slots__ = ("_buckets", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _BUCKETS
        self._buckets = [(0, 0, 0)] * _BUCKETS  # (number of the bucket since the clock's zero, ended, failed)

    def add(self, now: float, *, failed: bool) -> None:
        number = self._number(now)
        before, ended, failures = self._buckets[number % _BUCKETS]
        if before != number:
            ended = failures = 0
        self._buckets[number % _BUCKETS] = (number, ended + 1, failures + failed)

    def counts(self, now: float) -> tuple[int, int]:
        newest = self._number(now)
        live = [bucket for bucket in self._buckets if newest - _BUCKETS < bucket[0] <= newest]
        return sum(bucket[1] for bucket in live), sum(bucket[2] for bucket in live)

    def _number(self, now: float) -> int:
        return math.floor(now / self._width)


class _Latency:
    """The mean time to the first chunk; an answer's weight falls by e in each `seconds` since."""

    __slots__ = ("_last", "_seconds", "_sum", "_weight")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sum = self._weight = 0.0
        self._last = -math.inf

    def add(self, now: float, latency: float) -> None:
        kept = math.exp(-max(0.0, now - self._last) / self._seconds)
        self._sum = self._sum * kept + latency
        self._weight = self._weight * kept + 1.0
        self._last = max(self._last, now)

    def at(self, now: float) -> float | None:
        if now - self._last > _REMEMBERED * self._seconds:
            return None
        return self._sum / self._weight
