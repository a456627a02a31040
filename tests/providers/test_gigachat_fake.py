"""The vendor's own client reads the fake server: what passes here is the protocol, not our idea of it."""

from contextlib import AsyncExitStack

import gigachat
import pytest
from gigachat.exceptions import AuthenticationError, BadRequestError, ResponseError
from gigachat.models import Chat, Function, FunctionCall, FunctionParameters, Messages, MessagesRole

from tests.providers.fakes.gigachat_server import (
    CREDENTIALS,
    STATE_ID,
    GigaChatServer,
    calls,
    completion,
    fails_with,
    says,
    streams,
)
from tests.providers.fakes.openai_server import answers

# The client marks its own chat methods as older ones; the protocol is the same.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gigachat")

PAYLOAD = Chat(
    model="GigaChat-2-Pro",
    messages=[
        Messages(role=MessagesRole.SYSTEM, content="Отвечай кратко."),
        Messages(role=MessagesRole.USER, content="Погода в Туле?"),
        Messages(
            role=MessagesRole.ASSISTANT,
            function_call=FunctionCall(name="get_weather", arguments={"city": "Тула"}),
            functions_state_id=STATE_ID,
        ),
        Messages(role=MessagesRole.FUNCTION, name="get_weather", content='{"temp_c": 4}'),
    ],
    functions=[Function(name="get_weather", parameters=FunctionParameters(properties={}))],
    function_call="auto",
    max_tokens=256,
)


@pytest.fixture
async def client():
    async with AsyncExitStack() as stack:

        async def start(scenario, *, scope="GIGACHAT_API_CORP", credentials=CREDENTIALS):
            server = await stack.enter_async_context(GigaChatServer(scenario).running())
            found = gigachat.GigaChat(
                base_url=server.base_url, auth_url=server.auth_url, credentials=credentials, scope=scope
            )
            return await stack.enter_async_context(found), server

        yield start


async def test_the_vendors_client_gets_a_token_and_reads_the_fakes_stream(client):
    sdk, server = await client(streams(says("В Туле", " +4")))
    chunks = [chunk async for chunk in sdk.astream(PAYLOAD)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "В Туле +4"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert (chunks[-1].usage.total_tokens, chunks[-1].usage.precached_prompt_tokens) == (80, 6)
    assert server.issued == ["synthetic-token-1"]
    assert server.bodies[0]["function_call"] == "auto"


@pytest.mark.parametrize("apart", [True, False])
async def test_the_vendors_client_reads_the_fakes_function_call(client, apart):
    sdk, _ = await client(streams(calls("get_weather", {"city": "Тула"}, apart=apart)))
    chunks = [chunk async for chunk in sdk.astream(PAYLOAD)]
    assert chunks[0].choices[0].delta.function_call.arguments == {"city": "Тула"}
    assert chunks[0].choices[0].delta.functions_state_id == STATE_ID
    assert chunks[-1].choices[0].finish_reason == "function_call"


async def test_the_vendors_client_reads_the_fakes_whole_completion(client):
    sdk, _ = await client(answers(200, completion({"content": "да"}, "stop")))
    whole = await sdk._achat(PAYLOAD)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("да", "stop")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequestError), (422, ResponseError), (429, ResponseError), (500, ResponseError)]
)
async def test_the_vendors_client_reads_the_fakes_errors(client, status, kind):
    sdk, _ = await client(fails_with(status, "no"))
    with pytest.raises(kind) as caught:
        [chunk async for chunk in sdk.astream(PAYLOAD)]
    assert caught.value.status_code == status


async def test_the_vendors_client_renews_a_token_that_the_fake_no_longer_takes(client):
    sdk, server = await client(streams(says("да")))
    [chunk async for chunk in sdk.astream(PAYLOAD)]
    server.valid.clear()
    assert [chunk async for chunk in sdk.astream(PAYLOAD)]
    assert len(server.issued) == 2


@pytest.mark.parametrize(
    ("scope", "credentials", "kind"),
    [
        ("GIGACHAT_API_PERS", CREDENTIALS, BadRequestError),
        ("nonsense", CREDENTIALS, BadRequestError),
        ("GIGACHAT_API_CORP", "d3Jvbmc6a2V5", AuthenticationError),
    ],
)
async def test_the_vendors_client_is_refused_a_token_as_the_papers_say(client, scope, credentials, kind):
    sdk, server = await client(streams(says("да")), scope=scope, credentials=credentials)
    with pytest.raises(kind):
        [chunk async for chunk in sdk.astream(PAYLOAD)]
    assert server.bodies == []
