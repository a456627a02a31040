"""The order in which routes are tried, and when to try again: fallback, retries, breaker, hedge. It never adds a route.

INVARIANT: only routes that were handed in are tried, and each try is one call of `attempt`, which records its own Intent.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from appliance.errors import AttemptsFailedError
from providers import Candidate, Choice, HealthBoard, HealthSettings, Route, Strategy, backoff, order

_T = TypeVar("_T")

_NotNegative = Annotated[float, Meta(ge=0)]


class RouterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How routes are chosen and what happens when they fail.

    `attempts`: of one request at most, over all routes. `retries`: how many more rounds, after a pause, once every route has
    failed in a way that may pass. `deadline_seconds`: no attempt begins later than this after the request came.
    `hedge_seconds`: a request that is not streamed and has no answer by then is also sent to the next route; 0 never does.
    `weights`: of routes, by id, for the strategy `weighted`; 1 where none is given. `tariff_file`: the company's own prices
    instead of the shipped ones.
    """

    strategy: Strategy = Strategy.FIRST_AVAILABLE
    attempts: Annotated[int, Meta(ge=1, le=100)] = 6
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    deadline_seconds: _NotNegative = 30.0
    hedge_seconds: _NotNegative = 0.0
    weights: dict[str, _NotNegative] = {}
    tariff_file: Path | None = None
    health: HealthSettings = HealthSettings()


class Try(msgspec.Struct, frozen=True):
    """One attempt to make: on which route, the how-manieth of its request, and why this route."""

    route: Route
    number: int
    reason: str


class Dispatcher:
    """One for the service. `clock` is monotonic, in seconds; `pause` waits for some."""

    def __init__(
        self,
        settings: RouterSettings,
        board: HealthBoard,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: random.Random | None = None,
    ) -> None:
        self.board = board
        self.clock = clock
        self._settings = settings
        self._pause = pause
        self._draw = draw or random.Random()  # noqa: S311  (spreads load, guards nothing)
        self._turns: Counter[tuple[str, ...]] = Counter()  # of each set of routes that was ever asked for together

    def order(
        self, routes: Sequence[Route], strategy: Strategy | None, prices: Mapping[str, Decimal | None]
    ) -> tuple[Choice, ...]:
        """The routes whose breaker lets a request through now, in the order of the strategy; None is the router's own."""
        now = self.clock()
        candidates = [
            Candidate(
                route=route,
                standing=self.board.standing(route.id, now),
                weight=self._settings.weights.get(route.id, 1.0),
                price=prices.get(route.id),
            )
            for route in routes
        ]
        together = tuple(route.id for route in routes)
        chosen = order(candidates, strategy or self._settings.strategy, turn=self._turns[together], draw=self._draw)
        self._turns[together] += 1
        return tuple(choice for choice in chosen if not choice.open)

    def opens_in(self, routes: Sequence[Route]) -> float:
        """Seconds until the first of these routes, all of them broken, is tried again."""
        now = self.clock()
        waits = [self.board.standing(route.id, now).retry_after for route in routes]
        return min((wait for wait in waits if wait is not None), default=1.0)

    async def run(
        self,
        choices: Sequence[Choice],
        attempt: Callable[[Try], Awaitable[_T]],
        give_up: Callable[[_T], Awaitable[None]] | None = None,
    ) -> _T:
        """The first result of `attempt`, tried on one route after another.

        `attempt` raises AttemptsFailedError when its provider failed; anything else ends the request. With `give_up`, which
        undoes a result that came too late, the request may be hedged. Raises the error of the last attempt.
        """
        return await _Run(self, self._settings, attempt, give_up).through(choices)

    def is_open(self, route: Route) -> bool:
        """Whether its breaker lets no request through now: it may have opened since the order was made."""
        return self.board.standing(route.id, self.clock()).state == "open"

    def again(self, choices: Sequence[Choice]) -> list[Choice]:
        """Those of the routes that may be asked once more, their breaker permitting."""
        return [Choice(choice.route, "retry") for choice in choices if not self.is_open(choice.route)]

    async def rest(self, number: int, retry_after: float | None, deadline: float) -> bool:
        """Wait before another round; False at once when the deadline would pass meanwhile."""
        seconds = backoff(number, retry_after, self._draw)
        if self.clock() + seconds >= deadline:
            return False
        await self._pause(seconds)
        return True

    def within(self, deadline: float) -> bool:
        """Whether an attempt may still begin."""
        return self.clock() < deadline

    def deadline(self) -> float:
        """For a request that begins now."""
        return self.clock() + self._settings.deadline_seconds


class _Run(Generic[_T]):
    """One request on its way from route to route."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: RouterSettings,
        attempt: Callable[[Try], Awaitable[_T]],
        give_up: Callable[[_T], Awaitable[None]] | None,
    ) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._attempt = attempt
        self._give_up = give_up
        self._numbers: Iterator[int] = count(1)
        self._made = 0
        self._waiting: deque[Choice] = deque()

    async def through(self, choices: Sequence[Choice]) -> _T:
        deadline = self._dispatcher.deadline()
        self._waiting.extend(choices)
        repeated: set[str] = set()
        failed: list[Choice] = []
        rounds = 0
        while True:
            choice = self._next()
            try:
                return await self._one(choice)
            except AttemptsFailedError as error:
                cause = error.cause
                if self._made >= self._settings.attempts or not self._dispatcher.within(deadline):
                    raise
                if cause.again and choice.route.id not in repeated:  # (1) the same route, at once, once
                    repeated.add(choice.route.id)
                    self._waiting.appendleft(Choice(choice.route, "again"))
                    continue
                if not cause.failover:
                    raise
                failed.append(choice)
                if self._waiting:  # (2) the next route, at once
                    continue
                rounds += 1
                if rounds > self._settings.retries:
                    raise
                if not await self._dispatcher.rest(rounds, cause.retry_after, deadline):
                    raise
                self._waiting.extend(self._dispatcher.again(failed))  # (3) all of them again, after a pause
                failed.clear()
                if not self._waiting:
                    raise

    async def _one(self, choice: Choice) -> _T:
        if not self._give_up or not self._settings.hedge_seconds or not self._waiting:
            return await self._try(choice)
        return await self._hedged(choice, self._give_up)

    def _next(self) -> Choice:
        """The next route whose breaker has not opened meanwhile; the last one whatever became of it."""
        while len(self._waiting) > 1 and self._dispatcher.is_open(self._waiting[0].route):
            self._waiting.popleft()
        return self._waiting.popleft()

    def _try(self, choice: Choice) -> Awaitable[_T]:
        self._made += 1
        return self._attempt(Try(choice.route, next(self._numbers), choice.reason))

    async def _hedged(self, choice: Choice, give_up: Callable[[_T], Awaitable[None]]) -> _T:
        """The quicker of two: the second begins when the first has been silent for `hedge_seconds`."""
        running = [asyncio.ensure_future(self._try(choice))]
        won: asyncio.Future[_T] | None = None
        try:
            done, _ = await asyncio.wait(running, timeout=self._settings.hedge_seconds)
            if not done and self._made < self._settings.attempts:
                following = self._next()
                running.append(asyncio.ensure_future(self._try(Choice(following.route, "hedge"))))
            pending = set(running)
            while pending and won is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                won = next((task for task in done if not task.cancelled() and task.exception() is None), None)
        finally:
            try:
                await self._end([task for task in running if task is not won], give_up)
            except asyncio.CancelledError:
                if won:
                    await give_up(won.result())
                raise
        return await (won or running[-1])

    async def _end(self, tasks: list[asyncio.Future[_T]], give_up: Callable[[_T], Awaitable[None]]) -> None:
        """Stop the slower ones; each has its own Outcome before this returns."""
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, BaseException):
                await give_up(result)
