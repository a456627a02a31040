"""OpenAI's chat completions on the wire: what applications get back, whole, in chunks, or as an error.

Shapes follow the OpenAI API reference for `POST /v1/chat/completions`; a field that has nothing to say is left out.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from providers import ChatResponse, Chunk, Usage


class FunctionCall(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class UsageDetails(msgspec.Struct, frozen=True):
    cached_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int = 0


class WireUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: UsageDetails
    completion_tokens_details: CompletionDetails
    cost_rub: float | None  # ours, beside OpenAI's: null when there is no tariff


class AnswerToolCall(msgspec.Struct, frozen=True):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class AnswerMessage(msgspec.Struct, frozen=True):
    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: str | None = None
    tool_calls: list[AnswerToolCall] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True):
    message: AnswerMessage
    finish_reason: str
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: WireUsage | UnsetType = UNSET
    object: Literal["chat.completion"] = "chat.completion"


class FunctionDelta(msgspec.Struct, frozen=True):
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallChunk(msgspec.Struct, frozen=True):
    index: int
    function: FunctionDelta
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True):
    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallChunk] | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    delta: Delta
    finish_reason: str | None = None
    index: int = 0
    logprobs: None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: WireUsage | UnsetType | None = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class Stamp(msgspec.Struct, frozen=True):
    """What all chunks of one answer share. `created` is Unix time in seconds."""

    id: str
    created: int
    model: str
    include_usage: bool = False


def completion(response: ChatResponse, stamp: Stamp, cost_rub: float | None = None) -> ChatCompletion:
    """The whole answer."""
    message = AnswerMessage(
        content=response.content,
        refusal=response.refusal or None,
        tool_calls=[AnswerToolCall(call.id, FunctionCall(call.name, call.arguments)) for call in response.tool_calls]
        or UNSET,
        reasoning_content=response.reasoning or UNSET,
    )
    return ChatCompletion(
        id=stamp.id,
        created=stamp.created,
        model=stamp.model,
        choices=[Choice(message, response.finish_reason)],
        usage=UNSET if response.usage is None else _usage(response.usage, cost_rub),
    )


def first_chunk(stamp: Stamp) -> ChatCompletionChunk:
    """The opening of a stream: the role and no text."""
    return _chunk(stamp, Delta(role="assistant", content=""))


def chunk(part: Chunk, stamp: Stamp) -> ChatCompletionChunk | None:
    """One chunk of a stream; None when there is nothing in it that a client has to see (usage goes last, by `usage_chunk`)."""
    delta = Delta(
        content=part.content or UNSET,
        refusal=part.refusal or UNSET,
        reasoning_content=part.reasoning or UNSET,
        tool_calls=[
            ToolCallChunk(
                index=call.index,
                id=call.id or UNSET,
                type="function" if call.id else UNSET,
                function=FunctionDelta(call.name or UNSET, call.arguments if call.arguments or call.name else UNSET),
            )
            for call in part.tool_calls
        ]
        or UNSET,
    )
    if part.finish_reason is None and delta == Delta():
        return None
    return _chunk(stamp, delta, part.finish_reason)


def usage_chunk(usage: Usage, stamp: Stamp, cost_rub: float | None = None) -> ChatCompletionChunk:
    """The last chunk when `stream_options.include_usage` asks for it: no choices, only the count."""
    return ChatCompletionChunk(stamp.id, stamp.created, stamp.model, [], _usage(usage, cost_rub))


def _chunk(stamp: Stamp, delta: Delta, finish_reason: str | None = None) -> ChatCompletionChunk:
    usage = None if stamp.include_usage else UNSET
    return ChatCompletionChunk(stamp.id, stamp.created, stamp.model, [ChunkChoice(delta, finish_reason)], usage)


def _usage(usage: Usage, cost_rub: float | None) -> WireUsage:
    return WireUsage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        UsageDetails(usage.cached_tokens),
        CompletionDetails(usage.reasoning_tokens),
        cost_rub,
    )


class ErrorDetail(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    error: ErrorDetail


class Model(msgspec.Struct, frozen=True):
    id: str
    created: int
    owned_by: str
    object: Literal["model"] = "model"


class ModelList(msgspec.Struct, frozen=True):
    data: list[Model]
    object: Literal["list"] = "list"


_ENCODER = msgspec.json.Encoder()


def encode(value: msgspec.Struct) -> bytes:
    """JSON bytes of a wire object."""
    return _ENCODER.encode(value)


def event(value: msgspec.Struct) -> bytes:
    """One server-sent event that carries a wire object (WHATWG HTML, section 9.2)."""
    return b"data: " + _ENCODER.encode(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"
