import asyncio
import base64
import hashlib
import json
import logging
import ssl
import stat
from contextlib import AsyncExitStack, aclosing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from providers import (
    AuthenticationFailedError,
    ChatRequest,
    Chunk,
    ConnectionFailedError,
    ConnectionLostError,
    CredentialExpiredError,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    Message,
    ModelSettings,
    ProviderError,
    RateLimitedError,
    Residency,
    ResponseFormat,
    Role,
    Timeouts,
    Tool,
    ToolCall,
    UnexpectedStatusError,
    UnusableSettingsError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
    collect,
)
from providers.errors import from_status
from providers.exchange import open_session
from providers.gigachat import GigaChatSettings, open_gigachat, problems_of_gigachat
from providers.gigachat_token import Key, Scope, TokenSource, decode_granted
from tests.providers.fakes.gigachat_server import (
    CREDENTIALS,
    MODEL,
    STATE_ID,
    USAGE,
    GigaChatServer,
    calls,
    chunk,
    completion,
    fails_with,
    refusal,
    says,
    stream_bytes,
    streams,
)
from tests.providers.fakes.openai_server import answers, breaks_off, event, hangs, sends
from tests.providers.fakes.raw_server import RawServer, read_request

SECRET = "Иванов-Петров"  # stands for a prompt: it may appear in no error
LOCAL = (ModelSettings("m", Residency.LOCAL),)
RU = (ModelSettings("GigaChat-2-Pro", Residency.RU),)
LIMITS = Timeouts(connect=5, first_byte=10, idle=10, total=30)
WEATHER = Tool("get_weather", "Погода", {"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.fixture
def credentials(tmp_path):
    path = tmp_path / "credentials"
    path.write_text(CREDENTIALS + "\n")
    path.chmod(0o400)
    return str(path)


@pytest.fixture
def settings_for(credentials):
    def make(server, **fields):
        fields = {"credentials_file": credentials, "timeouts": LIMITS} | fields
        return GigaChatSettings(name="giga", models=LOCAL, base_url=server.base_url, auth_url=server.auth_url, **fields)

    return make


@pytest.fixture
async def connect(settings_for):
    async with AsyncExitStack() as stack:

        async def start(scenario, *, grant=None, scope="GIGACHAT_API_CORP", **fields):
            server = await stack.enter_async_context(GigaChatServer(scenario, grant=grant, scope=scope).running())
            provider = await stack.enter_async_context(open_gigachat(settings_for(server, **fields)))
            return provider, server

        yield start


async def fails(provider, request):
    with pytest.raises(ProviderError) as caught:
        await collect(provider.chat(request))
    error = caught.value
    for secret in (SECRET, CREDENTIALS, "synthetic"):
        assert secret not in str(error) + repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


# The answer


async def test_a_stream_arrives_with_usage_model_and_request_id(connect, ask):
    provider, _ = await connect(streams(says("В Туле", " +4")))
    response = await collect(provider.chat(ask()))
    assert response.content == "В Туле +4"
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == Usage(62, 18, 80, cached_tokens=6)
    assert (response.model, response.request_id) == (MODEL, "req-1")


@pytest.mark.parametrize("apart", [True, False])
async def test_a_function_call_is_a_tool_call_in_both_streamed_forms(connect, ask, apart):
    provider, _ = await connect(streams(calls("get_weather", {"city": "Тула"}, apart=apart)))
    response = await collect(provider.chat(ask(tools=(WEATHER,))))
    assert response.tool_calls == (ToolCall(STATE_ID, "get_weather", '{"city":"Тула"}'),)
    assert (response.finish_reason, response.content) == (FinishReason.TOOL_CALLS, None)
    assert response.usage == Usage(62, 18, 80, cached_tokens=6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({}, "{}"), (None, "{}"), ('{"x":1}', '{"x":1}'), ('{"x"', '{"x"'), ({"n": 10**30}, f'{{"n":{10**30}}}')],
)
async def test_arguments_are_text_whatever_form_they_came_in(connect, ask, arguments, text):
    provider, _ = await connect(streams(calls("get_weather", arguments, apart=True)))
    assert (await collect(provider.chat(ask(tools=(WEATHER,))))).tool_calls[0].arguments == text


async def test_the_state_id_may_come_after_the_call_and_may_be_missing(connect, ask):
    late = [
        *calls("get_weather", {}, apart=True, state_id=None)[:1],
        chunk({"functions_state_id": STATE_ID}, finish="function_call"),
    ]
    provider, _ = await connect(streams(late))
    assert (await collect(provider.chat(ask()))).tool_calls[0].id == STATE_ID
    provider, _ = await connect(streams(calls("get_weather", {}, apart=True, state_id=None)))
    first, second = [(await collect(provider.chat(ask()))).tool_calls[0].id for _ in range(2)]
    assert first.startswith("call_") and first != second


async def test_two_calls_in_one_answer_keep_apart(connect, ask):
    provider, _ = await connect(
        streams([calls("a", {}, apart=True)[0], calls("b", {}, apart=True)[0], chunk({}, finish="function_call")])
    )
    found = (await collect(provider.chat(ask()))).tool_calls
    assert [call.name for call in found] == ["a", "b"]
    assert found[0].id != found[1].id


async def test_a_renamed_tool_is_called_by_its_own_name(connect, ask):
    provider, server = await connect(streams(calls("user_web_search", {"q": "x"}, apart=False)))
    response = await collect(provider.chat(ask(tools=(Tool("web_search"), Tool("get-time")))))
    assert [function["name"] for function in server.bodies[0]["functions"]] == ["user_web_search", "get_time"]
    assert response.tool_calls[0].name == "web_search"


async def test_a_state_id_comes_back_with_the_result(connect, ask):
    provider, server = await connect(streams(calls("get_weather", {"city": "Тула"}, apart=True)))
    call = (await collect(provider.chat(ask(tools=(WEATHER,))))).tool_calls[0]
    server.chat = streams(says("Плюс четыре"))
    history = (
        Message(Role.USER, "Погода?"),
        Message(Role.ASSISTANT, None, tool_calls=(call,)),
        Message(Role.TOOL, '{"temp_c": 4}', tool_call_id=call.id),
    )
    assert (await collect(provider.chat(ChatRequest("m", history, tools=(WEATHER,))))).content == "Плюс четыре"
    assert server.bodies[1]["messages"][1]["functions_state_id"] == STATE_ID
    assert server.bodies[1]["messages"][2] == {"role": "function", "name": "get_weather", "content": '{"temp_c": 4}'}


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("blacklist", FinishReason.CONTENT_FILTER),
        ("something new", FinishReason.LENGTH),
    ],
)
async def test_an_unknown_finish_reason_is_never_read_as_complete(connect, ask, reason, ours):
    provider, _ = await connect(streams(says("да", finish=reason)))
    response = await collect(provider.chat(ask()))
    assert (response.finish_reason, response.content) == (ours, "да")


@pytest.mark.parametrize("reason", ["error", "function_call"])
async def test_a_call_that_cannot_be_read_or_never_came_is_no_answer(connect, ask, reason):
    provider, _ = await connect(streams(says("да", finish=reason)))
    assert type(await fails(provider, ask(SECRET))) is MalformedReplyError


async def test_a_call_finished_as_a_plain_stop_is_still_a_call(connect, ask):
    provider, _ = await connect(streams([calls("f", {}, apart=True)[0], chunk({}, finish="stop")]))
    assert (await collect(provider.chat(ask()))).finish_reason is FinishReason.TOOL_CALLS


async def test_a_finish_reason_said_twice_is_handed_on_once(connect, ask):
    documents = [*says("да"), chunk({"content": "лишнее"}, finish="stop", usage=USAGE)]
    provider, _ = await connect(streams(documents))
    chunks = [piece async for piece in provider.chat(ask())]
    assert [piece.finish_reason for piece in chunks if piece.finish_reason] == [FinishReason.STOP]
    assert "".join(piece.content for piece in chunks) == "да"


async def test_reasoning_is_told_apart_and_progress_is_not_text(connect, ask):
    documents = [
        chunk({"role": "function_in_progress", "content": "осталось 10 секунд"}),
        chunk({"reasoning_content": "думаю"}),
        *says("да"),
    ]
    provider, _ = await connect(streams(documents))
    response = await collect(provider.chat(ask()))
    assert (response.reasoning, response.content) == ("думаю", "да")


async def test_chunks_that_hold_nothing_are_not_handed_on(connect, ask):
    provider, _ = await connect(streams([chunk({"content": "а"}), chunk({"content": ""}), chunk({}, finish="stop")]))
    pieces = [piece async for piece in provider.chat(ask())]
    assert pieces == [Chunk(content="а", model=MODEL, request_id="req-1"), Chunk(finish_reason=FinishReason.STOP)]


async def test_a_whole_completion_instead_of_a_stream_is_accepted(connect, ask):
    message = {"function_call": {"name": "f", "arguments": {"x": 1}}, "functions_state_id": STATE_ID}
    provider, _ = await connect(answers(200, completion(message, "function_call")))
    response = await collect(provider.chat(ask()))
    assert response.tool_calls == (ToolCall(STATE_ID, "f", '{"x":1}'),)
    assert response.usage == Usage(62, 18, 80, cached_tokens=6)


TALK = stream_bytes([*says("При", "вет 🙂")[:-1], *calls("f", {"город": "Тула"}, apart=True)])


@given(cuts=st.sets(st.integers(1, len(TALK) - 1), max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_bytes_may_be_split_anywhere(tmp_path_factory, cuts):
    places = [0, *sorted(cuts), len(TALK)]
    pieces = [TALK[start:end] for start, end in pairwise(places)]
    key = tmp_path_factory.mktemp("key") / "credentials"
    key.write_text(CREDENTIALS)

    async def run():
        async with GigaChatServer(sends(*pieces)).running() as server:
            configured = GigaChatSettings(
                name="giga", models=LOCAL, base_url=server.base_url, auth_url=server.auth_url, credentials_file=str(key)
            )
            async with open_gigachat(configured) as provider:
                return await collect(provider.chat(ChatRequest("m", (Message(Role.USER, "x"),))))

    response = asyncio.run(run())
    assert (response.content, response.finish_reason) == ("Привет 🙂", FinishReason.TOOL_CALLS)
    assert response.tool_calls == (ToolCall(STATE_ID, "f", '{"город":"Тула"}'),)


async def test_every_single_split_of_the_bytes_gives_the_same_answer(connect, ask):
    provider, server = await connect(streams([]))
    answers_given = set()
    for place in range(1, len(TALK), 9):
        server.chat = sends(TALK[:place], TALK[place:])
        response = await collect(provider.chat(ask()))
        answers_given.add((response.content, response.tool_calls, response.finish_reason))
    assert answers_given == {
        ("Привет 🙂", (ToolCall(STATE_ID, "f", '{"город":"Тула"}'),), FinishReason.TOOL_CALLS),
    }


# Stop strings


async def test_a_stop_string_ends_the_answer_here_and_hangs_up(connect, ask):
    begun = [event(document) for document in says("раз дв", "а КО", "НЕЦ три")[:-1]]
    provider, server = await connect(hangs(*begun))
    response = await collect(provider.chat(ask(stop=("КОНЕЦ", "другой"))))
    assert (response.content, response.finish_reason) == ("раз два ", FinishReason.STOP)
    assert "stop" not in server.bodies[0]
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_what_only_began_like_a_stop_string_is_handed_on(connect, ask):
    provider, _ = await connect(streams(says("раз КО", "НЬ", " КОН")))
    response = await collect(provider.chat(ask(stop=("КОНЕЦ", ""))))
    assert (response.content, response.finish_reason) == ("раз КОНЬ КОН", FinishReason.STOP)
    assert response.usage == Usage(62, 18, 80, cached_tokens=6)


async def test_a_stop_string_in_a_whole_completion_ends_it_before_its_calls(connect, ask):
    message = {"content": "а;б", "function_call": {"name": "f", "arguments": {}}}
    provider, _ = await connect(answers(200, completion(message, "function_call")))
    response = await collect(provider.chat(ask(stop=(";",))))
    assert (response.content, response.tool_calls) == ("а", ())
    assert response.finish_reason is FinishReason.STOP


# Headers and tokens


async def test_every_request_has_its_headers_and_no_other(connect, ask):
    provider, server = await connect(streams(says("да")), session_id="tenant-1")
    await collect(provider.chat(ask()))
    assert dict(server.headers[0]) == {
        "Host": server.base_url.split("/")[2],
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
        "Content-Length": server.headers[0]["Content-Length"],
        "User-Agent": "llm-client/1.0",
        "Authorization": "Bearer synthetic-token-1",
        "X-Session-ID": "tenant-1",
    }
    asked = server.token_headers[0]
    assert set(asked) == {
        "Host", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent", "Authorization", "RqUID", "Connection",
    }  # fmt: skip
    assert (asked["Accept"], asked["User-Agent"]) == ("application/json", "llm-client/1.0")
    assert (asked["Authorization"], server.token_forms) == (f"Basic {CREDENTIALS}", ["scope=GIGACHAT_API_CORP"])


async def test_without_a_session_id_none_is_sent(connect, ask):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    assert "X-Session-ID" not in server.headers[0]


@pytest.mark.parametrize("scope", list(Scope))
async def test_each_scope_gets_its_token(ask, settings_for, scope):
    async with (
        GigaChatServer(streams(says("да")), scope=scope.value).running() as server,
        open_gigachat(settings_for(server, scope=scope)) as provider,
    ):
        assert (await collect(provider.chat(ask()))).content == "да"
    assert server.token_forms == [f"scope={scope.value}"]


async def test_nothing_is_sent_before_the_first_chunk_is_asked_for(connect, ask):
    provider, server = await connect(streams(says("да")))
    await provider.chat(ask()).aclose()
    assert (server.token_forms, server.bodies) == ([], [])


async def test_one_token_serves_many_requests_at_once(connect, ask):
    provider, server = await connect(streams(says("да"), pause=0.001))
    answers_given = await asyncio.gather(*(collect(provider.chat(ask())) for _ in range(20)))
    assert {answer.content for answer in answers_given} == {"да"}
    assert len(server.token_forms) == 1


async def test_a_401_drops_the_token_and_the_prompt_is_not_sent_again(connect, ask):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    server.valid.clear()
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.again, error.failover) == (CredentialExpiredError, True, False)
    assert (len(server.headers), len(server.token_forms)) == (2, 1)
    assert (await collect(provider.chat(ask()))).content == "да"
    assert [headers["Authorization"][-1] for headers in server.headers] == ["1", "1", "2"]


async def test_a_token_is_replaced_a_minute_before_its_end(connect, ask):
    clock = Clock()
    provider, server = await connect(
        streams(says("да")), grant=lambda number: token_for(server, clock.now + 1200 if number == 1 else 9e9)
    )
    provider._tokens._clock = clock
    for later in (0, 1139, 2):
        clock.now += later
        await collect(provider.chat(ask()))
    assert [headers["Authorization"][-1] for headers in server.headers] == ["1", "1", "2"]
    clock.now += 1741  # half an hour is the longest that any token is believed in
    await collect(provider.chat(ask()))
    assert len(server.token_forms) == 3


async def test_a_token_that_still_holds_serves_while_no_successor_is_to_be_had(connect, ask):
    clock = Clock()

    def grant(number):
        return token_for(server, clock.now + 600) if number == 1 else web.Response(status=503)

    provider, server = await connect(streams(says("да")), grant=grant)
    provider._tokens._clock = clock
    await collect(provider.chat(ask()))
    clock.now += 570
    assert (await collect(provider.chat(ask()))).content == "да"
    clock.now += 40
    assert type(await fails(provider, ask(SECRET))) is UpstreamServerError
    assert len(server.bodies) == 2


async def test_a_token_that_ends_at_once_by_our_clock_is_used_once(connect, ask):
    provider, server = await connect(streams(says("да")), grant=lambda number: token_for(server, 1.0))
    for _ in range(2):
        assert (await collect(provider.chat(ask()))).content == "да"
    assert len(server.token_forms) == 2


class Clock:
    def __init__(self):
        self.now = 1_795_000_000.0

    def __call__(self):
        return self.now


def token_for(server, ends):
    return web.json_response({"access_token": server.issue(), "expires_at": int(ends * 1000)})


@pytest.mark.parametrize(
    ("reply", "token", "ends"),
    [
        ({"access_token": "t", "expires_at": 1795386019123}, "t", 1795386019.123),
        ({"access_token": "t", "expires_at": 1795386019}, "t", 1795386019),
        ({"tok": "t", "exp": 1795386019}, "t", 1795386019),
        ({"tok": "t", "exp": 1795386019123}, "t", 1795386019.123),
    ],
)
def test_a_token_comes_in_two_shapes_and_two_units(reply, token, ends):
    granted = decode_granted(json.dumps(reply).encode())
    assert (granted.token, granted.ends) == (token, ends)
    assert repr(granted) == "Granted(…)"


@pytest.mark.parametrize(
    "reply",
    [
        web.json_response({}),
        web.json_response({"access_token": SECRET, "expires_at": 1795386019123}),
        web.json_response({"access_token": "a\nb", "expires_at": 1795386019123}),
        web.json_response({"access_token": "t"}),
        web.json_response([SECRET]),
        web.Response(text=f"<html>{SECRET}"),
        web.Response(body=b"\xff\xfe"),
    ],
    ids=range(7),
)
async def test_a_token_service_that_gives_no_token_gets_no_prompt(connect, ask, reply):
    provider, server = await connect(streams(says("да")), grant=lambda number: reply)
    error = await fails(provider, ask(SECRET))
    assert type(error) is MalformedReplyError
    assert str(error).startswith("no token: ")
    assert server.headers == []


@pytest.mark.parametrize(
    ("status", "number", "word"),
    [
        (400, 1, "`scope`"),
        (400, 5, "no scope"),
        (400, 7, "another contract"),
        (401, 7, "another contract"),
        (400, 4, "cannot be read"),
        (401, 4, "cannot be read"),
        (401, 6, "is not known"),
        (400, 99, "`credentials_file` and `scope`"),
        (403, 0, "`credentials_file` and `scope`"),
    ],
)
async def test_each_refusal_of_the_token_service_names_what_to_look_at(connect, ask, status, number, word):
    provider, server = await connect(streams([]), grant=lambda _: refusal(status, number, f"bad {SECRET}"))
    error = await fails(provider, ask(SECRET))
    assert type(error) is AuthenticationFailedError
    assert word in str(error)
    assert len(server.token_forms) == 1
    assert server.headers == []


@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [
        (404, UnexpectedStatusError, 1),
        (422, UnexpectedStatusError, 1),
        (302, UnexpectedStatusError, 1),
        (429, RateLimitedError, 1),
        (500, UpstreamServerError, 2),
        (503, UpstreamServerError, 2),
        (504, UpstreamTimeoutError, 1),
    ],
)
async def test_a_token_service_in_trouble_is_not_the_callers_fault(connect, ask, status, kind, asked):
    reply = {"status": status, "headers": {"Retry-After": "7", "Location": "/api/v2/oauth"}, "text": SECRET}
    provider, server = await connect(streams([]), grant=lambda _: web.Response(**reply))
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.failover, len(server.token_forms)) == (kind, True, asked)
    assert error.retry_after == 7.0


async def test_token_requests_keep_a_tenth_of_a_second_apart(credentials):
    clock, pauses = Clock(), []

    async def pause(seconds):
        pauses.append(round(seconds, 6))
        clock.now += seconds

    def grant(number):
        return web.Response(status=500) if number == 1 else token_for(server, clock.now + 60)

    async with (
        GigaChatServer(streams([]), grant=grant).running() as server,
        open_session(tls=None, inside=True, keepalive=0, timeouts=LIMITS) as session,
    ):
        tokens = TokenSource(
            session, URL(server.auth_url), Key(CREDENTIALS, Scope.CORP), timeouts=LIMITS, clock=clock, pause=pause
        )
        assert await tokens.token() == "synthetic-token-1"  # the second request, after one that failed
        clock.now += 0.03
        assert await tokens.token() == "synthetic-token-2"
        clock.now -= 3600  # somebody sets the clock back
        tokens.drop("synthetic-token-2")
        assert await tokens.token() == "synthetic-token-3"
    assert pauses == [0.0, 0.1, 0.07, 0.1]
    assert len({headers["RqUID"] for headers in server.token_headers}) == 4


async def test_a_token_service_that_hangs_up_is_asked_twice_and_the_prompt_stays_here(ask, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)

    async with RawServer(answer).running() as auth, GigaChatServer(streams(says("да"))).running() as server:
        server.auth_url = auth.base_url
        async with open_gigachat(settings_for(server)) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
    assert (auth.connections, server.headers) == (2, [])


async def test_a_token_service_that_says_nothing_is_a_timeout(ask, settings_for):
    async def answer(number, reader, writer):
        await reader.read()

    async with RawServer(answer).running() as auth, GigaChatServer(streams([])).running() as server:
        server.auth_url = auth.base_url
        async with open_gigachat(settings_for(server, timeouts=Timeouts(first_byte=0.2))) as provider:
            assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError


# Errors


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Bad request"),
        (402, "Payment Required"),
        (403, "Permission denied"),
        (404, "No such model"),
        (413, "Payload too large"),
        (422, "Invalid params: system message must be the first message"),
        (422, "Requested model does not support functions"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (503, "no"),
        (504, "no"),
        (418, "no"),
    ],
)
async def test_each_status_is_its_error_and_says_nothing_of_the_body(connect, ask, status, message):
    provider, _ = await connect(fails_with(status, f"{message} {SECRET}", {"Retry-After": "7"}))
    error = await fails(provider, ask(SECRET))
    assert type(error) is type(from_status(status))
    assert message not in str(error)
    assert (error.request_id, error.retry_after) == ("req-5", 7.0)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (answers(200, text=f"<html>{SECRET}</html>"), MalformedReplyError),
        (answers(500, text=f"<html>{SECRET}</html>"), UpstreamServerError),
        (answers(200, [SECRET]), MalformedReplyError),
        (answers(200, {"choices": []}), InterruptedStreamError),
        (answers(200, {"status": 429, "message": SECRET}), RateLimitedError),
        (answers(200, {"message": SECRET}), UpstreamServerError),
        (answers(200, {"error": {"message": SECRET, "type": "server_error"}}), UpstreamServerError),
        (answers(200, {"error": SECRET}), UpstreamServerError),
        (streams([*says(SECRET)[:1], {"status": 500, "message": SECRET}]), UpstreamServerError),
        (streams([*says(SECRET)[:1], {"status": 422, "message": SECRET}]), type(from_status(422))),
        (streams([*says(SECRET)[:1], {"status": 401, "message": SECRET}]), CredentialExpiredError),
        (streams([*says(SECRET)[:1], "{" + SECRET]), MalformedReplyError),
        (streams([calls("f", 5, apart=True)[0]]), MalformedReplyError),
        (streams(says(SECRET)[:1]), InterruptedStreamError),
        (streams(says(SECRET)[:1], done=False), InterruptedStreamError),
        (streams(calls("f", {}, apart=True)[:1]), InterruptedStreamError),
        (streams([]), InterruptedStreamError),
        (sends(b"data: " + b"x" * 2_000_000 + b"\n\n"), MalformedReplyError),
        (sends(b"\xff\xfe{", kind="application/json"), MalformedReplyError),
        (sends(b'data: {"choices":[{"delta":{"function_call":{"name":"f","arguments":' + b'{"a":' * 3000 + b"\n\n"),
         MalformedReplyError),
        (breaks_off(event(chunk({"content": SECRET}))), InterruptedStreamError),
        (answers(307, {}, headers={"Location": "/v1/chat/completions"}), UnexpectedStatusError),
    ],
    ids=range(22),
)  # fmt: skip
async def test_a_broken_200_is_never_an_answer(connect, ask, scenario, kind):
    provider, server = await connect(scenario)
    assert type(await fails(provider, ask(SECRET))) is kind
    assert len(server.headers) == 1


async def test_an_upstream_that_hangs_up_is_asked_once(ask, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)

    async with RawServer(answer).running() as api, GigaChatServer(streams([])).running() as server:
        server.base_url = api.base_url
        async with open_gigachat(settings_for(server)) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
    assert api.connections == 1


async def test_what_this_upstream_has_no_words_for_is_refused_before_anything_is_sent(connect, ask):
    provider, server = await connect(streams(says("да")))
    request = ask(SECRET, response_format=ResponseFormat("json_object"))
    assert type(await fails(provider, request)) is InvalidRequestError
    assert (server.headers, server.token_forms) == ([], [])


@pytest.mark.parametrize(("limit", "pieces"), [("first_byte", ()), ("idle", (event(chunk({"content": "а"})),))])
async def test_silence_ends_in_a_timeout(connect, ask, limit, pieces):
    provider, server = await connect(hangs(*pieces), timeouts=Timeouts(**{limit: 0.3}))
    assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    await asyncio.wait_for(server.hung_up.wait(), 5)


# Closing and the gate


async def test_closing_the_generator_hangs_up_at_once_and_frees_its_place(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))), max_concurrent=1)
    async with aclosing(provider.chat(ask())) as stream:
        assert (await anext(stream)).content == "а"
        assert not server.hung_up.is_set()
    await asyncio.wait_for(server.hung_up.wait(), 5)
    server.chat = streams(says("да"))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_another_task_may_close_the_generator(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))), max_concurrent=1)
    stream = provider.chat(ask())
    await anext(stream)
    await asyncio.create_task(stream.aclose())
    await asyncio.wait_for(server.hung_up.wait(), 5)
    server.chat = streams(says("да"))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_cancelling_the_reader_hangs_up_and_frees_its_place(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))), max_concurrent=1)
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
    server.chat = streams(says("да"))
    assert (await collect(provider.chat(ask()))).content == "да"


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({}, 10),
        ({"max_concurrent": 3}, 3),
        ({"scope": Scope.PERS}, 1),
        ({"scope": Scope.B2B}, 10),
    ],
)
async def test_no_more_requests_run_at_once_than_there_are_places(ask, settings_for, fields, places):
    full, leave = asyncio.Event(), asyncio.Event()

    async def scenario(request, body):
        if server.running_now == places:
            full.set()
        await leave.wait()
        return await streams(says("да"))(request, body)

    scope = fields.get("scope", Scope.CORP).value
    async with (
        GigaChatServer(scenario, scope=scope).running() as server,
        open_gigachat(settings_for(server, **fields)) as provider,
    ):
        tasks = [asyncio.create_task(collect(provider.chat(ask()))) for _ in range(places + 5)]
        await full.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        leave.set()
        assert {answer.content for answer in await asyncio.gather(*tasks)} == {"да"}
    assert server.most_at_once == places
    assert server.token_forms == [f"scope={scope}"]


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(connect, ask):
    provider, server = await connect(hangs(event(chunk({"content": "а"}))), max_concurrent=1, queue_seconds=0.3)
    async with aclosing(provider.chat(ask())) as stream:
        await anext(stream)
        error = await fails(provider, ask(SECRET))
    assert (type(error), error.retry_after, error.failover) == (RateLimitedError, 1.0, True)
    assert len(server.bodies) == 1


# Secrets and TLS


async def test_no_secret_is_logged_or_shown(connect, ask, caplog):
    with caplog.at_level(logging.DEBUG):
        provider, _ = await connect(streams(says("да")))
        await collect(provider.chat(ask()))
    shown = (
        repr(Key(CREDENTIALS, Scope.CORP))
        + caplog.text
        + repr(provider)
        + repr(vars(provider))
        + repr(provider._tokens)
    )
    assert CREDENTIALS not in shown
    assert "synthetic" not in shown


def fingerprint(path, *, colons):
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(path).read_text())).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, 64, 2)) if colons else digest.lower()


def server_tls(files, client_ca=None):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    tls.load_cert_chain(*files)
    tls.verify_mode = ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE
    return tls


@pytest.mark.parametrize("colons", [True, False])
async def test_only_the_named_authority_is_trusted(ask, authority, settings_for, colons):
    ca_file, files = authority
    async with GigaChatServer(streams(says("да"))).running(tls=server_tls(files)) as server:
        pinned = settings_for(server, ca_file=ca_file, ca_sha256=fingerprint(ca_file, colons=colons))
        assert problems_of_gigachat(pinned) == []
        for configured in (pinned, settings_for(server, ca_file=ca_file)):
            async with open_gigachat(configured) as provider:
                assert (await collect(provider.chat(ask()))).content == "да"
        async with open_gigachat(settings_for(server)) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
    assert (len(server.headers), len(server.token_forms)) == (2, 2)


async def test_a_client_certificate_stands_for_the_token(ask, authority, settings_for):
    ca_file, files = authority
    tls = server_tls(files, client_ca=ca_file)
    async with GigaChatServer(streams(says("да")), tokens=False).running(tls=tls) as server:
        configured = settings_for(
            server, credentials_file="", client_cert_file=files[0], client_key_file=files[1], ca_file=ca_file
        )
        async with open_gigachat(configured) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"
            server.chat = fails_with(401, "no")
            assert type(await fails(provider, ask(SECRET))) is AuthenticationFailedError
        assert server.token_forms == []
        assert all("Authorization" not in headers for headers in server.headers)
        async with open_gigachat(settings_for(server, ca_file=ca_file)) as provider:
            assert isinstance(await fails(provider, ask(SECRET)), ProviderError)
    assert len(server.headers) == 2


# Settings


def giga(**fields):
    return GigaChatSettings(name="giga", models=RU, **fields)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"base_url": "ftp://x/v1"}, "`base_url` — не адрес http"),
        ({"auth_url": "http://[1"}, "`auth_url` — не адрес URL"),
        ({"base_url": "http://api.giga.chat/v1"}, "открытому http"),
        ({"auth_url": "http://ngw.devices.sberbank.ru/oauth"}, "открытому http"),
        ({"base_url": "https://user:pass@api.giga.chat/v1"}, "паролю"),
        ({"models": LOCAL}, "названа локальной"),
        ({"credentials_file": ""}, "одно из двух"),
        ({"credentials_file": "/nonexistent"}, "не читается"),
        ({"client_cert_file": "/nonexistent"}, "задаются вместе"),
        ({"client_cert_file": "/nonexistent", "client_key_file": "/nonexistent"}, "одно из двух"),
        ({"client_cert_file": "/no", "client_key_file": "/no", "credentials_file": ""}, "не пара"),
        (
            {"client_cert_file": "/n", "client_key_file": "/n", "credentials_file": "", "base_url": "http://10.0.0.1"},
            "требует https",
        ),
        ({"ca_file": "/nonexistent"}, "`ca_file` не читается"),
        ({"ca_sha256": "d2"}, "без `ca_file`"),
        ({"ca_file": "/nonexistent", "ca_sha256": "d2"}, "`ca_file` не читается"),
        ({"session_id": "a b"}, "`session_id`"),
    ],
)
async def test_what_cannot_be_used_is_named_by_the_check_and_refused_at_open(credentials, fields, word):
    configured = GigaChatSettings(**{"name": "giga", "models": RU, "credentials_file": credentials} | fields)
    problems = problems_of_gigachat(configured)
    assert any(word in problem and problem.startswith("поставщик `giga`: ") for problem in problems)
    with pytest.raises(UnusableSettingsError):
        async with open_gigachat(configured):
            pass


@pytest.mark.parametrize("content", ["", "two words", "not-base64!", base64.b64encode(b"nocolon").decode(), "ёж"])
async def test_a_credentials_file_holds_one_authorization_key(tmp_path, content):
    key = tmp_path / "key"
    key.write_text(content)
    with pytest.raises(UnusableSettingsError, match="base64") as caught:
        async with open_gigachat(giga(credentials_file=str(key))):
            pass
    assert not content or content not in str(caught.value)


async def test_an_authority_that_is_not_the_expected_one_is_refused(credentials, authority, tmp_path):
    ca_file, files = authority
    other = fingerprint(files[0], colons=True)
    both = tmp_path / "both.pem"
    both.write_text(Path(ca_file).read_text() + Path(files[0]).read_text())
    for path, expected in ((ca_file, other), (str(both), fingerprint(ca_file, colons=True)), (files[1], other)):
        configured = giga(credentials_file=credentials, ca_file=path, ca_sha256=expected)
        assert any("ровно один сертификат" in problem for problem in problems_of_gigachat(configured))
        with pytest.raises(UnusableSettingsError, match="ca_sha256"):
            async with open_gigachat(configured):
                pass


async def test_an_authority_hidden_behind_the_expected_one_is_not_trusted(ask, authority, settings_for, tmp_path):
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    ca_file, files = authority
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "expected authority")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    expected = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    alone, bundle = tmp_path / "alone.pem", tmp_path / "bundle.pem"
    alone.write_text(expected)
    # OpenSSL takes the older label too: a count of the usual one does not see this certificate.
    bundle.write_text(expected + Path(ca_file).read_text().replace(" CERTIFICATE-", " X509 CERTIFICATE-"))
    async with GigaChatServer(streams(says("да"))).running(tls=server_tls(files)) as server:
        async with open_gigachat(settings_for(server, ca_file=str(bundle))) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"
        pinned = settings_for(server, ca_file=str(bundle), ca_sha256=fingerprint(alone, colons=True))
        async with open_gigachat(pinned) as provider:
            assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
    assert len(server.headers) == 1


async def test_an_encrypted_client_key_is_a_problem_and_asks_for_no_password(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization

    _, (certificate, key) = authority
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"synthetic"),
        )
    )
    configured = giga(client_cert_file=certificate, client_key_file=str(locked))
    assert any("незашифрованного" in problem for problem in problems_of_gigachat(configured))


@pytest.mark.parametrize(("mode", "open_to_others"), [(0o400, False), (0o440, False), (0o644, True), (0o620, True)])
def test_a_secret_that_others_may_use_is_reported(credentials, authority, tmp_path, mode, open_to_others):
    key = tmp_path / "client.key"
    key.write_bytes(Path(authority[1][1]).read_bytes())
    key.chmod(mode)
    found = problems_of_gigachat(giga(client_cert_file=authority[1][0], client_key_file=str(key)))
    assert any("client_key_file" in problem for problem in found) is open_to_others
    Path(credentials).chmod(mode)
    assert stat.S_IMODE(Path(credentials).stat().st_mode) == mode
    assert bool(problems_of_gigachat(giga(credentials_file=credentials))) is open_to_others


async def test_the_vendors_own_addresses_are_the_defaults_and_have_no_problems(credentials):
    configured = giga(credentials_file=credentials)
    assert (configured.base_url, configured.auth_url) == (
        "https://api.giga.chat/v1",
        "https://ngw.devices.sberbank.ru:9443/api/v2/oauth",
    )
    assert problems_of_gigachat(configured) == []
    async with open_gigachat(configured) as provider:
        assert (provider.name, provider.readiness().ready) == ("giga", True)


def test_settings_are_read_from_a_file_and_unknown_fields_are_refused():
    text = b"""
kind = "gigachat"
name = "gigachat"
credentials_file = "/run/credentials/appliance/gigachat"
scope = "GIGACHAT_API_B2B"
models = [{ name = "GigaChat-2-Pro", residency = "ru" }]
"""
    assert msgspec.toml.decode(text, type=GigaChatSettings).scope is Scope.B2B
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(text + b"verify = false\n", type=GigaChatSettings)


async def test_dropping_a_token_that_was_already_replaced_keeps_its_successor(connect, ask):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    tokens: TokenSource = provider._tokens
    tokens.drop("synthetic-token-0")
    await collect(provider.chat(ask()))
    assert len(server.token_forms) == 1
