"""What an application sees: OpenAI's protocol through the official SDK, and what the upstream was sent for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from appliance.events import AuthFailed, Intent, Outcome, Refused, Status
from tests.e2e.running import Running
from tests.e2e.upstream import Reply, Upstream

NAME = "Иванов Пётр Сергеевич"
PHONE = "+7 916 123-45-67"
SNILS = "112-233-445 95"
PERSONAL = f"Позвоните клиенту: {NAME}, телефон {PHONE}, СНИЛС {SNILS}."
CLEAN = "Сформулируй вежливый отказ поставщику."


@pytest.fixture
def client(service: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.installed.key, max_retries=0)


def test_a_clean_prompt_reaches_the_cloud_as_it_is(client: openai.OpenAI, upstream: Upstream) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=[{"role": "user", "content": CLEAN}])
    answer = raw.parse()

    assert answer.choices[0].message.content == CLEAN
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens == 18
    assert answer.model == "cloud/big"
    assert raw.headers["x-residency"] == "ru"
    assert raw.headers["x-verdict"] == "send"
    assert raw.headers["x-route"] == "cloud/big"
    assert len(raw.headers["x-request-id"]) == 32
    assert upstream.received[0].body["messages"] == [{"role": "user", "content": CLEAN}]


def test_personal_data_goes_to_the_cloud_hidden_and_comes_back_whole(client: openai.OpenAI, upstream: Upstream) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="cloud", messages=[{"role": "user", "content": PERSONAL}]
    )

    assert raw.parse().choices[0].message.content == PERSONAL
    assert raw.headers["x-verdict"] == "mask"
    for value in (NAME, "Иванов", PHONE, SNILS):
        assert value not in upstream.received[0].text


@pytest.mark.parametrize("size", [1, 3, 11, 40])
def test_a_value_across_the_borders_of_parts_is_hidden_and_comes_back(
    client: openai.OpenAI, upstream: Upstream, size: int
) -> None:
    parts = [{"type": "text", "text": PERSONAL[at : at + size]} for at in range(0, len(PERSONAL), size)]
    answer = client.chat.completions.create(model="cloud", messages=[{"role": "user", "content": parts}])

    assert answer.choices[0].message.content == PERSONAL
    sent = "".join(part["text"] for part in upstream.received[0].body["messages"][0]["content"])
    for value in (NAME, "Иванов", PHONE, SNILS):
        assert value not in sent


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 1000])
def test_a_stream_comes_back_whole_however_it_is_cut(client: openai.OpenAI, upstream: Upstream, cut: int) -> None:
    upstream.replies = [Reply(cut=cut)]

    chunks = list(
        client.chat.completions.create(
            model="cloud/big",
            messages=[{"role": "user", "content": PERSONAL}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == PERSONAL
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 18
    assert PHONE not in upstream.received[0].text


def test_the_upstream_sees_no_header_and_no_word_of_ours(service: Running, upstream: Upstream) -> None:
    response = service.chat(
        PERSONAL, model="cloud", headers={"X-Purpose": "support", "X-Subject": "client-42"}, user="petrov@example.ru"
    )

    assert response.status_code == 200
    sent = upstream.received[0]
    assert not [name for name in sent.headers if name.startswith("x-")]
    wire = json.dumps(sent.headers) + sent.text
    for word in ("support", "client-42", "petrov", "tests-app", "mask", "redact", "appliance", service.installed.key):
        assert word not in wire


def test_a_person_and_a_telephone_have_one_number_in_the_whole_conversation(
    service: Running, client: openai.OpenAI, upstream: Upstream
) -> None:
    last = "Иванову Ивану Ивановичу по 8 (916) 555-01-02 не дозвониться, написать Смирновой О. П.?"

    answer = client.chat.completions.create(
        model="cloud/big",
        messages=[
            {"role": "system", "content": "Клиент: Иванов Иван Иванович, тел. +7 916 555-01-02"},
            {"role": "assistant", "content": "Принято. Ответственная — Смирнова Ольга Павловна."},
            {"role": "user", "content": last},
        ],
    )

    assert [message["content"] for message in upstream.received[0].body["messages"]] == [
        "Клиент: [PERSON_1_M], тел. [PHONE_1]",
        "Принято. Ответственная — [PERSON_2_F].",
        "[PERSON_1_M:2] по [PHONE_1:2] не дозвониться, написать [PERSON_2_F:2]?",
    ]
    assert answer.choices[0].message.content == last


def test_health_data_stays_on_the_local_model(service: Running, upstream: Upstream) -> None:
    response = service.chat("Пациентка Смирнова Анна Павловна, диагноз — сахарный диабет. Подготовь выписку.")

    assert response.status_code == 200
    assert response.headers["x-residency"] == "local"
    assert response.headers["x-route"] == "local/mock-normal"
    assert upstream.received == []


def test_a_refusal_names_the_rule_and_the_article_and_is_recorded(service: Running, upstream: Upstream) -> None:
    response = service.chat(PERSONAL, model="abroad")

    assert response.status_code == 403
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-verdict"] == "refuse"
    error = response.json()["error"]
    assert error["type"] == "policy_refusal"
    refused = service.installed.events(Refused)[-1]
    assert isinstance(refused, Refused)
    assert refused.rules
    assert all(rule in error["message"] for rule in refused.rules)
    assert "152-ФЗ" in error["message"]
    assert PHONE not in error["message"]
    assert int(response.headers["x-audit-record"]) == len(service.installed.records()) - 1
    assert upstream.received == []


def test_the_record_holds_the_decision_and_the_subject_and_no_personal_data(
    service: Running, upstream: Upstream
) -> None:
    response = service.chat(
        PERSONAL, model="cloud", metadata={"purpose": "support", "subject": "client-42", "ticket": "T-1"}
    )

    number = int(response.headers["x-audit-record"])
    records = service.installed.records()
    intent = service.installed.events()[number]
    assert isinstance(intent, Intent)
    assert (intent.app, intent.purpose, intent.route, intent.verdict, intent.attempt) == (
        "tests-app",
        "support",
        "cloud/big",
        "mask",
        1,
    )
    assert set(intent.masked) == {"PERSON", "PHONE", "SNILS"}
    assert intent.residual == {}
    assert len(records[number].subjects) == 1 and len(records[number].subjects[0] or b"") == 16
    assert len(records[number].commitment) == 32
    outcome = service.installed.events()[number + 1]
    assert isinstance(outcome, Outcome)
    assert (outcome.intent, outcome.status, outcome.total_tokens, outcome.provider_request_id) == (
        number,
        Status.COMPLETED,
        18,
        "up-1",
    )
    assert upstream.received[-1].body["metadata"] == {"ticket": "T-1"}
    for record in records:
        for value in (NAME, PHONE, SNILS, "client-42"):
            assert value.encode() not in record.body


def test_the_same_person_has_the_same_pseudonym(service: Running) -> None:
    numbers = [
        int(service.chat(CLEAN, headers={"X-Subject": name}).headers["x-audit-record"])
        for name in ("c-1", "c-1", "c-2")
    ]

    subjects = [service.installed.records()[number].subjects for number in numbers]
    assert subjects[0] == subjects[1] != subjects[2]


def test_a_person_named_in_russian_is_the_same_in_a_header_and_in_the_metadata(service: Running) -> None:
    by_header = service.chat(CLEAN, headers={"X-Subject": "клиент-42".encode()})
    by_metadata = service.chat(CLEAN, metadata={"subject": "клиент-42"})

    records = service.installed.records()
    first, second = (records[int(answer.headers["x-audit-record"])] for answer in (by_header, by_metadata))
    assert first.subjects == second.subjects != ()


def test_tools_pass_through_and_their_arguments_come_back_whole(client: openai.OpenAI, upstream: Upstream) -> None:
    arguments = json.dumps({"name": NAME, "phone": PHONE}, ensure_ascii=False)
    messages = [
        {"role": "user", "content": PERSONAL},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": arguments}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"phone": PHONE, "snils": SNILS})},
    ]
    tools = [
        {
            "type": "function",
            "function": {
                "name": "find",
                "description": "Найти",
                "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
        }
    ]
    upstream.replies = [
        Reply(tool_calls=[{"id": "c2", "name": "call", "arguments": '{"who": "[PERSON_1]", "to": "[PHONE_1]"}'}], cut=3)
    ]

    answer = client.chat.completions.create(model="cloud", messages=messages, tools=tools)

    sent = upstream.received[0]
    for value in (NAME, PHONE, SNILS):
        assert value not in sent.text
    assert sent.body["tools"][0]["function"]["name"] == "find"
    assert json.loads(sent.body["messages"][1]["tool_calls"][0]["function"]["arguments"])["name"] == "[PERSON_1_M]"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"who": NAME, "to": PHONE}
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": f"Звоните {PHONE}"}]}]},
        {"messages": [{"role": "user", "content": "да", "name": "petrov@example.ru"}]},
        {"messages": [{"role": "user", "content": "да"}], "metadata": {"note": f"телефон {PHONE}"}},
        {"messages": [{"role": "user", "content": "да"}], "stop": [f"телефон {PHONE}"]},
        {
            "messages": [
                {"role": "user", "content": "да"},
                {"role": "tool", "tool_call_id": "c", "content": f'{{"phone": "{PHONE}"}}'},
            ]
        },
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"phone": "\\u002b7 916 123-45-67"}'},
                        }
                    ],
                }
            ]
        },
        {
            "messages": [{"role": "user", "content": "да"}],
            "tools": [{"type": "function", "function": {"name": "f", "description": f"например {PHONE}"}}],
        },
        {
            "messages": [{"role": "user", "content": "да"}],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "parameters": {"type": "object", "properties": {"phone": {"type": "string", "default": PHONE}}},
                    },
                }
            ],
        },
        {
            "messages": [{"role": "user", "content": "да"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"description": f"как {PHONE}"}},
            },
        },
        {"messages": [{"role": "assistant", "refusal": f"не позвоню на {PHONE}"}, {"role": "user", "content": "да"}]},
    ],
)
def test_every_text_that_would_leave_is_inspected(service: Running, upstream: Upstream, fields: dict) -> None:
    body = {"model": "abroad", **fields}
    refused = service.http.post("/v1/chat/completions", json=body)
    hidden = service.http.post("/v1/chat/completions", json={**body, "model": "cloud"})

    assert refused.status_code == 403
    assert hidden.status_code == 200
    assert len(upstream.received) == 1
    for value in ("916 123", "petrov@example.ru"):
        assert value not in upstream.received[0].text


def test_a_value_behind_a_repeated_json_key_does_not_leave(service: Running, upstream: Upstream) -> None:
    arguments = f'{{"note": "телефон {PHONE}", "note": "пусто"}}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "да"}]

    assert service.chat(messages, model="abroad").status_code == 200
    assert PHONE not in upstream.received[0].text


def test_personal_data_in_a_function_name_cannot_be_hidden_and_is_refused(service: Running, upstream: Upstream) -> None:
    tools = [{"type": "function", "function": {"name": "call_89161234567", "description": "позвонить"}}]

    response = service.chat("да", model="cloud", tools=tools)

    assert response.status_code == 403
    assert "unmaskable-field" in response.json()["error"]["message"]
    assert upstream.received == []


def test_models_lists_every_name_that_can_be_asked_for(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [
        "auto", "cloud", "abroad", "local", "cloud/big", "abroad/huge", "local/mock-normal",
    ]  # fmt: skip


def test_the_previous_sdk_generation_works_unchanged(service: Running, upstream: Upstream) -> None:
    python = Path(sys.prefix).parent / ".venv-openai2/bin/python"
    assert python.exists(), "run `make setup-dev`: it installs the previous SDK generation beside the environment"
    script = Path(__file__).with_name("openai2_client.py")

    done = subprocess.run(
        [python, script, service.url, service.installed.key, PERSONAL], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "version": "2",
        "whole": PERSONAL,
        "streamed": PERSONAL,
        "refused": "policy_refused",
    }
    assert all(PHONE not in received.text for received in upstream.received)


class TestKeysAndPurposes:
    def test_no_key_and_a_wrong_key_are_401_and_recorded(self, service: Running) -> None:
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}):
            response = service.chat(headers=headers)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
        assert service.installed.events(AuthFailed)

    def test_a_key_without_a_default_purpose_must_name_one(self, service: Running, upstream: Upstream) -> None:
        headers = {"Authorization": f"Bearer {service.installed.purposeless_key}"}

        nameless = service.chat(CLEAN, headers=headers)
        named = service.chat(CLEAN, headers={**headers, "X-Purpose": "support"})

        assert (nameless.status_code, nameless.json()["error"]["code"]) == (400, "purpose_required")
        assert nameless.headers["x-audit-record"]
        assert named.status_code == 200

    def test_a_purpose_the_key_was_not_given_is_refused_and_recorded(
        self, service: Running, upstream: Upstream
    ) -> None:
        response = service.chat(CLEAN, headers={"X-Purpose": "development"})

        assert (response.status_code, response.json()["error"]["code"]) == (403, "purpose_not_allowed")
        refused = service.installed.events(Refused)[-1]
        assert isinstance(refused, Refused) and refused.reason == "purpose"
        assert upstream.received == []

    def test_header_and_metadata_that_differ_are_an_error(self, service: Running) -> None:
        response = service.chat(CLEAN, headers={"X-Purpose": "support"}, metadata={"purpose": "general"})

        assert (response.status_code, response.json()["error"]["param"]) == (400, "metadata.purpose")
