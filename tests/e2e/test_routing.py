"""Which route a request takes, why, at what price, and what happens when routes fail — seen from an application and from the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.events import Intent, Outcome, RefusalReason, Refused, Status
from tests.e2e.running import Installed, running
from tests.e2e.upstream import Reply, Upstream

BROKEN = """
[[providers]]
kind = "testing"
name = "broken"
models = [{ name = "server-error", residency = "local", auto = false }]

[[providers]]
kind = "testing"
name = "limited"
models = [{ name = "retry-after", residency = "local", auto = false }]

[[providers]]
kind = "testing"
name = "strict"
models = [{ name = "invalid-request", residency = "local", auto = false }]

[[aliases]]
name = "chain"
routes = ["broken/server-error", "limited/retry-after", "local/mock-normal"]

[[aliases]]
name = "refusing"
routes = ["strict/invalid-request", "local/mock-normal"]

[[aliases]]
name = "in-turn"
routes = ["local/mock-normal", "cloud/big"]
strategy = "round-robin"
"""
NO_RETRIES = "retries = 0\n"


def settings(tmp_path: Path, upstream: Upstream, *, router: str = NO_RETRIES, extra: str = BROKEN) -> Installed:
    return Installed(tmp_path, upstream.base_url, router=router, extra=extra)


def test_a_chain_goes_from_route_to_route_and_each_attempt_is_recorded_with_its_reason(
    tmp_path: Path, upstream: Upstream
) -> None:
    with running(settings(tmp_path, upstream)) as service:
        answer = service.chat("Привет", model="chain")

    assert answer.status_code == 200
    assert answer.headers["x-route"] == "local/mock-normal"
    assert answer.headers["x-route-reason"] == "first-available"
    intents, outcomes = service.installed.events(Intent), service.installed.events(Outcome)
    assert [(intent.route, intent.attempt) for intent in intents] == [
        ("broken/server-error", 1),
        ("limited/retry-after", 2),
        ("local/mock-normal", 3),
    ]
    assert {intent.choice for intent in intents} == {"first-available"}
    assert [outcome.status for outcome in outcomes] == [Status.FAILED, Status.FAILED, Status.COMPLETED]


def test_a_request_that_the_upstream_rejects_goes_to_nobody_else(tmp_path: Path, upstream: Upstream) -> None:
    with running(settings(tmp_path, upstream)) as service:
        answer = service.chat("Привет", model="refusing")

    assert answer.status_code == 400
    assert [intent.route for intent in service.installed.events(Intent)] == ["strict/invalid-request"]


def test_a_request_is_tried_again_on_the_same_route_when_no_other_is_left(tmp_path: Path, upstream: Upstream) -> None:
    upstream.replies = [Reply(status=503, raw=b""), Reply()]
    with running(settings(tmp_path, upstream, router="retries = 1\n")) as service:
        answer = service.chat("Привет", model="cloud/big")

    assert answer.status_code == 200
    assert [(each.attempt, each.choice) for each in service.installed.events(Intent)] == [
        (1, "first-available"),
        (2, "retry"),
    ]
    assert len(upstream.received) == 2


def test_a_pause_longer_than_the_deadline_is_not_waited_for(tmp_path: Path, upstream: Upstream) -> None:
    upstream.replies = [Reply(status=429, raw=b"", headers={"Retry-After": "20"})]
    with running(settings(tmp_path, upstream, router="retries = 5\ndeadline_seconds = 5.0\n")) as service:
        answer = service.chat("Привет", model="cloud/big")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "20")
    assert len(upstream.received) == 1


def test_a_route_that_keeps_failing_is_left_alone_and_the_refusal_is_recorded(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.replies = [Reply(status=500, raw=b"")]
    router = "retries = 0\nhealth = { failures_to_open = 3, open_seconds = 60.0 }\n"
    with running(settings(tmp_path, upstream, router=router)) as service:
        statuses = [service.chat("Привет", model="cloud/big").status_code for _ in range(3)]
        answer = service.chat("Привет", model="cloud/big")
        other = service.chat("Привет", model="auto")

    assert statuses == [502, 502, 502]
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert len(upstream.received) == 3
    refused = service.installed.events(Refused)[-1]
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.NOT_READY
    assert other.headers["x-route"] == "local/mock-normal"


def test_round_robin_takes_turns(tmp_path: Path, upstream: Upstream) -> None:
    with running(settings(tmp_path, upstream)) as service:
        answers = [service.chat("Привет", model="in-turn") for _ in range(4)]

    routes = [answer.headers["x-route"] for answer in answers]
    assert sorted(routes[:2]) == ["cloud/big", "local/mock-normal"]
    assert routes[:2] == routes[2:]
    assert all(answer.headers["x-route-reason"].startswith("round-robin") for answer in answers)


def test_a_pinned_key_gets_its_route_whatever_it_asks_for(tmp_path: Path, upstream: Upstream) -> None:
    pinned = """
[[keys]]
id = "pinned"
app = "pinned-app"
purposes = ["general"]
default_purpose = "general"
route = "local"
file = "state/keys/pinned"
"""
    installed = settings(tmp_path, upstream, extra=BROKEN + pinned)
    key = (tmp_path / "state/keys/pinned").read_text().strip()
    with running(installed) as service:
        answer = service.chat("Привет", model="cloud/big", headers={"Authorization": f"Bearer {key}"})

    assert answer.headers["x-route"] == "local/mock-normal"
    assert upstream.received == []


TARIFFS = """
[[tariffs]]
id = "dear"
provider = "openai_compatible"
models = ["big"]
valid_from = 2026-01-01
source = "договор"
checked = 2026-01-01
vat = "included"
per = 1_000
input = "2"
output = "10"

[[tariffs]]
id = "free"
provider = "testing"
models = ["mock-normal"]
valid_from = 2026-01-01
source = "свой сервер"
checked = 2026-01-01
vat = "unknown"
per_hour = "0"
"""


@pytest.fixture
def priced(tmp_path: Path, upstream: Upstream) -> Installed:
    (tmp_path / "tariffs.toml").write_text(TARIFFS, encoding="utf-8")
    return settings(tmp_path, upstream, router='retries = 0\ntariff_file = "tariffs.toml"\n')


def test_the_cheapest_route_is_taken_when_it_is_asked_for_and_the_price_is_told(
    priced: Installed, upstream: Upstream
) -> None:
    with running(priced) as service:
        cheap = service.chat("Привет", model="auto:cheap")
        dear = service.chat("Привет", model="cloud/big")

    assert cheap.headers["x-route"] == "local/mock-normal"
    assert cheap.headers["x-route-reason"].startswith("least-cost")
    assert cheap.json()["usage"]["cost_rub"] == 0.0
    # 11 tokens at 2 ₽ and 7 tokens at 10 ₽ a thousand
    assert dear.json()["usage"]["cost_rub"] == pytest.approx(0.092)
    outcome = service.installed.events(Outcome)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.cost, outcome.cost_exact, outcome.tariff) == (92_000, True, "dear")
    intent = service.installed.events(Intent)[-1]
    assert isinstance(intent, Intent)
    assert intent.estimate is not None and intent.estimate > 0


def test_a_price_that_is_not_known_is_unknown_and_not_nothing(tmp_path: Path, upstream: Upstream) -> None:
    with running(settings(tmp_path, upstream)) as service:
        answer = service.chat("Привет", model="cloud/big")

    assert answer.json()["usage"]["cost_rub"] is None
    outcome = service.installed.events(Outcome)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.cost, outcome.tariff) == (None, "")


def test_a_silent_route_is_overtaken_by_the_next_and_both_attempts_are_in_the_log(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.replies = [Reply(text="поздно", pause=1.0)]
    router = "retries = 0\nhedge_seconds = 0.05\n"
    with running(settings(tmp_path, upstream, router=router)) as service:
        answer = service.chat("Привет", model="auto")

    assert answer.headers["x-route"] == "local/mock-normal"
    assert answer.headers["x-route-reason"] == "hedge"
    intents, outcomes = service.installed.events(Intent), service.installed.events(Outcome)
    assert [intent.route for intent in intents] == ["cloud/big", "local/mock-normal"]
    assert sorted(outcome.status for outcome in outcomes) == [Status.ABORTED, Status.COMPLETED]


def test_a_stream_is_never_sent_twice(tmp_path: Path, upstream: Upstream) -> None:
    router = "retries = 0\nhedge_seconds = 0.001\n"
    upstream.replies = [Reply(text="ответ", pause=0.05)]
    with running(settings(tmp_path, upstream, router=router)) as service:
        answer = service.chat("Привет", model="auto", stream=True)

    assert answer.status_code == 200
    assert len(service.installed.events(Intent)) == 1


def test_hidden_data_is_hidden_anew_for_each_route_of_a_chain(tmp_path: Path, upstream: Upstream) -> None:
    """The local route of the chain may see the name, the cloud behind it may not."""
    extra = BROKEN + '[[aliases]]\nname = "outwards"\nroutes = ["broken/server-error", "cloud/big"]\n'
    with running(settings(tmp_path, upstream, extra=extra)) as service:
        answer = service.chat("Клиент Иванов Пётр Сергеевич ждёт.", model="outwards")

    assert answer.json()["choices"][0]["message"]["content"] == "Клиент Иванов Пётр Сергеевич ждёт."
    assert "Иванов" not in upstream.received[0].text
    assert [intent.verdict for intent in service.installed.events(Intent)] == ["send", "mask"]


def test_aliases_are_listed_among_the_models(tmp_path: Path, upstream: Upstream) -> None:
    with running(settings(tmp_path, upstream)) as service:
        listed = [model["id"] for model in service.http.get("/v1/models").json()["data"]]

    assert {"auto", "chain", "in-turn", "cloud", "cloud/big"} <= set(listed)


@pytest.mark.parametrize("name", ["auto:cheapest", "nothing", "auto:cheap:auto"])
def test_a_name_that_means_nothing_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, upstream: Upstream, name: str
) -> None:
    with running(settings(tmp_path, upstream)) as service:
        answer = service.chat("Привет", model=name)

    assert answer.status_code == 404
    assert name not in answer.json()["error"]["message"]
