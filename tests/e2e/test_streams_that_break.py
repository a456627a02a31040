"""Streams that end early: who is told, what is closed, what the log says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import httpx

from appliance.events import Intent, Outcome, Status
from tests.e2e.running import Installed, Process, Running
from tests.e2e.upstream import Reply, Upstream

LONG = "Длинный рассказ о том, как слово за словом приходит ответ. " * 400


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait up to half a minute for something another thread does."""
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


def last_outcome(installed: Installed) -> Outcome:
    outcome = installed.events(Outcome)[-1]
    assert isinstance(outcome, Outcome)
    return outcome


def test_a_client_that_goes_away_closes_the_upstream_and_is_recorded(service: Running, upstream: Upstream) -> None:
    upstream.replies = [Reply(text=LONG, cut=5, pause=0.001)]
    before = len(service.installed.events(Outcome))
    body = {"model": "cloud", "messages": [{"role": "user", "content": "Расскажи"}], "stream": True}
    with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        record = int(response.headers["x-audit-record"])
        next(response.iter_lines())

    assert upstream.hung_up.wait(30)
    assert eventually(lambda: len(service.installed.events(Outcome)) > before)
    outcome = last_outcome(service.installed)
    assert (outcome.intent, outcome.status) == (record, Status.ABORTED)


def test_an_upstream_that_stops_in_mid_stream_is_told_to_the_client_and_never_mixed(
    service: Running, upstream: Upstream
) -> None:
    upstream.replies = [Reply(text="Начало ответа, которого не будет", cut=4, drop_after=4)]

    lines = [line for line in service.chat(model="auto", stream=True).iter_lines() if line]

    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event.get("choices"))
    assert "Начало ответа, которого не будет".startswith(said)
    assert said
    assert events[-1]["error"]["code"] == "upstream_failed"
    assert "[DONE]" not in lines[-1]
    assert len(upstream.received) == 1
    assert (last_outcome(service.installed).status, last_outcome(service.installed).error) == (
        Status.INTERRUPTED,
        "InterruptedStreamError",
    )


def test_a_failure_before_the_first_word_goes_to_the_next_permitted_route(service: Running, upstream: Upstream) -> None:
    upstream.replies = [Reply(status=503, raw=b"")]

    response = service.chat("Привет", model="auto")

    assert response.status_code == 200
    assert response.headers["x-route"] == "local/mock-normal"
    intents = [event for event in service.installed.events(Intent) if isinstance(event, Intent)][-2:]
    assert [(intent.route, intent.attempt) for intent in intents] == [("cloud/big", 1), ("local/mock-normal", 2)]
    assert intents[0].request_id == intents[1].request_id


def test_a_lost_connection_is_tried_once_more_and_each_time_is_an_attempt_of_its_own(
    service: Running, upstream: Upstream
) -> None:
    upstream.replies = [Reply(hang_up=True)]

    response = service.chat("Привет", model="auto")

    intents = [event for event in service.installed.events(Intent) if isinstance(event, Intent)][-3:]
    attempts = [(intent.route, intent.attempt) for intent in intents]
    assert attempts == [("cloud/big", 1), ("cloud/big", 2), ("local/mock-normal", 3)]
    assert len(upstream.received) == 2
    assert (response.status_code, response.headers["x-route"]) == (200, "local/mock-normal")


def test_a_rejected_request_is_not_sent_elsewhere(service: Running, upstream: Upstream) -> None:
    for status in (400, 401, 403, 404, 413, 422):
        upstream.replies = [Reply(status=status, raw=b"{}")]
        before = len(service.installed.events(Intent))
        response = service.chat("Привет", model="auto")
        assert response.status_code >= 400
        assert len(service.installed.events(Intent)) == before + 1


def test_sigterm_lets_running_streams_finish_and_refuses_new_ones(installed: Installed, upstream: Upstream) -> None:
    hold = threading.Event()
    upstream.replies = [Reply(text="Ответ, который дойдёт до конца", hold=hold)]
    with Process(installed) as process:
        body = {"model": "cloud", "messages": [{"role": "user", "content": "Расскажи"}], "stream": True}
        with process.running.http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            process.terminate()
            assert eventually(lambda: refuses(process.running.url))
            hold.set()
            rest = "".join(lines)
        assert process.close() == 0

    assert "[DONE]" in rest
    assert last_outcome(installed).status is Status.COMPLETED
    assert type(installed.events()[-1]).__name__ == "ShutDown"
    assert installed.verify().ok


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/livez", trust_env=False)
    except httpx.ConnectError:
        return True
    return False
