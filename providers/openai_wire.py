"""OpenAI's JSON for chat completions and embeddings: our request out, their chunks, vectors, lists and error objects in. Pure."""

import math
import struct
from base64 import b64decode
from collections.abc import Iterable
from typing import Final, assert_never

import msgspec
from msgspec import Struct, field

from providers.chat import (
    ChatRequest,
    Chunk,
    FinishReason,
    JsonObject,
    Message,
    NamedTool,
    ResponseFormat,
    Role,
    Tool,
    ToolCallDelta,
    ToolMode,
    Usage,
)
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    ProviderError,
    UpstreamServerError,
    from_status,
    status_of,
)

DONE: Final = b"[DONE]"


def encode_request(request: ChatRequest) -> bytes:
    """Always asks for a stream with usage. What the request leaves open is left out, not sent as null."""
    body: JsonObject = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    match request.tool_choice:
        case None:
            pass
        case NamedTool(name):
            body["tool_choice"] = {"type": "function", "function": {"name": name}}
        case ToolMode() as mode:
            body["tool_choice"] = mode.value
        case _ as never:
            assert_never(never)
    if request.response_format:
        body["response_format"] = _response_format(request.response_format)
    for name in _AS_THEY_ARE:
        value = getattr(request, name)
        if value is not None and value not in ((), {}):
            body[name] = value
    return _ENCODER.encode(body)


class ReplyReader:
    """Turns the events of one streamed answer, or one whole completion, into chunks."""

    __slots__ = ("_calls", "_last_call", "_model", "_said", "finished", "request_id")

    def __init__(self, request_id: str = "") -> None:
        self.request_id = request_id
        self.finished = False
        self._model = ""
        self._calls: dict[str, int] = {}
        self._last_call = 0
        self._said = False

    def read(self, json: bytes) -> Chunk | None:
        """One event, or one whole completion; None when there is nothing in it for us.

        Raises the error that the reply carries, and msgspec's errors for what is not the protocol.
        """
        reply = _DECODER.decode(json)
        if reply.error:
            raise _error(reply.error, self.request_id)
        opening = not self._model and bool(reply.model)
        if opening:
            self._model = reply.model or ""
        chunk = self._chunk(next((choice for choice in reply.choices or () if not choice.index), None), reply.usage)
        if opening and chunk is None:
            chunk = Chunk()
        if opening and chunk is not None:
            return msgspec.structs.replace(chunk, model=self._model, request_id=self.request_id)
        return chunk

    def closed(self) -> Chunk | None:
        """The end of an answer that said something and was closed by `[DONE]` without a reason; None when there is nothing to end.

        No reason is read as an unknown one: LENGTH says that something may be missing.
        """
        if self.finished or not self._said:
            return None
        self.finished = True
        return Chunk(finish_reason=FinishReason.LENGTH)

    def end(self) -> None:
        """Raises unless the answer was finished: the bytes ended, which says nothing about the answer."""
        if not self.finished:
            raise InterruptedStreamError("the answer ended without a finish reason", request_id=self.request_id)

    def _chunk(self, choice: "_Choice | None", used: "_Usage | None") -> Chunk | None:
        usage = used.as_usage() if used else None
        if choice is None:
            return Chunk(usage=usage) if usage else None
        said = choice.delta or choice.message or _NOTHING_SAID
        finish = self._finish(choice.finish_reason)
        calls = tuple(self._call(place, call) for place, call in enumerate(said.tool_calls or ()))
        content, refusal = said.content or "", said.refusal or ""
        reasoning = said.reasoning_content or said.reasoning or ""
        if not (content or reasoning or refusal or calls or finish or usage):
            return None
        self._said = True
        return Chunk(
            content=content, reasoning=reasoning, refusal=refusal, tool_calls=calls, finish_reason=finish, usage=usage
        )

    def _finish(self, reason: str | None) -> FinishReason | None:
        if not reason:
            return None
        if reason in _FAILED:
            raise UpstreamServerError("the upstream gave up in the middle of its answer", request_id=self.request_id)
        if self.finished:
            return None
        self.finished = True
        # An unknown reason is never read as "complete": LENGTH says that something may be missing.
        return _FINISHED.get(reason, FinishReason.LENGTH)

    def _call(self, place: int, call: "_ToolCall") -> ToolCallDelta:
        """Some servers leave `index` out: then the id tells a new call from the next piece of the last one."""
        index = call.index
        if index is None:
            index = self._calls.setdefault(call.id, len(self._calls)) if call.id else max(self._last_call, place)
        self._last_call = index
        function = call.function or _NO_FUNCTION
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = _ENCODER.encode(arguments).decode()
        return ToolCallDelta(index=index, id=call.id or "", name=function.name or "", arguments=arguments or "")


def encode_embedding(request: EmbeddingRequest) -> bytes:
    """Asks for numbers, which every server can write. Raises InvalidRequestError."""
    body: JsonObject = {"model": request.model, "input": request.texts, "encoding_format": "float"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    try:
        return _ENCODER.encode(body)
    except UnicodeEncodeError:
        raise InvalidRequestError("the request holds text that cannot be written as UTF-8") from None


def decode_embeddings(json: bytes, request: EmbeddingRequest, *, request_id: str = "") -> Embeddings:
    """The vectors, whether written as numbers or as base64. Raises the error that the reply carries, MalformedReplyError
    when it does not hold exactly one vector a text, and msgspec's errors for what is not the protocol.
    """
    reply = _EMBEDDED.decode(json)
    if reply.error:
        raise _error(reply.error, request_id)
    entries = [(entry.index, _numbers(entry.embedding)) for entry in reply.data or ()]
    return Embeddings(
        vectors=in_order(entries, request, request_id=request_id),
        usage=reply.usage.as_usage() if reply.usage else None,
        model=reply.model or "",
        request_id=request_id,
    )


def decode_models(json: bytes) -> frozenset[str]:
    """The names on a list of models. Raises msgspec's errors."""
    return frozenset(model.id for model in _LISTING.decode(json).data)


def in_order(
    entries: Iterable[tuple[int, tuple[float, ...]]], request: EmbeddingRequest, *, request_id: str = ""
) -> tuple[tuple[float, ...], ...]:
    """The vectors by their index. A vector at the wrong place, or one too few, would belong to another text: it raises
    MalformedReplyError, as do vectors of different lengths, or of another than was asked for, and numbers that are none.
    """
    numbered = sorted(entries, key=lambda entry: entry[0])
    vectors = tuple(vector for _, vector in numbered)
    if [index for index, _ in numbered] != list(range(len(request.texts))):
        raise MalformedReplyError("the upstream did not send exactly one vector a text", request_id=request_id)
    lengths = {len(vector) for vector in vectors}
    if len(lengths) != 1 or 0 in lengths:
        raise MalformedReplyError("the upstream sent vectors of different lengths", request_id=request_id)
    if request.dimensions is not None and request.dimensions not in lengths:
        raise MalformedReplyError(
            "the upstream sent vectors of another length than `dimensions`", request_id=request_id
        )
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise MalformedReplyError("the upstream sent vectors that hold no numbers", request_id=request_id)
    return vectors


def error_code(body: bytes) -> str:
    """The code of an error body, or "". Whatever else it says is not for us: it may echo the prompt."""
    try:
        error = _DECODER.decode(body).error
    except (msgspec.MsgspecError, UnicodeError):
        return ""
    return status_of(error.code, error.type)[1] if isinstance(error, _Error) else ""


_AS_THEY_ARE: Final = (
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "min_p",
    "top_k",
    "seed",
    "max_tokens",
    "stop",
    "reasoning_effort",
    "verbosity",
    "metadata",
)

_FINISHED: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "blacklist": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}
_FAILED: Final = frozenset({"error", "abort", "insufficient_system_resource"})


def _message(message: Message) -> JsonObject:
    wire: JsonObject = {"role": message.role.value}
    match message.content:
        case tuple() as parts:
            wire["content"] = [{"type": "text", "text": part} for part in parts]
        case None:
            # Only an assistant may have said nothing; servers want a string from everyone else.
            wire["content"] = None if message.role is Role.ASSISTANT else ""
        case text:
            wire["content"] = text
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.refusal is not None:
        wire["refusal"] = message.refusal
    return wire


def _tool(tool: Tool) -> JsonObject:
    return {
        "type": "function",
        "function": _without_none(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
        ),
    }


def _response_format(wanted: ResponseFormat) -> JsonObject:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    schema: JsonObject = {
        "name": wanted.name,
        "description": wanted.description,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    return {"type": wanted.kind, "json_schema": _without_none(schema)}


def _error(error: "_Error | str", request_id: str) -> ProviderError:
    status, code = status_of(error.code, error.type) if isinstance(error, _Error) else (500, "")
    return from_status(status, request_id=request_id, code=code)


def _numbers(embedding: tuple[float, ...] | str) -> tuple[float, ...]:
    """Base64 holds floats of four bytes, the lowest first."""
    if not isinstance(embedding, str):
        return embedding
    try:
        return tuple(number for (number,) in struct.iter_unpack("<f", b64decode(embedding, validate=True)))
    except (ValueError, struct.error):
        raise MalformedReplyError("the upstream sent a vector that is neither numbers nor base64") from None


def _without_none(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


# The peer's side. Unknown fields are tolerated, and so is null wherever some server is known to write it.


class _Function(Struct):
    name: str | None = None
    arguments: str | JsonObject | None = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Said(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _CachedTokens(Struct):
    cached_tokens: int | None = None


class _ReasoningTokens(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None
    completion_tokens_details: _ReasoningTokens | None = None

    def as_usage(self) -> Usage:
        prompt, completion = self.prompt_tokens or 0, self.completion_tokens or 0
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        reasoning = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion if self.total_tokens is None else self.total_tokens,
            cached_tokens=cached or 0,
            reasoning_tokens=reasoning or 0,
        )


class _Error(Struct):
    code: str | int | None = None
    type: str | None = None


class _Reply(Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: _Error | str | None = field(default=None)


class _Vector(Struct):
    index: int
    embedding: tuple[float, ...] | str


class _Embedded(Struct):
    data: list[_Vector] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: _Error | str | None = None


class _Listed(Struct):
    id: str


class _Listing(Struct):
    data: list[_Listed]


_NOTHING_SAID: Final = _Said()
_NO_FUNCTION: Final = _Function()
_DECODER: Final = msgspec.json.Decoder(_Reply)
_EMBEDDED: Final = msgspec.json.Decoder(_Embedded)
_LISTING: Final = msgspec.json.Decoder(_Listing)
_ENCODER: Final = msgspec.json.Encoder()
