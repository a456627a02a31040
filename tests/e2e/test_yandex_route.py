"""YandexGPT behind the whole service: hidden values come back, nothing is kept there, each call has its Intent, the price is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from aiohttp import web

from appliance.events import Intent, Outcome
from tests.e2e.in_thread import served
from tests.e2e.running import Installed, Running, running
from tests.providers.fakes import yandex_server as fake

PERSONAL = "Позвоните клиенту: Иванов Пётр Сергеевич, телефон +7 916 123-45-67."
PROVIDER = """
[[providers]]
kind = "yandexgpt"
name = "{name}"
folder_id = "{folder}"
iam_key_file = "yandex.json"
iam_url = "{server.iam_url}"
api = "{api}"
base_url = "{url}"
models = [
  {{ name = "gpt", upstream = "yandexgpt/latest", residency = "ru", country = "RU", recipient = "partner", auto = false }},
  {{ name = "doc", upstream = "text-search-doc/latest", residency = "ru", country = "RU", recipient = "partner", task = "embedding" }},
]
"""


async def echo(request: web.Request, body: dict) -> web.StreamResponse:
    """Say the last message back, growing from line to line as the vendor does."""
    text = body["messages"][-1]["text"]
    half = len(text) // 2
    return await fake.streams(fake.says(text[:half], text[half:]))(request, body)


@pytest.fixture
def yandex() -> Iterator[fake.YandexServer]:
    with served(fake.YandexServer(echo)) as server:
        yield server
    assert server.violations == [], "a text was sent that the vendor would have kept"


@pytest.fixture
def service(tmp_path: Path, yandex: fake.YandexServer) -> Iterator[Running]:
    key = tmp_path / "yandex.json"
    key.write_text(fake.key_file())
    key.chmod(0o600)
    extra = PROVIDER.format(name="yandex", folder=fake.FOLDER, server=yandex, api="native", url=yandex.native_url)
    with running(Installed(tmp_path, extra=extra)) as service:
        yield service


@pytest.mark.parametrize("stream", [False, True])
def test_hidden_values_come_back_and_the_price_is_told(
    service: Running, yandex: fake.YandexServer, *, stream: bool
) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.installed.key, max_retries=0)
    messages = [{"role": "user", "content": PERSONAL}]
    if stream:
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(model="yandex/gpt", messages=messages, stream=True, stream_options=options)
        )
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
    else:
        answer = client.chat.completions.create(model="yandex/gpt", messages=messages)
        said, usage = answer.choices[0].message.content, answer.usage

    assert said == PERSONAL
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (26, 11)
    # 37 tokens at 1,20 ₽ a thousand
    assert usage.model_extra == {"cost_rub": pytest.approx(0.0444)}
    assert "Иванов" not in str(yandex.bodies)
    assert "916" not in str(yandex.bodies)
    outcome = service.installed.events(Outcome)[-1]
    assert isinstance(outcome, Outcome)
    assert outcome.cost == 44_400


def test_a_token_that_expired_is_a_second_attempt_with_its_own_intent(
    service: Running, yandex: fake.YandexServer
) -> None:
    assert service.chat("Привет", model="yandex/gpt").status_code == 200
    yandex.valid.clear()

    response = service.chat("Привет", model="yandex/gpt")

    assert response.status_code == 200
    attempts = [event.attempt for event in service.installed.events(Intent) if isinstance(event, Intent)]
    assert attempts == [1, 1, 2]
    assert len(yandex.issued) == 2


def test_each_text_for_a_vector_is_a_call_with_its_own_intent(service: Running, yandex: fake.YandexServer) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.installed.key, max_retries=0)

    answer = client.embeddings.create(model="yandex/doc", input=["погода", PERSONAL, "курс"])

    assert [each.index for each in answer.data] == [0, 1, 2]
    assert len(yandex.bodies) == len(service.installed.events(Intent)) == len(service.installed.events(Outcome)) == 3
    assert "Иванов" not in str(yandex.bodies)
