"""No provider call without a durable Intent for that very attempt — whatever happens to the log or to the process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from appliance.events import Intent, Outcome, RefusalReason, Refused, Status, decode
from audit import AuditReader
from tests.e2e.running import Installed, Process, Running, running
from tests.e2e.upstream import Reply, Upstream


def newest_intent(installed: Installed) -> Intent:
    """The last Intent that a stranger who opens the database now can read."""
    with AuditReader.open(installed.settings.log.path, installed.settings.log.kek_file) as reader:
        for record in reader.entries(0, reader.size, reverse=True):
            event = decode(record.kind, record.schema, record.body)
            if isinstance(event, Intent):
                return event
    raise AssertionError("no Intent in the log")


def test_the_upstream_finds_the_intent_of_its_own_attempt_when_it_is_called(
    service: Running, upstream: Upstream
) -> None:
    found: list[Intent] = []
    upstream.on_call = lambda received: found.append(newest_intent(service.installed))
    upstream.replies = [Reply(status=500, raw=b""), Reply()]

    assert service.chat("Телефон клиента +7 916 123-45-67", model="cloud").status_code == 502
    assert service.chat("Привет", model="cloud", stream=True).status_code == 200

    assert [(intent.route, intent.attempt, intent.verdict, intent.streamed) for intent in found] == [
        ("cloud/big", 1, "mask", False),
        ("cloud/big", 1, "send", True),
    ]
    assert found[0].request_id != found[1].request_id


def test_a_full_log_answers_503_and_calls_nobody(tmp_path: Path, upstream: Upstream) -> None:
    with running(Installed(tmp_path, upstream.base_url, top="[audit]\nmax_bytes = 200_000\n")) as service:
        statuses = []
        for _ in range(2000):
            statuses.append(service.chat("Привет", model="cloud").status_code)
            if statuses[-1] == 503:
                break
        assert statuses[-1] == 503, "the log never got full"
        called = len(upstream.received)

        refused = service.chat("Привет", model="cloud")

        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "audit_unavailable")
        assert len(upstream.received) == called
        assert service.installed.verify().ok


def test_a_detector_that_does_not_answer_in_time_refuses_the_request(tmp_path: Path, upstream: Upstream) -> None:
    with running(Installed(tmp_path, upstream.base_url, top="[detector]\ntimeout_ms = 1\n")) as service:
        response = service.chat("Длинный текст без конца. " * 20_000, model="cloud")

    assert (response.status_code, response.json()["error"]["code"]) == (503, "inspection_failed")
    assert upstream.received == []
    refused = service.installed.events(Refused)[-1]
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.DETECTOR


def test_more_requests_at_once_than_allowed_are_told_to_come_back(tmp_path: Path, upstream: Upstream) -> None:
    hold = threading.Event()
    upstream.replies = [Reply(hold=hold)]
    with running(Installed(tmp_path, upstream.base_url, server="max_in_flight = 1\n")) as service:
        body = {"model": "cloud", "messages": [{"role": "user", "content": "Привет"}], "stream": True}
        with service.http.stream("POST", "/v1/chat/completions", json=body) as first:
            lines = first.iter_lines()
            next(lines)
            second = service.chat("Привет", model="cloud")
            hold.set()
            assert "[DONE]" in "".join(lines)
        third = service.chat("Привет", model="cloud")

    assert (second.status_code, second.headers["retry-after"]) == (503, "1")
    assert third.status_code == 200


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_kill_minus_9_under_load_loses_no_acknowledged_record(
    installed: Installed, upstream: Upstream, kills: int
) -> None:
    acknowledged: list[tuple[int, str]] = []
    upstream.replies = [Reply(text="ответ", pause=0.002)]
    for _ in range(kills):
        process = Process(installed)
        enough = threading.Event()

        goal = len(acknowledged) + 40

        def work(process: Process = process, enough: threading.Event = enough, goal: int = goal) -> None:
            body = {"model": "cloud", "messages": [{"role": "user", "content": "Привет"}]}
            headers = {"Authorization": f"Bearer {installed.key}"}
            try:
                with httpx.Client(base_url=process.running.url, headers=headers, timeout=10, trust_env=False) as client:
                    while True:
                        answer = client.post("/v1/chat/completions", json=body).headers
                        acknowledged.append((int(answer["x-audit-record"]), answer["x-request-id"]))
                        if len(acknowledged) >= goal:
                            enough.set()
            except httpx.HTTPError:  # the service is dead, as the test wants it
                pass
            finally:
                enough.set()

        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(work)
            assert enough.wait(60)
            process.kill()

    with Process(installed):
        pass

    assert installed.verify().ok
    events = installed.events()
    for number, request_id in acknowledged:
        intent = events[number]
        assert isinstance(intent, Intent)
        assert intent.request_id == request_id
    closed = [event.intent for event in events if isinstance(event, Outcome)]
    opened = [number for number, event in enumerate(events) if isinstance(event, Intent)]
    assert sorted(closed) == opened
    assert any(isinstance(event, Outcome) and event.status is Status.UNKNOWN for event in events)


def test_a_second_service_on_the_same_log_is_refused_in_clear_words(installed: Installed) -> None:
    with running(installed), pytest.raises(RuntimeError, match="ошибка") as refusal:
        Process(installed)
    assert "Traceback" not in str(refusal.value)
