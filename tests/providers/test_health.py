import gc
import math
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors
from providers.health import Health, HealthBoard, HealthSettings

DOWN = errors.UpstreamServerError("the upstream answered 503")


def fail(health, now, error=DOWN):
    health.began(now)
    health.failed(now, error, began=now)


def succeed(health, now, latency=0.5):
    health.began(now)
    health.succeeded(now, latency, began=now)


def broken(now=0.0, **settings):
    health = Health(HealthSettings(**settings))
    for _ in range(health._settings.failures_to_open):
        fail(health, now)
    return health


def leaves(root=errors.ProviderError):
    yield root
    for below in root.__subclasses__():
        yield from leaves(below)


def test_a_new_route_is_closed_and_healthy():
    standing = Health().standing(0.0)
    assert (standing.state, standing.retry_after, standing.label) == ("closed", None, "healthy")
    assert (standing.in_flight, standing.latency, standing.error_rate, standing.requests) == (0, None, 0.0, 0)


def test_five_failures_in_a_row_open_it_and_four_do_not():
    health = Health()
    for now in range(4):
        fail(health, now)
    assert health.standing(4).state == "closed"
    fail(health, 4)
    standing = health.standing(4)
    assert (standing.state, standing.retry_after, standing.label) == ("open", 10.0, "unhealthy")
    assert health.standing(10).retry_after == 4.0


def test_a_success_between_failures_begins_the_count_anew():
    health = Health()
    for now in range(20):
        (succeed if now % 5 == 4 else fail)(health, now)
        assert health.standing(now).state == "closed"


def test_fifty_failures_after_a_hundred_thousand_successes_are_unhealthy():
    health = Health()
    for number in range(100_000):
        succeed(health, number * 0.0005)  # all within one window
    for number in range(50):
        fail(health, 50.0 + number * 0.01)
    standing = health.standing(50.5)
    assert (standing.state, standing.label) == ("open", "unhealthy")


def test_health_recovers_with_time_alone():
    health = broken(now=100.0)
    assert health.standing(100.0).label == "unhealthy"
    after = health.standing(100.0 + 10 + 60)
    assert (after.state, after.label, after.error_rate, after.requests) == ("closed", "healthy", 0.0, 0)


def test_errors_that_never_open_the_breaker_leave_the_window_too():
    health = Health()
    for now in range(12):
        (succeed if now % 3 == 0 else fail)(health, now)
    assert health.standing(12).label == "unhealthy"
    assert health.standing(12 + 66).label == "healthy"


@pytest.mark.parametrize(
    ("failures", "successes", "label"),
    [
        (4, 0, "healthy"),
        (1, 4, "healthy"),
        (2, 4, "degraded"),
        (3, 4, "degraded"),
        (3, 2, "unhealthy"),
        (4, 6, "degraded"),
    ],
)
def test_the_label_is_that_of_the_error_rate_once_there_are_five_requests(failures, successes, label):
    health = Health()
    for _ in range(failures):
        fail(health, 1.0)
    for _ in range(successes):
        succeed(health, 1.0)
    standing = health.standing(1.0)
    assert standing.state == "closed"
    assert standing.requests == failures + successes
    assert standing.error_rate == failures / (failures + successes)
    assert standing.label == label


def test_the_first_failure_after_a_quiet_recovery_opens_it_at_once_and_for_longer():
    health = broken()
    assert health.standing(70.0).state == "closed"
    fail(health, 70.0)
    assert health.standing(70.0).retry_after == 20.0


def test_a_success_after_a_quiet_recovery_makes_it_whole():
    health = broken()
    succeed(health, 70.0)
    fail(health, 71.0)
    assert health.standing(71.0).state == "closed"


def test_a_half_open_route_lets_exactly_one_probe_through():
    health = broken()
    assert health.standing(10.0).state == "half-open"
    assert health.standing(10.0).retry_after is None
    health.began(10.0)
    standing = health.standing(10.0)
    assert (standing.state, standing.in_flight) == ("open", 1)
    assert standing.retry_after > 0


def test_a_half_open_route_lets_as_many_probes_through_as_are_set():
    health = broken(half_open_probes=3)
    for number in range(3):
        assert health.standing(10.0).state == "half-open"
        health.began(10.0 + number / 10)
    assert health.standing(10.5).state == "open"
    health.abandoned(10.5, began=10.1)
    assert health.standing(10.5).state == "half-open"


def test_a_probe_that_succeeds_closes_it_and_the_next_opening_is_short_again():
    health = broken()
    fail(health, 10.0)
    succeed(health, 30.0)
    assert health.standing(30.0).state == "closed"
    for _ in range(5):
        fail(health, 31.0)
    assert health.standing(31.0).retry_after == 10.0


def test_each_failed_probe_doubles_the_rest_up_to_the_limit():
    health = broken()
    now, rests = 0.0, []
    for _ in range(8):
        rests.append(health.standing(now).retry_after)
        now += rests[-1]
        fail(health, now)
    assert rests == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_thousand_failed_probes_do_not_overflow():
    health = broken()
    now = 0.0
    for _ in range(2000):
        now += health.standing(now).retry_after
        fail(health, now)
    assert health.standing(now).retry_after == 300


def test_a_client_that_leaves_is_neither_success_nor_failure_and_frees_the_probe():
    health = broken()
    before = health.standing(10.0)
    health.began(10.0)
    assert health.standing(10.0).state == "open"
    health.abandoned(10.0)
    assert health.standing(10.0) == before


def test_a_probe_that_the_request_itself_spoils_frees_its_place_and_proves_nothing():
    health = broken()
    fail(health, 10.0, errors.InvalidRequestError("the upstream answered 400"))
    assert health.standing(10.0).state == "half-open"


def test_a_probe_whose_end_is_never_told_does_not_close_the_route_for_good():
    health = broken()
    health.began(10.0)
    assert health.standing(309.0).state == "open"
    assert health.standing(310.0).state == "closed"


def test_the_end_of_an_older_attempt_is_not_taken_for_that_of_a_probe():
    health = Health()
    health.began(-1.0)
    health.began(-2.0)
    for _ in range(5):
        fail(health, 0.0)
    health.began(10.0)  # the probe
    health.succeeded(11.0, 0.1, began=-1.0)
    assert health.standing(11.0).state == "open"
    health.failed(11.0, DOWN, began=-2.0)
    health.succeeded(11.0, 0.1, began=10.0)
    assert health.standing(11.0).state == "closed"


def test_attempts_that_were_under_way_when_it_opened_neither_prolong_nor_end_its_rest():
    health = Health()
    for number in range(20):
        health.began(number / 100)
    for number in range(19):
        health.failed(1.0 + number, DOWN, began=number / 100)
    assert health.standing(5.0).state == "open"
    health.succeeded(6.0, 0.1, began=0.19)
    assert health.standing(6.0).state == "open"
    assert health.standing(5.0 + 10.0).state == "half-open"


def test_without_the_time_an_attempt_began_its_end_is_that_of_the_probe():
    health = broken()
    health.began(10.0)
    health.succeeded(11.0, 0.1)
    assert health.standing(11.0).state == "closed"


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidRequestError,
        errors.CredentialExpiredError,
        errors.ModelNotFoundError,
        errors.RequestTooLargeError,
        errors.UnprocessableRequestError,
        errors.UnknownModelError,
    ],
)
def test_what_the_request_is_to_blame_for_never_harms_a_route(kind):
    health = Health()
    for now in range(100):
        fail(health, now, kind("the upstream answered"))
    assert health.standing(100) == Health().standing(100)


@pytest.mark.parametrize(
    "kind", [errors.AuthenticationFailedError, errors.PermissionDeniedError, errors.PaymentRequiredError]
)
def test_a_refused_credential_opens_the_route_at_once(kind):
    health = Health()
    fail(health, 0.0, kind("the upstream answered"))
    assert health.standing(0.0).retry_after == 10.0
    fail(health, 10.0, kind("the upstream answered"))
    assert health.standing(10.0).retry_after == 20.0


@pytest.mark.parametrize("kind", sorted(set(leaves()), key=lambda kind: kind.__name__))
def test_every_error_harms_health_exactly_when_another_route_may_help_or_the_credential_is_bad(kind):
    health = Health()
    for _ in range(5):
        fail(health, 0.0, kind("the upstream answered"))
    harms = kind.failover or kind in {errors.AuthenticationFailedError, errors.PermissionDeniedError}
    assert health.standing(0.0).state == ("open" if harms else "closed")


def test_a_rate_limit_with_a_time_rests_the_route_for_exactly_that_long():
    health = Health()
    fail(health, 0.0, errors.RateLimitedError("the upstream answered 429", retry_after=7.5))
    standing = health.standing(0.0)
    assert (standing.state, standing.retry_after, standing.label) == ("open", 7.5, "degraded")
    assert health.standing(7.25).retry_after == 0.25
    assert health.standing(7.5).state == "closed"


def test_many_rate_limits_with_a_time_do_not_break_the_route():
    health = Health()
    for number in range(50):
        health.began(number / 100)
    for number in range(50):
        health.failed(1.0, errors.RateLimitedError("the upstream answered 429", retry_after=2.0), began=number / 100)
    assert health.standing(2.9).state == "open"
    assert health.standing(3.0).state == "closed"


def test_a_later_and_shorter_rate_limit_does_not_cut_the_longer_one():
    health = Health()
    fail(health, 0.0, errors.RateLimitedError("the upstream answered 429", retry_after=60.0))
    fail(health, 1.0, errors.RateLimitedError("the upstream answered 429", retry_after=1.0))
    assert health.standing(1.0).retry_after == 59.0


def test_a_success_does_not_end_the_rest_a_rate_limit_asked_for():
    health = Health()
    health.began(0.0)
    fail(health, 1.0, errors.RateLimitedError("the upstream answered 429", retry_after=60.0))
    health.succeeded(2.0, 0.1, began=0.0)
    assert health.standing(2.0).retry_after == 59.0


def test_a_probe_that_is_rate_limited_rests_for_that_time_and_not_twice_as_long():
    health = broken()
    fail(health, 10.0, errors.RateLimitedError("the upstream answered 429", retry_after=3.0))
    assert health.standing(10.0).retry_after == 3.0
    assert health.standing(13.0).state == "half-open"


@pytest.mark.parametrize("retry_after", [None, 0.0])
def test_rate_limits_without_a_time_count_as_failures(retry_after):
    health = Health()
    for _ in range(5):
        fail(health, 0.0, errors.RateLimitedError("the upstream answered 429", retry_after=retry_after))
    assert health.standing(0.0).retry_after == 10.0


def test_latency_is_a_mean_in_which_recent_answers_count_most():
    health = Health()
    succeed(health, 0.0, latency=10.0)
    succeed(health, 0.0, latency=20.0)
    assert health.standing(0.0).latency == pytest.approx(15.0)
    succeed(health, 60.0, latency=1.0)
    kept = math.exp(-1)
    assert health.standing(60.0).latency == pytest.approx((30 * kept + 1) / (2 * kept + 1))


def test_a_latency_of_long_ago_is_forgotten_and_then_measured_anew():
    health = Health()
    succeed(health, 0.0, latency=30.0)
    assert health.standing(180.0).latency == 30.0
    assert health.standing(180.1).latency is None
    succeed(health, 3600.0, latency=1.0)
    assert health.standing(3600.0).latency == pytest.approx(1.0)


def test_an_answer_without_a_measured_first_chunk_has_no_latency():
    health = Health()
    succeed(health, 0.0, latency=None)
    standing = health.standing(0.0)
    assert (standing.latency, standing.requests) == (None, 1)


def test_requests_in_flight_are_counted_and_never_negative():
    health = Health()
    health.began(0.0)
    health.began(0.0)
    assert health.standing(0.0).in_flight == 2
    for _ in range(3):
        health.abandoned(1.0)
    assert health.standing(1.0).in_flight == 0


def test_the_memory_of_a_route_does_not_grow_with_its_requests():
    health = Health()

    def traffic(begin):
        for number in range(begin, begin + 20_000):
            (fail if number % 7 < 5 else succeed)(health, number / 10)

    traffic(0)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        traffic(20_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["began", "succeeded", "failed", "refused", "limited", "rejected", "abandoned"]),
        st.floats(0, 400, allow_nan=False),
    ),
    max_size=80,
)


@given(EVENTS, st.integers(1, 3))
def test_whatever_happens_a_standing_makes_sense_and_time_alone_closes_the_route(events, probes):
    health = Health(HealthSettings(half_open_probes=probes, failures_to_open=2))
    now, under_way = 0.0, []
    for kind, pause in events:
        now += pause
        if kind == "began" or not under_way:
            health.began(now)
            under_way.append(now)
        else:
            began = under_way.pop(0)
            match kind:
                case "succeeded":
                    health.succeeded(now, 1.0, began=began)
                case "abandoned":
                    health.abandoned(now, began=began)
                case "failed":
                    health.failed(now, DOWN, began=began)
                case "refused":
                    health.failed(now, errors.AuthenticationFailedError("the upstream answered 401"), began=began)
                case "limited":
                    health.failed(
                        now, errors.RateLimitedError("the upstream answered 429", retry_after=9.0), began=began
                    )
                case "rejected":
                    health.failed(now, errors.InvalidRequestError("the upstream answered 400"), began=began)
        standing = health.standing(now)
        assert standing == health.standing(now)
        assert (standing.retry_after is not None) == (standing.state == "open")
        assert standing.retry_after is None or 0 < standing.retry_after <= 300
        assert standing.in_flight == len(under_way)
        assert 0 <= standing.error_rate <= 1
        assert len(health._probes) <= probes
    assert health.standing(now + 300 + 300 + 60).state == "closed"


@given(st.integers(1, 4), st.integers(0, 10))
def test_no_more_probes_than_set_are_ever_offered(probes, tries):
    health = broken(half_open_probes=probes)
    let_through = 0
    for number in range(tries):
        if health.standing(10 + number / 100).state != "open":
            health.began(10 + number / 100)
            let_through += 1
    assert let_through == min(probes, tries)


def test_the_board_holds_the_routes_it_was_made_with_and_no_other():
    board = HealthBoard(["a/m", "b/m"])
    assert list(board) == ["a/m", "b/m"]
    assert len(board) == 2
    assert board["a/m"] is board["a/m"]
    with pytest.raises(KeyError):
        board["c/m"]
    with pytest.raises(KeyError):
        board.standing("c/m", 0.0)
    assert "c/m" not in board
    assert len(board) == 2


def test_routes_on_the_board_do_not_share_their_fate():
    board = HealthBoard(["a/m", "b/m"], HealthSettings(failures_to_open=1))
    fail(board["a/m"], 0.0)
    assert board.standing("a/m", 0.0).state == "open"
    assert board.standing("b/m", 0.0).state == "closed"


@pytest.mark.parametrize(
    "settings",
    [
        {"failures_to_open": 0},
        {"open_seconds": 0},
        {"open_seconds": math.inf},
        {"max_open_seconds": -1},
        {"window_seconds": 0},
        {"half_open_probes": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, HealthSettings)


def test_a_half_open_route_whose_errors_are_few_is_degraded():
    health = Health()
    for number in range(100):
        succeed(health, number / 100)
    for _ in range(5):
        fail(health, 1.0)
    assert health.standing(1.0).label == "unhealthy"
    assert health.standing(11.0).state == "half-open"
    assert health.standing(11.0).label == "degraded"
    health.began(11.0)
    assert health.standing(11.0).label == "degraded"
