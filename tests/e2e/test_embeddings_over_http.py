"""`/v1/embeddings` as an application sees it: the official SDK, what leaves, what is recorded."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from appliance.events import Intent, Outcome, RefusalReason, Refused, Status
from audit import AuditReader
from providers import Task
from tests.e2e.running import Installed, running
from tests.e2e.upstream import Received, Upstream

VECTORS = """
[[providers]]
kind = "openai_compatible"
name = "vectors"
base_url = "{upstream}"
embedding_batch = 2
models = [
  {{ name = "e5", residency = "ru", task = "embedding", recipient = "partner" }},
  {{ name = "far", residency = "foreign", task = "embedding" }},
]

[[providers]]
kind = "testing"
name = "inside"
models = [{{ name = "vectors", residency = "local", task = "embedding" }}]
"""
PERSONAL = "Клиент Иванов Пётр Сергеевич, телефон +7 916 123-45-67."


@pytest.fixture
def vectors(tmp_path: Path, upstream: Upstream) -> Installed:
    return Installed(tmp_path, upstream.base_url, extra=VECTORS.format(upstream=upstream.base_url))


def client_of(service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.installed.key, max_retries=0)


def test_the_sdk_gets_the_same_vectors_in_either_encoding(vectors: Installed) -> None:
    with running(vectors) as service:
        client = client_of(service)
        packed = client.embeddings.create(model="inside", input=["раз", "два"])
        plain = client.embeddings.create(model="inside", input=["раз", "два"], encoding_format="float")
        one = client.embeddings.create(model="inside/vectors", input="раз", encoding_format="float")

    assert [each.index for each in packed.data] == [0, 1]
    for left, right in zip(packed.data, plain.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding, rel=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert one.data[0].embedding == plain.data[0].embedding
    assert packed.model == "inside/vectors"


def test_personal_data_is_hidden_in_every_batch_and_each_batch_has_its_intent(
    vectors: Installed, upstream: Upstream
) -> None:
    seen: list[int] = []

    def look(_: Received) -> None:
        with AuditReader.open(vectors.settings.log.path, vectors.settings.log.kek_file) as reader:
            seen.append(reader.size)

    upstream.on_call = look
    with running(vectors) as service:
        answer = client_of(service).embeddings.with_raw_response.create(
            model="vectors/e5", input=[PERSONAL, "погода", PERSONAL, "курс", "адрес офиса"]
        )

    assert len(answer.parse().data) == 5
    assert answer.headers["x-verdict"] == "mask"
    assert len(upstream.received) == 3
    assert sorted(len(received.body["input"]) for received in upstream.received) == [1, 2, 2]
    for received in upstream.received:
        assert "Иванов" not in received.text
        assert "123-45-67" not in received.text
    intents, outcomes = vectors.events(Intent), vectors.events(Outcome)
    assert [(intent.task, intent.attempt) for intent in intents] == [(Task.EMBEDDING, number) for number in (1, 2, 3)]
    assert sorted(intent.texts for intent in intents) == [1, 2, 2]
    assert [sum(intent.masked.values()) for intent in intents] == [2, 2, 0]
    assert [outcome.status for outcome in outcomes] == [Status.COMPLETED] * 3
    assert min(seen) >= 2, "called before an Intent was there"


def test_texts_that_may_not_go_abroad_go_to_nobody(vectors: Installed, upstream: Upstream) -> None:
    with running(vectors) as service, pytest.raises(openai.PermissionDeniedError) as refusal:
        client_of(service).embeddings.create(model="vectors/far", input=["погода", PERSONAL])

    assert "152-ФЗ" in str(refusal.value)
    assert upstream.received == []
    refused = vectors.events(Refused)[-1]
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.POLICY


def test_vectors_of_different_models_are_never_mixed(vectors: Installed, upstream: Upstream) -> None:
    with running(vectors) as service:
        for name in ("auto", "vectors"):
            with pytest.raises(openai.BadRequestError, match="name one model"):
                client_of(service).embeddings.create(model=name, input="погода")

    assert upstream.received == []


def test_a_chat_model_gives_no_vectors_and_a_vector_model_no_chat(vectors: Installed) -> None:
    with running(vectors) as service:
        with pytest.raises(openai.NotFoundError, match="embedding"):
            client_of(service).embeddings.create(model="cloud/big", input="погода")
        answer = service.chat("Привет", model="inside/vectors")

    assert answer.status_code == 404
    assert "chat" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": [[1, 2, 3]]}, "uninspectable_content"),
        ({"input": [1, 2, 3]}, "uninspectable_content"),
        ({"input": []}, "invalid_request"),
        ({"input": ["погода", ""]}, "invalid_request"),
        ({"input": "погода", "encoding_format": "int8"}, "invalid_request"),
        ({"input": "погода", "instruction": "x"}, "invalid_request"),
        ({"input": ["а"] * 2049}, "invalid_request"),
        ({"input": "погода", "dimensions": 0}, "invalid_request"),
        ({"input": "a\x00b"}, "uninspectable_content"),
    ],
)
def test_bad_input_is_refused_in_words(vectors: Installed, upstream: Upstream, body: dict, code: str) -> None:
    with running(vectors) as service:
        answer = service.http.post("/v1/embeddings", json={"model": "vectors/e5", **body})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert upstream.received == []


def test_a_failed_batch_fails_the_request_and_stops_the_others(vectors: Installed, upstream: Upstream) -> None:
    upstream.embedding_status = 500
    with running(vectors) as service, pytest.raises(openai.InternalServerError):
        client_of(service).embeddings.create(model="vectors/e5", input=["раз", "два", "три"])

    intents, outcomes = vectors.events(Intent), vectors.events(Outcome)
    assert len(intents) == len(outcomes)
    assert Status.COMPLETED not in {outcome.status for outcome in outcomes}
