"""The vendor's own message types and the OpenAI client read the fake server: what passes here is the protocol, not our idea of it."""

import base64
import json
from contextlib import AsyncExitStack

import aiohttp
import openai
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from yandex.cloud.ai.foundation_models.v1 import text_common_pb2 as common
from yandex.cloud.ai.foundation_models.v1.embedding import embedding_service_pb2 as embedding
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation

from tests.providers.fakes.openai_server import event
from tests.providers.fakes.openai_server import streams as compatible_streams
from tests.providers.fakes.yandex_server import (
    API_KEY,
    FOLDER,
    YandexServer,
    calls,
    embedded,
    fails_with,
    fault_of_jwt,
    private_key,
    reply,
    says,
    streams,
    tokenized,
    vendor_calls,
    vendor_chunk,
)

URI = f"gpt://{FOLDER}/yandexgpt/latest"
HEADERS = {"Authorization": f"Api-Key {API_KEY}", "x-folder-id": FOLDER, "x-data-logging-enabled": "false"}
BODY = {"modelUri": URI, "completionOptions": {"stream": True}, "messages": [{"role": "user", "text": "Погода?"}]}


@pytest.fixture
async def serve():
    async with AsyncExitStack() as stack:

        async def start(scenario):
            return await stack.enter_async_context(YandexServer(scenario).running())

        yield start


@pytest.fixture
async def sdk(serve):
    async with AsyncExitStack() as stack:

        async def start(scenario, **fields):
            server = await serve(scenario)
            client = openai.AsyncOpenAI(
                **{"api_key": API_KEY, "base_url": server.compatible_url, "project": FOLDER, "max_retries": 0} | fields,
                default_headers={"x-data-logging-enabled": "false", "Authorization": f"Api-Key {API_KEY}"},
            )
            return await stack.enter_async_context(client), server

        yield start


@pytest.mark.parametrize(
    "document",
    [
        *says("В Туле", " +4 °C."),
        *(says("да", status=status)[0] for status in ("PARTIAL", "TRUNCATED_FINAL", "CONTENT_FILTER", "FINAL")),
        calls(("get_weather", {"city": "Тула", "days": 5.0}), ("get_time", {})),
    ],
)
def test_every_line_of_the_fake_is_the_vendors_completion_response(document):
    parsed = ParseDict(document["result"], generation.CompletionResponse())
    assert MessageToDict(parsed) == document["result"]


def test_the_vendors_statuses_are_the_ones_the_fake_and_the_adapter_know():
    assert set(common.Alternative.AlternativeStatus.keys()) == {
        f"ALTERNATIVE_STATUS_{status}"
        for status in ("UNSPECIFIED", "PARTIAL", "TRUNCATED_FINAL", "FINAL", "CONTENT_FILTER", "TOOL_CALLS")
    }


def test_a_status_that_is_unspecified_is_left_out_by_the_vendors_json():
    unspecified = ParseDict(reply({"text": "да"}, "UNSPECIFIED")["result"], generation.CompletionResponse())
    assert "status" not in MessageToDict(unspecified)["alternatives"][0]


def test_the_fakes_tokens_and_vectors_are_the_vendors_messages():
    document = tokenized({"modelUri": URI, "text": "раз два"})
    assert len(ParseDict(document, generation.TokenizeResponse()).tokens) == 3
    document = embedded({"modelUri": f"emb://{FOLDER}/text-search-doc/latest", "text": "раз два"})
    parsed = ParseDict(document, embedding.TextEmbeddingResponse())
    assert (len(parsed.embedding), parsed.num_tokens) == (256, 2)


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        ({}, {}, 200),
        ({"stop": ["x"]}, {}, 400),
        ({"modelUri": "yandexgpt/latest"}, {}, 400),
        ({"modelUri": "gpt://another/yandexgpt/latest"}, {}, 403),
        ({"modelUri": f"gpt://{FOLDER}/nothing"}, {}, 404),
        ({"completionOptions": {"temperature": 1.5}}, {}, 400),
        ({"messages": [{"role": "developer", "text": "x"}]}, {}, 400),
        ({"messages": [{"role": "user", "text": ""}]}, {}, 400),
        ({"messages": [{"role": "user", "text": "x"}, {"role": "system", "text": "y"}]}, {}, 400),
        ({"messages": [{"role": "assistant", "text": "x", "toolCallList": {"toolCalls": []}}]}, {}, 400),
        ({"jsonObject": True, "jsonSchema": {"schema": {}}}, {}, 400),
        ({"toolChoice": {"functionName": "nothing"}}, {}, 400),
        ({}, {"x-folder-id": "another"}, 400),
        ({}, {"Authorization": "Api-Key wrong"}, 401),
        ({}, {"Authorization": f"Bearer {API_KEY}"}, 401),
        ({}, {"x-data-logging-enabled": "true"}, 400),
    ],
)
async def test_the_fake_is_as_strict_as_the_papers_say(serve, change, headers, status):
    server = await serve(streams(says("да")))
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.native_url}/completion", json=BODY | change, headers=HEADERS | headers) as response,
    ):
        assert response.status == status
        if status != 200:
            error = json.loads(await response.read())["error"]
            assert (error["httpCode"], set(error)) == (
                status,
                {"grpcCode", "httpCode", "message", "httpStatus", "details"},
            )
    assert bool(server.violations) is (headers.get("x-data-logging-enabled") == "true")


@pytest.mark.parametrize("algorithm", ["PS256", "RS256", "none"])
def test_the_fake_takes_only_a_signed_request_of_the_right_form(algorithm):
    parts = [json.dumps({"typ": "JWT", "alg": algorithm, "kid": "x"}).encode(), b"{}", b"no signature"]
    jwt = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()
    assert fault_of_jwt(jwt) == "Invalid JWT signature"
    assert private_key() is private_key()


async def test_the_openai_client_reads_the_fakes_compatible_stream(sdk):
    client, server = await sdk(
        compatible_streams([vendor_chunk({"role": "assistant", "content": "да"}), vendor_chunk({}, finish="stop")])
    )
    stream = await client.chat.completions.create(
        model=URI, messages=[{"role": "user", "content": "?"}], stream=True, max_tokens=5
    )
    chunks = [chunk async for chunk in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["да", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert server.headers[0]["OpenAI-Project"] == FOLDER


async def test_the_openai_client_reads_the_fakes_tool_calls_whose_ids_are_names(sdk):
    client, _ = await sdk(compatible_streams(vendor_calls(("get_weather", '{"city":"Тула"}'), ("get_weather", "{}"))))
    stream = await client.chat.completions.create(model=URI, messages=[{"role": "user", "content": "?"}], stream=True)
    found = [call async for chunk in stream for call in chunk.choices[0].delta.tool_calls]
    assert [(call.index, call.id, call.function.name) for call in found] == [
        (0, "get_weather", "get_weather"),
        (1, "get_weather", "get_weather"),
    ]


async def test_the_openai_client_gets_vectors_and_models_and_errors_from_the_fake(sdk):
    client, _ = await sdk(fails_with(429, 8, "quota"))
    model = f"emb://{FOLDER}/text-search-doc/latest"
    vectors = await client.embeddings.create(model=model, input="раз два", encoding_format="float")
    assert (len(vectors.data[0].embedding), vectors.usage.total_tokens) == (256, 2)
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model=model, input=["раз", "два"], encoding_format="float")
    assert URI in [listed.id async for listed in client.models.list()]
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model=URI, messages=[{"role": "user", "content": "?"}])
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(
            model=URI, messages=[{"role": "user", "content": "?"}], tool_choice="required"
        )


async def test_the_openai_client_meets_an_error_inside_the_fakes_stream(sdk):
    documents = [vendor_chunk({"content": "да"}), {"error": {"message": "no", "type": "server_error"}}]
    client, _ = await sdk(compatible_streams(documents))
    stream = await client.chat.completions.create(model=URI, messages=[{"role": "user", "content": "?"}], stream=True)
    with pytest.raises(openai.APIError):
        [chunk async for chunk in stream]
    assert event(documents[1]).startswith(b'data: {"error"')
