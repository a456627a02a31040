"""Yandex AI Studio's JSON, native and OpenAI-compatible: our request out, their lines, vectors and errors in. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from providers import openai_wire
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
    ToolCall,
    ToolCallDelta,
    ToolMode,
    Usage,
)
from providers.embedding import EmbeddingRequest, Embeddings
from providers.errors import (
    KNOWN_CODES,
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    from_status,
)

MAX_LINE: Final = 4 * 1_048_576  # bytes: every line holds the whole text so far, so the last is as long as the answer


def model_uri(model: str, folder: str, scheme: Literal["gpt", "emb"]) -> str:
    """The vendor's full name of a model, which always says whose folder pays. Raises InvalidRequestError for another's."""
    if "://" not in model:
        return f"{scheme}://{folder}/{model}"
    if not model.startswith(f"{scheme}://{folder}/"):
        raise InvalidRequestError("the model belongs to another folder or does something else, see `folder_id`")
    return model


def encode_request(request: ChatRequest, uri: str) -> bytes:
    """Always asks for a stream. Raises InvalidRequestError for what this upstream has no words for.

    What has no place there (`top_p`, `seed`, penalties, `metadata`, a speaker's name) is left out; `stop` is the
    reader's business (StopCutter).
    """
    body: JsonObject = {
        "modelUri": uri,
        "completionOptions": _options(request),
        "messages": list(_messages(request.messages)),
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body |= _given(parallelToolCalls=request.parallel_tool_calls)
    body |= _given(toolChoice=_tool_choice(request))
    if request.response_format:
        body |= _response_format(request.response_format)
    return _written(body)


def encode_text(uri: str, text: str) -> bytes:
    """The body of `tokenize` and of `textEmbedding`."""
    return _written({"modelUri": uri, "text": text})


def encode_compatible(request: ChatRequest, uri: str) -> bytes:
    """As `encode_request`, for the OpenAI-compatible API. Only fields that the vendor says it takes are sent."""
    if request.tool_choice is ToolMode.REQUIRED or isinstance(request.tool_choice, NamedTool):
        raise InvalidRequestError(
            'this API cannot be made to call a tool: use `auto` in `tool_choice`, or set `api` to "native"'
        )
    wanted = request.response_format
    if wanted and wanted.kind == "json_schema":
        if wanted.schema is None:
            raise InvalidRequestError(_NO_SCHEMA)
        wanted = msgspec.structs.replace(wanted, name=wanted.name or "answer")
    plain = ChatRequest(
        model=uri,
        messages=_plain_messages(request.messages),
        tools=request.tools,
        tool_choice=request.tool_choice if request.tools else None,
        response_format=wanted,
        temperature=_temperature(request),
        max_tokens=request.max_tokens,
        reasoning_effort=request.reasoning_effort,
    )
    try:
        return openai_wire.encode_request(plain)
    except UnicodeEncodeError:
        raise InvalidRequestError(_NOT_UTF8) from None


def encode_compatible_text(uri: str, text: str) -> bytes:
    """The body of `/embeddings`, which takes one text and writes numbers only when told to."""
    return _written({"model": uri, "input": text, "encoding_format": "float"})


class CallIds:
    """Ids of our own for the calls of one compatible answer: the vendor's are the names of the functions.

    The vendor links a result to its call by its own id, which `_plain_messages` puts back.
    """

    __slots__ = ("_answer", "_ids")

    def __init__(self, answer: str) -> None:
        self._answer = answer  # 32 hexadecimal digits, other ones for every answer
        self._ids: dict[int, str] = {}

    def renamed(self, chunk: Chunk) -> Chunk:
        """The chunk with ids that differ from call to call and from answer to answer."""
        if not chunk.tool_calls:
            return chunk
        return msgspec.structs.replace(chunk, tool_calls=tuple(self._call(call) for call in chunk.tool_calls))

    def _call(self, call: ToolCallDelta) -> ToolCallDelta:
        if not call.id and call.index in self._ids:
            return call
        call_id = self._ids.setdefault(call.index, f"{call.id or call.name}~{self._answer}_{call.index}")
        return msgspec.structs.replace(call, id=call_id)


class ReplyReader:
    """Turns the lines of one native answer into chunks. Each line holds all that was said so far.

    `calls` begins the ids of tool calls, of which the vendor has none: it differs from answer to answer.
    """

    __slots__ = ("_calls", "_opened", "_said", "_tool_calls", "finished", "request_id")

    def __init__(self, *, calls: str, request_id: str = "") -> None:
        self.request_id = request_id
        self.finished = False
        self._calls = calls
        self._opened = False
        self._said = ""
        self._tool_calls: list[_ToolCall] = []

    def read(self, line: bytes) -> Chunk | None:
        """One line; None when there is nothing in it for us. Nothing is read after `finished`.

        Raises the error that the line carries, and msgspec's errors for what is not the protocol.
        """
        reply = _REPLY.decode(line)
        if reply.error is not None:
            status, code = _status_of(reply.error)
            raise from_status(status, request_id=self.request_id, code=code)
        # The reference of the vendor's API shows the result alone, its examples wrap it: both are read.
        result = reply.result or reply
        chunk = self._chunk(next(iter(result.alternatives or ()), None), _usage(result.usage))
        if self._opened or not result.model_version:
            return None if chunk == _NOTHING else chunk
        self._opened = True
        return msgspec.structs.replace(chunk, model=result.model_version, request_id=self.request_id)

    def end(self) -> None:
        """Raises unless the answer was finished: the bytes ended, which says nothing about the answer."""
        if not self.finished:
            raise InterruptedStreamError("the answer ended without a final status", request_id=self.request_id)

    def _chunk(self, alternative: "_Alternative | None", usage: Usage | None) -> Chunk:
        if alternative is None:
            return _NOTHING
        said = alternative.message or _NOTHING_SAID
        if said.tool_call_list and said.tool_call_list.tool_calls:
            self._tool_calls = said.tool_call_list.tool_calls
        finish = self._finish(alternative.status)
        content = self._delta(said.text, replaced=finish is FinishReason.CONTENT_FILTER)
        calls: tuple[ToolCallDelta, ...] = ()
        if finish is FinishReason.TOOL_CALLS:
            calls = tuple(self._call(index, call) for index, call in enumerate(self._tool_calls))
        if not (content or finish):
            return _NOTHING
        return Chunk(content=content, tool_calls=calls, finish_reason=finish, usage=usage)

    def _delta(self, text: str | None, *, replaced: bool) -> str:
        """What `text` adds. `replaced`: the filter may have put a text of its own in place of what was said."""
        if text is None:
            return ""
        if not text.startswith(self._said):
            if replaced:
                return ""
            raise MalformedReplyError("the upstream took back what it had said", request_id=self.request_id)
        delta, self._said = text[len(self._said) :], text
        return delta

    def _finish(self, status: str | None) -> FinishReason | None:
        if status == "ALTERNATIVE_STATUS_PARTIAL":
            return None
        if status in (None, "", "ALTERNATIVE_STATUS_UNSPECIFIED"):  # JSON of protobuf leaves the first value out
            raise MalformedReplyError("the upstream's answer has no status", request_id=self.request_id)
        # An unknown status is never read as "complete": LENGTH says that something may be missing.
        finish = _FINISHED.get(status or "", FinishReason.LENGTH)
        if finish is FinishReason.STOP and self._tool_calls:
            finish = FinishReason.TOOL_CALLS
        if finish is FinishReason.TOOL_CALLS and not self._tool_calls:
            raise MalformedReplyError("the upstream announced a tool call that never came", request_id=self.request_id)
        self.finished = True
        return finish

    def _call(self, index: int, call: "_ToolCall") -> ToolCallDelta:
        function = call.function_call
        if function is None or not function.name:
            raise MalformedReplyError("the upstream called a tool without a name", request_id=self.request_id)
        arguments = _ENCODER.encode(_with_integers(function.arguments or {})).decode()
        return ToolCallDelta(index=index, id=f"{self._calls}_{index}", name=function.name, arguments=arguments)


def decode_embeddings(json: bytes, request: EmbeddingRequest, *, request_id: str = "") -> Embeddings:
    """The reply of `textEmbedding`. Raises msgspec's errors, and MalformedReplyError when there is no vector."""
    reply = _EMBEDDING.decode(json)
    tokens = reply.num_tokens or 0
    return Embeddings(
        vectors=openai_wire.in_order([(0, reply.embedding)], request, request_id=request_id),
        usage=Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens),
        model=reply.model_version or "",
        request_id=request_id,
    )


def decode_count(body: bytes) -> int:
    """How many tokens `tokenize` made of a text. Raises msgspec's errors."""
    return len(_TOKENS.decode(body).tokens)


def error_code(body: bytes) -> str:
    """The code of an error body, or "". Whatever else it says is not for us: it may echo the prompt."""
    try:
        error = _REPLY.decode(body).error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return _status_of(error)[1] if error is not None else ""


def _status_of(error: "_Error | str") -> tuple[int, str]:
    """Status and known code of an error object. An unknown error counts as 500: it is the upstream's."""
    if isinstance(error, str):
        return 500, ""
    code = _GRPC.get(error.grpc_code or 0, "")
    if _TOO_LONG.match(error.message or ""):
        code = "context_length_exceeded"
    status = error.http_code or 0
    return (status if 400 <= status < 600 else KNOWN_CODES.get(code, 500)), code


_TOO_LONG: Final = re.compile(
    r"Number of input tokens must be no more than \d+|text length is [1-9]\d*, which is outside"
)
_GRPC: Final = {
    3: "invalid_request",
    4: "timeout",
    5: "model_not_found",
    7: "permission_denied",
    8: "rate_limit_exceeded",
    13: "internal_server_error",
    14: "service_unavailable",
    16: "authentication_error",
}
_FINISHED: Final = {
    "ALTERNATIVE_STATUS_FINAL": FinishReason.STOP,
    "ALTERNATIVE_STATUS_TRUNCATED_FINAL": FinishReason.LENGTH,
    "ALTERNATIVE_STATUS_CONTENT_FILTER": FinishReason.CONTENT_FILTER,
    "ALTERNATIVE_STATUS_TOOL_CALLS": FinishReason.TOOL_CALLS,
}
_SYSTEM: Final = (Role.SYSTEM, Role.DEVELOPER)
_EXACT: Final = 2**53  # a double holds every whole number up to here
_NO_SCHEMA: Final = "the response format `json_schema` needs a schema"
_NOT_UTF8: Final = "the request holds text that cannot be written as UTF-8"


def _options(request: ChatRequest) -> JsonObject:
    effort = request.reasoning_effort
    mode = None if effort is None else {"mode": "DISABLED" if effort == "none" else "ENABLED_HIDDEN"}
    return {"stream": True} | _given(
        temperature=_temperature(request),
        # A 64-bit number, which JSON of protobuf writes as a string.
        maxTokens=None if request.max_tokens is None else str(request.max_tokens),
        reasoningOptions=mode,
    )


def _temperature(request: ChatRequest) -> float | None:
    """OpenAI's reach to 2, the vendor's to 1."""
    return None if request.temperature is None else min(request.temperature, 1.0)


def _messages(messages: tuple[Message, ...]) -> Iterator[JsonObject]:
    """One system message, first; neighbouring tool results together, in the order of their calls: no ids link them."""
    if system := "\n\n".join(filter(None, (_text(message) for message in messages if message.role in _SYSTEM))):
        yield {"role": "system", "text": system}
    asked: dict[str, _Asked] = {}
    results: list[Message] = []
    for message in messages:
        if message.role in _SYSTEM:
            continue
        if message.role is Role.TOOL:
            results.append(message)
            continue
        if results:
            yield _results(results, asked)
            results = []
        asked.update((call.id, _Asked(place, call.name)) for place, call in enumerate(message.tool_calls))
        yield from _said(message)
    if results:
        yield _results(results, asked)


class _Asked(Struct, frozen=True):
    """A tool call of the conversation: its place in its turn and the tool's name."""

    place: int
    name: str


def _said(message: Message) -> Iterator[JsonObject]:
    """A message holds a text or calls, not both: what has both becomes two. An assistant who said nothing is left out."""
    text = _text(message)
    if text or message.role is Role.USER:
        yield {"role": message.role.value, "text": text}
    if message.tool_calls:
        calls = [
            {"functionCall": {"name": call.name, "arguments": _arguments(call.arguments)}}
            for call in message.tool_calls
        ]
        yield {"role": message.role.value, "toolCallList": {"toolCalls": calls}}


def _results(results: list[Message], asked: dict[str, _Asked]) -> JsonObject:
    unknown = _Asked(len(asked), "")
    found = [(asked.get(result.tool_call_id or "", unknown), result) for result in results]
    found.sort(key=lambda pair: pair[0].place)
    return {
        "role": "user",
        "toolResultList": {"toolResults": [{"functionResult": _result(call.name, result)} for call, result in found]},
    }


def _result(name: str, result: Message) -> JsonObject:
    name = name or result.name or ""
    if not name:
        raise InvalidRequestError("a `tool` message answers no tool call before it, see its `tool_call_id`")
    return {"name": name, "content": _text(result)}


def _arguments(text: str) -> JsonObject | msgspec.Raw:
    """The model's own text as the object it should be; broken text is kept under `arguments` for the model to see."""
    if not text.strip():
        return {}
    try:
        _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"arguments": text}
    return msgspec.Raw(text.encode())


def _text(message: Message) -> str:
    content = message.content
    return ("\n".join(content) if isinstance(content, tuple) else content) or message.refusal or ""


def _tool(tool: Tool) -> JsonObject:
    nothing: JsonObject = {"type": "object", "properties": {}}
    parameters = nothing if tool.parameters is None else tool.parameters
    function = {"name": tool.name} | _given(description=tool.description, parameters=parameters, strict=tool.strict)
    return {"function": function}


def _tool_choice(request: ChatRequest) -> JsonObject | None:
    match request.tool_choice:
        case NamedTool(name) if any(tool.name == name for tool in request.tools):
            return {"functionName": name}
        case NamedTool():
            raise InvalidRequestError("`tool_choice` names a tool that is not among `tools`")
        case ToolMode.REQUIRED if not request.tools:
            raise InvalidRequestError("`tool_choice` demands a tool call, but there are no `tools`")
        case ToolMode() as mode if request.tools:
            return {"mode": mode.value.upper()}
        case _:
            return None


def _response_format(wanted: ResponseFormat) -> JsonObject:
    match wanted.kind:
        case "text":
            return {}
        case "json_object":
            return {"jsonObject": True}
        case "json_schema":
            if wanted.schema is None:
                raise InvalidRequestError(_NO_SCHEMA)
            return {"jsonSchema": {"schema": wanted.schema}}


def _plain_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A history in the few words of the compatible API. Calls get the vendor's ids, also those that another model made."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return tuple(_plain(message, names) for message in messages)


def _plain(message: Message, names: Mapping[str, str]) -> Message:
    """One text, no refusal, the vendor's own ids of calls, which are the names of the functions."""
    text = _text(message)
    return Message(
        role=Role.SYSTEM if message.role is Role.DEVELOPER else message.role,
        content=text or (None if message.tool_calls else ""),
        tool_calls=tuple(ToolCall(call.name, call.name, call.arguments) for call in message.tool_calls),
        tool_call_id=None if message.tool_call_id is None else names.get(message.tool_call_id, message.tool_call_id),
    )


def _with_integers(value: object) -> object:
    """Every number of protobuf's Struct is a double: 5 comes back as 5.0, which a tool may not take for a whole number."""
    match value:
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        case dict():
            return {name: _with_integers(each) for name, each in value.items()}
        case list():
            return [_with_integers(each) for each in value]
        case _:
            return value


def _usage(used: "_Usage | None") -> Usage | None:
    if used is None:
        return None
    prompt, completion = used.input_text_tokens or 0, used.completion_tokens or 0
    details = used.completion_tokens_details
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=used.total_tokens or prompt + completion,
        reasoning_tokens=(details.reasoning_tokens if details else None) or 0,
    )


def _given(**fields: object) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _written(body: JsonObject) -> bytes:
    try:
        return _ENCODER.encode(body)
    except UnicodeEncodeError:
        raise InvalidRequestError(_NOT_UTF8) from None


# The peer's side. Unknown fields are tolerated. JSON of protobuf writes 64-bit numbers as strings: the decoders are lax.


class _FunctionCall(Struct):
    name: str = ""
    arguments: JsonObject | None = None


class _ToolCall(Struct, rename="camel"):
    function_call: _FunctionCall | None = None


class _ToolCallList(Struct, rename="camel"):
    tool_calls: list[_ToolCall] | None = None


class _Said(Struct, rename="camel"):
    text: str | None = None
    tool_call_list: _ToolCallList | None = None


class _Alternative(Struct):
    message: _Said | None = None
    status: str | None = None


class _ReasoningTokens(Struct, rename="camel"):
    reasoning_tokens: int | None = None


class _Usage(Struct, rename="camel"):
    input_text_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    completion_tokens_details: _ReasoningTokens | None = None


class _Result(Struct, rename="camel"):
    alternatives: list[_Alternative] | None = None
    usage: _Usage | None = None
    model_version: str | None = None


class _Error(Struct, rename="camel"):
    grpc_code: int | None = None
    http_code: int | None = None
    message: str | None = None


class _Reply(_Result, rename="camel"):
    result: _Result | None = None
    error: _Error | str | None = None


class _Embedding(Struct, rename="camel"):
    embedding: tuple[float, ...] = ()
    num_tokens: int | None = None
    model_version: str | None = None


class _Tokens(Struct):
    tokens: list[msgspec.Raw] = []


_NOTHING: Final = Chunk()
_NOTHING_SAID: Final = _Said()
_REPLY: Final = msgspec.json.Decoder(_Reply, strict=False)
_EMBEDDING: Final = msgspec.json.Decoder(_Embedding, strict=False)
_TOKENS: Final = msgspec.json.Decoder(_Tokens)
_OBJECT: Final = msgspec.json.Decoder(JsonObject)
_ENCODER: Final = msgspec.json.Encoder()
