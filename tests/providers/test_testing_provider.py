import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    ChatRequest,
    FinishReason,
    Message,
    ModelSettings,
    ProviderError,
    Residency,
    Role,
    TestingSettings,
    Tool,
    collect,
    errors,
    open_provider,
)
from providers.testing import MODES


def settings(*models, **fields):
    return TestingSettings(
        name="t", models=tuple(ModelSettings(model, Residency.FOREIGN) for model in models), delay=0, **fields
    )


def request(model, *texts, **fields):
    return ChatRequest(model=model, messages=tuple(Message(Role.USER, text) for text in texts or ("привет",)), **fields)


async def ask(asked, **fields):
    async with open_provider(settings("mock-normal", **fields)) as provider:
        return await collect(provider.chat(asked))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("timeout", errors.UpstreamTimeoutError),
        ("ratelimit", errors.RateLimitedError),
        ("retry-after", errors.RateLimitedError),
        ("auth-error", errors.AuthenticationFailedError),
        ("invalid-request", errors.InvalidRequestError),
        ("payment-required", errors.PaymentRequiredError),
        ("forbidden", errors.PermissionDeniedError),
        ("not-found", errors.ModelNotFoundError),
        ("too-large", errors.RequestTooLargeError),
        ("server-error", errors.UpstreamServerError),
        ("unavailable", errors.UpstreamServerError),
        ("malformed", errors.MalformedReplyError),
        ("drop", errors.InterruptedStreamError),
    ],
)
async def test_each_failing_mode_fails_in_its_own_way_every_time(mode, kind):
    for model in (f"mock-{mode}", mode, f"MOCK-{mode.upper()}"):
        with pytest.raises(ProviderError) as caught:
            await ask(request(model))
        assert type(caught.value) is kind
    assert (caught.value.retry_after == 7.0) is (mode == "retry-after")


@pytest.mark.parametrize("model", ["mock-normal", "mock-slow", "mock-unhealthy", "a-name-nobody-knows"])
async def test_the_other_modes_answer_with_usage(model):
    response = await ask(request(model, "раз", "два  три\n"), slow_delay=0.001)
    assert response.content == "Mock response to: два  три\n"
    assert response.finish_reason is FinishReason.STOP
    assert (response.usage.prompt_tokens, response.usage.total_tokens) == (3, 3 + response.usage.completion_tokens)
    assert (response.model, response.request_id) == (model, "testing-0001")


@given(st.text())
async def test_echo_gives_back_the_last_user_text_as_it_is(text):
    assert (await ask(request("mock-echo", "старое", text))).content == text


@given(st.lists(st.text(), max_size=4))
async def test_echo_joins_the_parts_of_a_text(parts):
    asked = ChatRequest(model="mock-echo", messages=(Message(Role.USER, tuple(parts)), Message(Role.ASSISTANT, "x")))
    assert (await ask(asked)).content == "".join(parts)


async def test_echo_of_nothing_is_nothing():
    assert (await ask(ChatRequest(model="mock-echo", messages=()))).content == ""


async def test_max_tokens_cuts_and_says_so():
    response = await ask(request("mock-normal", max_tokens=2))
    assert (response.content, response.finish_reason) == ("Mock response", FinishReason.LENGTH)


async def test_drop_breaks_in_the_middle():
    async with open_provider(settings("mock-drop")) as provider:
        stream = provider.chat(request("mock-drop"))
        assert (await anext(stream)).content + (await anext(stream)).content == "Mock response to:"
        with pytest.raises(errors.InterruptedStreamError):
            await anext(stream)


async def test_content_filter_is_a_finish_reason():
    assert (await ask(request("mock-content-filter"))).finish_reason is FinishReason.CONTENT_FILTER


async def test_tool_call_calls_the_first_tool_and_then_says_its_result():
    tools = (Tool("weather"), Tool("other"))
    called = await ask(request("mock-tool-call", 'Тула "1"', tools=tools))
    (call,) = called.tool_calls
    assert (call.name, call.arguments) == ("weather", '{"text":"Тула \\"1\\""}')
    assert called.finish_reason is FinishReason.TOOL_CALLS
    history = (
        Message(Role.USER, "Тула"),
        Message(Role.ASSISTANT, tool_calls=(call,)),
        Message(Role.TOOL, "+4", tool_call_id=call.id),
    )
    said = await ask(ChatRequest(model="mock-tool-call", messages=history, tools=tools))
    assert (said.content, said.finish_reason) == ("Mock tool result: +4", FinishReason.STOP)


@pytest.mark.parametrize("models", [("a", "mock-unhealthy"), ("UNHEALTHY",)])
async def test_an_unhealthy_model_makes_the_provider_unready(models):
    async with open_provider(settings(*models)) as provider:
        assert not provider.readiness().ready
        assert provider.readiness().reason


async def test_every_mode_is_named_as_the_demo_names_it():
    assert {"normal", "timeout", "ratelimit", "auth-error", "invalid-request", "unhealthy"} <= set(MODES)
