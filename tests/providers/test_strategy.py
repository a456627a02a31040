import re
from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import AuthenticationFailedError, UnknownModelError
from providers.health import Health, HealthBoard, Standing
from providers.router import Residency, Route
from providers.strategy import Candidate, Choice, Strategy, backoff, order, parse

A, B, C, D = (Route(name, "m", "m", Residency.LOCAL) for name in "abcd")
FRESH = Standing()
OPEN = Standing(state="open", retry_after=5.0, label="unhealthy")
HALF_OPEN = Standing(state="half-open", label="degraded")


def candidate(route, standing=FRESH, **fields):
    return Candidate(route, standing, **fields)


def measured(route, latency, in_flight=0, error_rate=0.0):
    return Candidate(route, Standing(latency=latency, in_flight=in_flight, error_rate=error_rate))


def routes(candidates, strategy, *, turn=0, draw=None):
    return [choice.route for choice in order(candidates, strategy, turn=turn, draw=draw or Random(1))]


def firsts(candidates, strategy, times=4000):
    """How often each route came first, as a share."""
    draw = Random(7)
    counts = Counter(routes(candidates, strategy, turn=turn, draw=draw)[0].provider for turn in range(times))
    return {name: count / times for name, count in counts.items()}


def test_first_available_keeps_the_given_order():
    assert routes([candidate(C), candidate(A), candidate(B)], Strategy.FIRST_AVAILABLE) == [C, A, B]


@pytest.mark.parametrize("strategy", Strategy)
def test_no_candidates_give_no_choices(strategy):
    assert order([], strategy, turn=3, draw=Random(1)) == ()


@pytest.mark.parametrize("strategy", Strategy)
def test_closed_routes_come_first_then_half_open_ones_then_open_ones(strategy):
    candidates = [candidate(A, OPEN), candidate(B, HALF_OPEN), candidate(C), candidate(D)]
    choices = order(candidates, strategy, turn=0, draw=Random(1))
    assert {choice.route for choice in choices[:2]} == {C, D}
    assert choices[2] == Choice(B, "breaker:half-open")
    assert choices[3] == Choice(A, "breaker:open", open=True)
    assert [choice.open for choice in choices] == [False, False, False, True]


def test_among_open_routes_the_one_that_closes_soonest_comes_first():
    candidates = [
        candidate(A, Standing(state="open", retry_after=9.0)),
        candidate(B, Standing(state="open", retry_after=1.0)),
    ]
    assert routes(candidates, Strategy.RANDOM) == [B, A]


def test_a_route_whose_only_probe_is_under_way_is_offered_as_open():
    board = HealthBoard(["a/m"])
    health = board["a/m"]
    health.began(0.0)
    health.failed(0.0, AuthenticationFailedError("the upstream answered 401"), began=0.0)
    (choice,) = order([candidate(A, board.standing("a/m", 10.0))], Strategy.RANDOM, turn=0, draw=Random(1))
    assert choice == Choice(A, "breaker:half-open")
    health.began(10.0)
    (choice,) = order([candidate(A, board.standing("a/m", 10.0))], Strategy.RANDOM, turn=0, draw=Random(1))
    assert choice == Choice(A, "breaker:open", open=True)


def test_random_never_begins_with_an_open_route():
    assert set(firsts([candidate(A, OPEN), candidate(B), candidate(C)], Strategy.RANDOM)) == {"b", "c"}


def test_round_robin_begins_one_further_with_each_turn():
    candidates = [candidate(A), candidate(B), candidate(C)]
    begun = [routes(candidates, Strategy.ROUND_ROBIN, turn=turn) for turn in range(4)]
    assert begun == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


def test_round_robin_skips_what_is_not_closed_and_names_the_turn():
    choices = order([candidate(A), candidate(B, OPEN), candidate(C)], Strategy.ROUND_ROBIN, turn=3, draw=Random(1))
    assert [choice.route for choice in choices] == [C, A, B]
    assert choices[0].reason == "round-robin:turn=3"


def test_random_begins_with_each_route_as_often():
    shares = firsts([candidate(A), candidate(B), candidate(C), candidate(D)], Strategy.RANDOM)
    assert all(0.22 < share < 0.28 for share in shares.values())
    assert set(shares) == set("abcd")


def test_weighted_begins_with_each_route_by_its_share_of_the_weights():
    shares = firsts(
        [candidate(A, weight=1), candidate(B, weight=3), candidate(C, weight=6), candidate(D, weight=0)],
        Strategy.WEIGHTED,
    )
    assert 0.08 < shares["a"] < 0.12
    assert 0.27 < shares["b"] < 0.33
    assert 0.57 < shares["c"] < 0.63
    assert "d" not in shares


def test_weighted_goes_on_by_the_weights_of_the_rest():
    draw = Random(7)
    candidates = [candidate(A, weight=8), candidate(B, weight=3), candidate(C, weight=1)]
    orders = [routes(candidates, Strategy.WEIGHTED, draw=draw) for _ in range(6000)]
    seconds = Counter(each[1] for each in orders if each[0] is A)
    assert 0.70 < seconds[B] / seconds.total() < 0.80


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_weights_that_weigh_nothing_come_last_in_the_given_order(weight):
    candidates = [candidate(A, weight=weight), candidate(B, weight=1e-300), candidate(C, weight=weight)]
    assert routes(candidates, Strategy.WEIGHTED) == [B, A, C]


def test_least_latency_of_two_routes_takes_the_quicker():
    assert firsts([measured(A, 2.0), measured(B, 0.5)], Strategy.LEAST_LATENCY, times=50) == {"b": 1.0}


def test_least_latency_counts_the_requests_in_flight():
    assert routes([measured(A, 1.0, in_flight=3), measured(B, 2.0)], Strategy.LEAST_LATENCY) == [B, A]
    assert firsts([measured(A, 0.0, in_flight=3), measured(B, 0.0)], Strategy.LEAST_LATENCY, times=50) == {"b": 1.0}


def test_a_route_without_a_latency_counts_as_the_median_of_the_others():
    shares = firsts([measured(A, 1.0), measured(B, 2.0), measured(C, 9.0), candidate(D)], Strategy.LEAST_LATENCY)
    assert "c" not in shares
    assert 0.21 < shares["d"] < 0.29  # always before C, and before B every other time


def test_least_latency_never_begins_with_the_slowest_and_does_not_send_all_to_the_quickest():
    shares = firsts([measured(A, 1.0), measured(B, 2.0), measured(C, 9.0)], Strategy.LEAST_LATENCY)
    assert "c" not in shares
    assert 0.6 < shares["a"] < 0.73
    assert 0.27 < shares["b"] < 0.4


@pytest.mark.parametrize("strategy", [Strategy.LEAST_LATENCY, Strategy.BEST_AVAILABLE])
def test_a_new_route_is_neither_starved_nor_flooded(strategy):
    """20 of 20 requests went to one route in the library this project comes from."""
    board = HealthBoard(["a/m", "b/m", "c/m"])
    draw, now, asked = Random(3), 0.0, Counter()

    def ask(candidates):
        nonlocal now
        now += 1.0
        route = order(candidates, strategy, turn=0, draw=draw)[0].route
        board[route.id].began(now)
        return route

    def candidates():
        return [candidate(route, board.standing(route.id, now)) for route in (A, B, C)]

    for route, latency in ((A, 1.0), (B, 1.1)):  # C is new
        board[route.id].began(0.0)
        board[route.id].succeeded(0.0, latency, began=0.0)
    for _ in range(60):
        under_way = [ask(candidates()) for _ in range(3)]
        for route in under_way:
            asked[route.provider] += 1
            board[route.id].succeeded(now, 1.0 if route is not B else 1.1)
    assert all(asked[name] >= 18 for name in "abc")
    assert all(asked[name] <= 108 for name in "abc")


def test_a_new_route_that_is_slow_is_measured_and_then_left():
    board = HealthBoard(["a/m", "b/m", "c/m"])
    draw, asked = Random(3), Counter()
    for now in range(100):
        candidates = [candidate(route, board.standing(route.id, float(now))) for route in (A, B, C)]
        route = order(candidates, Strategy.BEST_AVAILABLE, turn=0, draw=draw)[0].route
        asked[route.provider] += 1
        board[route.id].began(float(now))
        board[route.id].succeeded(float(now), {"a": 1.0, "b": 2.0, "c": 30.0}[route.provider])
    assert asked["b"] == 1
    assert asked["c"] == 1


def test_routes_of_which_nothing_is_known_share_the_requests():
    for strategy in (Strategy.LEAST_LATENCY, Strategy.BEST_AVAILABLE):
        shares = firsts([candidate(A), candidate(B), candidate(C)], strategy)
        assert all(0.28 < shares[name] < 0.39 for name in "abc")


def test_least_latency_says_which_routes_were_not_measured():
    choices = order([measured(A, 1.0), candidate(B)], Strategy.LEAST_LATENCY, turn=0, draw=Random(1))
    assert {choice.route: choice.reason for choice in choices} == {
        A: "least-latency:p2c",
        B: "least-latency:unmeasured",
    }


def test_least_cost_takes_the_cheapest_and_the_unknown_last():
    candidates = [
        candidate(A, price=None),
        candidate(B, price=Decimal("0.20")),
        candidate(C, price=Decimal("0.02")),
        candidate(D, price=Decimal("0.20")),
    ]
    choices = order(candidates, Strategy.LEAST_COST, turn=0, draw=Random(1))
    assert [choice.route for choice in choices] == [C, B, D, A]
    assert [choice.reason for choice in choices] == ["least-cost:known"] * 3 + ["least-cost:unknown"]


def test_a_route_that_costs_nothing_is_cheaper_than_any_and_is_not_taken_for_unknown():
    assert routes([candidate(A, price=Decimal("0.01")), candidate(B, price=Decimal(0))], Strategy.LEAST_COST) == [B, A]


def test_best_available_puts_fewest_errors_before_speed():
    candidates = [measured(A, 0.1, error_rate=0.5), measured(B, 5.0), measured(C, 1.0, error_rate=0.2)]
    choices = order(candidates, Strategy.BEST_AVAILABLE, turn=0, draw=Random(1))
    assert [choice.route for choice in choices] == [B, C, A]
    assert [choice.reason for choice in choices] == [
        "best-available:errors=0.0",
        "best-available:errors=0.2",
        "best-available:errors=0.5",
    ]


def test_best_available_takes_error_rates_that_hardly_differ_as_equal():
    candidates = [measured(A, 1.0, in_flight=4, error_rate=0.01), measured(B, 2.0, error_rate=0.04)]
    assert routes(candidates, Strategy.BEST_AVAILABLE) == [B, A]


STATES = st.sampled_from(["closed", "open", "half-open"])
STANDINGS = st.builds(
    Standing,
    state=STATES,
    retry_after=st.none() | st.floats(0.001, 300),
    in_flight=st.integers(0, 50),
    latency=st.none() | st.floats(0, 900),
    error_rate=st.floats(0, 1),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        route=st.builds(Route, st.just("p"), st.uuids().map(str), st.just("m"), st.sampled_from(Residency)),
        standing=STANDINGS,
        weight=st.sampled_from([0.0, 1e-300, 0.5, 1.0, 1e300]),
        price=st.none() | st.decimals(0, 1000, allow_nan=False),
    ),
    max_size=12,
    unique_by=lambda each: each.route.id,
)


@given(CANDIDATES, st.sampled_from(Strategy), st.integers(0, 2**63), st.integers())
def test_an_order_holds_every_candidate_once_and_nothing_else(candidates, strategy, turn, seed):
    choices = order(candidates, strategy, turn=turn, draw=Random(seed))
    assert sorted(choice.route.id for choice in choices) == sorted(each.route.id for each in candidates)
    states = {each.route.id: each.standing.state for each in candidates}
    ranks = [{"closed": 0, "half-open": 1, "open": 2}[states[choice.route.id]] for choice in choices]
    assert ranks == sorted(ranks)
    assert all(choice.open == (states[choice.route.id] == "open") for choice in choices)
    assert all(re.fullmatch(r"[a-z0-9.:_=-]{1,64}", choice.reason) for choice in choices)


@given(CANDIDATES, st.sampled_from(Strategy), st.integers(0, 100), st.integers())
def test_the_same_chance_gives_the_same_order(candidates, strategy, turn, seed):
    once, again = (order(candidates, strategy, turn=turn, draw=Random(seed)) for _ in range(2))
    assert once == again


@given(CANDIDATES, st.integers())
def test_weight_zero_comes_after_every_other_closed_route(candidates, seed):
    choices = order(candidates, Strategy.WEIGHTED, turn=0, draw=Random(seed))
    weights = {each.route.id: each.weight for each in candidates}
    closed = [weights[choice.route.id] == 0 for choice in choices if not choice.reason.startswith("breaker")]
    assert closed == sorted(closed)


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("auto:cheap", Strategy.LEAST_COST),
        ("auto:fast", Strategy.LEAST_LATENCY),
        ("auto:best", Strategy.BEST_AVAILABLE),
        ("auto:round-robin", Strategy.ROUND_ROBIN),
        ("auto:random", Strategy.RANDOM),
        ("auto:weighted", Strategy.WEIGHTED),
        ("auto:first", Strategy.FIRST_AVAILABLE),
    ],
)
def test_auto_may_name_a_strategy(name, strategy):
    assert parse(name) == ("auto", strategy)


@pytest.mark.parametrize(
    "name", ["auto", "ollama/qwen3:8b", "qwen3:8b", "auto/qwen3:8b", "autos:cheap", "Auto:cheap", "", ":", "x:cheap"]
)
def test_any_other_name_is_left_as_it_is(name):
    assert parse(name) == (name, None)


@pytest.mark.parametrize("word", ["", "secret-word", "CHEAP", "cheap:fast", "least-cost"])
def test_an_unknown_strategy_is_refused_and_not_repeated(word):
    with pytest.raises(UnknownModelError) as caught:
        parse(f"auto:{word}")
    assert "`auto:cheap`" in str(caught.value)
    assert not word or f"`auto:{word}`" not in str(caught.value)
    assert not caught.value.failover


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 8.0), (10**9, 8.0)])
def test_the_pause_grows_up_to_its_cap_and_is_anything_below(attempt, ceiling):
    draw = Random(5)
    pauses = [backoff(attempt, None, draw) for _ in range(2000)]
    assert 0 <= min(pauses) < ceiling * 0.05
    assert ceiling * 0.95 < max(pauses) <= ceiling


@given(st.integers(1, 100), st.floats(0, 86_400), st.integers())
def test_what_the_upstream_asked_for_is_waited_in_full_and_jitter_comes_on_top(attempt, retry_after, seed):
    pause = backoff(attempt, retry_after, Random(seed))
    assert retry_after <= pause <= retry_after + 8.0


def test_base_and_cap_of_the_pause_can_be_set():
    draw = Random(5)
    assert max(backoff(4, None, draw, base=0.01, cap=0.03) for _ in range(500)) <= 0.03


def test_a_fresh_health_is_a_candidate_like_any_other():
    choices = order([candidate(A, Health().standing(0.0))], Strategy.LEAST_LATENCY, turn=0, draw=Random(1))
    assert choices == (Choice(A, "least-latency:unmeasured"),)
