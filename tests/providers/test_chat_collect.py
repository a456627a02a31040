import pytest

from providers import ChatResponse, Chunk, FinishReason, InterruptedStreamError, ToolCall, ToolCallDelta, Usage, collect


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


async def test_text_reasoning_and_refusal_accumulate_and_the_last_of_the_rest_counts():
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    response = await collect(
        stream(
            Chunk(model="m", request_id="r"),
            Chunk(content="при", reasoning="ду"),
            Chunk(content="вет", reasoning="маю", refusal="не"),
            Chunk(refusal="т", finish_reason=FinishReason.LENGTH),
            Chunk(usage=usage),
        )
    )
    assert response == ChatResponse(
        content="привет",
        tool_calls=(),
        finish_reason=FinishReason.LENGTH,
        usage=usage,
        reasoning="думаю",
        refusal="нет",
        model="m",
        request_id="r",
    )


async def test_tool_calls_join_by_index_and_empty_fields_overwrite_nothing():
    response = await collect(
        stream(
            Chunk(tool_calls=(ToolCallDelta(1, "b", "second", "{"), ToolCallDelta(0, "a", "first", '{"x"'))),
            Chunk(tool_calls=(ToolCallDelta(0, "", "", ":1}"), ToolCallDelta(1, arguments="}"))),
            Chunk(finish_reason=FinishReason.TOOL_CALLS),
        )
    )
    assert response.tool_calls == (ToolCall("a", "first", '{"x":1}'), ToolCall("b", "second", "{}"))
    assert response.content is None


async def test_an_empty_answer_is_empty_text_not_none():
    assert (await collect(stream(Chunk(finish_reason=FinishReason.STOP)))).content == ""


async def test_a_pure_refusal_has_no_content():
    response = await collect(stream(Chunk(refusal="нет", finish_reason=FinishReason.STOP)))
    assert (response.content, response.refusal) == (None, "нет")


async def test_a_stream_without_a_finish_reason_is_never_a_whole_answer():
    with pytest.raises(InterruptedStreamError) as caught:
        await collect(stream(Chunk(content="полов", request_id="r7")))
    assert caught.value.request_id == "r7"
    assert caught.value.failover
