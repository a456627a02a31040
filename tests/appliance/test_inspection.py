"""Laws of the traversal: it sees every text, and what it does not see is not in the result."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UninspectableError
from appliance.inspection import Field, rewrite
from providers import ChatRequest, Message, NamedTool, ResponseFormat, Role, Tool, ToolCall

words = st.text(st.characters(codec="utf-8"), max_size=12)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(words, documents, max_size=3)
calls = st.builds(ToolCall, id=words, name=words, arguments=words | objects.map(json.dumps))
messages = st.builds(
    Message,
    role=st.sampled_from(Role),
    content=st.none() | words | st.lists(words, max_size=3).map(tuple) | objects.map(json.dumps),
    name=st.none() | words,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
    tool_call_id=st.none() | words,
    refusal=st.none() | words,
)
requests = st.builds(
    ChatRequest,
    model=st.just("m"),
    messages=st.lists(messages, max_size=3).map(tuple),
    tools=st.lists(
        st.builds(Tool, name=words, description=st.none() | words, parameters=st.none() | objects), max_size=2
    ).map(tuple),
    tool_choice=st.none() | st.builds(NamedTool, name=words),
    response_format=st.none()
    | st.builds(ResponseFormat, kind=st.just("json_schema"), name=words, description=words, schema=objects),
    stop=st.lists(words, max_size=2).map(tuple),
    metadata=st.dictionaries(words, words, max_size=2),
)


def strings(value: object) -> set[str]:
    """Every string in a document, JSON inside strings undone."""
    match value:
        case str():
            try:
                inner = json.loads(value)
            except (ValueError, RecursionError):
                return {value}
            return strings(inner) if isinstance(inner, dict | list) else {value}
        case dict():
            return {text for pair in value.items() for item in pair for text in strings(item)}
        case list() | tuple():
            return {text for item in value for text in strings(item)}
        case _:
            return set()


@given(requests)
def test_what_the_visitor_leaves_alone_stays_as_it_was(request_) -> None:
    assert rewrite(request_, lambda field: field.content) == request_


@given(requests)
def test_no_text_gets_past_the_visitor(request_) -> None:
    blank = rewrite(request_, lambda field: "•" if field.maskable else field.content)
    seen: list[Field] = []
    rewrite(request_, lambda field: seen.append(field) or field.content)
    fixed = {field.content for field in seen if not field.maskable}
    closed = {
        *Role,
        "m",
        "json_schema",
        *(
            field.name
            for kind in (ChatRequest, Message, Tool, ToolCall, NamedTool, ResponseFormat)
            for field in msgspec.structs.fields(kind)
        ),
    }

    assert strings(msgspec.to_builtins(blank)) <= {"•"} | fixed | closed


@given(objects)
def test_the_leaves_of_arguments_are_seen_without_their_escapes(document) -> None:
    seen: set[str] = set()
    call = ToolCall("", "", json.dumps(document, ensure_ascii=True))
    rewrite(
        ChatRequest(model="m", messages=(Message(Role.ASSISTANT, tool_calls=(call,)),)),
        lambda field: seen.add(field.content) or field.content,
    )

    assert strings(document) <= seen


def test_a_repeated_key_cannot_hide_a_value() -> None:
    call = ToolCall("", "f", '{"a": "first", "a": "second"}')
    result = rewrite(
        ChatRequest(model="m", messages=(Message(Role.ASSISTANT, tool_calls=(call,)),)), lambda field: field.content
    )

    assert "first" not in result.messages[0].tool_calls[0].arguments


def test_a_number_is_shown_as_it_is_written_and_may_become_a_placeholder() -> None:
    call = ToolCall("", "f", '{"account": 40817810099910004312.0, "count": 3}')
    result = rewrite(
        ChatRequest(model="m", messages=(Message(Role.ASSISTANT, tool_calls=(call,)),)),
        lambda field: "[ACCOUNT_1]" if field.content == "40817810099910004312.0" else field.content,
    )

    assert json.loads(result.messages[0].tool_calls[0].arguments) == {"account": "[ACCOUNT_1]", "count": 3}


def test_json_nested_too_deep_is_refused() -> None:
    nested: object = "x"
    for _ in range(100):
        nested = [nested]
    tool = Tool("f", parameters={"a": nested})
    with pytest.raises(UninspectableError, match="nested"):
        rewrite(ChatRequest(model="m", messages=(), tools=(tool,)), lambda field: field.content)
