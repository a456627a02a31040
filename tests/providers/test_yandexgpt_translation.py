"""What is sent to Yandex AI Studio, compared whole, and what its lines mean: no server in between."""

import json

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.ai.foundation_models.v1.text_generation import text_generation_service_pb2 as generation

from providers import (
    ChatRequest,
    Chunk,
    FinishReason,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    Message,
    NamedTool,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolMode,
    Usage,
)
from providers.yandexgpt_wire import CallIds, ReplyReader, encode_compatible, encode_request, error_code, model_uri
from tests.providers.fakes.yandex_server import FOLDER, VERSION, calls, check_compatible, check_native, error_of, reply

SECRET = "Иванов-Петров"  # stands for a prompt: it may appear in no error
URI = f"gpt://{FOLDER}/yandexgpt/latest"
WEATHER = Tool("get_weather", "Погода", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True)
USER = Message(Role.USER, "Погода в Туле?")


def native(*messages, **fields):
    body = json.loads(encode_request(ChatRequest("yandexgpt/latest", messages or (USER,), **fields), URI))
    check_native(body)
    return body


def compatible(*messages, **fields):
    body = json.loads(encode_compatible(ChatRequest("yandexgpt/latest", messages or (USER,), **fields), URI))
    check_compatible(body)
    return body


def refuses(encode, *messages, **fields):
    with pytest.raises(InvalidRequestError) as caught:
        encode(ChatRequest("m", messages or (USER,), **fields), URI)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# Native


def test_a_whole_conversation_is_written_as_the_vendor_wants_it():
    call = ToolCall("call_1", "get_weather", '{"city":"Тула"}')
    body = native(
        Message(Role.SYSTEM, "Отвечай кратко."),
        USER,
        Message(Role.ASSISTANT, None, tool_calls=(call,)),
        Message(Role.TOOL, '{"temp_c":4}', tool_call_id="call_1"),
        tools=(WEATHER,),
        tool_choice=ToolMode.AUTO,
        parallel_tool_calls=True,
        temperature=0.3,
        max_tokens=500,
        reasoning_effort="none",
    )
    assert body == {
        "modelUri": URI,
        "completionOptions": {
            "stream": True,
            "temperature": 0.3,
            "maxTokens": "500",
            "reasoningOptions": {"mode": "DISABLED"},
        },
        "messages": [
            {"role": "system", "text": "Отвечай кратко."},
            {"role": "user", "text": "Погода в Туле?"},
            {
                "role": "assistant",
                "toolCallList": {
                    "toolCalls": [{"functionCall": {"name": "get_weather", "arguments": {"city": "Тула"}}}]
                },
            },
            {
                "role": "user",
                "toolResultList": {
                    "toolResults": [{"functionResult": {"name": "get_weather", "content": '{"temp_c":4}'}}]
                },
            },
        ],
        "tools": [
            {
                "function": {
                    "name": "get_weather",
                    "description": "Погода",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                    "strict": True,
                }
            }
        ],
        "parallelToolCalls": True,
        "toolChoice": {"mode": "AUTO"},
    }


def test_the_least_request_says_nothing_that_was_left_open():
    assert native() == {
        "modelUri": URI,
        "completionOptions": {"stream": True},
        "messages": [{"role": "user", "text": "Погода в Туле?"}],
    }


def test_what_has_no_place_there_is_not_sent():
    assert native() == native(
        top_p=0.5,
        presence_penalty=1.0,
        frequency_penalty=1.0,
        repetition_penalty=1.1,
        min_p=0.1,
        top_k=5,
        seed=7,
        stop=("x",),
        verbosity="low",
        metadata={"a": "b"},
        parallel_tool_calls=False,
    )


def test_system_and_developer_messages_become_one_in_the_first_place():
    body = native(
        Message(Role.SYSTEM, ("Отвечай", "кратко.")),
        USER,
        Message(Role.DEVELOPER, "И вежливо."),
        Message(Role.SYSTEM, ""),
    )
    assert body["messages"] == [
        {"role": "system", "text": "Отвечай\nкратко.\n\nИ вежливо."},
        {"role": "user", "text": "Погода в Туле?"},
    ]


def test_an_assistants_text_and_calls_become_two_messages_and_silence_none():
    said = (
        Message(Role.ASSISTANT, "Смотрю.", tool_calls=(ToolCall("1", "get_weather", ""),)),
        Message(Role.TOOL, "4", tool_call_id="1"),
        Message(Role.ASSISTANT, ""),
        Message(Role.ASSISTANT, None, refusal="Не скажу."),
    )
    messages = native(USER, *said)["messages"][1:]
    assert [sorted(message) for message in messages] == [
        ["role", "text"],
        ["role", "toolCallList"],
        ["role", "toolResultList"],
        ["role", "text"],
    ]
    assert messages[1]["toolCallList"]["toolCalls"] == [{"functionCall": {"name": "get_weather", "arguments": {}}}]
    assert messages[3]["text"] == "Не скажу."


def test_results_go_together_in_the_order_of_their_calls_since_no_id_links_them():
    two = (ToolCall("a", "get_weather", '{"city":"Тула"}'), ToolCall("b", "get_weather", '{"city":"Орёл"}'))
    third = ToolCall("c", "get_time", "{}")
    body = native(
        USER,
        Message(Role.ASSISTANT, None, tool_calls=(*two, third)),
        Message(Role.TOOL, "время", tool_call_id="c"),
        Message(Role.TOOL, "орёл", tool_call_id="b"),
        Message(Role.TOOL, "тула", tool_call_id="a"),
        Message(Role.ASSISTANT, None, tool_calls=(ToolCall("a", "get_time", "{}"),)),
        Message(Role.TOOL, "позже", tool_call_id="a"),
    )
    lists = [message["toolResultList"]["toolResults"] for message in body["messages"] if "toolResultList" in message]
    assert [[tuple(result["functionResult"].values()) for result in results] for results in lists] == [
        [("get_weather", "тула"), ("get_weather", "орёл"), ("get_time", "время")],
        [("get_time", "позже")],
    ]


def test_a_result_that_answers_no_call_is_known_by_its_name_or_refused():
    stray = Message(Role.TOOL, SECRET, name="get_weather", tool_call_id="gone")
    written = json.loads(encode_request(ChatRequest("m", (USER, stray)), URI))["messages"][1]
    assert written["toolResultList"]["toolResults"][0]["functionResult"]["name"] == "get_weather"
    assert "`tool_call_id`" in refuses(encode_request, USER, Message(Role.TOOL, SECRET, tool_call_id="gone"))


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        (" \n", {}),
        ('{"n":5}', {"n": 5}),
        ('{"city"', {"arguments": '{"city"'}),
        ("[1]", {"arguments": "[1]"}),
        ('"x"', {"arguments": '"x"'}),
        ("null", {"arguments": "null"}),
        ('{"a":' * 5000, {"arguments": '{"a":' * 5000}),
    ],
)
def test_broken_arguments_of_an_earlier_call_stay_for_the_model_to_see(text, arguments):
    body = native(USER, Message(Role.ASSISTANT, None, tool_calls=(ToolCall("1", "f", text),)))
    assert body["messages"][1]["toolCallList"]["toolCalls"][0]["functionCall"]["arguments"] == arguments


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        (ToolMode.AUTO, {"mode": "AUTO"}),
        (ToolMode.NONE, {"mode": "NONE"}),
        (ToolMode.REQUIRED, {"mode": "REQUIRED"}),
        (NamedTool("get_weather"), {"functionName": "get_weather"}),
    ],
)
def test_each_tool_choice_has_its_words(choice, written):
    assert native(tools=(WEATHER,), tool_choice=choice).get("toolChoice") == written


@pytest.mark.parametrize("choice", [ToolMode.AUTO, ToolMode.NONE])
def test_a_choice_among_no_tools_is_not_sent(choice):
    assert native(tool_choice=choice) == native()


def test_a_tool_that_is_demanded_must_be_there():
    assert "not among `tools`" in refuses(encode_request, tool_choice=NamedTool("get_time"), tools=(WEATHER,))
    assert "there are no `tools`" in refuses(encode_request, tool_choice=ToolMode.REQUIRED)


def test_a_tool_without_parameters_takes_none():
    function = native(tools=(Tool("ping"),))["tools"][0]["function"]
    assert function == {"name": "ping", "parameters": {"type": "object", "properties": {}}}


def test_a_huge_schema_with_references_passes_unchanged():
    schema = {
        "$defs": {
            f"T{n}": {"type": "object", "properties": {"next": {"$ref": f"#/$defs/T{n + 1}"}}} for n in range(400)
        },
        "anyOf": [{"$ref": "#/$defs/T0"}, {"type": "null"}],
    }
    assert native(tools=(Tool("f", None, schema),))["tools"][0]["function"]["parameters"] == schema
    assert native(response_format=ResponseFormat("json_schema", schema=schema))["jsonSchema"] == {"schema": schema}


def test_each_response_format_has_its_words():
    assert native(response_format=ResponseFormat("json_object"))["jsonObject"] is True
    assert native(response_format=ResponseFormat("text")) == native()
    assert "needs a schema" in refuses(encode_request, response_format=ResponseFormat("json_schema"))


@pytest.mark.parametrize(("asked", "sent"), [(0, 0), (0.3, 0.3), (1, 1), (1.7, 1.0)])
def test_a_temperature_above_one_is_one(asked, sent):
    assert native(temperature=asked)["completionOptions"]["temperature"] == sent
    assert compatible(temperature=asked)["temperature"] == sent


@pytest.mark.parametrize(
    ("effort", "mode"), [("none", "DISABLED"), ("minimal", "ENABLED_HIDDEN"), ("high", "ENABLED_HIDDEN")]
)
def test_a_reasoning_effort_is_on_or_off(effort, mode):
    assert native(reasoning_effort=effort)["completionOptions"]["reasoningOptions"] == {"mode": mode}


@pytest.mark.parametrize("encode", [encode_request, encode_compatible])
def test_text_that_is_no_unicode_is_refused(encode):
    assert "UTF-8" in refuses(encode, Message(Role.USER, f"{SECRET}\ud800"))


texts = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
tool_calls = st.lists(
    st.builds(ToolCall, st.sampled_from("ab"), st.sampled_from("fg"), st.text('{}:"a1', max_size=6)), max_size=3
)


@given(
    st.lists(
        st.one_of(
            st.builds(Message, st.sampled_from([Role.USER, Role.SYSTEM, Role.DEVELOPER]), texts),
            st.builds(lambda text, made: Message(Role.ASSISTANT, text, tool_calls=tuple(made)), texts, tool_calls),
            st.builds(
                lambda text, call: Message(Role.TOOL, text, "f", tool_call_id=call), texts, st.sampled_from("abc")
            ),
        ),
        max_size=8,
    )
)
def test_whatever_is_asked_is_the_vendors_completion_request(messages):
    body = json.loads(encode_request(ChatRequest("m", tuple(messages), temperature=0.5, max_tokens=2**40), URI))
    parsed = ParseDict(body, generation.CompletionRequest())
    assert parsed.completion_options.max_tokens.value == 2**40
    assert all(message.WhichOneof("Content") for message in parsed.messages)


@pytest.mark.parametrize(
    ("model", "scheme", "uri"),
    [
        ("yandexgpt/latest", "gpt", URI),
        ("yandexgpt-lite", "gpt", f"gpt://{FOLDER}/yandexgpt-lite"),
        (URI, "gpt", URI),
        ("text-search-doc/latest", "emb", f"emb://{FOLDER}/text-search-doc/latest"),
        (f"emb://{FOLDER}/text-search-doc/latest", "emb", f"emb://{FOLDER}/text-search-doc/latest"),
    ],
)
def test_a_bare_model_gets_its_folder(model, scheme, uri):
    assert model_uri(model, FOLDER, scheme) == uri


@pytest.mark.parametrize(
    "model",
    ["gpt://another/yandexgpt/latest", f"emb://{FOLDER}/text-search-doc/latest", f"gpt://{FOLDER}x/y", "ds://x"],
)
def test_a_model_of_another_folder_or_kind_is_refused(model):
    with pytest.raises(InvalidRequestError, match="`folder_id`") as caught:
        model_uri(model, FOLDER, "gpt")
    assert model not in str(caught.value)


# Compatible


def test_a_whole_compatible_request_holds_only_what_the_vendor_takes():
    ids = [f"get_weather~{'0' * 32}_{place}" for place in (0, 1)]
    body = compatible(
        Message(Role.DEVELOPER, ("Отвечай", "кратко."), name="кто-то"),
        USER,
        Message(Role.ASSISTANT, None, tool_calls=tuple(ToolCall(each, "get_weather", "{}") for each in ids)),
        *(Message(Role.TOOL, "4", tool_call_id=each) for each in ids),
        Message(Role.ASSISTANT, None, refusal="Не скажу."),
        tools=(Tool("get_weather"),),
        tool_choice=ToolMode.AUTO,
        response_format=ResponseFormat("json_schema", schema={"type": "object"}),
        temperature=2,
        max_tokens=5,
        reasoning_effort="low",
        top_p=0.5,
        seed=1,
        stop=("x",),
        parallel_tool_calls=False,
        metadata={"a": "b"},
    )
    call = {"id": "get_weather", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    result = {"role": "tool", "content": "4", "tool_call_id": "get_weather"}
    assert body == {
        "model": URI,
        "messages": [
            {"role": "system", "content": "Отвечай\nкратко."},
            {"role": "user", "content": "Погода в Туле?"},
            {"role": "assistant", "content": None, "tool_calls": [call, call]},
            result,
            result,
            {"role": "assistant", "content": "Не скажу."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": {"name": "get_weather"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        "temperature": 1.0,
        "max_tokens": 5,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize("choice", [ToolMode.REQUIRED, NamedTool("get_weather")])
def test_the_compatible_api_cannot_be_made_to_call_a_tool(choice):
    assert "`auto`" in refuses(encode_compatible, tools=(WEATHER,), tool_choice=choice)


def test_the_compatible_api_needs_a_schema_too():
    assert "needs a schema" in refuses(encode_compatible, response_format=ResponseFormat("json_schema"))
    assert compatible(response_format=ResponseFormat("json_object"))["response_format"] == {"type": "json_object"}


def test_calls_that_another_model_made_get_the_ids_that_the_vendor_links_by():
    ours, foreign = ToolCall("get_weather", "get_weather", "{}"), ToolCall("call~77_0", "get_time", "{}")
    history = (
        Message(Role.ASSISTANT, tool_calls=(ours, foreign)),
        Message(Role.TOOL, "5", tool_call_id="call~77_0"),
        Message(Role.TOOL, "6", tool_call_id="of no call"),
    )
    body = json.loads(encode_compatible(ChatRequest("m", history), URI))
    assert [each["id"] for each in body["messages"][0]["tool_calls"]] == ["get_weather", "get_time"]
    assert [each["tool_call_id"] for each in body["messages"][1:]] == ["get_time", "of no call"]


def test_ids_of_calls_are_made_unique_and_later_pieces_change_nothing():
    ids = CallIds("a" * 32)
    first = ids.renamed(Chunk(tool_calls=(ToolCallDelta(0, "f", "f"), ToolCallDelta(1, "f", "f"))))
    assert [call.id for call in first.tool_calls] == [f"f~{'a' * 32}_0", f"f~{'a' * 32}_1"]
    assert ids.renamed(Chunk(tool_calls=(ToolCallDelta(0, "", "", "{}"),))).tool_calls[0].id == ""
    assert ids.renamed(Chunk(tool_calls=(ToolCallDelta(0, "f", "", "{}"),))).tool_calls == (
        ToolCallDelta(0, f"f~{'a' * 32}_0", "", "{}"),
    )
    nameless = ids.renamed(Chunk(tool_calls=(ToolCallDelta(2, "", "g", "{}"),)))
    assert nameless.tool_calls[0].id == f"g~{'a' * 32}_2"


# The vendor's lines


def read(*documents):
    reader = ReplyReader(calls="call_x", request_id="req-1")
    return reader, [reader.read(json.dumps(document).encode()) for document in documents]


def test_a_line_becomes_a_chunk_with_all_that_the_vendor_counted():
    _, chunks = read(reply({"text": "да"}, "PARTIAL", 1), reply({"text": "да."}, "FINAL", 2))
    assert chunks == [
        Chunk("да", usage=Usage(26, 1, 27, reasoning_tokens=3), model=VERSION, request_id="req-1"),
        Chunk(".", finish_reason=FinishReason.STOP, usage=Usage(26, 2, 28, reasoning_tokens=3)),
    ]


def test_numbers_may_be_numbers_and_may_be_missing():
    alternative = reply({"text": "да"}, "FINAL")["result"]["alternatives"]
    counted = {"inputTextTokens": 5, "completionTokens": 2}
    _, chunks = read({"result": {"alternatives": alternative, "usage": counted}})
    assert chunks[0].usage == Usage(5, 2, 7)
    _, chunks = read({"result": {"alternatives": alternative, "usage": {"inputTextTokens": "5"}}})
    assert chunks[0].usage == Usage(5, 0, 5)
    _, chunks = read({"result": {"alternatives": alternative}})
    assert chunks[0].usage is None


def test_text_that_looks_like_a_number_or_null_stays_text():
    for text in ("null", "26", "true"):
        _, chunks = read(reply({"text": text}, "FINAL"))
        assert chunks[0].content == text


def test_a_result_without_its_wrapping_is_the_same():
    wrapped = reply({"text": "да"}, "FINAL")
    assert read(wrapped)[1] == read(wrapped["result"])[1]


@pytest.mark.parametrize(
    ("number", "text"),
    [(5.0, "5"), (5, "5"), (-3.0, "-3"), (5.5, "5.5"), (1e300, "1e300"), (float(2**53), str(2**53)), (True, "true")],
)
def test_a_whole_number_comes_back_whole(number, text):
    _, chunks = read(calls(("f", {"n": number, "город": ["Тула", {"n": number}]})))
    assert chunks[0].tool_calls[0].arguments == f'{{"n":{text},"город":["Тула",{{"n":{text}}}]}}'


def test_every_call_has_an_id_of_its_own():
    _, chunks = read(calls(("f", {}), ("f", {}), ("g", {})))
    assert [(call.index, call.id, call.name) for call in chunks[0].tool_calls] == [
        (0, "call_x_0", "f"), (1, "call_x_1", "f"), (2, "call_x_2", "g"),
    ]  # fmt: skip
    assert chunks[0].finish_reason is FinishReason.TOOL_CALLS


def test_calls_may_come_before_the_final_line_and_after_a_text():
    early = calls(("f", {}), status="PARTIAL")
    _, chunks = read(reply({"text": "Смотрю."}, "PARTIAL"), early, reply({}, "FINAL"))
    assert (chunks[0].content, chunks[1]) == ("Смотрю.", None)
    assert (chunks[2].finish_reason, chunks[2].tool_calls[0].name) == (FinishReason.TOOL_CALLS, "f")


@pytest.mark.parametrize(
    "document",
    [
        reply({"text": SECRET}, "UNSPECIFIED"),
        {"result": {"alternatives": [{"message": {"role": "assistant", "text": SECRET}}]}},
        reply({"text": SECRET}, "TOOL_CALLS"),
        calls(("", {SECRET: 1})),
        reply({"toolCallList": {"toolCalls": [{}]}}, "TOOL_CALLS"),
    ],
)
def test_an_answer_that_says_not_what_it_is_is_malformed(document):
    with pytest.raises(MalformedReplyError) as caught:
        read(document)
    assert SECRET not in str(caught.value)


def test_the_filters_text_is_not_taken_for_the_answers_end():
    _, chunks = read(reply({"text": "Начало"}, "PARTIAL"), reply({"text": "Не могу."}, "CONTENT_FILTER"))
    assert (chunks[1].content, chunks[1].finish_reason) == ("", FinishReason.CONTENT_FILTER)
    _, chunks = read(reply({"text": "Не могу."}, "CONTENT_FILTER"))
    assert (chunks[0].content, chunks[0].finish_reason) == ("Не могу.", FinishReason.CONTENT_FILTER)


def test_a_text_that_takes_itself_back_is_malformed():
    with pytest.raises(MalformedReplyError, match="took back") as caught:
        read(reply({"text": SECRET}, "PARTIAL"), reply({"text": "Другое"}, "FINAL"))
    assert SECRET not in str(caught.value)


def test_an_answer_without_a_final_status_is_not_whole():
    reader, _ = read(reply({"text": SECRET}, "PARTIAL"), {"result": {}}, {})
    with pytest.raises(InterruptedStreamError) as caught:
        reader.end()
    assert SECRET not in str(caught.value)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8))
def test_the_pieces_are_the_text_however_it_grew(pieces):
    texts = ["".join(pieces[: place + 1]) for place in range(len(pieces))]
    documents = [reply({"text": text}, "PARTIAL") for text in texts[:-1]] + [reply({"text": texts[-1]}, "FINAL")]
    _, chunks = read(*documents)
    assert "".join(chunk.content for chunk in chunks if chunk) == "".join(pieces)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (error_of(429, 8, SECRET), "rate_limit_exceeded"),
        (error_of(400, 3, "Number of input tokens must be no more than 8192, got 9001"), "context_length_exceeded"),
        (error_of(400, 3, "text length is 100001, which is outside the range (0, 100000]"), "context_length_exceeded"),
        (error_of(400, 3, "text length is 0, which is outside the range (0, 100000]"), "invalid_request"),
        (error_of(400, 99, SECRET), ""),
        ({"error": SECRET}, ""),
        ({"error": {}}, ""),
        ([SECRET], ""),
    ],
)
def test_of_an_error_only_a_known_code_is_kept(body, code):
    assert error_code(json.dumps(body).encode()) == code
    assert error_code(b"<html>") == error_code(b"\xff") == error_code(b'{"error":' * 5000) == ""
