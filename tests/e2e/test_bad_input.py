"""What people and programs get wrong: a clear error, nobody called, nothing lost."""

from __future__ import annotations

import json
import socket

import pytest

from appliance.events import Intent, RefusalReason, Refused
from tests.e2e.running import Running
from tests.e2e.upstream import Reply, Upstream

USER = [{"role": "user", "content": "Привет"}]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "not JSON"),
        (b"{", None, "not JSON"),
        (b'"text"', None, "object"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "\\ud800"}]}', None, "not JSON"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "\xff"}]}', None, "Unicode"),
        ({"messages": USER}, None, "model"),
        ({"model": "auto"}, None, "messages"),
        ({"model": "auto", "messages": []}, "messages", "length"),
        ({"model": "auto", "messages": USER, "colour": "red"}, "colour", "unknown field"),
        (
            {"model": "auto", "messages": [{"role": "user", "content": "a", "mood": 1}]},
            "messages[0].mood",
            "unknown field",
        ),
        ({"model": "auto", "messages": [{"role": "boss", "content": "a"}]}, "messages[0].role", "enum"),
        ({"model": "auto", "messages": [{"role": "user", "content": 5}]}, "messages[0].content", "Expected"),
        ({"model": "auto", "messages": USER, "temperature": 9}, "temperature", "<= 2"),
        ({"model": "auto", "messages": USER, "n": 2}, "n", "one answer"),
        ({"model": "auto", "messages": USER, "store": True}, "store", "provider's side"),
        ({"model": "auto", "messages": USER, "web_search_options": {}}, "web_search_options", "search"),
        ({"model": "auto", "messages": USER, "functions": []}, "functions", "`tools`"),
        ({"model": "auto", "messages": [{"role": "user", "content": "a\u0000b"}]}, "messages", "U+0000"),
        (
            {
                "model": "auto",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                    }
                ],
            },
            "messages[0].content[0]",
            "image_url",
        ),
        (
            {"model": "auto", "messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0].type",
            "Invalid value",
        ),
    ],
)
def test_a_request_that_cannot_be_taken_is_400_with_the_place_and_the_reason(
    service: Running, upstream: Upstream, body: bytes | dict, param: str | None, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    response = service.http.post("/v1/chat/completions", content=content)

    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert words in error["message"]
    assert response.headers["x-should-retry"] == "false"
    assert upstream.received == []


def test_a_picture_that_was_refused_is_on_record(service: Running, upstream: Upstream) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    response = service.chat([{"role": "user", "content": [picture]}], model="cloud")

    record = service.installed.events()[int(response.headers["x-audit-record"])]
    assert isinstance(record, Refused)
    assert record.reason is RefusalReason.UNINSPECTABLE


def test_lone_surrogates_inside_tool_arguments_are_refused(service: Running, upstream: Upstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "\\ud800 Привет"}'}}

    response = service.chat([{"role": "assistant", "tool_calls": [call]}], model="cloud")

    assert (response.status_code, response.json()["error"]["code"]) == (400, "uninspectable_content")
    assert upstream.received == []


def test_an_error_does_not_repeat_the_callers_words(service: Running) -> None:
    response = service.chat([{"role": "Иванов +7 916 123-45-67", "content": "a"}])

    assert response.status_code == 400
    assert "Иванов" not in response.text


def test_tool_arguments_that_are_not_json_are_inspected_as_text(service: Running, upstream: Upstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{телефон: +7 916 123-45-67"}}

    response = service.chat([{"role": "assistant", "tool_calls": [call]}, *USER], model="cloud")

    assert response.status_code == 200
    assert "916 123" not in upstream.received[0].text


def test_json_nested_too_deep_is_refused(service: Running, upstream: Upstream) -> None:
    for depth in (100, 100_000):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[" * depth + "]" * depth}}
        response = service.chat([{"role": "assistant", "tool_calls": [call]}], model="cloud")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "uninspectable_content")
    assert upstream.received == []


def test_a_body_nested_too_deep_is_refused(service: Running, upstream: Upstream) -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    body = (
        b'{"model":"cloud","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":'
        + deep
        + b"}}]}"
    )

    response = service.http.post("/v1/chat/completions", content=body)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "uninspectable_content")
    assert upstream.received == []


def test_an_upstream_that_nests_too_deep_is_malformed(service: Running, upstream: Upstream) -> None:
    upstream.replies = [Reply(raw=b'data: {"x":' + b"[" * 100_000 + b"\n\n")]

    assert service.chat(model="cloud").status_code == 502


def test_a_request_of_a_hundred_thousand_texts_is_refused(service: Running, upstream: Upstream) -> None:
    arguments = json.dumps([f"v{number}" for number in range(100_000)])
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}

    response = service.chat([{"role": "assistant", "tool_calls": [call]}], model="cloud")

    assert (response.status_code, response.json()["error"]["code"]) == (400, "uninspectable_content")
    assert upstream.received == []


def test_a_body_over_the_limit_is_413(service: Running, upstream: Upstream) -> None:
    response = service.http.post("/v1/chat/completions", content=b"x" * 50_000_000)

    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert upstream.received == []


def test_a_thousand_messages_are_taken(service: Running, upstream: Upstream) -> None:
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": f"Сообщение номер {number}"} for number in range(1000)
    ]

    assert service.chat(messages, model="cloud").status_code == 200
    assert upstream.received[0].body["messages"] == messages


@pytest.mark.parametrize("model", ["gpt-9", "cloud/nothing", "auto/big", ""])
def test_an_unknown_model_is_404(service: Running, upstream: Upstream, model: str) -> None:
    response = service.chat(model=model)

    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert upstream.received == []


def test_other_addresses_and_methods_have_openai_errors(service: Running) -> None:
    missing = service.http.get("/v1/nothing")
    assert missing.json()["error"]["code"] == "not_found"
    assert len(missing.headers["x-request-id"]) == 32
    assert service.http.get("/v1/chat/completions").json()["error"]["code"] == "method_not_allowed"


def test_health_is_told_without_a_key(service: Running) -> None:
    assert service.http.get("/livez", headers={"Authorization": ""}).text == "ok"
    ready = service.http.get("/readyz", headers={"Authorization": ""})
    assert ready.status_code == 200
    assert ready.json()["parts"]["audit"] == "ok"


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(raw=b"<html>proxy login</html>", headers={"Content-Type": "text/html"}), 502),
        (
            Reply(
                raw=b'{"error": {"message": "secret prompt echoed", "code": "server_error"}}',
                headers={"Content-Type": "application/json"},
            ),
            502,
        ),
        (Reply(raw=b'data: {"error": {"message": "secret prompt echoed"}}\n\n'), 502),
        (Reply(raw=b"data: {nonsense\n\n"), 502),
        (Reply(raw=b"", status=500), 502),
        (Reply(raw=b"secret prompt echoed", status=429, headers={"Retry-After": "0"}), 429),
        (Reply(raw=b"secret prompt echoed", status=401), 502),
        (Reply(raw=b"", status=302, headers={"Location": "http://127.0.0.1:1/"}), 502),
        (Reply(drop_after=0), 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_fails_before_its_answer_is_an_http_error(
    service: Running, upstream: Upstream, reply: Reply, status: int, *, stream: bool
) -> None:
    upstream.replies = [reply]

    response = service.chat(model="cloud", stream=stream)

    assert response.status_code == status
    assert "echoed" not in response.text
    assert isinstance(service.installed.events()[int(response.headers["x-audit-record"])], Intent)
    if status == 429:
        assert response.headers["retry-after"] == "0"
    assert service.installed.verify().ok


def test_a_client_that_sends_half_a_request_leaves_no_trace(service: Running, upstream: Upstream) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.installed.key}\r\nContent-Length: 999\r\n\r\n{{"
        connection.sendall(head.encode())

    assert service.chat().status_code == 200
    assert len(upstream.received) == 1
