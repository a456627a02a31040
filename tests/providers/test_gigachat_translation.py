"""Our requests in GigaChat's words: whole bodies, compared exactly, and each one taken by the strict fake."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    ChatRequest,
    InvalidRequestError,
    Message,
    NamedTool,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolMode,
)
from providers.gigachat_schema import normalised
from providers.gigachat_wire import StopCutter, encode_request, tool_names
from tests.providers.fakes.gigachat_server import STATE_ID, fault_of

SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL = Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT, Role.TOOL
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Погода по городу", SCHEMA)


def body_of(*messages, model="GigaChat-2-Pro", **fields):
    messages = messages or (Message(USER, "привет"),)
    body = json.loads(encode_request(ChatRequest(model, messages, **fields)))
    assert fault_of(body) == ""
    return body


def messages_of(*messages, **fields):
    return body_of(*messages, **fields)["messages"]


def call(call_id, name="get_weather", arguments='{"city":"Тула"}'):
    return ToolCall(call_id, name, arguments)


def called(arguments, name="get_weather", content="", **fields):
    wire = {"role": "assistant", "content": content, "function_call": {"name": name, "arguments": arguments}}
    return wire | fields


def result(content, name="get_weather"):
    return {"role": "function", "name": name, "content": content}


def test_the_smallest_request():
    assert body_of() == {
        "model": "GigaChat-2-Pro",
        "messages": [{"role": "user", "content": "привет"}],
        "stream": True,
        "function_call": "none",
    }


def test_every_field_of_the_vocabulary_has_its_place_or_is_left_out():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    request = ChatRequest(
        model="GigaChat-2-Max",
        messages=(
            Message(USER, ("раз", "два"), name="anna"),
            Message(SYSTEM, "Кратко."),
            Message(DEVELOPER, ("По-русски.", "Вежливо.")),
            Message(USER, "три"),
            Message(ASSISTANT, None, refusal="нет"),
            Message(ASSISTANT, "смотрю"),
            Message(ASSISTANT, "погоду", tool_calls=(call(STATE_ID),)),
            Message(TOOL, '{"temp_c": 4}', tool_call_id=STATE_ID),
            Message(USER, None),
        ),
        tools=(Tool("get_weather", "Погода по городу", SCHEMA, strict=True), Tool("ping")),
        tool_choice=ToolMode.AUTO,
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", name="r", schema=schema, strict=True),
        temperature=0.7,
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
    body = json.loads(encode_request(request))
    assert fault_of(body) == ""
    assert body == {
        "model": "GigaChat-2-Max",
        "messages": [
            {"role": "system", "content": "Кратко.\nПо-русски.\nВежливо."},
            {"role": "user", "content": "раз\nдва\nтри"},
            called({"city": "Тула"}, content="нет\nсмотрю\nпогоду", functions_state_id=STATE_ID),
            result('{"temp_c": 4}'),
            {"role": "user", "content": ""},
        ],
        "stream": True,
        "functions": [
            {"name": "get_weather", "description": "Погода по городу", "parameters": SCHEMA},
            {"name": "ping", "parameters": {"type": "object", "properties": {}}},
        ],
        "function_call": "auto",
        "temperature": 0.7,
        "top_p": 0.5,
        "max_tokens": 9,
        "repetition_penalty": 1.1,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "schema": schema, "strict": True},
    }


def test_russian_is_sent_as_it_is_written():
    assert "привет".encode() in encode_request(ChatRequest("m", (Message(USER, "привет"),)))


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"temperature": 0.0}, {"top_p": 0}),
        ({"temperature": 0.0, "top_p": 0.9}, {"top_p": 0}),
        ({"temperature": 0.01}, {"temperature": 0.01}),
        ({"top_p": 0.3}, {"top_p": 0.3}),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ({"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
        ({"reasoning_effort": "none"}, {}),
        ({"response_format": ResponseFormat("text")}, {}),
        (
            {"response_format": ResponseFormat("json_schema", schema={"type": "object"})},
            {"response_format": {"type": "json_schema", "schema": {"type": "object"}}},
        ),
    ],
)
def test_single_fields(fields, sent):
    body = body_of(**fields)
    for name in ("model", "messages", "stream", "function_call"):
        del body[name]
    assert body == sent


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, "none"),
        ({"tools": (WEATHER,)}, "auto"),
        ({"tools": (WEATHER,), "tool_choice": ToolMode.AUTO}, "auto"),
        ({"tools": (WEATHER,), "tool_choice": ToolMode.NONE}, "none"),
        ({"tools": (WEATHER,), "tool_choice": ToolMode.REQUIRED}, {"name": "get_weather"}),
        ({"tools": (WEATHER, Tool("get-time")), "tool_choice": NamedTool("get-time")}, {"name": "get_time"}),
        ({"tool_choice": ToolMode.AUTO}, "none"),
    ],
)
def test_the_choice_of_tools_is_always_said(fields, sent):
    body = body_of(**fields)
    assert body["function_call"] == sent
    assert ("functions" in body) is (sent != "none")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"tools": (WEATHER, Tool("b")), "tool_choice": ToolMode.REQUIRED}, "any one of several"),
        ({"tool_choice": ToolMode.REQUIRED}, "any one of several"),
        ({"tools": (WEATHER,), "tool_choice": NamedTool("x")}, "not among `tools`"),
        ({"response_format": ResponseFormat("json_object")}, "json_object"),
        ({"response_format": ResponseFormat("json_schema")}, "needs a schema"),
        ({"tools": (Tool("f", parameters={"type": "string"}),)}, "must be an object"),
    ],
)
def test_what_cannot_be_said_is_refused(fields, word):
    with pytest.raises(InvalidRequestError, match=word):
        body_of(**fields)


def test_several_calls_become_as_many_turns_each_with_its_own_result():
    history = (
        Message(USER, "Погода?"),
        Message(ASSISTANT, "Смотрю", tool_calls=(call("a"), call("b", "get_time", ""), call("c"))),
        Message(TOOL, "утро", tool_call_id="b"),
        Message(TOOL, "[4]", tool_call_id="a"),
        Message(USER, "и?"),
    )
    assert messages_of(*history) == [
        {"role": "user", "content": "Погода?"},
        called({"city": "Тула"}, content="Смотрю"),
        result('{"result":[4]}'),
        called({}, name="get_time"),
        result('{"result":"утро"}', name="get_time"),
        called({"city": "Тула"}),
        {"role": "user", "content": "и?"},
    ]


def test_calls_that_share_an_id_get_their_results_in_order():
    history = (
        Message(ASSISTANT, None, tool_calls=(call("x", "a", "{}"), call("x", "b", "{}"))),
        Message(TOOL, "1", tool_call_id="x"),
        Message(TOOL, "2", tool_call_id="x"),
    )
    assert [message["name"] for message in messages_of(*history) if message["role"] == "function"] == ["a", "b"]


def test_a_late_result_finds_its_name_and_one_without_a_call_is_refused():
    history = (
        Message(ASSISTANT, None, tool_calls=(call("a"),)),
        Message(USER, "быстрее"),
        Message(TOOL, "{}", tool_call_id="a"),
        Message(TOOL, "{}", tool_call_id="?", name="get-time"),
    )
    assert messages_of(*history)[2:] == [result("{}"), result("{}", name="get_time")]
    with pytest.raises(InvalidRequestError, match="answers no tool call"):
        body_of(Message(TOOL, "{}", tool_call_id="a"))


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ('{"a": "б"}', '{"a": "б"}'),
        ("просто текст", '{"result":"просто текст"}'),
        ("[1, 2]", '{"result":[1, 2]}'),
        ("null", '{"result":null}'),
        ('{"a"', '{"result":"{\\"a\\""}'),
        ("", '{"result":""}'),
        (None, '{"result":""}'),
        (("{", "}"), "{\n}"),
        ("[" * 5000, '{"result":"' + "[" * 5000 + '"}'),
    ],
)
def test_a_tool_result_is_always_an_object_in_a_string(content, sent):
    history = (Message(ASSISTANT, None, tool_calls=(call("a"),)), Message(TOOL, content, tool_call_id="a"))
    assert messages_of(*history)[1] == result(sent)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"n": 1.50, "b": 123456789012345678901}', {"n": 1.5, "b": 123456789012345678901}),
        ("", {}),
        (" ", {}),
        ('{"a"', {"arguments": '{"a"'}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_arguments_are_always_an_object(text, sent):
    assert messages_of(Message(ASSISTANT, None, tool_calls=(call("a", arguments=text),)))[0] == called(sent)


@pytest.mark.parametrize(("call_id", "echoed"), [(STATE_ID, True), ("call_abc", False), ("", False)])
def test_only_gigachats_own_ids_are_given_back_to_it(call_id, echoed):
    message = messages_of(Message(ASSISTANT, None, tool_calls=(call(call_id),)))[0]
    assert ("functions_state_id" in message) is echoed


@pytest.mark.parametrize(
    ("names", "sent"),
    [
        (["get_weather"], ["get_weather"]),
        (["web_search", "text2image"], ["user_web_search", "user_text2image"]),
        (["user_web_search", "web_search"], ["user_web_search", "user_web_search_2"]),
        (["a-b", "a.b", "a_b"], ["a_b", "a_b_2", "a_b_3"]),
        (["7zip", "", "имя"], ["user_7zip", "user_", "___"]),
    ],
)
def test_names_are_made_of_what_gigachat_takes_and_none_is_its_own(names, sent):
    assert [function["name"] for function in body_of(tools=tuple(map(Tool, names)))["functions"]] == sent


@given(st.lists(st.text(max_size=4), max_size=8, unique=True))
def test_no_two_tools_share_a_name(names):
    given = tool_names(ChatRequest("m", (), tools=tuple(map(Tool, names))))
    assert list(given) == names
    assert len(set(given.values())) == len(names)


# Schemas


REFERENCES = {
    "$schema": "x",
    "type": "object",
    "$defs": {
        "City": {"type": "object", "properties": {"name": {"type": "string", "format": "uuid"}}},
        "a/b": {"enum": ["x", 1, None]},
    },
    "properties": {
        "from": {"$ref": "#/$defs/City", "description": "откуда"},
        "to": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/City"}], "default": None},
        "kind": {"$ref": "#/$defs/a~1b"},
    },
    "required": ["from", "нет такого"],
    "additionalProperties": False,
}
CITY = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "narrowed"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        (SCHEMA, SCHEMA),
        (
            REFERENCES,
            {
                "type": "object",
                "properties": {
                    "from": CITY | {"description": "откуда"},
                    "to": CITY | {"default": None},
                    "kind": {"type": "string", "enum": ["x"]},
                },
                "required": ["from"],
            },
        ),
    ],
)
def test_whole_schemas(schema, narrowed):
    assert normalised(schema) == narrowed


@pytest.mark.parametrize(
    ("schema", "narrowed"),
    [
        ({"type": ["null", "integer"]}, {"type": "integer"}),
        ({"type": ["null"]}, {"type": "string"}),
        ({"type": "null"}, {"type": "string"}),
        ({}, {"type": "string"}),
        (True, {"type": "string"}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {"type": "string"}}}),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        ({"items": {"type": "number"}}, {"type": "array", "items": {"type": "number"}}),
        ({"type": "array", "items": [{"type": "number"}, {}]}, {"type": "array", "items": {"type": "number"}}),
        ({"prefixItems": [{"type": "boolean"}]}, {"type": "array", "items": {"type": "boolean"}}),
        ({"type": "array", "items": True}, {"type": "array", "items": {"type": "string"}}),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}, {"type": "string"}]}, {"type": "integer"}),
        ({"oneOf": [{"type": "null"}]}, {"type": "string"}),
        ({"oneOf": [{"anyOf": [{"type": "boolean"}]}], "title": "T"}, {"type": "boolean", "title": "T"}),
        (
            {"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["a", "b"],
            },
        ),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer"}),
        ({"enum": [1, 2]}, {"type": "string"}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "format": ["date"]}, {"type": "string"}),
        ({"type": "integer", "minimum": 1, "x-own": 2}, {"type": "integer", "minimum": 1}),
    ],
)
def test_one_property(schema, narrowed):
    found = normalised({"type": "object", "properties": {"p": schema}})
    assert found == {"type": "object", "properties": {"p": narrowed}}


def test_the_same_definition_may_serve_twice_and_may_contain_itself():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}}}
    schema = {"$defs": {"Node": node}, "properties": {"a": {"$ref": "#/$defs/Node"}, "b": {"$ref": "#/$defs/Node"}}}
    one = {
        "type": "object",
        "properties": {"next": {"type": "object", "properties": {}}, "name": {"type": "string"}},
    }
    assert normalised(schema) == {"type": "object", "properties": {"a": one, "b": one}}
    both = {"$defs": {"N": {"properties": {"a": {}}}}, "allOf": [{"$ref": "#/$defs/N"}, {"$ref": "#/$defs/N"}]}
    assert normalised(both) == {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    "reference",
    ["https://example.com/x", "#/$defs/none", "#/properties/p/5", 5, "#/$defs/l/9", "#/$defs/l/" + "9" * 5000],
    ids=range(6),
)
def test_a_reference_that_leads_nowhere_is_refused(reference):
    with pytest.raises(InvalidRequestError, match="refers to something"):
        normalised({"$defs": {"l": [{}]}, "properties": {"p": {"$ref": reference}}})


def test_a_schema_that_would_never_end_is_refused():
    doubling = {
        f"n{level}": {"properties": {side: {"$ref": f"#/$defs/n{level + 1}"} for side in "ab"}} for level in range(30)
    } | {"n30": {}}
    deep = {}
    for _ in range(3000):
        deep = {"allOf": [deep]}
    chain = {f"n{level}": {"$ref": f"#/$defs/n{level + 1}"} for level in range(3000)}
    for schema in (
        {"$defs": doubling, "$ref": "#/$defs/n0"},
        {"properties": {"p": deep}},
        {"$defs": chain, "$ref": "#/$defs/n0"},
    ):
        with pytest.raises(InvalidRequestError, match="too large or too deep"):
            normalised(schema)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "allOf", "$ref", "enum", "required", "const", "format", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["properties", "allOf", "$defs", "required", "anyOf", "enum"]), JSON, max_size=4)
)
def test_whatever_the_schema_it_is_narrowed_or_refused(schema):
    try:
        narrowed = normalised(schema)
    except InvalidRequestError:
        return
    check(narrowed)
    assert normalised(narrowed) == narrowed


def check(schema):
    assert schema["type"] in ("object", "array", "string", "number", "integer", "boolean")
    assert not {"$ref", "anyOf", "oneOf", "allOf"} & set(schema)
    assert ("properties" in schema) is (schema["type"] == "object")
    assert ("items" in schema) is (schema["type"] == "array")
    for inner in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        check(inner)


# Stop strings


def cut_at(text, stops):
    """The text before the stop string that is complete first, the slow way."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))], True
    return text, False


@given(
    st.lists(st.text("аб", max_size=4), max_size=8),
    st.lists(st.text("аб", max_size=4), max_size=4),
)
def test_a_text_is_cut_at_the_same_place_however_it_is_split(pieces, stops):
    cutter = StopCutter(stops)
    out = "".join([cutter.feed(piece) for piece in pieces])
    assert (out + cutter.rest(), cutter.hit) == cut_at("".join(pieces), stops)
