import asyncio
import logging
import ssl
from contextlib import AsyncExitStack, aclosing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers import (
    AuthenticationFailedError,
    ChatRequest,
    ConnectionFailedError,
    ConnectionLostError,
    CredentialExpiredError,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    Message,
    ModelNotFoundError,
    ModelSettings,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    Residency,
    Role,
    Timeouts,
    Tool,
    ToolMode,
    UnusableSettingsError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
    collect,
)
from providers.embedding import EmbeddingRequest
from providers.errors import from_status
from providers.protocol import Embedder, Examinable
from providers.router import Task
from providers.yandexgpt import YandexGPTSettings, open_yandexgpt, problems_of_yandexgpt
from tests.providers.fakes.openai_server import answers, breaks_off, event, hangs, sends
from tests.providers.fakes.openai_server import says as compatible_says
from tests.providers.fakes.openai_server import streams as compatible_streams
from tests.providers.fakes.raw_server import RawServer, read_request
from tests.providers.fakes.yandex_server import (
    API_KEY,
    FOLDER,
    VERSION,
    RefusedError,
    YandexServer,
    calls,
    error_of,
    fails_with,
    key_file,
    line_of,
    reply,
    says,
    stream_bytes,
    streams,
    vendor_calls,
    vendor_chunk,
)

SECRET = "Иванов-Петров"  # stands for a prompt: it may appear in no error
LIMITS = Timeouts(connect=5, first_byte=10, idle=10, total=30)
CHAT = ModelSettings("yandexgpt/latest", Residency.RU)
VECTORS = ModelSettings("text-search-doc/latest", Residency.RU, task=Task.EMBEDDING)
WEATHER = Tool("get_weather", "Погода", {"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.fixture
def ask():
    def make(text="привет", **fields):
        return ChatRequest("yandexgpt/latest", (Message(Role.USER, text),), **fields)

    return make


@pytest.fixture
def api_key_file(tmp_path):
    path = tmp_path / "api-key"
    path.write_text(API_KEY + "\n")
    path.chmod(0o400)
    return str(path)


@pytest.fixture
def iam_key_file(tmp_path):
    path = tmp_path / "iam-key.json"
    path.write_text(key_file())
    path.chmod(0o400)
    return str(path)


@pytest.fixture
def settings_for(api_key_file):
    def make(server, **fields):
        identity = {} if fields.get("iam_key_file") or fields.get("metadata") else {"api_key_file": api_key_file}
        compatible = fields.get("api") == "openai"
        given = {
            "name": "yandex",
            "models": (CHAT, VECTORS),
            "folder_id": FOLDER,
            "base_url": server.compatible_url if compatible else server.native_url,
            "iam_url": server.iam_url,
            "metadata_url": server.metadata_url,
            "timeouts": LIMITS,
        }
        return YandexGPTSettings(**given | identity | fields)

    return make


@pytest.fixture
async def serve():
    """Start a server. When the test is over, nothing that it was sent may have been left to be kept."""
    servers = []
    async with AsyncExitStack() as stack:

        async def start(scenario, *, tls=None, **fields):
            servers.append(await stack.enter_async_context(YandexServer(scenario, **fields).running(tls=tls)))
            return servers[-1]

        yield start
    for server in servers:
        assert server.violations == []
        assert {headers["x-data-logging-enabled"] for headers in server.headers} <= {"false"}


@pytest.fixture
async def connect(serve, settings_for):
    async with AsyncExitStack() as stack:

        async def start(scenario, *, grant=None, **fields):
            server = await serve(scenario, grant=grant)
            provider = await stack.enter_async_context(open_yandexgpt(settings_for(server, **fields)))
            return provider, server

        yield start


async def failing(coroutine):
    with pytest.raises(ProviderError) as caught:
        await coroutine
    error = caught.value
    for secret in (SECRET, API_KEY, "synthetic", FOLDER):
        assert secret not in str(error) + repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


async def fails(provider, request):
    return await failing(collect(provider.chat(request)))


# The native answer


async def test_a_cumulative_stream_becomes_deltas_with_usage_version_and_request_id(connect, ask):
    provider, server = await connect(streams(says("В Туле", " +4", " °C.")))
    chunks = [chunk async for chunk in provider.chat(ask())]
    assert [chunk.content for chunk in chunks] == ["В Туле", " +4", " °C."]
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("В Туле +4 °C.", FinishReason.STOP)
    assert response.usage == Usage(26, 11, 37, reasoning_tokens=3)
    assert (response.model, response.request_id) == (VERSION, "req-1")
    assert server.bodies[0]["completionOptions"]["stream"] is True


async def test_every_request_has_its_headers_and_no_other(connect, ask):
    provider, server = await connect(streams(says("да")))
    await collect(provider.chat(ask()))
    assert dict(server.headers[0]) == {
        "Host": server.origin.split("/")[2],
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Content-Length": server.headers[0]["Content-Length"],
        "User-Agent": "llm-client/1.0",
        "Authorization": f"Api-Key {API_KEY}",
        "x-folder-id": FOLDER,
        "x-data-logging-enabled": "false",
    }


async def test_every_call_that_carries_a_text_forbids_to_keep_it(connect, ask):
    seen = []
    for api, scenario in (("native", streams(says("да"))), ("openai", compatible_streams(compatible_says("да")))):
        provider, server = await connect(scenario, api=api)
        await collect(provider.chat(ask()))
        await provider.embed(EmbeddingRequest("text-search-doc/latest", ("привет",)))
        await provider.examine()
        if api == "native":
            await provider.count("yandexgpt/latest", "привет")
        seen += zip(server.paths, [headers["x-data-logging-enabled"] for headers in server.headers], strict=True)
    assert {said for _, said in seen} == {"false"}
    assert {path.rpartition("/")[2] for path, _ in seen} == {
        "completion", "textEmbedding", "tokenize", "completions", "embeddings", "models",
    }  # fmt: skip


@pytest.mark.parametrize("violation", ["true", None])
async def test_the_fake_would_have_noticed_a_text_that_may_be_kept(settings_for, ask, monkeypatch, violation):
    monkeypatch.setattr(
        "providers.yandexgpt._NOT_KEPT", {} if violation is None else {"x-data-logging-enabled": violation}
    )
    async with (
        YandexServer(streams(says("да"))).running() as server,
        open_yandexgpt(settings_for(server)) as provider,
    ):
        assert type(await fails(provider, ask(SECRET))) is InvalidRequestError
    assert server.violations == ["/foundationModels/v1/completion"]
    assert server.bodies == []


async def test_nothing_is_sent_before_the_first_chunk_is_asked_for(connect, ask, iam_key_file):
    provider, server = await connect(streams(says("да")), iam_key_file=iam_key_file)
    await provider.chat(ask()).aclose()
    assert (server.token_bodies, server.headers) == ([], [])


async def test_tool_calls_come_with_ids_unlike_those_of_another_answer(connect, ask):
    provider, _ = await connect(streams([calls(("get_weather", {"city": "Тула", "days": 5.0}), ("get_weather", {}))]))
    first, second = [await collect(provider.chat(ask(tools=(WEATHER,)))) for _ in range(2)]
    assert [(call.name, call.arguments) for call in first.tool_calls] == [
        ("get_weather", '{"city":"Тула","days":5}'),
        ("get_weather", "{}"),
    ]
    assert (first.finish_reason, first.content) == (FinishReason.TOOL_CALLS, None)
    assert len({call.id for response in (first, second) for call in response.tool_calls}) == 4


async def test_a_tools_result_goes_back_by_the_id_that_was_handed_out(connect, ask):
    provider, server = await connect(streams([calls(("get_weather", {"city": "Тула"}))]))
    call = (await collect(provider.chat(ask(tools=(WEATHER,))))).tool_calls[0]
    server.chat = streams(says("Плюс четыре"))
    history = (
        Message(Role.USER, "Погода?"),
        Message(Role.ASSISTANT, None, tool_calls=(call,)),
        Message(Role.TOOL, '{"temp_c": 4}', tool_call_id=call.id),
    )
    response = await collect(provider.chat(ChatRequest("yandexgpt/latest", history, tools=(WEATHER,))))
    assert response.content == "Плюс четыре"
    assert server.bodies[1]["messages"][2]["toolResultList"]["toolResults"] == [
        {"functionResult": {"name": "get_weather", "content": '{"temp_c": 4}'}}
    ]


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("FINAL", FinishReason.STOP),
        ("TRUNCATED_FINAL", FinishReason.LENGTH),
        ("CONTENT_FILTER", FinishReason.CONTENT_FILTER),
        ("SOMETHING_NEW", FinishReason.LENGTH),
    ],
)
async def test_an_unknown_status_is_never_read_as_complete(connect, ask, status, ours):
    provider, _ = await connect(streams(says("да", " нет", status=status)))
    response = await collect(provider.chat(ask()))
    assert (response.finish_reason, response.content) == (ours, "да нет")


async def test_the_filters_replacement_adds_nothing_to_what_was_said(connect, ask):
    documents = [*says("Начало", " и")[:1], reply({"text": "Не могу."}, "CONTENT_FILTER")]
    provider, _ = await connect(streams(documents))
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("Начало", FinishReason.CONTENT_FILTER)


async def test_what_follows_a_final_status_is_not_read(connect, ask):
    provider, _ = await connect(streams([*says("да"), reply({"text": "да лишнее"}, "FINAL"), error_of(500, 13, "no")]))
    chunks = [chunk async for chunk in provider.chat(ask())]
    assert [(chunk.content, chunk.finish_reason) for chunk in chunks] == [("да", FinishReason.STOP)]


@pytest.mark.parametrize("document", [says("да")[0], says("да")[0]["result"], calls(("f", {}))])
async def test_an_answer_that_is_no_stream_is_accepted(connect, ask, document):
    provider, _ = await connect(answers(200, document))
    response = await collect(provider.chat(ask()))
    assert response.content == "да" or response.tool_calls[0].name == "f"


async def test_a_line_of_a_megabyte_is_read_and_one_of_five_is_not(connect, ask):
    provider, server = await connect(streams(says("ы" * 300_000, "ъ" * 300_000)))
    response = await collect(provider.chat(ask()))
    assert response.content == "ы" * 300_000 + "ъ" * 300_000
    server.chat = sends(b'{"result":' + b" " * 5_000_000, kind="application/json")
    assert type(await fails(provider, ask(SECRET))) is MalformedReplyError


TALK = stream_bytes([*says("При", "вет 🙂", "👨‍👩‍👧")[:-1], calls(("f", {"город": "Тула"}))])[:-1]


@given(cuts=st.sets(st.integers(1, len(TALK) - 1), max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_bytes_may_be_split_anywhere(tmp_path_factory, cuts):
    pieces = [TALK[start:end] for start, end in pairwise([0, *sorted(cuts), len(TALK)])]
    key = tmp_path_factory.mktemp("key") / "api-key"
    key.write_text(API_KEY)

    async def run():
        async with YandexServer(sends(*pieces, kind="application/json")).running() as server:
            configured = YandexGPTSettings(
                name="y", models=(CHAT,), folder_id=FOLDER, base_url=server.native_url, api_key_file=str(key)
            )
            async with open_yandexgpt(configured) as provider:
                return await collect(provider.chat(ChatRequest("yandexgpt/latest", (Message(Role.USER, "x"),))))

    response = asyncio.run(run())
    assert (response.content, response.finish_reason) == ("Привет 🙂", FinishReason.TOOL_CALLS)
    assert [(call.name, call.arguments) for call in response.tool_calls] == [("f", '{"город":"Тула"}')]


async def test_every_single_split_of_an_emoji_gives_the_same_text(connect, ask):
    talk = stream_bytes(says("🙂", "👨‍👩‍👧"))
    provider, server = await connect(streams([]))
    answers_given = set()
    for place in range(1, len(talk), 3):
        server.chat = sends(talk[:place], talk[place:], kind="application/json")
        answers_given.add((await collect(provider.chat(ask()))).content)
    assert answers_given == {"🙂👨‍👩‍👧"}


# Stop strings


async def test_a_stop_string_ends_the_answer_here_with_what_it_cost_and_hangs_up(connect, ask):
    begun = [line_of(document) for document in says("раз дв", "а КО", "НЕЦ три", "четыре")[:-1]]
    provider, server = await connect(hangs(*begun))
    response = await collect(provider.chat(ask(stop=("КОНЕЦ", "другой"))))
    assert (response.content, response.finish_reason) == ("раз два ", FinishReason.STOP)
    assert response.usage == Usage(26, 3, 29, reasoning_tokens=3)
    assert "stop" not in server.bodies[0]
    await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_what_only_began_like_a_stop_string_is_handed_on(connect, ask):
    provider, _ = await connect(streams(says("раз КО", "НЬ", " КОН")))
    response = await collect(provider.chat(ask(stop=("КОНЕЦ", ""))))
    assert (response.content, response.finish_reason) == ("раз КОНЬ КОН", FinishReason.STOP)


async def test_a_stop_string_works_on_the_compatible_api_too(connect, ask):
    pieces = [vendor_chunk({"content": piece}) for piece in ("а КО", "НЕЦ", " б")]
    provider, server = await connect(compatible_streams([*pieces, vendor_chunk({}, finish="stop")]), api="openai")
    response = await collect(provider.chat(ask(stop=("КОНЕЦ",))))
    assert (response.content, response.finish_reason) == ("а ", FinishReason.STOP)
    assert "stop" not in server.bodies[0]


# The compatible API


async def test_the_compatible_api_answers_alike(connect, ask):
    documents = [vendor_chunk({"role": "assistant", "content": "да"}), vendor_chunk({}, finish="stop")]
    provider, server = await connect(compatible_streams(documents), api="openai")
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason, response.usage) == ("да", FinishReason.STOP, None)
    assert server.paths == ["/v1/chat/completions"]
    assert (server.headers[0]["OpenAI-Project"], "x-folder-id" in server.headers[0]) == (FOLDER, False)
    assert server.bodies[0]["model"] == f"gpt://{FOLDER}/yandexgpt/latest"


async def test_a_compatible_answer_closed_without_a_reason_may_be_incomplete(connect, ask):
    provider, _ = await connect(compatible_streams([vendor_chunk({"content": "да"})]), api="openai")
    response = await collect(provider.chat(ask()))
    assert (response.content, response.finish_reason) == ("да", FinishReason.LENGTH)


async def test_ids_that_are_names_become_unique_and_find_their_way_back(connect, ask):
    provider, server = await connect(
        compatible_streams(vendor_calls(("get_weather", '{"city":"Тула"}'), ("get_weather", "{}"))), api="openai"
    )
    first, second = [await collect(provider.chat(ask(tools=(WEATHER,)))) for _ in range(2)]
    made = (*first.tool_calls, *second.tool_calls)
    assert len({call.id for call in made}) == 4
    assert all(call.id.startswith("get_weather~") for call in made)
    server.chat = compatible_streams([vendor_chunk({"content": "да"}, finish="stop")])
    history = [Message(Role.USER, "Погода?")]
    for response in (first, second):
        history.append(Message(Role.ASSISTANT, None, tool_calls=response.tool_calls))
        history += [Message(Role.TOOL, "4", tool_call_id=call.id) for call in response.tool_calls]
    request = ChatRequest("yandexgpt/latest", tuple(history), tools=(WEATHER,))
    assert (await collect(provider.chat(request))).content == "да"


async def test_later_pieces_with_empty_ids_do_not_undo_the_first(connect, ask):
    def piece(call_id, name, arguments):
        function = {"name": name, "arguments": arguments}
        return vendor_chunk({"tool_calls": [{"index": 0, "id": call_id, "type": "", "function": function}]})

    documents = [piece("c1", "f", '{"a'), piece("", "", '":1}'), vendor_chunk({}, finish="tool_calls")]
    usage = {"id": "1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    provider, _ = await connect(compatible_streams([*documents, usage]), api="openai")
    response = await collect(provider.chat(ask(tools=(Tool("f"),))))
    (call,) = response.tool_calls
    assert (call.id.partition("~")[0], call.name, call.arguments) == ("c1", "f", '{"a":1}')
    assert response.usage == Usage(5, 2, 7)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (compatible_streams([vendor_chunk({"content": SECRET}), {"error": {"message": SECRET, "type": "server_error"}}]),
         UpstreamServerError),
        (compatible_streams([{"error": {"message": SECRET, "code": "429"}}]), RateLimitedError),
        (compatible_streams(["{" + SECRET]), MalformedReplyError),
        (answers(200, text=f"<html>{SECRET}"), MalformedReplyError),
        (fails_with(403, 7, SECRET), PermissionDeniedError),
        (breaks_off(event(vendor_chunk({"content": SECRET}))), InterruptedStreamError),
    ],
    ids=range(6),
)  # fmt: skip
async def test_a_broken_compatible_answer_is_never_an_answer(connect, ask, scenario, kind):
    provider, server = await connect(scenario, api="openai")
    assert type(await fails(provider, ask(SECRET))) is kind
    assert len(server.headers) == 1


async def test_what_the_compatible_api_has_no_words_for_is_refused_before_anything_is_sent(connect, ask, iam_key_file):
    provider, server = await connect(compatible_streams([]), api="openai", iam_key_file=iam_key_file)
    request = ask(SECRET, tools=(WEATHER,), tool_choice=ToolMode.REQUIRED)
    assert type(await fails(provider, request)) is InvalidRequestError
    assert type(await failing(provider.count("yandexgpt/latest", SECRET))) is InvalidRequestError
    assert (server.headers, server.token_bodies) == ([], [])


# Identity


@pytest.mark.parametrize("api", ["native", "openai"])
async def test_a_401_drops_the_token_and_the_prompt_is_not_sent_again(connect, ask, iam_key_file, api):
    scenario = streams(says("да")) if api == "native" else compatible_streams(compatible_says("да"))
    provider, server = await connect(scenario, iam_key_file=iam_key_file, api=api)
    await collect(provider.chat(ask()))
    server.valid.clear()
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.again, error.failover) == (CredentialExpiredError, True, False)
    assert (len(server.headers), len(server.issued)) == (2, 1)
    assert (await collect(provider.chat(ask()))).content == "да"
    assert [headers["Authorization"] for headers in server.headers] == [
        f"Bearer t1.synthetic-token-{number}" for number in (1, 1, 2)
    ]


async def test_a_token_that_ends_within_a_stream_is_dropped_too(connect, ask, iam_key_file):
    provider, server = await connect(streams([error_of(401, 16, SECRET)]), iam_key_file=iam_key_file)
    assert type(await fails(provider, ask(SECRET))) is CredentialExpiredError
    server.chat = streams(says("да"))
    assert (await collect(provider.chat(ask()))).content == "да"
    assert len(server.issued) == 2


async def test_an_api_key_that_is_not_taken_has_no_successor(connect, ask, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("AQVN-another-key")
    provider, server = await connect(streams(says("да")), api_key_file=str(wrong))
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.again, error.code) == (AuthenticationFailedError, False, "authentication_error")
    assert len(server.headers) == 1


async def test_the_machines_own_account_is_enough(connect, ask):
    provider, server = await connect(streams(says("да")), metadata=True)
    assert (await collect(provider.chat(ask()))).content == "да"
    server.valid.clear()
    assert type(await fails(provider, ask(SECRET))) is CredentialExpiredError
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_one_token_serves_many_requests_at_once(connect, ask, iam_key_file):
    provider, server = await connect(streams(says("да")), iam_key_file=iam_key_file)
    answers_given = await asyncio.gather(*(collect(provider.chat(ask())) for _ in range(20)))
    assert {answer.content for answer in answers_given} == {"да"}
    assert len(server.token_bodies) == 1


async def test_without_a_token_no_prompt_leaves(connect, ask, iam_key_file):
    provider, server = await connect(
        streams(says("да")),
        iam_key_file=iam_key_file,
        grant=lambda _: web.json_response({"code": 16, "message": SECRET}, status=401),
    )
    error = await fails(provider, ask(SECRET))
    assert (type(error), error.again) == (AuthenticationFailedError, False)
    assert str(error).startswith("no token: ")
    assert server.headers == []


async def test_a_token_service_that_says_nothing_is_a_timeout(ask, serve, settings_for, iam_key_file):
    async def answer(number, reader, writer):
        await reader.read()

    server = await serve(streams([]))
    async with RawServer(answer).running() as silent:
        configured = settings_for(
            server, iam_key_file=iam_key_file, iam_url=silent.base_url, timeouts=Timeouts(first_byte=0.2)
        )
        async with open_yandexgpt(configured) as provider:
            assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    assert server.headers == []


async def test_no_secret_is_logged_or_shown(connect, ask, iam_key_file, caplog):
    shown = ""
    with caplog.at_level(logging.DEBUG):
        for fields in ({}, {"iam_key_file": iam_key_file}):
            provider, _ = await connect(streams(says("да")), **fields)
            await collect(provider.chat(ask()))
            shown += repr(provider) + repr(vars(provider)) + repr(provider._identity)
    for secret in (API_KEY, "synthetic-token", "PRIVATE"):
        assert secret not in shown + caplog.text


# Errors


@pytest.mark.parametrize(
    ("status", "grpc", "message", "code"),
    [
        (400, 3, f"Specified folder ID '{SECRET}' does not match with service account folder ID 'y'", "invalid_request"),
        (400, 3, f"Failed to parse model URI {SECRET}", "invalid_request"),
        (400, 3, "Number of input tokens must be no more than 8192, got 9001", "context_length_exceeded"),
        (403, 7, f"Permission denied {SECRET}", "permission_denied"),
        (404, 5, f"Failed to get model {SECRET}", "model_not_found"),
        (429, 8, "ai.textGenerationCompletionSessionsCount.count gauge quota limit exceed: allowed 10 requests",
         "rate_limit_exceeded"),
        (500, 13, SECRET, "internal_server_error"),
        (503, 14, SECRET, "service_unavailable"),
        (504, 4, SECRET, "timeout"),
        (418, 77, SECRET, ""),
    ],
)  # fmt: skip
async def test_each_status_is_its_error_and_says_nothing_of_the_body(connect, ask, status, grpc, message, code):
    provider, _ = await connect(fails_with(status, grpc, message, {"Retry-After": "7"}))
    error = await fails(provider, ask(SECRET))
    assert type(error) is type(from_status(status))
    assert message not in str(error)
    assert (error.request_id, error.retry_after, error.code) == ("req-5", 7.0, code)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (error_of(429, 8, SECRET), RateLimitedError),
        (error_of(400, 3, SECRET), InvalidRequestError),
        (error_of(503, 14, SECRET), UpstreamServerError),
        ({"error": {"grpcCode": 8, "message": SECRET}}, RateLimitedError),
        ({"error": {"grpcCode": 5, "httpCode": 0, "message": SECRET}}, ModelNotFoundError),
        ({"error": {"grpcCode": 999, "message": SECRET}}, UpstreamServerError),
        ({"error": {}}, UpstreamServerError),
        ({"error": SECRET}, UpstreamServerError),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
async def test_an_error_inside_a_200_has_the_status_that_it_names(connect, ask, document, kind, begun):
    provider, _ = await connect(streams([*says(SECRET, "")[: int(begun)], document]))
    assert type(await fails(provider, ask(SECRET))) is kind


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (answers(200, text=f"<html>{SECRET}</html>"), MalformedReplyError),
        (answers(502, text=f"<html>{SECRET}</html>"), UpstreamServerError),
        (answers(200, [SECRET]), MalformedReplyError),
        (answers(200, {}), InterruptedStreamError),
        (streams([]), InterruptedStreamError),
        (streams(says(SECRET, "")[:1]), InterruptedStreamError),
        (streams(says(SECRET, status="UNSPECIFIED")), MalformedReplyError),
        (streams([*says(SECRET, "")[:1], *says("другое")]), MalformedReplyError),
        (sends(line_of(says(SECRET)[0])[:-20], kind="application/json"), MalformedReplyError),
        (sends(line_of(says(SECRET, "")[0]), b'{"result', kind="application/json"), MalformedReplyError),
        (sends(b"\xff\xfe{\n", kind="application/json"), MalformedReplyError),
        (
            sends(b'{"result":{"alternatives":[{"message":{"text":5}}]}}\n', kind="application/json"),
            MalformedReplyError,
        ),
        (sends(b'{"result":{"usage":{"totalTokens":"many"}}}\n', kind="application/json"), MalformedReplyError),
        (sends(b'{"error":' * 3000 + b"\n", kind="application/json"), MalformedReplyError),
        (breaks_off(line_of(says(SECRET, "")[0])), InterruptedStreamError),
        (answers(307, {}, headers={"Location": "/foundationModels/v1/completion"}), type(from_status(307))),
    ],
    ids=range(16),
)
async def test_a_broken_200_is_never_an_answer(connect, ask, scenario, kind):
    provider, server = await connect(scenario)
    assert type(await fails(provider, ask(SECRET))) is kind
    assert len(server.headers) == 1


async def test_arguments_nested_too_deep_are_malformed(connect, ask):
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    line = line_of(calls(("f", {"here": 1}))).replace(b'{"here": 1}', deep)
    provider, _ = await connect(sends(line, kind="application/json"))
    assert type(await fails(provider, ask(SECRET))) is MalformedReplyError


async def test_an_upstream_that_hangs_up_is_asked_once(ask, serve, settings_for):
    async def answer(number, reader, writer):
        await read_request(reader)

    server = await serve(streams([]))
    async with (
        RawServer(answer).running() as api,
        open_yandexgpt(settings_for(server, base_url=api.base_url)) as provider,
    ):
        assert type(await fails(provider, ask(SECRET))) is ConnectionLostError
    assert api.connections == 1


@pytest.mark.parametrize("field", ["base_url", "iam_url"])
async def test_a_name_that_nobody_knows_is_a_failed_connection(ask, serve, settings_for, iam_key_file, field):
    server = await serve(streams([]))
    configured = settings_for(server, iam_key_file=iam_key_file, **{field: "http://nowhere.invalid.localhost:1/v1"})
    async with open_yandexgpt(configured) as provider:
        error = await fails(provider, ask(SECRET))
    assert (type(error), error.failover) == (ConnectionFailedError, True)
    assert server.headers == []


@pytest.mark.parametrize(("limit", "pieces"), [("first_byte", ()), ("idle", (line_of(says("а", "б")[0]),))])
async def test_silence_ends_in_a_timeout(connect, ask, limit, pieces):
    provider, server = await connect(hangs(*pieces), timeouts=Timeouts(**{limit: 0.3}))
    assert type(await fails(provider, ask(SECRET))) is UpstreamTimeoutError
    await asyncio.wait_for(server.hung_up.wait(), 5)


# Closing and the gate


@pytest.mark.parametrize("api", ["native", "openai"])
async def test_closing_the_generator_hangs_up_at_once_and_frees_its_place(connect, ask, api):
    begun = line_of(says("а", "б")[0]) if api == "native" else event(vendor_chunk({"content": "а"}))
    provider, server = await connect(hangs(begun), max_concurrent=1, api=api)
    async with aclosing(provider.chat(ask())) as stream:
        assert (await anext(stream)).content == "а"
        assert not server.hung_up.is_set()
    await asyncio.wait_for(server.hung_up.wait(), 5)
    server.chat = streams(says("да")) if api == "native" else compatible_streams(compatible_says("да"))
    assert (await collect(provider.chat(ask()))).content == "да"


async def test_cancelling_the_reader_hangs_up_and_frees_its_place(connect, ask):
    provider, server = await connect(hangs(line_of(says("а", "б")[0])), max_concurrent=1)
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


@pytest.mark.parametrize(("fields", "places"), [({}, 10), ({"max_concurrent": 3}, 3)])
async def test_no_more_generations_run_at_once_than_there_are_places(connect, ask, fields, places):
    full, leave = asyncio.Event(), asyncio.Event()

    async def scenario(request, body):
        if server.running_now == places:
            full.set()
        await leave.wait()
        return await streams(says("да"))(request, body)

    provider, server = await connect(scenario, **fields)
    tasks = [asyncio.create_task(collect(provider.chat(ask()))) for _ in range(places + 5)]
    await full.wait()
    # An embedding has places of its own, and by its answer a generation too many would have come too.
    await provider.embed(EmbeddingRequest("text-search-doc/latest", ("привет",)))
    leave.set()
    assert {answer.content for answer in await asyncio.gather(*tasks)} == {"да"}
    assert server.most_at_once == places


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(connect, ask):
    provider, server = await connect(hangs(line_of(says("а", "б")[0])), max_concurrent=1, queue_seconds=0.2)
    async with aclosing(provider.chat(ask())) as stream:
        await anext(stream)
        error = await fails(provider, ask(SECRET))
    assert (type(error), error.retry_after, error.failover) == (RateLimitedError, 1.0, True)
    assert len(server.bodies) == 1


# Vectors and tokens


@pytest.mark.parametrize(
    ("api", "path"), [("native", "/foundationModels/v1/textEmbedding"), ("openai", "/v1/embeddings")]
)
async def test_a_text_becomes_a_vector_and_its_tokens_are_counted(connect, api, path):
    provider, server = await connect(streams([]), api=api)
    assert isinstance(provider, Embedder)
    assert provider.largest_batch == 1
    embeddings = await provider.embed(EmbeddingRequest("text-search-doc/latest", ("раз два три",)))
    assert [len(vector) for vector in embeddings.vectors] == [256]
    assert embeddings.vectors[0][:2] == (0.25, -0.5)
    assert embeddings.usage == Usage(3, 0, 3)
    assert server.paths == [path]


@pytest.mark.parametrize("api", ["native", "openai"])
@pytest.mark.parametrize(
    "request_",
    [EmbeddingRequest("m", ("раз", SECRET)), EmbeddingRequest("m", ()), EmbeddingRequest("m", (SECRET,), 256)],
)
async def test_more_than_one_text_and_a_length_of_ones_own_are_refused_before_anything_is_sent(connect, api, request_):
    provider, server = await connect(streams([]), api=api)
    assert type(await failing(provider.embed(request_))) is InvalidRequestError
    assert server.headers == []


async def test_a_refused_embedding_is_the_same_error_as_for_a_chat(connect, iam_key_file):
    provider, server = await connect(streams([]), iam_key_file=iam_key_file)
    for status, grpc, kind in (
        (429, 8, RateLimitedError),
        (500, 13, UpstreamServerError),
        (401, 16, CredentialExpiredError),
    ):
        server.refusal = RefusedError(status, grpc, SECRET)
        assert type(await failing(provider.embed(EmbeddingRequest("text-search-doc/latest", (SECRET,))))) is kind
    assert type(await failing(provider.embed(EmbeddingRequest("nothing", (SECRET,))))) is CredentialExpiredError
    server.refusal = None
    assert type(await failing(provider.embed(EmbeddingRequest("nothing", (SECRET,))))) is ModelNotFoundError


@pytest.mark.parametrize("api", ["native", "openai"])
@pytest.mark.parametrize(
    "body", ["{}", '{"embedding":[]}', '{"data":[]}', '{"data":[{"embedding":[]}]}', f"<p>{SECRET}", "[" * 3000]
)
async def test_an_answer_without_a_vector_is_malformed(serve, settings_for, api, body):
    async def answer(number, reader, writer):
        await read_request(reader)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
        writer.write(head.encode() + body.encode())
        await writer.drain()

    server = await serve(streams([]))
    async with (
        RawServer(answer).running() as raw,
        open_yandexgpt(settings_for(server, base_url=raw.base_url, api=api)) as provider,
    ):
        asked = provider.embed(EmbeddingRequest("text-search-doc/latest", (SECRET,)))
        assert type(await failing(asked)) is MalformedReplyError


async def test_tokens_are_counted_by_the_vendor(connect):
    provider, server = await connect(streams([]))
    assert await provider.count("yandexgpt/latest", "раз два три") == 4
    assert server.bodies == [{"modelUri": f"gpt://{FOLDER}/yandexgpt/latest", "text": "раз два три"}]
    assert type(await failing(provider.count("nothing", SECRET))) is ModelNotFoundError


# Examination


def told(checks):
    return {check.title: check.passed for check in checks}


LOGGING, RESIDENCY = "хранение запросов у поставщика", "где обрабатываются запросы"
CREDENTIAL, CONNECTION = "учётные данные", "связь с Yandex Cloud"


async def test_a_healthy_folder_passes_what_can_be_told(connect):
    provider, server = await connect(streams([]))
    assert isinstance(provider, Examinable)
    checks = await provider.examine()
    assert told(checks) == {
        CREDENTIAL: True,
        "модель `yandexgpt/latest`": True,
        "модель `text-search-doc/latest`": None,
        LOGGING: True,
        RESIDENCY: None,
    }
    assert server.paths == ["/foundationModels/v1/tokenize"]
    assert server.bodies[0]["text"] == "проверка"


async def test_a_compatible_folder_is_asked_for_its_models(connect):
    models = (CHAT, VECTORS, ModelSettings("unlisted", Residency.RU))
    provider, server = await connect(streams([]), api="openai", models=models)
    checks = told(await provider.examine())
    assert [checks[f"модель `{model.name}`"] for model in models] == [True, True, None]
    assert checks[CREDENTIAL] is True
    assert server.paths == ["/v1/models"]


async def test_a_model_that_is_not_there_is_named_and_the_credential_still_holds(connect):
    provider, _ = await connect(streams([]), models=(ModelSettings("nothing", Residency.RU), CHAT))
    checks = told(await provider.examine())
    assert (checks["модель `nothing`"], checks["модель `yandexgpt/latest`"], checks[CREDENTIAL]) == (False, True, True)


@pytest.mark.parametrize("api", ["native", "openai"])
@pytest.mark.parametrize(
    ("refusal", "title", "word"),
    [
        (RefusedError(401, 16, SECRET), CREDENTIAL, "`api_key_file`"),
        (RefusedError(403, 7, SECRET), CREDENTIAL, "`ai.languageModels.user`"),
        (RefusedError(503, 14, SECRET), CONNECTION, ""),
    ],
)
async def test_a_folder_that_does_not_let_us_in_says_why(connect, api, refusal, title, word):
    provider, server = await connect(streams([]), api=api)
    server.refusal = refusal
    checks = await provider.examine()
    assert (checks[0].title, checks[0].passed) == (title, False)
    assert word in checks[0].action
    assert {check.passed for check in checks if check.title.startswith("модель")} == {None}
    assert SECRET not in repr(checks)


async def test_an_upstream_that_is_not_there_is_no_exception(serve, settings_for):
    server = await serve(streams([]))
    async with open_yandexgpt(settings_for(server, base_url="http://127.0.0.1:1/v1")) as provider:
        assert told(await provider.examine())[CONNECTION] is False


async def test_vectors_alone_leave_the_credential_untold(connect):
    provider, server = await connect(streams([]), models=(VECTORS,))
    assert told(await provider.examine())[CREDENTIAL] is None
    assert server.headers == []


# Settings


def yandex(**fields):
    return YandexGPTSettings(**{"name": "yandex", "models": (CHAT,), "folder_id": FOLDER} | fields)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"base_url": "ftp://x/v1"}, "`base_url` — не адрес http"),
        ({"base_url": "http://[1"}, "`base_url` — не адрес URL"),
        ({"base_url": "http://llm.api.cloud.yandex.net/v1"}, "открытому http"),
        ({"base_url": "https://user:pass@llm.api.cloud.yandex.net/v1"}, "паролю"),
        ({"base_url": "https://llm.api.cloud.yandex.net/foundationModels/v1/completion"}, "должен кончаться"),
        ({"base_url": "https://proxy.example/v1/chat/completions", "api": "openai"}, "должен кончаться"),
        ({"models": (ModelSettings("m", Residency.LOCAL),)}, 'residency = "ru"'),
        ({"models": (ModelSettings("m", Residency.FOREIGN),)}, 'residency = "ru"'),
        (
            {"models": (ModelSettings("m", Residency.LOCAL),), "base_url": "https://proxy.example/v1"},
            "названа локальной",
        ),
        ({"models": (ModelSettings("m", Residency.RU, "gpt://another/m"),)}, "из другого каталога"),
        ({"models": (ModelSettings("m", Residency.RU, f"emb://{FOLDER}/m"),)}, "для другой задачи"),
        ({"models": (ModelSettings("m", Residency.RU, f"gpt://{FOLDER}/m", task=Task.EMBEDDING),)}, "`emb://"),
        ({"folder_id": ""}, "`folder_id`"),
        ({"folder_id": "a/b"}, "`folder_id`"),
        ({"api_key_file": ""}, "ровно одно из трёх"),
        ({"metadata": True}, "ровно одно из трёх"),
        ({"iam_key_file": "/nonexistent"}, "ровно одно из трёх"),
        ({"api_key_file": "/nonexistent"}, "`api_key_file` не читается"),
        ({"api_key_file": "", "iam_key_file": "/nonexistent"}, "`iam_key_file` не читается"),
        ({"api_key_file": "", "iam_key_file": "/nonexistent", "iam_url": "http://iam.example/"}, "`iam_url` ведёт"),
        ({"api_key_file": "", "metadata": True, "metadata_url": "http://metadata.example/"}, "`metadata_url` ведёт"),
        ({"ca_file": "/nonexistent"}, "`ca_file` не читается"),
    ],
)
async def test_what_cannot_be_used_is_named_by_the_check_and_refused_at_open(api_key_file, fields, word):
    configured = yandex(**{"api_key_file": api_key_file} | fields)
    problems = problems_of_yandexgpt(configured)
    assert any(word in problem and problem.startswith("поставщик `yandex`: ") for problem in problems)
    with pytest.raises(UnusableSettingsError):
        async with open_yandexgpt(configured):
            pass


@pytest.mark.parametrize("content", ["", "two words", "ёж"])
async def test_an_api_key_file_holds_one_key(tmp_path, content):
    key = tmp_path / "key"
    key.write_text(content)
    with pytest.raises(UnusableSettingsError, match="ключ API") as caught:
        async with open_yandexgpt(yandex(api_key_file=str(key))):
            pass
    assert not content or content not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{}", SECRET])
async def test_an_iam_key_file_holds_an_authorized_key(tmp_path, content):
    key = tmp_path / "key"
    key.write_text(content)
    with pytest.raises(UnusableSettingsError, match="`iam_key_file`") as caught:
        async with open_yandexgpt(yandex(iam_key_file=str(key))):
            pass
    assert not content or content not in str(caught.value)


@pytest.mark.parametrize(("mode", "open_to_others"), [(0o400, False), (0o440, False), (0o644, True), (0o620, True)])
def test_a_secret_that_others_may_use_is_reported(api_key_file, iam_key_file, mode, open_to_others):
    for field, path in (("api_key_file", api_key_file), ("iam_key_file", iam_key_file)):
        Path(path).chmod(mode)
        found = problems_of_yandexgpt(yandex(**{field: path}))
        assert any("chmod 400" in problem and f"`{field}`" in problem for problem in found) is open_to_others


@pytest.mark.parametrize(
    ("api", "base_url"),
    [
        ("native", "https://llm.api.cloud.yandex.net/foundationModels/v1"),
        ("openai", "https://llm.api.cloud.yandex.net/v1"),
    ],
)
async def test_the_vendors_own_addresses_are_the_defaults_and_have_no_problems(iam_key_file, api, base_url):
    configured = yandex(iam_key_file=iam_key_file, api=api)
    assert problems_of_yandexgpt(configured) == problems_of_yandexgpt(yandex(metadata=True, api=api)) == []
    async with open_yandexgpt(configured) as provider:
        assert (provider.name, provider.readiness().ready) == ("yandex", True)
        assert str(provider._url) == base_url


async def test_of_the_vendors_own_host_no_more_is_said_than_is_known(api_key_file):
    async with open_yandexgpt(yandex(api_key_file=api_key_file, models=(VECTORS,))) as provider:
        (residency,) = [check for check in await provider.examine() if check.title == RESIDENCY]
    assert residency.passed is None
    assert "`llm.api.cloud.yandex.net` — Yandex Cloud" in residency.description


async def test_only_the_named_authority_is_trusted(ask, authority, serve, settings_for, iam_key_file):
    ca_file, files = authority
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*files)
    server = await serve(streams(says("да")), tls=tls)
    async with open_yandexgpt(settings_for(server, ca_file=ca_file, iam_key_file=iam_key_file)) as provider:
        assert (await collect(provider.chat(ask()))).content == "да"
    async with open_yandexgpt(settings_for(server)) as provider:
        assert type(await fails(provider, ask(SECRET))) is ConnectionFailedError
    assert (len(server.headers), len(server.issued)) == (1, 1)


def test_settings_are_read_from_a_file_and_unknown_fields_are_refused():
    text = b"""
kind = "yandexgpt"
name = "yandex"
folder_id = "b1gsynthetic"
iam_key_file = "/run/credentials/appliance/yandex.json"
models = [
  { name = "yandexgpt", upstream = "yandexgpt/latest", residency = "ru", country = "RU" },
  { name = "search-doc", upstream = "text-search-doc/latest", residency = "ru", country = "RU", task = "embedding" },
]
"""
    assert msgspec.toml.decode(text, type=YandexGPTSettings).max_concurrent == 10
    for extra in (b"data_logging = true\n", b'headers = { x-data-logging-enabled = "true" }\n', b"verify = false\n"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.toml.decode(text + extra, type=YandexGPTSettings)
