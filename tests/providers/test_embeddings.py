"""One table of upstreams, each asked for vectors through the same door; the vendors' own clients read the fakes first."""

import asyncio
import base64
import json
import math
import struct
from contextlib import AsyncExitStack

import gigachat
import ollama
import openai
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    ConnectionLostError,
    CredentialExpiredError,
    Embedder,
    EmbeddingRequest,
    InvalidRequestError,
    MalformedReplyError,
    ModelSettings,
    OpenAICompatibleSettings,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    Residency,
    TestingSettings,
    UnexpectedStatusError,
    UpstreamServerError,
    UpstreamTimeoutError,
    Usage,
    open_provider,
)
from providers.errors import from_status
from providers.exchange import Timeouts
from providers.gigachat import GigaChatSettings
from providers.ollama import OllamaSettings
from providers.openai_wire import decode_embeddings, in_order
from providers.router import Task
from providers.testing import MODES
from tests.providers.fakes import gigachat_server, ollama_server, openai_server
from tests.providers.fakes.gigachat_server import CREDENTIALS, GigaChatServer
from tests.providers.fakes.ollama_server import CLOUD, OllamaServer
from tests.providers.fakes.openai_server import OpenAIServer, answers, breaks_off, embedding_reply, hangs, vector_of

SECRET = "Иванов-Петров"  # stands for a text: it may appear in no error
TEXTS = ("привет", "мир", "третий текст")
KINDS = ("openai", "ollama", "gigachat")
MODEL = {"openai": "m", "ollama": "m", "gigachat": "Embeddings"}
REPLY = {
    "openai": openai_server.embedding_reply,
    "ollama": ollama_server.embedding_reply,
    "gigachat": gigachat_server.embedding_reply,
}
LIMITS = Timeouts(connect=5, first_byte=10, idle=10, total=30)

# The client marks its own methods as older ones; the protocol is the same.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gigachat")


def server_of(kind):
    async def no_chat(request, body):
        raise AssertionError("nobody asked for a chat")

    return {"openai": OpenAIServer, "ollama": OllamaServer, "gigachat": GigaChatServer}[kind](no_chat)


@pytest.fixture
async def connect(tmp_path):
    """Start a fake and open a provider to it: `provider, server = await connect(kind)`. `embed` is its answer."""
    (tmp_path / "key").write_text(CREDENTIALS)

    async with AsyncExitStack() as stack:

        async def start(kind, embed=None, **fields):
            server = await stack.enter_async_context(server_of(kind).running())
            server.embed = embed or server.embed
            models = (ModelSettings(MODEL[kind], Residency.LOCAL, task=Task.EMBEDDING),)
            common = {"name": "up", "models": models, "base_url": server.base_url, "timeouts": LIMITS} | fields
            match kind:
                case "openai":
                    settings = OpenAICompatibleSettings(**common)
                case "ollama":
                    settings = OllamaSettings(**common)
                case "gigachat":
                    key = str(tmp_path / "key")
                    settings = GigaChatSettings(**common, auth_url=server.auth_url, credentials_file=key)
            return await stack.enter_async_context(open_provider(settings)), server

        yield start


def request_to(kind, *texts, **fields):
    return EmbeddingRequest(model=MODEL[kind], texts=texts or TEXTS, **fields)


async def fails(provider, request):
    with pytest.raises(ProviderError) as caught:
        await provider.embed(request)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


# The fakes, read by the vendors' clients


def openai_client(server):
    return openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0)


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_openais_client_reads_the_fakes_vectors(encoding):
    asked = {"encoding_format": encoding} if encoding else {}
    async with server_of("openai").running() as server, openai_client(server) as client:
        reply = await client.embeddings.create(model="m", input=list(TEXTS), dimensions=8, **asked)
    found = [each.embedding for each in reply.data]
    if encoding == "base64":
        found = [list(struct.unpack("<8f", base64.b64decode(each))) for each in found]
    assert found == [vector_of(text, 8) for text in TEXTS]
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (9, 9)
    assert server.bodies[0]["encoding_format"] == (encoding or "base64")  # its default


async def test_openais_client_lists_the_fakes_models():
    async with server_of("openai").running() as server, openai_client(server) as client:
        assert [model.id async for model in client.models.list()] == ["m"]


async def test_ollamas_client_reads_the_fakes_vectors_and_is_refused_what_it_forbids_to_cut():
    async with server_of("ollama").running() as server:
        client = ollama.AsyncClient(host=server.base_url)
        reply = await client.embed("m", list(TEXTS), truncate=False, dimensions=8, options={"num_ctx": 8})
        assert [len(each) for each in reply.embeddings] == [8, 8, 8]
        assert (reply.prompt_eval_count, reply.total_duration) == (9, 14_143_917)
        assert (await client.embed("m", "слово " * 9, options={"num_ctx": 8})).embeddings
        with pytest.raises(ollama.ResponseError, match="context length"):
            await client.embed("m", "слово " * 9, truncate=False, options={"num_ctx": 8})
        await client._client.aclose()


async def test_gigachats_client_reads_the_fakes_vectors_models_counts_and_balance():
    async with (
        server_of("gigachat").running() as server,
        gigachat.GigaChat(
            base_url=server.base_url, auth_url=server.auth_url, credentials=CREDENTIALS, scope="GIGACHAT_API_CORP"
        ) as client,
    ):
        reply = await client.aembeddings(list(TEXTS), model="Embeddings")
        assert [each.usage.prompt_tokens for each in reply.data] == [3, 4, 5]
        assert [each.index for each in reply.data] == [0, 1, 2]
        models = (await client.aget_models()).data
        assert [each.id_ for each in models] == ["GigaChat-2", "GigaChat-2-Pro", "Embeddings"]
        counts = await client.atokens_count(["раз два", "три"], model="GigaChat-2")
        assert [(each.tokens, each.characters) for each in counts] == [(2, 7), (1, 3)]
        assert [(each.usage, each.value) for each in (await client.aget_balance()).balance] == [
            ("GigaChat-2-Pro", 99500)
        ]
        server.balance = None
        with pytest.raises(gigachat.exceptions.ResponseError) as caught:
            await client.aget_balance()
        assert caught.value.status_code == 403


# What every upstream has in common


@pytest.mark.parametrize("kind", KINDS)
async def test_each_text_gets_its_vector_in_order_with_the_usage(connect, kind):
    provider, server = await connect(kind)
    assert isinstance(provider, Embedder)
    found = await provider.embed(request_to(kind))
    assert [list(vector) for vector in found.vectors] == [vector_of(text) for text in TEXTS]
    tokens = {"gigachat": 3 + 4 + 5}.get(kind, 9)
    assert found.usage == Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
    assert (found.model, found.request_id) == {
        "openai": ("m-2026", "req-1"),
        "ollama": ("m", ""),
        "gigachat": ("Embeddings", "req-1"),
    }[kind]
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("openai", {"encoding_format": "float"}),
        ("ollama", {"truncate": False, "options": {"num_ctx": 8192}}),
        ("gigachat", {}),
    ],
)
async def test_what_is_sent_is_what_was_asked_for_and_nothing_else(connect, kind, more):
    provider, server = await connect(kind)
    await provider.embed(request_to(kind))
    assert server.bodies == [{"model": MODEL[kind], "input": list(TEXTS)} | more]


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_dimensions_are_asked_for(connect, kind):
    provider, server = await connect(kind)
    found = await provider.embed(request_to(kind, dimensions=3))
    assert {len(vector) for vector in found.vectors} == {3}
    assert server.bodies[0]["dimensions"] == 3


async def test_gigachat_is_asked_for_no_dimensions(connect):
    provider, server = await connect("gigachat")
    error = await fails(provider, request_to("gigachat", SECRET, dimensions=3))
    assert type(error) is InvalidRequestError
    assert (server.bodies, server.token_forms) == ([], [])


@pytest.mark.parametrize(("kind", "size"), [("openai", 256), ("ollama", 256), ("gigachat", 100)])
async def test_the_largest_batch_is_known_and_goes_in_one_request(connect, kind, size):
    provider, server = await connect(kind)
    assert provider.largest_batch == size
    texts = [f"текст {number}" for number in range(size)]
    found = await provider.embed(request_to(kind, *texts))
    assert [list(vector) for vector in found.vectors] == [vector_of(text) for text in texts]
    assert len(server.bodies) == 1


async def test_the_batch_of_an_openai_compatible_upstream_is_a_setting(connect):
    provider, _ = await connect("openai", embedding_batch=7)
    assert provider.largest_batch == 7


def two(kind, **changes):
    """A reply for two texts, with its second vector, or its whole list, changed."""
    reply = REPLY[kind](["раз", "два"])
    if "all" in changes:
        return reply | {"data" if "data" in reply else "embeddings": changes["all"]}
    if kind == "ollama":
        reply["embeddings"][1] = changes["embedding"]
    else:
        reply["data"][1] |= changes
    return reply


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        *((kind, two(kind, all=[])) for kind in KINDS),
        *((kind, two(kind, all=None)) for kind in KINDS),
        *((kind, two(kind, embedding=[])) for kind in KINDS),
        *((kind, two(kind, embedding=[0.5])) for kind in KINDS),
        *((kind, two(kind, embedding=None)) for kind in KINDS),
        *((kind, two(kind, embedding=[0.1, "0.2", 0.3, 0.4])) for kind in KINDS),
        *((kind, two(kind, index=index)) for kind in ("openai", "gigachat") for index in (0, 2, -1, None, "1")),
        *((kind, REPLY[kind](["раз"])) for kind in KINDS),
        *((kind, REPLY[kind](["раз", "два", "три"])) for kind in KINDS),
        *((kind, []) for kind in KINDS),
        *((kind, {}) for kind in KINDS),
        ("openai", two("openai", embedding="не base64")),
        ("openai", two("openai", embedding="AAAA")),  # three bytes are no float
        ("openai", two("openai", embedding=base64.b64encode(struct.pack("<4f", 0, 1, math.nan, 2)).decode())),
        ("openai", two("openai", embedding=base64.b64encode(struct.pack("<4f", 0, 1, math.inf, 2)).decode())),
    ],
)
async def test_a_reply_that_does_not_hold_one_good_vector_a_text_is_malformed(connect, kind, reply):
    provider, server = await connect(kind, answers(200, reply))
    error = await fails(provider, request_to(kind, SECRET, "два"))
    assert type(error) is MalformedReplyError
    assert len(server.bodies) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "{", "[" * 60_000, '{"data": NaN}', '{"data":[{"index":0,"embedding":[1e999]}]}'])
async def test_a_reply_that_is_not_json_is_malformed(connect, kind, text):
    async def scenario(request, body):
        return web.Response(text=text, content_type="application/json")

    provider, _ = await connect(kind, scenario)
    assert type(await fails(provider, request_to(kind, SECRET))) is MalformedReplyError


@pytest.mark.parametrize("kind", KINDS)
async def test_a_web_page_is_no_answer(connect, kind):
    provider, _ = await connect(kind, answers(200, text=f"<html>{SECRET}"))
    assert type(await fails(provider, request_to(kind, SECRET))) is MalformedReplyError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422, 429, 500, 503])
async def test_each_status_is_its_error_and_says_nothing_of_the_body(connect, kind, status):
    body = {"error": SECRET, "status": status, "message": SECRET}
    provider, server = await connect(kind, answers(status, body, headers={"Retry-After": "7"}))
    error = await fails(provider, request_to(kind, SECRET))
    assert type(error) is type(from_status(status))
    assert error.retry_after == 7.0
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("kind", "reply", "error"),
    [
        ("openai", {"error": {"message": SECRET, "code": "rate_limit_exceeded"}}, RateLimitedError),
        ("openai", {"error": SECRET}, UpstreamServerError),
        ("ollama", {"error": SECRET}, UpstreamServerError),
        ("gigachat", {"status": 429, "message": SECRET}, RateLimitedError),
    ],
)
async def test_an_error_under_a_200_is_an_error(connect, kind, reply, error):
    provider, _ = await connect(kind, answers(200, reply))
    assert type(await fails(provider, request_to(kind, SECRET))) is error


@pytest.mark.parametrize("kind", KINDS)
async def test_a_redirect_is_not_followed_and_a_lost_connection_not_tried_again(connect, kind):
    provider, server = await connect(kind, answers(307, {}, headers={"Location": "/v1/elsewhere"}))
    assert type(await fails(provider, request_to(kind, SECRET))) is UnexpectedStatusError
    server.embed = breaks_off()
    assert type(await fails(provider, request_to(kind, SECRET))) is ConnectionLostError
    assert len(server.bodies) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_silence_ends_in_a_timeout_and_hangs_up(connect, kind):
    provider, server = await connect(kind, hangs(), timeouts=Timeouts(first_byte=0.3))
    assert type(await fails(provider, request_to(kind, SECRET))) is UpstreamTimeoutError
    await server.hung_up.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(connect, kind):
    began = asyncio.Event()

    async def scenario(request, body):
        began.set()
        return await hangs()(request, body)

    provider, server = await connect(kind, scenario, max_concurrent=1, queue_seconds=0.1)
    first = asyncio.ensure_future(provider.embed(request_to(kind)))
    await began.wait()
    error = await fails(provider, request_to(kind, SECRET))
    assert (type(error), error.retry_after) == (RateLimitedError, 1.0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await server.hung_up.wait()
    server.embed = answers(200, REPLY[kind](["раз"]))
    assert len((await provider.embed(request_to(kind, "раз"))).vectors) == 1  # the place is free again


@pytest.mark.parametrize("kind", KINDS)
async def test_text_that_is_no_unicode_cannot_be_sent_and_nothing_is(connect, kind):
    provider, server = await connect(kind)
    assert type(await fails(provider, request_to(kind, f"{SECRET}\ud800"))) is InvalidRequestError
    assert server.bodies == []


# What only one of them has


async def test_base64_is_read_as_the_numbers_that_it_is(connect):
    provider, _ = await connect("openai", answers(200, embedding_reply(list(TEXTS), length=8, plain=False)))
    found = await provider.embed(request_to("openai"))
    assert [list(vector) for vector in found.vectors] == [vector_of(text, 8) for text in TEXTS]


async def test_vectors_come_back_in_the_order_of_their_index(connect):
    reply = embedding_reply(list(TEXTS))
    reply["data"].reverse()
    provider, _ = await connect("openai", answers(200, reply))
    found = await provider.embed(request_to("openai"))
    assert [list(vector) for vector in found.vectors] == [vector_of(text) for text in TEXTS]


@given(st.permutations(range(5)))
def test_whatever_the_order_on_the_wire_a_vector_belongs_to_its_text(order):
    texts = tuple(f"т{number}" for number in range(5))
    reply = embedding_reply(list(texts))
    reply["data"] = [reply["data"][place] for place in order]
    found = decode_embeddings(json.dumps(reply).encode(), EmbeddingRequest("m", texts))
    assert [list(vector) for vector in found.vectors] == [vector_of(text) for text in texts]


@given(st.lists(st.integers(-1, 4), max_size=5))
def test_only_each_index_once_is_an_answer(indices):
    request = EmbeddingRequest("m", ("раз", "два", "три"))
    entries = [(index, (1.0, 0.0)) for index in indices]
    if sorted(indices) == [0, 1, 2]:
        assert len(in_order(entries, request)) == 3
    else:
        with pytest.raises(MalformedReplyError):
            in_order(entries, request)


async def test_vectors_of_another_length_than_asked_for_are_malformed(connect):
    provider, _ = await connect("openai", answers(200, embedding_reply(["раз"], length=8)))
    error = await fails(provider, request_to("openai", SECRET, dimensions=4))
    assert type(error) is MalformedReplyError


async def test_ollama_cuts_no_text_that_is_too_long(connect):
    provider, _ = await connect("ollama", num_ctx=8, keep_alive="5m")
    error = await fails(provider, request_to("ollama", f"{SECRET} " * 9))
    assert (type(error), error.code) == (InvalidRequestError, "context_length_exceeded")


@pytest.mark.parametrize("more", [CLOUD, {"remote_host": "https://ollama.com:443"}, None])
async def test_a_forwarded_or_absent_model_gets_no_text(connect, more):
    provider, server = await connect("ollama")
    server.models = {} if more is None else {"m": more}
    error = await fails(provider, request_to("ollama", SECRET))
    assert type(error) is PermissionDeniedError
    assert server.bodies == []
    assert SECRET not in str(server.looks)


async def test_vectors_from_another_host_end_it_for_good(connect):
    provider, server = await connect("ollama", answers(200, REPLY["ollama"](["раз"]) | CLOUD))
    assert type(await fails(provider, request_to("ollama", SECRET))) is PermissionDeniedError
    assert type(await fails(provider, request_to("ollama", SECRET))) is PermissionDeniedError
    assert len(server.bodies) == 1


async def test_a_token_that_is_no_longer_taken_is_dropped_and_the_texts_are_not_sent_again(connect):
    provider, server = await connect("gigachat")
    await provider.embed(request_to("gigachat"))
    server.valid.clear()
    error = await fails(provider, request_to("gigachat", SECRET))
    assert (type(error), error.again) == (CredentialExpiredError, True)
    assert len(server.bodies) == 1
    assert len((await provider.embed(request_to("gigachat"))).vectors) == 3
    assert len(server.issued) == 2


# The provider without an upstream


@pytest.fixture
async def testing():
    models = (ModelSettings("mock-normal", Residency.LOCAL, task=Task.EMBEDDING),)
    async with open_provider(TestingSettings(name="t", models=models, delay=0, slow_delay=0)) as provider:
        yield provider


@pytest.mark.parametrize("dimensions", [None, 1, 3, 4096])
async def test_the_testing_provider_makes_unit_vectors_that_are_the_same_again(testing, dimensions):
    request = EmbeddingRequest("mock-normal", ("раз", "два слова", "раз", ""), dimensions)
    found = await testing.embed(request)
    assert found == await testing.embed(request)
    assert {len(vector) for vector in found.vectors} == {dimensions or 64}
    assert all(math.isclose(math.hypot(*vector), 1.0) for vector in found.vectors)
    assert found.vectors[0] == found.vectors[2]
    assert dimensions == 1 or found.vectors[0] != found.vectors[1]
    assert found.usage == Usage(prompt_tokens=4, completion_tokens=0, total_tokens=4)
    assert (found.model, found.request_id) == ("mock-normal", "testing-0001")


@pytest.mark.parametrize("dimensions", [0, -1, 4097])
async def test_the_testing_provider_refuses_lengths_that_mean_nothing(testing, dimensions):
    with pytest.raises(InvalidRequestError) as caught:
        await testing.embed(EmbeddingRequest("mock-normal", (SECRET,), dimensions))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
async def test_a_mode_that_fails_in_chat_fails_here_too(testing, mode):
    request = EmbeddingRequest(f"mock-{mode}", ("раз",))
    if mode in ("normal", "echo", "slow", "unhealthy", "tool-call", "content-filter"):
        assert len((await testing.embed(request)).vectors) == 1
    else:
        with pytest.raises(ProviderError) as caught:
            await testing.embed(request)
        assert (caught.value.retry_after == 7.0) is (mode == "retry-after")
