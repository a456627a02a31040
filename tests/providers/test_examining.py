"""An examination says what is wrong and what to do, sends no prompt, and never raises: each upstream's in turn."""

import re
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from providers import (
    Check,
    CredentialExpiredError,
    EmbeddingRequest,
    Examinable,
    InvalidRequestError,
    MalformedReplyError,
    ModelSettings,
    OpenAICompatibleSettings,
    ProviderError,
    Residency,
    Scope,
    TestingSettings,
    Timeouts,
    open_provider,
)
from providers.gigachat import GigaChatSettings
from providers.gigachat_token import OTHER_CONTRACT
from providers.gigachat_wire import ListedModel, Remainder
from providers.ollama import OllamaSettings
from providers.router import Task
from tests.providers.fakes.gigachat_server import CREDENTIALS, GigaChatServer, problem, refusal
from tests.providers.fakes.ollama_server import CLOUD, OllamaServer, listed
from tests.providers.fakes.openai_server import OpenAIServer, answers, breaks_off, hangs

SECRET = "Иванов-Петров"  # stands for what an upstream says: it may appear in no check
RUSSIAN = re.compile(r"[А-Яа-яЁё]")
LIMITS = Timeouts(connect=5, first_byte=10, idle=10, total=30)
M = ModelSettings("m", Residency.LOCAL)
PRO = ModelSettings("pro", Residency.RU, upstream="GigaChat-2-Pro")


async def no_chat(request, body):
    raise AssertionError("an examination sends no prompt")


def titled(checks, word):
    """The one check whose title has this word."""
    (found,) = [check for check in checks if word in check.title]
    return found


async def examined(provider):
    assert isinstance(provider, Examinable)
    checks = await provider.examine()
    assert isinstance(checks, tuple)
    for check in checks:
        assert isinstance(check, Check)
        assert RUSSIAN.search(check.title)
        assert check.passed is True or check.description
        assert check.passed is not False or check.action
        assert SECRET not in str(check)
    assert len({check.title for check in checks}) == len(checks)
    return checks


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


# OpenAI-compatible


@pytest.fixture
def compatible(stack, tmp_path):
    async def start(*models, key=None, given="k", **fields):
        server = await stack.enter_async_context(OpenAIServer(no_chat, key=key).running())
        if key:
            (tmp_path / "key").write_text(given)
            fields["api_key_file"] = str(tmp_path / "key")
        settings = OpenAICompatibleSettings(
            name="up", models=models or (M,), **({"base_url": server.base_url, "timeouts": LIMITS} | fields)
        )
        return await stack.enter_async_context(open_provider(settings)), server

    return start


async def test_a_compatible_upstream_with_its_models_passes(compatible):
    other = ModelSettings("другая", Residency.LOCAL, upstream="qwen")
    provider, server = await compatible(M, other, key="k")
    server.models = ["m", "qwen", "третья"]
    checks = await examined(provider)
    assert [check.passed for check in checks] == [True, True, True, True, None]
    assert "ключ принят" in titled(checks, "учётные данные").description
    assert titled(checks, "модель `другая`").passed
    assert (server.looks, server.bodies) == (1, [])


async def test_a_model_that_is_not_listed_fails_with_what_to_do(compatible):
    provider, _ = await compatible(ModelSettings("m", Residency.LOCAL, upstream="m-2"))
    check = titled(await examined(provider), "модель `m`")
    assert check.passed is False
    assert "`m-2`" in check.description


@pytest.mark.parametrize(("key", "given"), [("k", "wrong")])
async def test_a_key_that_is_not_taken_fails_and_says_nothing_of_the_models(compatible, key, given):
    provider, server = await compatible(key=key, given=given)
    checks = await examined(provider)
    assert titled(checks, "учётные данные").passed is False
    assert titled(checks, "модель").passed is None
    assert "wrong" not in str(checks)
    server.listing = answers(403, {"error": {"message": SECRET}})
    server.key = None
    assert titled(await examined(provider), "учётные данные").passed is False


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_an_upstream_without_a_list_cannot_be_judged(compatible, status):
    provider, server = await compatible()
    server.listing = answers(status, {"error": SECRET})
    checks = await examined(provider)
    assert titled(checks, "учётные данные").passed is None
    assert titled(checks, "модель").passed is None


@pytest.mark.parametrize(
    "listing",
    [
        answers(500, {"error": SECRET}),
        answers(429, {"error": SECRET}, headers={"Retry-After": "7"}),
        answers(307, {}, headers={"Location": "/v1/elsewhere"}),
        answers(200, {"data": SECRET}),
        answers(200, {"data": [{"id": 1}]}),
        answers(200, [SECRET]),
        answers(200, text=f"<html>{SECRET}"),
        breaks_off(),
        breaks_off(b'{"data":['),
        hangs(),
    ],
)
async def test_a_list_that_cannot_be_had_fails_and_the_rest_goes_on(compatible, listing):
    provider, server = await compatible(timeouts=Timeouts(first_byte=0.3, idle=0.3))
    server.listing = listing
    checks = await examined(provider)
    assert titled(checks, "список моделей").passed is False
    assert titled(checks, "модель").passed is None
    assert titled(checks, "где обрабатываются").passed is True
    assert server.looks == 1


async def test_an_upstream_that_is_not_there_fails(stack):
    settings = OpenAICompatibleSettings(name="up", models=(M,), base_url="http://127.0.0.1:9/v1")
    provider = await stack.enter_async_context(open_provider(settings))
    assert titled(await examined(provider), "список моделей").passed is False


@pytest.mark.parametrize(
    ("preset", "word"), [("vllm", "вашем сервере"), ("", "остаются на узле"), ("generic", "остаются")]
)
async def test_what_is_known_of_retention_is_the_presets(compatible, preset, word):
    provider, _ = await compatible(preset=preset)
    check = titled(await examined(provider), "хранение")
    assert (check.passed, word in check.description) == (None, True)


async def test_where_a_far_upstream_works_is_only_said(compatible):
    far = ModelSettings("m", Residency.FOREIGN)
    provider, _ = await compatible(far, preset="openrouter")  # as behind a proxy inside the company
    checks = await examined(provider)
    where = titled(checks, "где обрабатываются")
    assert (where.passed, "за рубежом" in where.description, "Посредник" in where.description) == (None, True, True)
    assert "Zero Data Retention" in titled(checks, "хранение").description
    provider, _ = await compatible(ModelSettings("m", Residency.RU), preset="mws_gpt")
    assert titled(await examined(provider), "хранение").description == "сведений нет"


# Ollama


@pytest.fixture
def ollama(stack):
    async def start(*models, there=None, **fields):
        server = await stack.enter_async_context(OllamaServer(no_chat, models=there).running())
        settings = OllamaSettings(
            name="gpu", models=models or (M,), base_url=server.base_url, **({"timeouts": LIMITS} | fields)
        )
        return await stack.enter_async_context(open_provider(settings)), server

    return start


async def test_an_ollama_of_ones_own_passes(ollama):
    provider, server = await ollama()
    checks = await examined(provider)
    assert [check.passed for check in checks] == [True, True, True, True, True, None]
    assert "0.33.0" in titled(checks, "сервер Ollama").description
    assert server.bodies == []
    assert {(method, path) for method, path, _ in server.looks} == {
        ("POST", "/api/show"),
        ("GET", "/api/tags"),
        ("GET", "/api/ps"),
    }


async def test_a_version_that_is_no_word_is_not_shown(ollama):
    provider, server = await ollama()
    server.version = f"0.1 {SECRET}"
    assert titled(await examined(provider), "сервер Ollama").passed is True


async def test_an_absent_model_fails_with_what_to_do(ollama):
    provider, _ = await ollama(ModelSettings("m", Residency.LOCAL, upstream="qwen3:8b"))
    check = titled(await examined(provider), "модель `m`")
    assert (check.passed, "ollama pull qwen3:8b" in check.action) == (False, True)


async def test_a_forwarded_model_fails_and_so_does_its_server(ollama):
    provider, _ = await ollama(there={"m": CLOUD})
    checks = await examined(provider)
    for word in ("модель `m`", "облачные"):
        check = titled(checks, word)
        assert (check.passed, "OLLAMA_NO_CLOUD=1" in check.action) == (False, True)


@pytest.mark.parametrize("there", [{"m": {}, "gpt-oss:120b-cloud": {}}, {"m": {}, "alias": CLOUD}])
async def test_a_forwarded_model_that_nobody_asks_is_told_too(ollama, there):
    provider, _ = await ollama(there=there)
    checks = await examined(provider)
    assert titled(checks, "модель `m`").passed is True
    check = titled(checks, "облачные")
    assert (check.passed, "OLLAMA_NO_CLOUD=1" in check.action) == (False, True)
    assert next(name for name in there if name != "m") in check.description


async def test_many_forwarded_models_are_counted_and_a_strange_name_is_not_shown(ollama):
    there = {"m": {}} | {f"x{number}": CLOUD for number in range(12)}
    provider, server = await ollama(there=there)
    assert "и ещё 2" in titled(await examined(provider), "облачные").description

    async def tags(request, body):
        return web.json_response({"models": [listed("m", {}), listed(f"{SECRET} x", CLOUD)]})

    server.tags = tags
    assert titled(await examined(provider), "облачные").passed is False


async def test_every_listing_is_a_look_however_fresh_the_last_one(ollama):
    provider, server = await ollama(recheck_seconds=3600)
    await examined(provider)
    assert provider.readiness().ready
    server.models = {"m": CLOUD}
    await examined(provider)
    assert not provider.readiness().ready  # what the examination saw counts for the next prompt
    with pytest.raises(ProviderError) as caught:
        await provider.embed(EmbeddingRequest("m", (SECRET,)))
    assert SECRET not in str(caught.value)
    assert server.bodies == []


async def test_a_smaller_context_than_we_ask_for_fails(ollama):
    provider, server = await ollama(num_ctx=8193)
    check = titled(await examined(provider), "контекст модели `m`")
    assert (check.passed, "8192" in check.description, "8193" in check.description) == (False, True, True)

    async def old(request, body):
        return web.json_response({"models": [listed("m", {})]})

    server.ps = old
    assert titled(await examined(provider), "контекст").passed is None

    async def nothing(request, body):
        return web.json_response({"models": None})

    server.ps = nothing
    assert titled(await examined(provider), "контекст").passed is None


@pytest.mark.parametrize("broken", [answers(500, {"error": SECRET}), answers(200, [SECRET]), breaks_off(), hangs()])
@pytest.mark.parametrize(("door", "word"), [("tags", "облачные"), ("ps", "загруженные"), ("show", "модель `m`")])
async def test_a_look_that_cannot_be_had_fails_and_the_rest_goes_on(ollama, door, word, broken):
    provider, server = await ollama(timeouts=Timeouts(first_byte=0.3, idle=0.3))
    setattr(server, door, broken)
    checks = await examined(provider)
    assert titled(checks, word).passed is False
    assert titled(checks, "сервер Ollama").passed is True
    assert titled(checks, "где обрабатываются").passed is True


async def test_an_ollama_that_is_not_there_fails(stack):
    settings = OllamaSettings(name="gpu", models=(M,), base_url="http://127.0.0.1:9")
    provider = await stack.enter_async_context(open_provider(settings))
    assert titled(await examined(provider), "сервер Ollama").passed is False


# GigaChat


@pytest.fixture
def gigachat(stack, tmp_path):
    (tmp_path / "key").write_text(CREDENTIALS)

    async def start(*models, scope=Scope.CORP, theirs=Scope.CORP, grant=None, **fields):
        server = await stack.enter_async_context(GigaChatServer(no_chat, grant=grant, scope=theirs.value).running())
        settings = GigaChatSettings(
            name="sber",
            models=models or (PRO,),
            base_url=server.base_url,
            auth_url=server.auth_url,
            credentials_file=str(tmp_path / "key"),
            scope=scope,
            **({"timeouts": LIMITS} | fields),
        )
        return await stack.enter_async_context(open_provider(settings)), server

    return start


async def test_a_gigachat_with_its_models_passes(gigachat):
    vectors = ModelSettings("vectors", Residency.RU, upstream="Embeddings", task=Task.EMBEDDING)
    provider, server = await gigachat(PRO, vectors)
    checks = await examined(provider)
    assert titled(checks, "учётные данные").description.endswith("`GIGACHAT_API_CORP`")
    for word in ("учётные данные", "модель `pro`", "модель `vectors`", "остаток"):
        assert titled(checks, word).passed is True
    assert "`GigaChat-2-Pro` — 99 500" in titled(checks, "остаток").description
    retention = titled(checks, "хранение")
    assert (retention.passed, retention.description) == (
        None,
        "поставщик не описывает, как отключить хранение запросов",
    )
    assert (server.looks, server.bodies) == (["/v1/models", "/v1/balance"], [])


@pytest.mark.parametrize("theirs", Scope)
@pytest.mark.parametrize("ours", Scope)
async def test_the_scope_that_fits_the_key_is_found_in_order(gigachat, ours, theirs):
    provider, server = await gigachat(scope=ours, theirs=theirs)
    check = titled(await examined(provider), "учётные данные")
    asked = [form.removeprefix("scope=") for form in server.token_forms]
    if ours is theirs:
        assert (check.passed, asked) == (True, [ours.value])
        return
    assert check.passed is False
    assert check.action == f'укажите scope = "{theirs.value}"'
    others = [scope.value for scope in Scope if scope is not ours]
    assert asked == [ours.value, *others[: others.index(theirs.value) + 1]]
    assert server.looks == []


async def test_a_key_that_fits_no_scope_is_told_so(gigachat):
    provider, server = await gigachat(grant=lambda _: refusal(401, 7, SECRET))
    check = titled(await examined(provider), "учётные данные")
    assert (check.passed, "ни один" in check.description) == (False, True)
    assert len(server.token_forms) == 3


@pytest.mark.parametrize("answer", [refusal(401, 6, SECRET), problem(429, SECRET), problem(500, SECRET)])
async def test_the_search_for_a_scope_stops_at_the_first_other_answer(gigachat, answer):
    def grant(number):
        return refusal(400, 7, SECRET) if number == 1 else web.Response(status=answer.status, body=answer.body)

    provider, server = await gigachat(grant=grant)
    check = titled(await examined(provider), "учётные данные")
    assert (check.passed, "не удалось" in check.description) == (False, True)
    assert len(server.token_forms) == 2


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((401, 6), "Ключ не принят"),
        ((400, 4), "Ключ не принят"),
        ((429, 0), "Слишком много запросов"),
    ],
)
async def test_a_refused_token_is_the_only_question_asked(gigachat, answer, word):
    status, number = answer
    provider, server = await gigachat(grant=lambda _: refusal(status, number, SECRET))
    check = titled(await examined(provider), "учётные данные")
    assert (check.passed, word in check.description) == (False, True)
    assert ("через 30 с" in check.action) is (status == 429)
    assert (len(server.token_forms), server.looks) == (1, [])


async def test_the_error_of_a_key_for_another_contract_has_a_code_of_its_own(gigachat):
    provider, _ = await gigachat(theirs=Scope.PERS)
    with pytest.raises(ProviderError) as caught:
        await provider.models()
    assert caught.value.code == OTHER_CONTRACT
    assert SECRET not in str(caught.value)


async def test_a_model_that_is_absent_or_does_something_else_fails(gigachat):
    absent = ModelSettings("ultra", Residency.RU, upstream="GigaChat-3-Ultra")
    wrong = ModelSettings("vectors", Residency.RU, upstream="Embeddings")
    provider, _ = await gigachat(absent, wrong)
    checks = await examined(provider)
    assert titled(checks, "модель `ultra`").passed is False
    check = titled(checks, "модель `vectors`")
    assert (check.passed, "task" in check.action) == (False, True)


@pytest.mark.parametrize(
    ("balance", "passed", "word"),
    [
        (None, None, "постоплата"),
        ([{"usage": "GigaChat-2-Pro", "value": 0}], False, "`GigaChat-2-Pro` — 0"),
        ([{"usage": SECRET, "value": 5}], None, "нет ни одной"),
        ([], None, "нет ни одной"),
        (SECRET, None, "не по протоколу"),
    ],
)
async def test_the_balance_is_told_as_far_as_it_is_known(gigachat, balance, passed, word):
    provider, server = await gigachat()
    server.balance = balance
    check = titled(await examined(provider), "остаток")
    assert (check.passed, word in check.description) == (passed, True)


@pytest.mark.parametrize("listing", [answers(500, {"message": SECRET}), answers(200, [SECRET]), breaks_off(), hangs()])
async def test_a_gigachat_list_that_cannot_be_had_fails_and_the_rest_goes_on(gigachat, listing):
    provider, server = await gigachat(timeouts=Timeouts(first_byte=0.3, idle=0.3))
    server.listing = listing
    checks = await examined(provider)
    assert titled(checks, "список моделей").passed is False
    assert titled(checks, "модель `pro`").passed is None
    assert titled(checks, "остаток").passed is True


async def test_whom_we_trust_is_told(authority, stack, tmp_path):
    import hashlib
    import ssl
    from pathlib import Path

    ca_file, (certificate, key) = authority
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = GigaChatServer(no_chat)
    await stack.enter_async_context(server.running(tls=tls))
    (tmp_path / "key").write_text(CREDENTIALS)
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(ca_file).read_text())).hexdigest()
    common = {"name": "sber", "models": (PRO,), "base_url": server.base_url, "auth_url": server.auth_url}
    common |= {"credentials_file": str(tmp_path / "key"), "timeouts": LIMITS}
    for fields, passed, word in (
        ({"ca_file": ca_file, "ca_sha256": fingerprint}, True, fingerprint),
        ({"ca_file": ca_file}, None, "не закреплён"),
        ({}, None, "операционной системы"),
    ):
        async with open_provider(GigaChatSettings(**common, **fields)) as provider:
            checks = await examined(provider)
        check = titled(checks, "доверие")
        assert (check.passed, word in check.description) == (passed, True)
        assert titled(checks, "учётные данные").passed is bool(fields)  # the system's authorities do not know this one
        assert titled(checks, "где обрабатываются").passed is None


async def test_gigachats_models_counts_and_balance_can_be_asked_for(gigachat):
    provider, server = await gigachat()
    assert await provider.models() == (
        ListedModel("GigaChat-2", Task.CHAT),
        ListedModel("GigaChat-2-Pro", Task.CHAT),
        ListedModel("Embeddings", Task.EMBEDDING),
    )
    assert await provider.balance() == (Remainder("GigaChat-2-Pro", 99500),)
    server.balance = None
    assert await provider.balance() is None
    assert await provider.count("GigaChat-2", ("раз два", "три")) == (2, 1)
    assert server.bodies == [{"model": "GigaChat-2", "input": ["раз два", "три"]}]


async def test_a_count_that_fails_says_nothing_of_the_texts(gigachat):
    provider, server = await gigachat()
    for text, kind in ((f"{SECRET}\ud800", InvalidRequestError), (SECRET, CredentialExpiredError)):
        if kind is CredentialExpiredError:
            await provider.models()
            server.valid.clear()
        with pytest.raises(ProviderError) as caught:
            await provider.count("GigaChat-2", (text,))
        assert type(caught.value) is kind
        assert SECRET not in str(caught.value)
    assert server.bodies == []


async def test_a_count_of_another_number_of_texts_is_malformed(gigachat):
    provider, server = await gigachat()
    server.counts = lambda texts: texts[1:]
    with pytest.raises(MalformedReplyError) as caught:
        await provider.count("GigaChat-2", (SECRET, "два"))
    assert SECRET not in str(caught.value)


# The provider without an upstream


async def test_the_testing_provider_says_what_it_is(stack):
    settings = TestingSettings(name="t", models=(ModelSettings("mock-auth-error", Residency.LOCAL),))
    (check,) = await examined(await stack.enter_async_context(open_provider(settings)))
    assert (check.title, check.passed) == ("встроенная заглушка", True)
