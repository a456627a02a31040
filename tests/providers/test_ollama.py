"""The vendor's own client reads the fake first; then the adapter is tried against the fake alone."""

import asyncio
import json
import ssl
from contextlib import AsyncExitStack, aclosing
from itertools import pairwise

import msgspec
import ollama
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    ChatRequest,
    Chunk,
    ConnectionFailedError,
    ConnectionLostError,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    Message,
    ModelLoadingError,
    ModelNotFoundError,
    ModelSettings,
    NamedTool,
    PermissionDeniedError,
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
    UnusableSettingsError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
    collect,
)
from providers.errors import from_status
from providers.exchange import open_session
from providers.ollama import Ollama, OllamaSettings, open_ollama, problems_of_ollama
from providers.ollama_wire import LineParser, ReplyReader
from tests.providers.fakes.ollama_server import (
    CLOUD,
    OllamaServer,
    answers,
    breaks_off,
    call,
    done,
    hangs,
    line,
    listed,
    says,
    sends,
    streams,
    written,
)
from tests.providers.fakes.raw_server import RawServer, read_request

SECRET = "Иванов-Петров"  # stands for a prompt: it may appear in no error
LOCAL = (ModelSettings("m", Residency.LOCAL),)
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


def settings_for(server, **fields):
    fields = {"timeouts": Timeouts(connect=5, first_byte=10, idle=10, total=30), "models": LOCAL} | fields
    return OllamaSettings(name="gpu", base_url=server.base_url, **fields)


@pytest.fixture
async def connect():
    """Start a server with a scenario and open a provider to it: `provider, server = await connect(scenario)`."""
    async with AsyncExitStack() as stack:

        async def start(scenario, *, models=None, **fields):
            server = await stack.enter_async_context(OllamaServer(scenario, models=models).running())
            provider = await stack.enter_async_context(open_ollama(settings_for(server, **fields)))
            return provider, server

        yield start


async def fails(provider, request):
    with pytest.raises(ProviderError) as caught:
        [chunk async for chunk in provider.chat(request)]  # without collect(), which finds a broken answer by itself
    error = caught.value
    assert SECRET not in str(error) + repr(error) + error.code
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


# The vendor's client and the fake


@pytest.fixture
async def vendor():
    async with AsyncExitStack() as stack:

        async def start(scenario, **fields):
            server = await stack.enter_async_context(OllamaServer(scenario, **fields).running())
            return await stack.enter_async_context(ollama.AsyncClient(host=server.base_url)), server

        yield start


HELLO = [{"role": "user", "content": "привет"}]


async def test_the_vendors_client_lists_shows_and_sees_what_runs(vendor):
    client, _ = await vendor(streams([]), models={"qwen3:8b": {}, "gpt-oss:120b-cloud": CLOUD})
    models = (await client.list()).models
    assert [model.model for model in models] == ["qwen3:8b", "gpt-oss:120b-cloud"]
    assert models[0].details.parameter_size == "8.2B"
    shown = await client.show("qwen3:8b")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo["qwen3.context_length"] == 40960
    assert (await client.ps()).models[0].size_vram == 5_000_000_000


async def test_the_vendors_client_reads_the_fakes_stream(vendor):
    client, server = await vendor(streams([line({"thinking": "хм"}), *says("При", "вет")]))
    parts = [part async for part in await client.chat("m", HELLO, stream=True, options={"num_ctx": 99})]
    assert "".join(part.message.content for part in parts) == "Привет"
    assert parts[0].message.thinking == "хм"
    assert (parts[-1].done, parts[-1].done_reason) == (True, "stop")
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count, parts[-1].total_duration) == (12, 7, 900_000_000)
    assert server.bodies[0]["options"] == {"num_ctx": 99}


async def test_the_vendors_client_reads_the_fakes_whole_answer(vendor):
    client, server = await vendor(streams(says("При", "вет")))
    answer = await client.chat("m", HELLO, format=SCHEMA)
    assert (answer.message.content, answer.done_reason) == ("Привет", "stop")
    assert server.bodies[0]["format"] == SCHEMA


async def test_the_vendors_client_reads_the_fakes_tool_calls(vendor):
    client, server = await vendor(streams([line({"tool_calls": [call("f", {"x": 1})]}), done()]))
    tools = [{"type": "function", "function": {"name": "f", "description": "делает", "parameters": SCHEMA}}]
    answer = await client.chat("m", HELLO, tools=tools)
    assert [(made.function.name, made.function.arguments) for made in answer.message.tool_calls] == [("f", {"x": 1})]
    assert server.bodies[0]["tools"][0]["function"]["name"] == "f"


async def test_the_vendors_client_meets_the_fakes_errors(vendor):
    client, _ = await vendor(streams([line({"content": "а"}), {"error": "runner stopped"}]))
    with pytest.raises(ollama.ResponseError) as caught:
        await client.chat("nope", HELLO)
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nope' not found")
    with pytest.raises(ollama.ResponseError, match="runner stopped"):
        [part async for part in await client.chat("m", HELLO, stream=True)]


async def test_the_vendors_client_sends_the_shapes_that_we_send(vendor, connect):
    """The same conversation through both: what we write beyond the vendor's words is in the facts, and listed here."""
    messages = (
        Message(Role.USER, "погода?"),
        Message(Role.ASSISTANT, "сейчас", tool_calls=(ToolCall("c1", "f", '{"x":1}'),)),
        Message(Role.TOOL, "дождь", tool_call_id="c1"),
    )
    provider, ours = await connect(streams(says("да")))
    await collect(provider.chat(ChatRequest(model="m", messages=messages, temperature=0.0, stop=("\n",))))
    client, theirs = await vendor(streams(says("да")))
    said = [
        {"role": "user", "content": "погода?"},
        {
            "role": "assistant",
            "content": "сейчас",
            "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}],
        },
        {"role": "tool", "content": "дождь", "tool_name": "f"},
    ]
    options = {"num_ctx": 8192, "temperature": 0.0, "stop": ["\n"]}
    [part async for part in await client.chat("m", said, stream=True, options=options)]
    sent = json.loads(json.dumps(ours.bodies[0]))
    assert sent["messages"][1]["tool_calls"][0].pop("id") == "c1"
    assert sent["messages"][1]["tool_calls"][0]["function"].pop("index") == 0
    assert sent["messages"][2].pop("tool_call_id") == "c1"
    assert (sent.pop("truncate"), sent.pop("shift")) == (False, False)
    assert sent == {name: value for name, value in theirs.bodies[0].items() if name != "tools" or value}


# The request


async def test_what_is_sent_is_what_was_asked_for_and_nothing_else(connect, ask):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    assert server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "привет"}],
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": 8192},
        }
    ]
    sent = {name.lower() for name in server.headers[-1]}
    assert sent == {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}


async def test_every_field_of_the_vocabulary_has_its_place_on_the_wire(connect):
    provider, server = await connect(streams(says("да")), num_ctx=4096, keep_alive="30m", think=True)
    request = ChatRequest(
        model="m",
        messages=(
            Message(Role.SYSTEM, ("раз", "два")),
            Message(Role.DEVELOPER, "три"),
            Message(Role.USER, "в", name="anna"),
            Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c1", "f", '{"x":1.0, "y":[]}'), ToolCall("", "g", ""))),
            Message(Role.TOOL, "1", tool_call_id="c1"),
            Message(Role.TOOL, "2", name="g"),
            Message(Role.ASSISTANT, None, refusal="нет"),
        ),
        tools=(Tool("f", "делает", SCHEMA, strict=True), Tool("g")),
        tool_choice=ToolMode.AUTO,
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", name="r", schema=SCHEMA, strict=True),
        temperature=0.0,
        top_p=0.5,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
        min_p=0.05,
        top_k=3,
        seed=0,
        max_tokens=9,
        stop=("\n", "конец"),
        reasoning_effort="low",
        verbosity="low",
        metadata={"a": "b"},
    )
    await collect(provider.chat(request))
    assert server.bodies[0] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "раз\nдва"},
            {"role": "system", "content": "три"},
            {"role": "user", "content": "в"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1.0, "y": []}}},
                    {"function": {"index": 1, "name": "g", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "c1"},
            {"role": "tool", "content": "2", "tool_name": "g"},
            {"role": "assistant", "content": "нет"},
        ],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {
            "num_ctx": 4096,
            "num_predict": 9,
            "temperature": 0.0,
            "top_p": 0.5,
            "top_k": 3,
            "min_p": 0.05,
            "seed": 0,
            "stop": ["\n", "конец"],
            "repeat_penalty": 1.1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
        },
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "делает", "parameters": SCHEMA}},
            {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
        ],
        "format": SCHEMA,
        "think": "low",
        "keep_alive": "30m",
    }


async def test_a_tool_name_is_that_of_the_latest_call_with_the_id(connect):
    def called(name):
        return Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c", name, "{}"),))

    result = Message(Role.TOOL, "1", tool_call_id="c")
    provider, server = await connect(streams(says("да")))
    messages = (called("f"), result, called("g"), result, Message(Role.TOOL, "?", tool_call_id="lost"))
    await collect(provider.chat(ChatRequest(model="m", messages=messages)))
    assert [said.get("tool_name") for said in server.bodies[0]["messages"]] == [None, "f", None, "g", None]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (ResponseFormat("text"), None),
        (ResponseFormat("json_object"), "json"),
        (ResponseFormat("json_schema", name="r"), "json"),
        (ResponseFormat("json_schema", name="r", schema=SCHEMA), SCHEMA),
    ],
)
async def test_a_format_is_a_word_or_a_schema(connect, ask, wanted, sent):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask(response_format=wanted)))
    assert server.bodies[0].get("format") == sent


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, ["f", "g"]),
        (ToolMode.AUTO, ["f", "g"]),
        (ToolMode.REQUIRED, ["f", "g"]),
        (ToolMode.NONE, []),
        (NamedTool("g"), ["g"]),
    ],
)
async def test_a_tool_choice_is_made_by_the_tools_that_are_sent(connect, ask, choice, sent):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask(tools=(Tool("f"), Tool("g")), tool_choice=choice)))
    assert [tool["function"]["name"] for tool in server.bodies[0].get("tools", [])] == sent
    assert "tool_choice" not in server.bodies[0]


@pytest.mark.parametrize(
    ("setting", "effort", "sent"),
    [
        (None, None, None),
        (None, "none", False),
        (True, "none", False),
        (False, None, False),
        ("high", None, "high"),
        ("high", "minimal", "low"),
        (None, "medium", "medium"),
        (None, "xhigh", "max"),
        (True, "a word of tomorrow", True),
    ],
)
async def test_thinking_is_what_the_request_asks_for_or_else_the_setting(connect, ask, setting, effort, sent):
    provider, server = await connect(streams(says("да")), think=setting)
    await collect(provider.chat(ask(reasoning_effort=effort)))
    assert server.bodies[0].get("think") == sent
    assert ("think" in server.bodies[0]) is (sent is not None)


@pytest.mark.parametrize("keep_alive", [-1, 0, "1h30m", "-1m"])
async def test_keep_alive_is_seconds_or_a_duration(connect, ask, keep_alive):
    provider, server = await connect(streams(says("да")), keep_alive=keep_alive)
    await collect(provider.chat(ask()))
    assert server.bodies[0]["keep_alive"] == keep_alive


@pytest.mark.parametrize("arguments", [f'["{SECRET}"]', SECRET, "{", "5", '{"a":' * 100_000, '{"a": "\ud800"}'])
async def test_arguments_that_are_no_object_cannot_be_sent_and_nothing_is(connect, arguments):
    provider, server = await connect(streams(says("да")))
    said = Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c", "f", arguments),))
    assert type(await fails(provider, ChatRequest(model="m", messages=(said,)))) is InvalidRequestError
    assert (server.bodies, server.looks) == ([], [])


async def test_text_that_is_no_unicode_cannot_be_sent_and_nothing_is(connect, ask):
    provider, server = await connect(streams(says("да")))
    assert type(await fails(provider, ask("\ud800"))) is InvalidRequestError
    assert (server.bodies, server.looks) == ([], [])


async def test_a_prompt_longer_than_the_context_is_an_error_and_never_cut(vendor, connect, ask):
    client, server = await vendor(streams(says("да")))
    long = [{"role": "user", "content": f"{SECRET} " * 20}, {"role": "user", "content": "привет"}]
    [part async for part in await client.chat("m", long, stream=True, options={"num_ctx": 8})]
    assert server.bodies[0]["messages"] == long[1:]  # what happens to whoever does not say `truncate`
    provider, server = await connect(streams(says("да")), num_ctx=8)
    error = await fails(provider, ask(f"{SECRET} " * 20))
    assert (type(error), error.code) == (InvalidRequestError, "context_length_exceeded")


async def test_a_request_of_many_megabytes_is_sent_whole(connect, ask):
    provider, server = await connect(streams(says("да")))
    text = "я" * 1_500_000
    await collect(provider.chat(ask(text)))
    assert server.bodies[0]["messages"][0]["content"] == text


# The answer


async def test_a_stream_arrives_with_its_thinking_usage_and_model(connect, ask):
    provider, _ = await connect(streams([line({"thinking": "хм"}), *says("При", "вет")]))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.reasoning) == ("Привет", "хм")
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == Usage(12, 7, 19)
    assert (response.model, response.request_id) == ("m:latest", "")


async def test_chunks_come_one_for_each_line_that_says_something(connect, ask):
    provider, _ = await connect(
        streams([line({"content": "а"}), line(), done(counts={})], headers={"x-request-id": "req-1"})
    )
    assert [chunk async for chunk in provider.chat(ask())] == [
        Chunk(content="а", model="m:latest", request_id="req-1"),
        Chunk(finish_reason=FinishReason.STOP, usage=Usage(0, 0, 0)),
    ]


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"eval_count": 3}, Usage(0, 3, 3)),
        ({"prompt_eval_count": 4}, Usage(4, 0, 4)),
        ({"prompt_eval_count": None, "eval_count": -1}, Usage(0, 0, 0)),
    ],
)
async def test_a_count_that_is_absent_is_nought(connect, ask, counts, usage):
    provider, _ = await connect(streams([done(counts=counts)]))
    assert (await collect(provider.chat(ask()))).usage == usage


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("something new", FinishReason.LENGTH),
        ("", FinishReason.LENGTH),
        (None, FinishReason.LENGTH),
    ],
)
async def test_an_unknown_finish_reason_is_never_read_as_complete(connect, ask, reason, ours):
    provider, _ = await connect(streams(says("да", reason=reason)))
    assert (await collect(provider.chat(ask()))).finish_reason is ours


@pytest.mark.parametrize("reason", ["load", "unload"])
async def test_a_model_that_was_only_loaded_has_not_answered(connect, ask, reason):
    provider, _ = await connect(streams([done(reason, counts={})]))
    assert type(await fails(provider, ask(SECRET))) is ModelLoadingError


async def test_a_cut_answer_with_a_tool_call_is_still_cut(connect, ask):
    provider, _ = await connect(streams([line({"tool_calls": [call("f", {})]}), done("length")]))
    assert (await collect(provider.chat(ask()))).finish_reason is FinishReason.LENGTH


async def test_nothing_is_handed_on_after_the_line_that_says_done(connect, ask):
    provider, _ = await connect(streams([*says("да"), line({"content": "ещё"}), done("length")]))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("да", FinishReason.STOP)


async def test_tool_calls_get_an_index_an_id_and_their_arguments_as_text(connect, ask):
    calls = [
        line({"tool_calls": [call("f", {"город": "Тула"}), call("g", {}, id="own")]}),
        line({"tool_calls": [{"function": {"index": 0, "name": "h", "arguments": None}, "id": "own"}]}),
        line({"tool_calls": [call("i", '{"x": 1}', id=""), {"function": {"name": "j"}}]}),
        done(),
    ]
    provider, _ = await connect(streams(calls))
    response = await collect(provider.chat(ask()))
    assert response.tool_calls == (
        ToolCall("call_1_0", "f", '{"город": "Тула"}'),
        ToolCall("own", "g", "{}"),
        ToolCall("call_1_2", "h", "{}"),
        ToolCall("call_1_3", "i", '{"x": 1}'),
        ToolCall("call_1_4", "j", "{}"),
    )
    assert (response.finish_reason, response.content) == (FinishReason.TOOL_CALLS, None)


async def test_the_ids_we_make_are_the_same_again_and_differ_from_turn_to_turn(connect):
    provider, _ = await connect(streams([line({"tool_calls": [call("f", {})]}), done()]))

    async def ids(*texts):
        request = ChatRequest(model="m", messages=tuple(Message(Role.USER, text) for text in texts))
        return [made.id for made in (await collect(provider.chat(request))).tool_calls]

    assert await ids("а") == await ids("б") == ["call_1_0"]
    assert await ids("а", "б") == ["call_2_0"]


@pytest.mark.parametrize("number", ["12345678901234567890123", "1.0", "0.10", "-0"])
async def test_numbers_in_arguments_are_not_rounded_either_way(connect, number):
    arguments = f'{{"x": {number}}}'
    told = []

    async def scenario(request, body):
        told.append(await request.text())
        made = b'{"function":{"name":"f","arguments":%s}}' % arguments.encode()
        return await sends(b'{"message":{"tool_calls":[%s]}}\n' % made, written(done()))(request, body)

    provider, _ = await connect(scenario)
    said = Message(Role.ASSISTANT, None, tool_calls=(ToolCall("c", "f", arguments),))
    response = await collect(provider.chat(ChatRequest(model="m", messages=(said,))))
    assert response.tool_calls[0].arguments == arguments
    assert arguments in told[0]


RICH = [
    line({"thinking": "хм 🙂"}),
    line({"content": "При"}),
    line({"content": "вет 🙂"}),
    line({"tool_calls": [call("f", {"город": "Тула"})]}),
    done(),
]
WHOLE = b"".join(map(written, RICH))


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12), st.booleans(), st.booleans())
def test_the_bytes_may_be_split_anywhere(cuts, crlf, ended):
    sent = WHOLE.replace(b"\n", b"\r\n\r\n") if crlf else WHOLE
    sent = sent if ended else sent.rstrip()
    parser, reader = LineParser(), ReplyReader(turn=1)
    edges = [0, *sorted(cuts), len(sent)]
    lines = [found for start, end in pairwise(edges) for found in parser.feed(sent[start:end])]
    lines += [rest] if (rest := parser.rest()) else []
    chunks = [chunk for chunk in map(reader.read, lines) if chunk]
    reader.end()
    assert "".join(chunk.content for chunk in chunks) == "Привет 🙂"
    assert "".join(chunk.reasoning for chunk in chunks) == "хм 🙂"
    assert [delta.arguments for chunk in chunks for delta in chunk.tool_calls] == ['{"город": "Тула"}']
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [FinishReason.TOOL_CALLS]


@given(st.integers(0, len(WHOLE) - 2))
def test_no_beginning_of_an_answer_is_an_answer(length):
    parser, reader = LineParser(), ReplyReader(turn=1)
    for found in parser.feed(WHOLE[:length]):
        reader.read(found)
    assert not reader.finished
    if rest := parser.rest():
        try:
            reader.read(rest)
        except (msgspec.MsgspecError, UnicodeError):
            assert not reader.finished
    with pytest.raises(InterruptedStreamError):
        reader.end()


async def test_the_bytes_may_be_split_anywhere_on_the_network_too(connect, ask):
    pieces = [WHOLE[place : place + 7] for place in range(0, len(WHOLE), 7)]
    provider, _ = await connect(sends(*pieces))
    assert (await collect(provider.chat(ask()))).content == "Привет 🙂"


async def test_a_last_line_without_an_end_is_a_line(connect, ask):
    provider, _ = await connect(sends(written(line({"content": "да"})), written(done()).rstrip()))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_one_json_document_instead_of_a_stream_is_accepted(connect, ask):
    provider, _ = await connect(answers(200, done(message={"content": "да"})))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("да", FinishReason.STOP)


# What goes wrong


@pytest.mark.parametrize(
    ("scenario", "kind", "code"),
    [
        (answers(200, text=f"<html>{SECRET}</html>"), MalformedReplyError, ""),
        (answers(200, {"error": SECRET}), UpstreamServerError, ""),
        (answers(200, {"error": {"message": SECRET, "code": 429}}), UpstreamServerError, ""),
        (answers(200, {"error": ""}), UpstreamServerError, ""),
        (sends(written({"error": f"model '{SECRET}' not found"})), ModelNotFoundError, "model_not_found"),
        (sends(written({"error": f'"{SECRET}" does not support tools'})), InvalidRequestError, "unsupported_parameter"),
        (
            sends(written({"error": "server busy, please try again.  maximum pending requests exceeded"})),
            UpstreamServerError,
            "overloaded_error",
        ),
        (streams([*says(SECRET)[:1], {"error": f"runner: {SECRET}"}]), UpstreamServerError, ""),
        (sends(written(says(SECRET)[0]), b'{"error": "%s"}' % SECRET.encode()), UpstreamServerError, ""),
        (sends(written([SECRET])), MalformedReplyError, ""),
        (sends(written(line({"content": 5}))), MalformedReplyError, ""),
        (sends(written(line({"tool_calls": [{"function": {"arguments": {}}}]}))), MalformedReplyError, ""),
        (sends(written(line({"content": SECRET})), b"{" + SECRET.encode() + b"\n"), MalformedReplyError, ""),
        (sends(b"\xff\xfe{\n"), MalformedReplyError, ""),
        (sends(b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]}}\n'), MalformedReplyError, ""),
        (sends(b'{"x":' + b"[" * 200_000 + b"\n"), MalformedReplyError, ""),
        (sends(b"x" * 2_000_000), MalformedReplyError, ""),
        (sends(b"x" * 2_000_000 + b"\n"), MalformedReplyError, ""),
        (sends(), InterruptedStreamError, ""),
        (sends(b"\n\r\n \n"), InterruptedStreamError, ""),
        (streams(says(SECRET)[:1]), InterruptedStreamError, ""),
        (sends(written(says(SECRET)[0]), written(done())[:-20]), InterruptedStreamError, ""),
        (breaks_off(written(says(SECRET)[0])), InterruptedStreamError, ""),
        (breaks_off(), ConnectionLostError, ""),
    ],
)  # fmt: skip
async def test_a_broken_200_is_never_an_answer(connect, ask, scenario, kind, code):
    provider, server = await connect(scenario)
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.code) == (kind, code)
    assert len(server.bodies) == 1  # a prompt is sent once, whatever comes of it


async def test_what_came_before_the_break_was_handed_on(connect, ask):
    provider, _ = await connect(streams([line({"content": "начало"}), {"error": "out of memory"}]))
    stream = provider.chat(ask())
    assert (await anext(stream)).content == "начало"
    with pytest.raises(UpstreamServerError):
        await anext(stream)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504])
async def test_each_status_is_its_error_and_says_nothing_of_the_body(connect, ask, status):
    provider, server = await connect(answers(status, {"error": f"bad {SECRET}"}, headers={"Retry-After": "7"}))
    error = await fails(provider, ask(SECRET))
    assert type(error) is type(from_status(status))
    assert (error.code, error.retry_after) == ("", 7.0)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "sentence", "kind", "code"),
    [
        (404, "model 'м' not found", ModelNotFoundError, "model_not_found"),
        (404, 'model "m" not found, try pulling it first', ModelNotFoundError, "model_not_found"),
        (400, '"m" does not support tools', InvalidRequestError, "unsupported_parameter"),
        (400, '"m" does not support thinking', InvalidRequestError, "unsupported_parameter"),
        (400, '"m" does not support chat', InvalidRequestError, "unsupported_parameter"),
        (400, "the input length exceeds the context length", InvalidRequestError, "context_length_exceeded"),
        (400, "input length exceeds maximum context length", InvalidRequestError, "context_length_exceeded"),
        (503, "server busy, please try again.  maximum pending requests exceeded", UpstreamServerError, "overloaded_error"),
    ],
)  # fmt: skip
async def test_each_of_ollamas_sentences_is_an_error_with_a_code(connect, ask, status, sentence, kind, code):
    provider, _ = await connect(answers(status, {"error": sentence}))
    error = await fails(provider, ask())
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("text", ["", "<html>", "{", '{"error": {"x": 1}}', '{"error": null}', "[]", "[" * 60_000])
async def test_an_error_body_may_be_anything(connect, ask, text):
    provider, _ = await connect(answers(500, text=text))
    error = await fails(provider, ask())
    assert (type(error), error.code) == (UpstreamServerError, "")


async def test_a_redirect_is_an_error_and_is_not_followed(connect, ask):
    _, there = await connect(streams(says("украдено")))
    provider, here = await connect(answers(307, {}, headers={"Location": f"{there.base_url}/api/chat"}))
    assert type(await fails(provider, ask(SECRET))) is UnexpectedStatusError
    assert (len(here.bodies), there.bodies) == (1, [])


@pytest.mark.parametrize("door", ["show", "tags"])
async def test_a_redirect_of_a_look_is_not_followed(connect, ask, door):
    _, there = await connect(streams(says("украдено")))
    provider, here = await connect(streams(says("да")))
    setattr(here, door, answers(302, {}, headers={"Location": f"{there.base_url}/api/tags"}))
    assert type(await fails(provider, ask(SECRET))) is UnexpectedStatusError
    assert here.bodies == there.bodies == there.looks == []


async def test_a_look_that_is_lost_is_told_and_not_made_again(ask):
    asked = []

    async def answer(number, reader, writer):
        asked.append(await read_request(reader))

    async with RawServer(answer).running() as server:
        settings = OllamaSettings(name="gpu", models=LOCAL, base_url=server.base_url.removesuffix("/v1"))
        async with open_ollama(settings) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
    assert len(asked) == 1
    assert asked[0].startswith(b"POST /api/show ")
    assert SECRET.encode() not in asked[0]


async def test_an_upstream_that_is_not_there_cannot_be_reached(ask):
    async with OllamaServer(streams([])).running() as server:
        pass
    async with open_ollama(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
        assert provider.readiness().ready  # a look that failed has told nothing


BEGUN = (written(line({"content": SECRET})),)


@pytest.mark.parametrize(("limit", "pieces"), [("first_byte", ()), ("total", ()), ("idle", BEGUN), ("total", BEGUN)])
async def test_silence_ends_in_a_timeout(connect, ask, limit, pieces):
    provider, server = await connect(hangs(*pieces), timeouts=Timeouts(**{limit: 0.3}))
    assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    await asyncio.wait_for(server.hung_up.wait(), 5)


@pytest.mark.parametrize("door", ["show", "tags"])
async def test_a_look_that_hangs_ends_in_a_timeout_and_nothing_is_sent(connect, ask, door):
    provider, server = await connect(streams(says("да")), timeouts=Timeouts(first_byte=0.3))
    setattr(server, door, hangs())
    assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    assert server.bodies == []


# Closing


async def test_nothing_is_sent_before_the_first_step(connect, ask):
    provider, server = await connect(streams(says("да")))
    await provider.chat(ask()).aclose()
    assert (server.bodies, server.looks) == ([], [])


async def test_closing_the_generator_hangs_up_at_once_and_frees_the_place(connect, ask):
    provider, server = await connect(hangs(*BEGUN))
    for _ in range(2):
        server.hung_up.clear()
        async with aclosing(provider.chat(ask())) as stream:
            assert (await anext(stream)).content == SECRET
            assert not server.hung_up.is_set()
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_another_task_may_close_the_generator(connect, ask):
    provider, server = await connect(hangs(*BEGUN))
    stream = provider.chat(ask())
    await anext(stream)
    await asyncio.create_task(stream.aclose())
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_cancelling_the_reader_hangs_up(connect, ask):
    provider, server = await connect(hangs(*BEGUN))
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


@pytest.mark.parametrize("door", ["show", "tags"])
async def test_a_look_that_fails_hangs_up_at_once(connect, ask, door):
    async def refuses(request, body):
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        await response.write(b"x" * 100_000)
        await asyncio.Event().wait()

    provider, server = await connect(streams(says("да")))
    setattr(server, door, refuses)
    assert type(await fails(provider, ask(SECRET))) is UpstreamServerError
    await asyncio.wait_for(server.hung_up.wait(), 5)
    assert server.bodies == []


async def test_one_connection_serves_one_request_after_another(connect, ask):
    provider, server = await connect(streams(says("да")))
    for _ in range(3):
        await collect(provider.chat(ask()))
    assert len(server.bodies) == 3
    assert len(server.connections) == 1


# The gate


async def test_no_more_than_max_concurrent_run_at_once(connect, ask):
    running, most = 0, 0

    async def scenario(request, body):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return await streams(says(body["messages"][0]["content"]))(request, body)

    provider, _ = await connect(scenario, max_concurrent=2)
    texts = [f"запрос {number}" for number in range(12)]
    replies = await asyncio.gather(*(collect(provider.chat(ask(text))) for text in texts))
    assert [reply.content for reply in replies] == texts
    assert most == 2


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(connect, ask):
    provider, server = await connect(hangs(*BEGUN), queue_seconds=0.3)
    async with aclosing(provider.chat(ask("первый"))) as stream:
        await anext(stream)
        error = await fails(provider, ask(SECRET))
        assert (type(error), error.retry_after) == (RateLimitedError, 1.0)
        assert len(server.bodies) == 1
    async with aclosing(provider.chat(ask("третий"))) as stream:  # the place is free again
        await anext(stream)
    assert len(server.bodies) == 2


async def test_a_failure_frees_the_place(connect, ask):
    provider, server = await connect(answers(500, {"error": "x"}))
    for _ in range(3):
        assert type(await fails(provider, ask())) is UpstreamServerError
    assert len(server.bodies) == 3


# Models that are forwarded to a cloud


async def test_the_looks_carry_no_prompt_and_come_before_it(connect, ask):
    provider, server = await connect(streams(says("да")))
    seen_at_the_prompt = []

    async def scenario(request, body):
        seen_at_the_prompt.extend(server.looks)
        return await streams(says("да"))(request, body)

    server.scenario = scenario
    await collect(provider.chat(ask(SECRET)))
    assert seen_at_the_prompt == [("POST", "/api/show", {"model": "m"}), ("GET", "/api/tags", None)]


FORWARDS = [
    {"models": {"m": CLOUD}},
    {"models": {"m": {"remote_host": "https://ollama.com:443"}}},
    {"models": {"m": {"remote_model": "gpt-oss:120b"}}},
    {"models": {"m": {"remote_host": 1}}},
    {"show": answers(200, {"details": {}, **CLOUD})},
    {"tags": answers(200, {"models": [listed("m", {}), listed("M:latest", CLOUD)]})},
]
ABSENT = [
    {"models": {}},
    {"models": {"m:8b": {}, "mm": {}}},
    {"show": answers(404, {"error": "model 'm' not found"})},
    {"tags": answers(200, {"models": []})},
    {"tags": answers(200, {"models": None})},
    {"tags": answers(200, {})},
]


@pytest.mark.parametrize(
    ("state", "code", "word"),
    [(state, "permission_denied", "OLLAMA_NO_CLOUD") for state in FORWARDS]
    + [(state, "model_not_found", "ollama pull") for state in ABSENT],
)
async def test_a_forwarded_or_absent_model_gets_no_prompt(connect, ask, state, code, word):
    provider, server = await connect(streams(says("да")), models=state.get("models"))
    server.show, server.tags = state.get("show"), state.get("tags")
    for _ in range(2):
        error = await fails(provider, ask(SECRET))
        assert (type(error), error.code) == (PermissionDeniedError, code)
    assert server.bodies == []
    state = provider.readiness()
    assert not state.ready
    assert word in state.reason and "`m`" in state.reason
    assert 0 < state.retry_after <= 60


@pytest.mark.parametrize("door", ["show", "tags"])
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (answers(500, {"error": SECRET}), UpstreamServerError),
        (answers(401, {"error": SECRET}), ProviderError),
        (answers(200, text="<html>"), MalformedReplyError),
        (answers(200, [SECRET]), MalformedReplyError),
        (sends(b"\xff", kind="application/json"), MalformedReplyError),
        (sends(b'{"x":' * 200_000, kind="application/json"), MalformedReplyError),
        (sends(b"x" * 17_000_000, kind="application/json"), MalformedReplyError),
        (breaks_off(b"{"), InterruptedStreamError),
    ],
)
async def test_a_look_that_cannot_be_read_sends_no_prompt(connect, ask, door, scenario, kind):
    provider, server = await connect(streams(says("да")))
    setattr(server, door, scenario)
    assert isinstance(await fails(provider, ask(SECRET)), kind)
    assert server.bodies == []
    setattr(server, door, None)
    assert (await collect(provider.chat(ask()))).content == "да"  # nothing was concluded from it


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "glm-4.6:cloud", "X:CLOUD", "x:cloud "])
async def test_a_cloud_name_in_a_request_asks_nobody_anything(connect, name):
    provider, server = await connect(streams(says("да")), models={name: {}})
    request = ChatRequest(model=name, messages=(Message(Role.USER, SECRET),))
    assert type(await fails(provider, request)) is PermissionDeniedError
    assert (server.bodies, server.looks) == ([], [])


async def test_a_model_is_looked_at_again_when_the_last_look_is_old(ask):
    now = 1000.0
    server = OllamaServer(streams(says("да")))
    async with (
        server.running(),
        open_session(tls=None, inside=True, keepalive=15.0, timeouts=Timeouts()) as session,
    ):
        provider = Ollama(settings_for(server), session, {}, clock=lambda: now)
        await collect(provider.chat(ask()))
        now += 59.9
        await collect(provider.chat(ask()))
        assert (len(server.bodies), len(server.looks)) == (2, 2)
        server.models = {"m": CLOUD}  # re-created from a cloud model, under the same name
        now += 0.1
        assert type(await fails(provider, ask(SECRET))) is PermissionDeniedError
        assert (len(server.bodies), len(server.looks)) == (2, 4)
        now += 20
        assert provider.readiness().retry_after == pytest.approx(40.0)
        server.models = {"m": {}}
        assert type(await fails(provider, ask(SECRET))) is PermissionDeniedError  # believed for as long, too
        now += 40
        assert provider.readiness().ready  # nothing is known any more: the next request finds out
        await collect(provider.chat(ask()))
        assert (len(server.bodies), len(server.looks)) == (3, 6)


async def test_with_no_recheck_seconds_each_prompt_is_preceded_by_a_look(connect, ask):
    provider, server = await connect(streams(says("да")), recheck_seconds=0)
    for _ in range(3):
        await collect(provider.chat(ask()))
    assert (len(server.bodies), len(server.looks)) == (3, 6)


async def test_of_two_looks_at_once_the_later_one_counts(ask):
    now = 1000.0
    release, looking = asyncio.Event(), asyncio.Event()

    async def slow(request, body):
        looking.set()
        await release.wait()
        return await answers(200, {"details": {}})(request, body)

    server = OllamaServer(streams(says("да")))
    async with (
        server.running(),
        open_session(tls=None, inside=True, keepalive=15.0, timeouts=Timeouts()) as session,
    ):
        provider = Ollama(settings_for(server, max_concurrent=2), session, {}, clock=lambda: now)
        server.show = slow
        early = asyncio.create_task(fails(provider, ask(SECRET)))
        await looking.wait()
        now += 1
        server.show, server.tags = answers(200, CLOUD), answers(200, {"models": [listed("m", {})]})
        assert type(await fails(provider, ask(SECRET))) is PermissionDeniedError
        release.set()
        assert type(await early) is PermissionDeniedError
        assert server.bodies == []


@pytest.mark.parametrize("field", ["remote_host", "remote_model"])
@pytest.mark.parametrize("place", ["first", "later", "last"])
async def test_an_answer_from_another_host_ends_it_for_good(connect, ask, field, place):
    mark = {field: CLOUD[field]}
    lines = {
        "first": [line({"content": SECRET}, **mark), *says("да")],
        "later": [line({"content": "а"}), line({"content": SECRET}, **mark), done()],
        "last": [line({"content": "а"}), done(**mark)],
    }
    provider, server = await connect(streams(lines[place]), recheck_seconds=0)
    for _ in range(3):
        error = await fails(provider, ask(SECRET))
        assert (type(error), error.code) == (PermissionDeniedError, "permission_denied")
    assert len(server.bodies) == 1
    assert len(server.looks) == 2
    state = provider.readiness()
    assert (state.ready, state.retry_after) == (False, None)


@pytest.mark.parametrize("alias", ["m", "M", "m:latest"])
async def test_no_other_spelling_of_its_name_is_asked_either(connect, ask, alias):
    provider, server = await connect(streams([line(**CLOUD), done()]), models={"m": {}, "M": {}})
    await fails(provider, ask())
    request = ChatRequest(model=alias, messages=(Message(Role.USER, SECRET),))
    assert type(await fails(provider, request)) is PermissionDeniedError
    assert len(server.bodies) == 1


async def test_an_answer_from_another_host_hangs_up_at_once(connect, ask):
    provider, server = await connect(hangs(written(line({"content": SECRET}, **CLOUD))))
    assert type(await fails(provider, ask(SECRET))) is PermissionDeniedError
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_a_provider_that_is_opened_anew_asks_anew(connect, ask):
    provider, server = await connect(streams([line({"content": "а"}, **CLOUD), done()]))
    await fails(provider, ask())
    server.scenario = streams(says("да"))
    async with open_ollama(settings_for(server)) as anew:
        assert (await collect(anew.chat(ask()))).content == "да"


async def test_one_refused_model_of_two_leaves_the_provider_ready(connect, ask):
    models = (ModelSettings("m", Residency.LOCAL), ModelSettings("n", Residency.LOCAL, upstream="other:8b"))
    _, server = await connect(streams(says("да")), models={"m": CLOUD, "other:8b": {}})
    async with open_ollama(settings_for(server, models=models)) as provider:
        assert type(await fails(provider, ask())) is PermissionDeniedError
        assert provider.readiness().ready
        request = ChatRequest(model="other:8b", messages=(Message(Role.USER, "привет"),))
        assert (await collect(provider.chat(request))).content == "да"


@pytest.mark.parametrize(
    ("asked", "there"),
    [("m", "m:latest"), ("m:latest", "m"), ("M", "m"), ("hf.co/a/b", "hf.co/a/b:latest"), ("r:5000/a", "r:5000/a")],
)
async def test_a_name_without_a_tag_is_the_latest(connect, asked, there):
    provider, server = await connect(streams(says("да")), models={asked: {}})
    server.tags = answers(200, {"models": [listed(there, {})]})
    request = ChatRequest(model=asked, messages=(Message(Role.USER, "привет"),))
    assert (await collect(provider.chat(request))).content == "да"


# Settings


def ollama_at(base_url="http://gpu.internal:11434", residency=Residency.LOCAL, model="m", **fields):
    models = (ModelSettings("имя", residency, upstream=model),)
    return OllamaSettings(name="gpu", base_url=base_url, models=models, **fields)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (ollama_at("ftp://127.0.0.1"), "http"),
        (ollama_at("http://[1"), "URL"),
        (ollama_at("http://ollama.example.com", Residency.FOREIGN), "открытому http"),
        (ollama_at("https://ollama.example.com"), "названа локальной"),
        (ollama_at(residency=Residency.RU), "не названа локальной"),
        (ollama_at(residency=Residency.FOREIGN), "не названа локальной"),
        (ollama_at("https://user:pass@gpu.internal"), "паролю"),
        (ollama_at("http://gpu.internal:11434/api"), "где начинается"),
        (ollama_at("http://gpu.internal:11434/v1/"), "где начинается"),
        (ollama_at(model="gpt-oss:120b-cloud"), "облачная"),
        (ollama_at(model="glm-4.6:cloud"), "облачная"),
        (ollama_at("https://ollama.example.com", Residency.FOREIGN, "X-CLOUD"), "облачная"),
        (ollama_at(api_key_file="/nonexistent/key"), "api_key_file"),
        (ollama_at("https://gpu.internal", ca_file="/nonexistent/ca.pem"), "ca_file"),
    ],
)
async def test_what_cannot_be_used_is_named_by_the_check_and_refused_at_open(settings, word):
    problems = problems_of_ollama(settings)
    assert any(word in problem for problem in problems)
    assert all(problem.startswith("поставщик `gpu`: ") for problem in problems)
    with pytest.raises(UnusableSettingsError, match=word):
        async with open_ollama(settings):
            pass


@pytest.mark.parametrize(
    "settings",
    [
        ollama_at(),
        ollama_at("http://127.0.0.1:11434/"),
        ollama_at("https://gpu.internal/ollama"),
        ollama_at("https://ollama.example.com", Residency.RU),
        OllamaSettings(name="gpu", models=LOCAL),
    ],
)
async def test_what_can_be_used_has_no_problems_and_is_ready_when_opened(settings):
    assert problems_of_ollama(settings) == []
    async with open_ollama(settings) as provider:
        assert provider.readiness().ready
        assert provider.name == "gpu"


SETTINGS = """
kind = "ollama"
name = "gpu"
base_url = "http://gpu.internal:11434"
num_ctx = 16384
keep_alive = "30m"
think = "low"
max_concurrent = 4
recheck_seconds = 30
models = [{ name = "qwen3", upstream = "qwen3:8b", residency = "local" }]
"""


def test_the_settings_are_read_from_toml():
    settings = msgspec.toml.decode(SETTINGS, type=OllamaSettings)
    assert (settings.num_ctx, settings.keep_alive, settings.think, settings.max_concurrent) == (16384, "30m", "low", 4)
    assert OllamaSettings(name="gpu", models=LOCAL).num_ctx == 8192


@pytest.mark.parametrize(
    "wrong", ["num_ctx = 0", "max_concurrent = 0", "recheck_seconds = -1", 'keep_alive = "-1"', 'think = "very"', "x = 1"]
)  # fmt: skip
def test_settings_that_mean_nothing_are_not_read(wrong):
    field = wrong.split(" ", 1)[0]
    rest = "\n".join(kept for kept in SETTINGS.splitlines() if not kept.startswith(field))
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(f"{wrong}\n{rest}", type=OllamaSettings)


async def test_the_key_of_a_proxy_goes_with_every_request_and_is_never_shown(connect, ask, tmp_path):
    key = tmp_path / "key"
    key.write_text("synthetic-0001\n")
    key.chmod(0o644)
    provider, server = await connect(answers(401, {"error": "no"}), api_key_file=str(key))
    error = await fails(provider, ask())
    assert "synthetic" not in str(error) + repr(error) + repr(provider)
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer synthetic-0001"] * 3
    settings = settings_for(server, api_key_file=str(key))
    assert any("chmod 400" in problem for problem in problems_of_ollama(settings))
    assert "synthetic" not in repr(settings)


async def test_the_environments_proxy_is_not_used(connect, ask, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    provider, _ = await connect(streams(says("да")))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_a_certificate_is_trusted_only_through_its_own_authority(ask, authority):
    ca_file, server_files = authority
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*server_files)
    async with OllamaServer(streams(says("да"))).running(tls=tls) as server:
        async with open_ollama(settings_for(server, ca_file=ca_file)) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"
        async with open_ollama(settings_for(server)) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
        assert len(server.bodies) == 1


async def test_a_local_name_that_resolves_outside_is_not_connected_to(ask, monkeypatch):
    async def outside(self, host, port=0, **hints):
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", outside)
    async with open_ollama(ollama_at()) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
