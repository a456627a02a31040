"""Which route is next, when again, when not at all: the loop alone, with a clock of its own and routes that fail as told."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest

from appliance.dispatch import Dispatcher, RouterSettings, Try
from appliance.errors import AttemptsFailedError, RecordingError
from providers import (
    ConnectionLostError,
    HealthBoard,
    HealthSettings,
    InvalidRequestError,
    ProviderError,
    RateLimitedError,
    Residency,
    Route,
    Strategy,
    UpstreamServerError,
)

ROUTES = tuple(Route(provider=name, model="m", upstream="m", residency=Residency.LOCAL) for name in ("a", "b", "c"))


class World:
    """Routes that answer as they are told, in turn; time passes only in pauses."""

    def __init__(self, settings: RouterSettings, **answers: list[ProviderError | str]) -> None:
        self.now = 0.0
        self.answers = {name: deque(each) for name, each in answers.items()}
        self.tries: list[tuple[str, int, str]] = []
        self.pauses: list[float] = []
        self.board = HealthBoard([route.id for route in ROUTES], settings.health)
        self.dispatcher = Dispatcher(
            settings, self.board, clock=lambda: self.now, pause=self.pause, draw=random.Random(1)
        )

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def attempt(self, made: Try) -> str:
        self.tries.append((made.route.provider, made.number, made.reason))
        began, health = self.now, self.board[made.route.id]
        health.began(began)
        answer = self.answers[made.route.provider].popleft()
        if isinstance(answer, ProviderError):
            health.failed(self.now, answer, began=began)
            raise AttemptsFailedError(answer, 7)
        health.succeeded(self.now, 0.1, began=began)
        return answer

    async def run(self, routes: tuple[Route, ...] = ROUTES) -> str:
        return await self.dispatcher.run(self.dispatcher.order(routes, None, {}), self.attempt)


def busy() -> UpstreamServerError:
    return UpstreamServerError("the upstream answered 503")


async def test_each_route_is_tried_once_and_then_all_of_them_again_after_a_pause() -> None:
    world = World(RouterSettings(retries=1), a=[busy(), busy()], b=[busy(), "b"], c=[busy()])

    assert await world.run() == "b"
    assert [name for name, _, _ in world.tries] == ["a", "b", "c", "a", "b"]
    assert [number for _, number, _ in world.tries] == [1, 2, 3, 4, 5]
    assert [reason for _, _, reason in world.tries] == ["first-available"] * 3 + ["retry"] * 2
    assert len(world.pauses) == 1


async def test_a_lost_connection_is_asked_once_more_at_once_and_only_once() -> None:
    lost = ConnectionLostError("closed")
    world = World(RouterSettings(retries=0), a=[lost, lost], b=["b"], c=[])

    assert await world.run() == "b"
    assert [(name, reason) for name, _, reason in world.tries] == [
        ("a", "first-available"),
        ("a", "again"),
        ("b", "first-available"),
    ]
    assert world.pauses == []


async def test_a_rejected_request_ends_at_once() -> None:
    world = World(RouterSettings(), a=[InvalidRequestError("no")], b=[], c=[])

    with pytest.raises(AttemptsFailedError):
        await world.run()
    assert len(world.tries) == 1


async def test_what_the_upstream_asked_for_is_waited_for_in_full() -> None:
    world = World(RouterSettings(retries=1), a=[RateLimitedError("busy", retry_after=5.0), "a"])

    assert await world.run(ROUTES[:1]) == "a"
    assert world.pauses[0] >= 5.0


async def test_no_pause_goes_past_the_deadline() -> None:
    world = World(RouterSettings(retries=9, deadline_seconds=4.0), a=[RateLimitedError("busy", retry_after=5.0)])

    with pytest.raises(AttemptsFailedError):
        await world.run(ROUTES[:1])
    assert world.pauses == []


async def test_attempts_are_counted_over_all_routes_and_rounds() -> None:
    world = World(RouterSettings(retries=9, attempts=5), a=[busy()] * 5, b=[busy()] * 5, c=[busy()] * 5)

    with pytest.raises(AttemptsFailedError):
        await world.run()
    assert len(world.tries) == 5


async def test_a_route_that_broke_meanwhile_is_passed_over() -> None:
    settings = RouterSettings(retries=0, health=HealthSettings(failures_to_open=1))
    world = World(settings, a=[busy()], b=[], c=["c"])
    choices = world.dispatcher.order(ROUTES, None, {})
    world.board[ROUTES[1].id].began(0.0)
    world.board[ROUTES[1].id].failed(0.0, busy())

    assert await world.dispatcher.run(choices, world.attempt) == "c"
    assert [name for name, _, _ in world.tries] == ["a", "c"]


async def test_when_every_route_is_broken_none_is_offered_and_the_wait_is_known() -> None:
    world = World(
        RouterSettings(retries=0, health=HealthSettings(failures_to_open=1)), a=[busy()], b=[busy()], c=[busy()]
    )
    with pytest.raises(AttemptsFailedError):
        await world.run()

    assert world.dispatcher.order(ROUTES, None, {}) == ()
    assert 0 < world.dispatcher.opens_in(ROUTES) <= 10


async def test_a_log_that_cannot_be_written_ends_the_request_without_another_route() -> None:
    world = World(RouterSettings(), a=[], b=["b"], c=[])
    tried = []

    async def unrecorded(made: Try) -> str:
        tried.append(made.route.provider)
        raise RecordingError("no")

    with pytest.raises(RecordingError):
        await world.dispatcher.run(world.dispatcher.order(ROUTES, None, {}), unrecorded)
    assert tried == ["a"]


async def test_turns_are_counted_for_each_set_of_routes_by_itself() -> None:
    world = World(RouterSettings(strategy=Strategy.ROUND_ROBIN), a=["a"] * 9, b=["b"] * 9, c=["c"] * 9)

    said = [(await world.run(ROUTES[:2]), await world.run(ROUTES[1:])) for _ in range(4)]

    assert [one for one, _ in said] == ["a", "b", "a", "b"]
    assert [two for _, two in said] == ["b", "c", "b", "c"]


class Race:
    """Two attempts that answer when they are let."""

    def __init__(self) -> None:
        self.gates = {route.provider: asyncio.Event() for route in ROUTES}
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.failing: set[str] = set()
        settings = RouterSettings(retries=0, hedge_seconds=0.01)
        self.dispatcher = Dispatcher(settings, HealthBoard([route.id for route in ROUTES]))

    async def attempt(self, made: Try) -> str:
        name = made.route.provider
        self.begun.append(name)
        try:
            await self.gates[name].wait()
        except asyncio.CancelledError:
            self.stopped.append(name)
            raise
        if name in self.failing:
            raise AttemptsFailedError(busy(), 1)
        return name

    async def give_up(self, result: str) -> None:
        self.stopped.append(result)

    def start(self) -> asyncio.Task[str]:
        choices = self.dispatcher.order(ROUTES, None, {})
        return asyncio.create_task(self.dispatcher.run(choices, self.attempt, self.give_up))


async def test_the_quicker_of_two_wins_and_the_other_is_stopped() -> None:
    race = Race()
    race.gates["b"].set()

    assert await race.start() == "b"
    assert (race.begun, race.stopped) == (["a", "b"], ["a"])


async def test_when_the_second_fails_the_first_is_still_waited_for() -> None:
    race = Race()
    race.failing = {"b"}
    race.gates["b"].set()
    running = race.start()
    while "b" not in race.begun:
        await asyncio.sleep(0)
    race.gates["a"].set()

    assert await running == "a"


async def test_a_client_that_leaves_stops_both() -> None:
    race = Race()
    running = race.start()
    while len(race.begun) < 2:
        await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(race.stopped) == ["a", "b"]
