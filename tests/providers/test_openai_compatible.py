import asyncio
import json
import logging
import ssl
from contextlib import aclosing

import pytest

from providers import (
    AuthenticationFailedError,
    ChatRequest,
    Chunk,
    ConnectionFailedError,
    ConnectionLostError,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    Message,
    ModelSettings,
    NamedTool,
    OpenAICompatibleSettings,
    ProviderError,
    RateLimitedError,
    Residency,
    ResponseFormat,
    Role,
    Timeouts,
    Tool,
    ToolCall,
    ToolMode,
    UnexpectedStatusError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
    collect,
    open_provider,
)
from providers.errors import from_status
from tests.providers.fakes.openai_server import (
    USAGE,
    OpenAIServer,
    answers,
    breaks_off,
    calls,
    chunk,
    event,
    hangs,
    says,
    sends,
    streams,
)
from tests.providers.fakes.raw_server import RawServer, read_request

SECRET = "Иванов-Петров"  # stands for a prompt: it may appear in no error


async def fails(provider, request):
    with pytest.raises(ProviderError) as caught:
        await collect(provider.chat(request))
    error = caught.value
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


async def test_a_stream_arrives_with_usage_model_and_request_id(connect, ask):
    provider, _ = await connect(streams(says("При", "вет", model="m-2026")))
    response = await collect(provider.chat(ask()))
    assert response.content == "Привет"
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == Usage(5, 2, 7, cached_tokens=3, reasoning_tokens=1)
    assert (response.model, response.request_id) == ("m-2026", "req-1")


async def test_what_is_sent_is_what_was_asked_for_and_nothing_else(connect):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ChatRequest(model="m", messages=(Message(Role.USER, "привет"),))))
    assert server.bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "привет"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    sent = {name.lower() for name in server.headers[0]}
    assert sent == {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
    assert server.headers[0]["User-Agent"] == "llm-client/1.0"


async def test_every_field_of_the_vocabulary_has_its_place_on_the_wire(connect):
    provider, server = await connect(streams(says("да")))
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    request = ChatRequest(
        model="m",
        messages=(
            Message(Role.SYSTEM, ("раз", "два")),
            Message(Role.DEVELOPER, None),
            Message(Role.USER, "в", name="anna"),
            Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c1", "f", '{"x":1}'),), refusal="нет"),
            Message(Role.TOOL, "1", tool_call_id="c1"),
        ),
        tools=(Tool("f", "делает", schema, strict=True), Tool("g")),
        tool_choice=NamedTool("f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", name="r", schema=schema),
        temperature=0.0,
        top_p=0.5,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
        min_p=0.05,
        top_k=3,
        seed=0,
        max_tokens=9,
        stop=("\n",),
        reasoning_effort="low",
        verbosity="low",
        metadata={"a": "b"},
    )
    await collect(provider.chat(request))
    assert server.bodies[0] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "раз"}, {"type": "text", "text": "два"}]},
            {"role": "developer", "content": ""},
            {"role": "user", "content": "в", "name": "anna"},
            {
                "role": "assistant",
                "content": None,
                "refusal": "нет",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
            },
            {"role": "tool", "content": "1", "tool_call_id": "c1"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "делает", "parameters": schema, "strict": True},
            },
            {"type": "function", "function": {"name": "g"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}},
        "temperature": 0.0,
        "top_p": 0.5,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "repetition_penalty": 1.1,
        "min_p": 0.05,
        "top_k": 3,
        "seed": 0,
        "max_tokens": 9,
        "stop": ["\n"],
        "reasoning_effort": "low",
        "verbosity": "low",
        "metadata": {"a": "b"},
    }


@pytest.mark.parametrize("mode", list(ToolMode))
async def test_tool_modes_and_plain_formats_are_words(connect, ask, mode):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask(tool_choice=mode, response_format=ResponseFormat("json_object"))))
    assert server.bodies[0]["tool_choice"] == mode.value
    assert server.bodies[0]["response_format"] == {"type": "json_object"}


async def test_a_request_of_many_megabytes_is_sent_whole(connect, ask):
    provider, server = await connect(streams(says("да")))
    text = "я" * 1_500_000
    await collect(provider.chat(ask(text)))
    assert server.bodies[0]["messages"][0]["content"] == text


async def test_later_pieces_of_a_tool_call_do_not_overwrite_the_first(connect, ask):
    provider, _ = await connect(streams(calls("погода", '{"город"', ':"Тула"', "}")))
    response = await collect(provider.chat(ask()))
    assert response.tool_calls == (ToolCall("c1", "погода", '{"город":"Тула"}'),)
    assert (response.finish_reason, response.content) == (FinishReason.TOOL_CALLS, None)


async def test_tool_calls_without_an_index_are_told_apart_by_their_id(connect, ask):
    def piece(call_id, name, arguments):
        return chunk({"tool_calls": [{"id": call_id, "function": {"name": name, "arguments": arguments}}]})

    stream = [piece("a", "f", "{"), piece(None, None, "}"), piece("b", "g", {"x": 1}), chunk(finish="tool_calls")]
    provider, _ = await connect(streams(stream))
    response = await collect(provider.chat(ask()))
    assert response.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"x":1}'))


async def test_the_bytes_may_be_split_anywhere(connect, ask):
    whole = b"".join(event(document) for document in [*says("При", "вет 🙂", finish="length"), "[DONE]"])
    pieces = [whole[place : place + 7] for place in range(0, len(whole), 7)]
    provider, _ = await connect(sends(*pieces))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("Привет 🙂", FinishReason.LENGTH)
    assert response.usage is not None


async def test_crlf_comments_and_a_missing_done_are_all_fine(connect, ask):
    body = (
        b": hello\r\n\r\nevent: x\r\ndata: " + json.dumps(chunk({"content": "а"})).encode() + b"\r\n\r\n: ping\r\n\r\n"
    )
    provider, _ = await connect(sends(body, event(chunk(finish="stop"))))
    assert (await collect(provider.chat(ask()))).content == "а"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_has_two_names(connect, ask, field):
    provider, _ = await connect(streams([chunk({field: "думаю"}), *says("да")]))
    response = await collect(provider.chat(ask()))
    assert (response.reasoning, response.content) == ("думаю", "да")


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("stop", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("blacklist", FinishReason.CONTENT_FILTER),
        ("something new", FinishReason.LENGTH),
    ],
)
async def test_an_unknown_finish_reason_is_never_read_as_complete(connect, ask, reason, ours):
    provider, _ = await connect(streams(says("да", finish=reason)))
    assert (await collect(provider.chat(ask()))).finish_reason is ours


@pytest.mark.parametrize("reason", ["error", "abort"])
async def test_a_finish_reason_that_says_failure_is_a_failure(connect, ask, reason):
    provider, _ = await connect(streams(says("да", finish=reason)))
    assert type(await fails(provider, ask(SECRET))) is UpstreamServerError


async def test_done_without_a_finish_reason_ends_an_answer_that_may_not_be_complete(connect, ask):
    provider, _ = await connect(streams(says("Да", ".")[:3]))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("Да.", FinishReason.LENGTH)
    for cut_off in (streams(says("Да", ".")[:3], done=False), streams([])):
        provider, _ = await connect(cut_off)
        assert isinstance(await fails(provider, ask()), InterruptedStreamError)


async def test_a_finish_reason_said_twice_is_handed_on_once(connect, ask):
    provider, _ = await connect(streams([chunk({"content": "а"}), chunk(finish="stop"), chunk(finish="stop")]))
    finishes = [piece.finish_reason async for piece in provider.chat(ask()) if piece.finish_reason]
    assert finishes == [FinishReason.STOP]


async def test_other_choices_and_usage_without_details_are_tolerated(connect, ask):
    second = chunk({"content": "чужое"})
    second["choices"][0]["index"] = 1
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "prompt_tokens_details": None, "queue_time": 0.1}
    provider, _ = await connect(streams([second, *says("да")[:-1], chunk(usage=usage)]))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.usage) == ("да", Usage(4, 1, 5))


COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "да",
                "refusal": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}


async def test_a_whole_completion_instead_of_a_stream_is_accepted(connect, ask):
    provider, _ = await connect(answers(200, COMPLETION, headers={"x-request-id": "req-9"}))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.model, response.request_id) == ("да", "m-1", "req-9")
    assert response.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]"))
    assert response.usage == Usage(5, 2, 7, 3, 1)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (answers(200, text=f"<html>{SECRET}</html>"), MalformedReplyError),
        (answers(200, {"error": {"message": SECRET, "type": "server_error"}}), UpstreamServerError),
        (answers(200, {"error": SECRET}), UpstreamServerError),
        (answers(200, {"error": {"message": SECRET, "code": 429}}), RateLimitedError),
        (answers(200, [SECRET]), MalformedReplyError),
        (answers(200, {"choices": [{"message": {"content": 5}}]}), MalformedReplyError),
        (answers(200, {"choices": []}), InterruptedStreamError),
        (sends(b"\xff\xfe{", kind="application/json"), MalformedReplyError),
        (sends(b"x" * 17_000_000, kind="application/json"), MalformedReplyError),
        (
            streams([*says(SECRET)[:2], {"error": {"message": SECRET, "type": "invalid_request_error"}}]),
            InvalidRequestError,
        ),
        (streams([*says(SECRET)[:2], "{" + SECRET]), MalformedReplyError),
        (streams(says(SECRET)[:2], done=False), InterruptedStreamError),
        (streams([]), InterruptedStreamError),
        (sends(b"data: " + b"x" * 2_000_000 + b"\n\n"), MalformedReplyError),
        (breaks_off(event(chunk({"content": SECRET}))), InterruptedStreamError),
        (breaks_off(), ProviderError),
    ],
)
async def test_a_broken_200_is_never_an_answer(connect, ask, scenario, kind):
    provider, _ = await connect(scenario)
    assert isinstance(await fails(provider, ask(SECRET)), kind)


async def test_what_came_before_the_break_was_handed_on(connect, ask):
    provider, _ = await connect(breaks_off(event(chunk({"content": "начало"}))))
    stream = provider.chat(ask())
    assert (await anext(stream)).content == "начало"
    with pytest.raises(InterruptedStreamError) as caught:
        await anext(stream)
    assert caught.value.request_id == "req-1"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504])
async def test_each_status_is_its_error_and_says_nothing_of_the_body(connect, ask, status):
    body = {"error": {"message": f"bad {SECRET}", "type": "invalid_request_error", "code": SECRET}}
    provider, _ = await connect(answers(status, body, headers={"x-request-id": "req-5", "Retry-After": "7"}))
    error = await fails(provider, ask(SECRET))
    assert type(error) is type(from_status(status))
    assert (error.request_id, error.code, error.retry_after) == ("req-5", "invalid_request_error", 7.0)


@pytest.mark.parametrize("text", ["", "<html>", "{", '{"error": "x"}', '{"error": null}', "[]"])
async def test_an_error_body_may_be_anything(connect, ask, text):
    provider, _ = await connect(answers(500, text=text))
    error = await fails(provider, ask())
    assert (type(error), error.code, error.retry_after) == (UpstreamServerError, "", None)


async def test_a_redirect_is_an_error_and_is_not_followed(connect, ask):
    elsewhere, there = await connect(streams(says("украдено")))
    provider, _ = await connect(answers(307, {}, headers={"Location": f"{there.base_url}/chat/completions"}))
    assert type(await fails(provider, ask())) is UnexpectedStatusError
    assert there.bodies == []
    assert (await collect(elsewhere.chat(ask()))).content == "украдено"  # it was there to be reached


async def test_the_key_is_read_from_its_file_and_never_shown(connect, ask, tmp_path, caplog):
    key = tmp_path / "key"
    key.write_text("sk-synthetic-0001\n")
    with caplog.at_level(logging.DEBUG):
        provider, _ = await connect(streams(says("да")), key="sk-synthetic-0001", api_key_file=str(key))
        assert (await collect(provider.chat(ask()))).content == "да"
        key.write_text("sk-other")  # read at open, not again
        assert (await collect(provider.chat(ask()))).content == "да"
    assert "sk-synthetic" not in caplog.text
    assert "sk-synthetic" not in repr(vars(provider).keys())


async def test_a_wrong_key_is_the_administrators_business(connect, ask):
    provider, _ = await connect(streams(says("да")), key="sk-synthetic-0001")
    error = await fails(provider, ask())
    assert (type(error), error.code) == (AuthenticationFailedError, "authentication_error")


async def test_headers_of_the_settings_are_sent(connect, ask):
    provider, server = await connect(streams(says("да")), headers={"x-data-logging-enabled": "false"})
    await collect(provider.chat(ask()))
    assert server.headers[0]["x-data-logging-enabled"] == "false"


async def test_the_environments_proxy_is_not_used(connect, ask, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    provider, _ = await connect(streams(says("да")))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_cookies_are_not_kept(connect, ask):
    provider, server = await connect(streams(says("да"), headers={"Set-Cookie": "who=me"}))
    await collect(provider.chat(ask()))
    await collect(provider.chat(ask()))
    assert all("Cookie" not in headers for headers in server.headers)


@pytest.mark.parametrize("pause", [0, 0.01])
async def test_one_connection_serves_one_request_after_another(connect, ask, pause):
    provider, server = await connect(streams(says("да"), pause=pause))  # with a pause, the body ends after [DONE]
    for _ in range(3):
        await collect(provider.chat(ask()))
    assert len(server.bodies) == 3
    assert len(server.connections) == 1


async def test_without_keep_alive_each_request_has_its_own_connection(connect, ask):
    provider, server = await connect(streams(says("да")), keepalive=0)
    for _ in range(2):
        await collect(provider.chat(ask()))
    assert len(server.connections) == 2


async def test_another_task_may_close_the_generator(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))))
    stream = provider.chat(ask())
    await anext(stream)
    await asyncio.create_task(stream.aclose())
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_closing_the_generator_hangs_up_at_once(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))))
    async with aclosing(provider.chat(ask())) as stream:
        assert (await anext(stream)).content == "а"
        assert not server.hung_up.is_set()
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_closing_before_the_first_chunk_sends_nothing(connect, ask):
    provider, server = await connect(streams(says("да")))
    await provider.chat(ask()).aclose()
    assert server.bodies == []


async def test_cancelling_the_reader_hangs_up(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))))
    started = asyncio.Event()

    async def read():
        async with aclosing(provider.chat(ask())) as stream:
            async for _ in stream:
                started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.hung_up.wait(), 5)


BEGUN = (event(chunk({"content": SECRET})),)


@pytest.mark.parametrize(("limit", "pieces"), [("first_byte", ()), ("total", ()), ("idle", BEGUN), ("total", BEGUN)])
async def test_silence_ends_in_a_timeout(connect, ask, limit, pieces):
    provider, server = await connect(hangs(*pieces), timeouts=Timeouts(**{limit: 0.2}))
    assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_an_answer_that_keeps_coming_may_take_longer_than_the_idle_limit(connect, ask):
    provider, _ = await connect(streams(says(*"абвгдежз"), pause=0.1), timeouts=Timeouts(idle=0.6))
    assert (await collect(provider.chat(ask()))).content == "абвгдежз"


async def test_a_reader_may_pause_longer_than_the_idle_limit(connect, ask):
    pieces = [chunk({"content": "а"}), chunk({"content": "б"}), chunk({"content": "в"}), chunk(finish="stop")]
    provider, _ = await connect(streams(pieces, pause=0.05), timeouts=Timeouts(idle=0.5))
    async with aclosing(provider.chat(ask())) as stream:
        # The idle limit is in force from the second read on: the pause comes after it.
        assert (await anext(stream)).content + (await anext(stream)).content == "аб"
        await asyncio.sleep(1.2)
        assert "".join([piece.content async for piece in stream]) == "в"


async def test_a_finished_exchange_leaves_no_timer_behind(connect, ask):
    provider, _ = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
    assert [timer for timer in timers if "_Reading" in repr(timer)] == []


async def test_an_upstream_that_is_not_there_cannot_be_reached(ask, settings_for):
    async with OpenAIServer(streams([])).running() as server:
        pass
    async with open_provider(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError


STREAM = b"".join(event(document) for document in [*says("да"), "[DONE]"])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(STREAM)


async def test_a_keep_alive_promise_that_is_broken_is_told_and_nothing_is_sent_again(ask, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)
        writer.write(HEAD + STREAM)
        await writer.drain()
        if number == 1:
            await reader.readuntil(b"\r\n\r\n")  # a second request comes, and is met by a closed door

    async with RawServer(answer).running() as server, open_provider(settings_for(server)) as provider:
        assert (await collect(provider.chat(ask()))).content == "да"
        assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
        assert server.connections == 1
        assert (await collect(provider.chat(ask()))).content == "да"
        assert server.connections == 2


async def test_an_upstream_that_hangs_up_is_asked_once(ask, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)

    async with RawServer(answer).running() as server, open_provider(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
        assert server.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_malformed_reply(ask, settings_for, reply):
    async def answer(number, reader, writer):
        await read_request(reader)
        writer.write(reply)
        await writer.drain()

    async with RawServer(answer).running() as server, open_provider(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is MalformedReplyError


async def test_a_body_shorter_than_promised_is_interrupted(ask, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)
        writer.write(HEAD + event(chunk({"content": "а"})))
        await writer.drain()

    async with RawServer(answer).running() as server, open_provider(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is InterruptedStreamError


async def test_a_done_without_an_end_of_the_body_ends_the_answer(connect, ask):
    provider, server = await connect(hangs(STREAM))
    assert (await collect(provider.chat(ask()))).content == "да"
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_many_requests_at_once_do_not_mix(connect):
    async def scenario(request, body):
        return await streams(says(body["messages"][0]["content"]), pause=0.001)(request, body)

    provider, _ = await connect(scenario)

    async def one(text):
        return (await collect(provider.chat(ChatRequest(model="m", messages=(Message(Role.USER, text),))))).content

    texts = [f"запрос {number}" for number in range(40)]
    assert await asyncio.gather(*map(one, texts)) == texts


async def test_it_is_ready_as_soon_as_it_is_open(connect):
    provider, _ = await connect(streams([]))
    assert provider.readiness().ready
    assert provider.name == "up"


async def test_a_certificate_is_trusted_only_through_its_own_authority(ask, authority, settings_for):
    ca_file, server_files = authority
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*server_files)
    async with OpenAIServer(streams(says("да"))).running(tls=tls) as server:
        async with open_provider(settings_for(server, ca_file=ca_file)) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"
        async with open_provider(settings_for(server)) as provider:
            error = await fails(provider, ask(SECRET))
            assert type(error) is ConnectionFailedError
            assert "ca_file" in str(error)
        assert len(server.bodies) == 1


async def test_a_local_name_that_resolves_outside_is_not_connected_to(ask, monkeypatch):
    async def outside(self, host, port=0, **hints):
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", outside)
    settings = OpenAICompatibleSettings(
        name="up", models=(ModelSettings("m", Residency.LOCAL),), base_url="http://vllm.internal:8000/v1"
    )
    async with open_provider(settings) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError


async def test_a_local_name_that_resolves_inside_is_connected_to(ask, settings_for):
    async with OpenAIServer(streams(says("да"))).running() as server:
        server.base_url = server.base_url.replace("127.0.0.1", "localhost")
        async with open_provider(settings_for(server)) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"


async def test_chunks_that_hold_nothing_are_not_handed_on(connect, ask):
    provider, _ = await connect(
        streams([chunk({"content": "а"}), chunk({"content": ""}), chunk({}), chunk(finish="stop")])
    )
    pieces = [piece async for piece in provider.chat(ask())]
    assert pieces == [Chunk(content="а", model="m", request_id="req-1"), Chunk(finish_reason=FinishReason.STOP)]
