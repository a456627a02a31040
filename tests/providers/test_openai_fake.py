"""The vendor's own client reads the fake server: what passes here is the protocol, not our idea of it."""

import openai
import pytest

from tests.providers.fakes.openai_server import OpenAIServer, answers, calls, says, streams


@pytest.fixture
async def client():
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def start(scenario):
            server = await stack.enter_async_context(OpenAIServer(scenario, key="k").running())
            return await stack.enter_async_context(
                openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0)
            )

        yield start


async def stream(client):
    return await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True, stream_options={"include_usage": True}
    )


async def test_the_vendors_client_reads_the_fakes_stream(client):
    chunks = [chunk async for chunk in await stream(await client(streams(says("При", "вет"))))]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Привет"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 7
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 3


async def test_the_vendors_client_reads_the_fakes_tool_call(client):
    chunks = [chunk async for chunk in await stream(await client(streams(calls("f", '{"x"', ":1}"))))]
    deltas = [
        chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices and chunk.choices[0].delta.tool_calls
    ]
    assert (deltas[0].id, deltas[0].function.name) == ("c1", "f")
    assert "".join(delta.function.arguments for delta in deltas) == '{"x":1}'


@pytest.mark.parametrize(("status", "kind"), [(400, openai.BadRequestError), (429, openai.RateLimitError)])
async def test_the_vendors_client_reads_the_fakes_errors(client, status, kind):
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}
    with pytest.raises(kind):
        await stream(await client(answers(status, body)))
