"""OpenAI's chat completion requests on the wire: what applications send us.

Shapes follow the OpenAI API reference for `POST /v1/chat/completions` as the official SDKs 2.x and 3.x use it.
An unknown field is refused: what we do not know we cannot inspect. Fields that would let data leave by another door
(`store`, `web_search_options`, images, audio, files) are refused by name; `user`, `safety_identifier`, `prompt_cache_key` and
`service_tier` are accepted and never forwarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.errors import UninspectableError
from appliance.wire.decoding import Strict, decode
from providers import (
    ChatRequest,
    JsonObject,
    Message,
    NamedTool,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolMode,
)


class TextPart(Strict, frozen=True, tag="text"):
    text: str


class RefusalPart(Strict, frozen=True, tag="refusal"):
    refusal: str


class ImagePart(msgspec.Struct, frozen=True, tag="image_url"):
    """Known only in order to be refused with its own name."""


class AudioPart(msgspec.Struct, frozen=True, tag="input_audio"):
    """Known only in order to be refused with its own name."""


class FilePart(msgspec.Struct, frozen=True, tag="file"):
    """Known only in order to be refused with its own name."""


class VideoPart(msgspec.Struct, frozen=True, tag="video_url"):
    """Known only in order to be refused with its own name."""


ContentPart = TextPart | RefusalPart | ImagePart | AudioPart | FilePart | VideoPart


class FunctionCall(Strict, frozen=True):
    name: str
    arguments: str = ""


class WireToolCall(Strict, frozen=True):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | None = None  # some clients send back what a stream gave them


class WireMessage(Strict, frozen=True):
    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[WireToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    # Parts of an answer that clients echo back as they got it; they say nothing to the next model and do not leave.
    annotations: list[msgspec.Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    audio: None = None
    function_call: None = None


class FunctionDefinition(Strict, frozen=True):
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class WireTool(Strict, frozen=True):
    function: FunctionDefinition
    type: Literal["function"] = "function"


class FunctionName(Strict, frozen=True):
    name: str


class NamedToolChoice(Strict, frozen=True):
    function: FunctionName
    type: Literal["function"] = "function"


class TextFormat(Strict, frozen=True, tag="text"):
    """The default: words."""


class JsonObjectFormat(Strict, frozen=True, tag="json_object"):
    """Any JSON object."""


class JsonSchema(Strict, frozen=True):
    name: str
    description: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None


class JsonSchemaFormat(Strict, frozen=True, tag="json_schema"):
    json_schema: JsonSchema


class StreamOptions(Strict, frozen=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


_Count = Annotated[int, Meta(ge=1)]


class ChatCompletionRequest(Strict, frozen=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[WireMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[WireTool] | None = None
    tool_choice: ToolMode | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    metadata: dict[str, str] | None = None
    # Common extensions of the OpenAI protocol (vLLM, llama.cpp, LM Studio).
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    # Accepted, never forwarded.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    # Accepted only where they ask for nothing.
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: None = None
    store: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    logit_bias: None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None


_REQUEST = msgspec.json.Decoder(ChatCompletionRequest)
_ADVICE = {
    "n": "one answer a request is supported: leave `n` out or send 1",
    "logprobs": "token probabilities cannot be given back for hidden values: leave `logprobs` out",
    "top_logprobs": "token probabilities cannot be given back for hidden values: leave `top_logprobs` out",
    "store": "storing on the provider's side is not allowed: leave `store` out",
    "modalities": "only text can be inspected: leave `modalities` out",
    "logit_bias": "`logit_bias` is not supported: leave it out",
    "audio": "audio cannot be inspected: leave it out",
    "prediction": "`prediction` is not supported: leave it out",
    "web_search_options": "a search on the provider's side would carry data past the policy: leave `web_search_options` out",
    "functions": "`functions` is the old form: use `tools`",
    "function_call": "`function_call` is the old form: use `tools` and `tool_choice`",
}


def decode_chat(body: bytes) -> ChatCompletionRequest:
    """The request in a body. Raises BadRequestError that names the place and what is expected there."""
    return decode(_REQUEST, body, _ADVICE)


def to_chat_request(wire: ChatCompletionRequest, metadata: dict[str, str]) -> ChatRequest:
    """Our request, its `model` yet to be filled in by the route. Raises UninspectableError for parts that are not text."""
    return ChatRequest(
        model="",
        messages=tuple(_message(message, f"messages[{index}]") for index, message in enumerate(wire.messages)),
        tools=tuple(
            Tool(tool.function.name, tool.function.description, tool.function.parameters, tool.function.strict)
            for tool in wire.tools or ()
        ),
        tool_choice=NamedTool(wire.tool_choice.function.name)
        if isinstance(wire.tool_choice, NamedToolChoice)
        else wire.tool_choice,
        parallel_tool_calls=wire.parallel_tool_calls,
        response_format=_response_format(wire.response_format),
        temperature=wire.temperature,
        top_p=wire.top_p,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        repetition_penalty=wire.repetition_penalty,
        min_p=wire.min_p,
        top_k=wire.top_k,
        seed=wire.seed,
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        reasoning_effort=wire.reasoning_effort,
        verbosity=wire.verbosity,
        metadata=metadata,
    )


def _message(message: WireMessage, place: str) -> Message:
    content = message.content
    return Message(
        role=message.role,
        content=tuple(_parts(content, place)) if isinstance(content, list) else content,
        name=message.name,
        tool_calls=tuple(
            ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
        refusal=message.refusal,
    )


def _parts(parts: Iterable[ContentPart], place: str) -> Iterable[str]:
    for index, part in enumerate(parts):
        match part:
            case TextPart(text):
                yield text
            case RefusalPart(refusal):
                yield refusal
            case _:
                kind = part.__struct_config__.tag
                raise UninspectableError(
                    f"a part of type `{kind}` cannot be inspected for personal data and is refused: send text",
                    f"{place}.content[{index}]",
                )


def _response_format(form: TextFormat | JsonObjectFormat | JsonSchemaFormat | None) -> ResponseFormat | None:
    match form:
        case None:
            return None
        case TextFormat():
            return ResponseFormat(kind="text")
        case JsonObjectFormat():
            return ResponseFormat(kind="json_object")
        case JsonSchemaFormat(schema):
            return ResponseFormat("json_schema", schema.name, schema.description, schema.schema, schema.strict)
