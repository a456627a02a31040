"""The chat vocabulary every provider speaks: one request, a stream of chunks, one response."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from providers.errors import InterruptedStreamError

JsonObject = dict[str, object]


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolCall(Struct, frozen=True):
    """`arguments` is the text the model wrote: JSON by intent, not guaranteed to parse."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True):
    """A tuple as `content` is a list of text parts whose order and boundaries are kept."""

    role: Role
    content: str | tuple[str, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    refusal: str | None = None


class Tool(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class ToolMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


class NamedTool(Struct, frozen=True):
    """The model must call this tool."""

    name: str


class ResponseFormat(Struct, frozen=True):
    """`name`, `description`, `schema` and `strict` belong to `json_schema` only."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None


class ChatRequest(Struct, frozen=True):
    """What leaves the building. `model` is the upstream's name; None means "the upstream's default"."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolMode | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    min_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    verbosity: str | None = None
    metadata: dict[str, str] = {}


class ToolCallDelta(Struct, frozen=True):
    """A piece of the tool call at `index`. An empty field adds nothing; `arguments` accumulate."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Usage(Struct, frozen=True):
    """Tokens as the upstream counted them; `cached_tokens` are in the prompt, `reasoning_tokens` in the completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Chunk(Struct, frozen=True):
    """An increment. Text fields accumulate; the last value seen of each other field counts."""

    content: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""


class ChatResponse(Struct, frozen=True):
    """A whole answer. `content` is None when the model said nothing but called tools or refused."""

    content: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    usage: Usage | None
    reasoning: str
    refusal: str
    model: str
    request_id: str


async def collect(chunks: AsyncIterator[Chunk]) -> ChatResponse:
    """Read a stream to its end into one response.

    Raises what the stream raises, and InterruptedStreamError when it ends without a finish reason:
    half an answer is never handed on as a whole one. Closing the stream stays with its owner.
    """
    content: list[str] = []
    reasoning: list[str] = []
    refusal: list[str] = []
    calls: dict[int, _CallInParts] = {}
    finish_reason, usage, model, request_id = None, None, "", ""
    async for chunk in chunks:
        content.append(chunk.content)
        reasoning.append(chunk.reasoning)
        refusal.append(chunk.refusal)
        for delta in chunk.tool_calls:
            calls.setdefault(delta.index, _CallInParts()).add(delta)
        finish_reason = chunk.finish_reason or finish_reason
        usage = chunk.usage or usage
        model = chunk.model or model
        request_id = chunk.request_id or request_id
    if finish_reason is None:
        raise InterruptedStreamError("the answer ended without a finish reason", request_id=request_id)
    text, refused = "".join(content), "".join(refusal)
    return ChatResponse(
        content=None if not text and (calls or refused) else text,
        tool_calls=tuple(calls[index].whole() for index in sorted(calls)),
        finish_reason=finish_reason,
        usage=usage,
        reasoning="".join(reasoning),
        refusal=refused,
        model=model,
        request_id=request_id,
    )


class _CallInParts:
    """One tool call while it arrives. The first id and name win: later pieces repeat them or leave them empty."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id
        self.name = self.name or delta.name
        self.arguments.append(delta.arguments)

    def whole(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))
