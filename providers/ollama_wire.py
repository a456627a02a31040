"""Ollama's /api/chat, /api/embed, /api/show and /api/tags: our request out, their lines, vectors, listings and errors in. Pure."""

import re
from enum import StrEnum
from typing import Final, Literal

import msgspec
from msgspec import Struct

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
    InterruptedStreamError,
    InvalidRequestError,
    MalformedReplyError,
    ModelLoadingError,
    PermissionDeniedError,
    from_status,
    status_of,
)
from providers.openai_wire import in_order

MAX_LINE: Final = 1_048_576  # bytes: a longer line is an attack or a broken peer, not an answer

Think = bool | Literal["low", "medium", "high", "max"]


def encode_request(
    request: ChatRequest, *, num_ctx: int, keep_alive: str | int | None = None, think: Think | None = None
) -> bytes:
    """Always streams, and always says `num_ctx`, and that nothing is to be cut: left to itself the upstream drops the
    beginning of a conversation longer than its context without a word.

    `think` counts when the request names no effort. Ollama has no tool choice: "none" sends no tools, a named tool is
    the only one sent, "required" cannot be said. `parallel_tool_calls`, `strict`, `verbosity`, `metadata` and the names
    of speakers have no place there. Raises InvalidRequestError.
    """
    body: JsonObject = {
        "model": request.model,
        "messages": _messages(request.messages),
        "stream": True,
        "truncate": False,  # a prompt longer than the context is an error
        "shift": False,  # an answer that reaches the context's end stops there, as `length`
        "options": _options(request, num_ctx),
    }
    if tools := _offered(request):
        body["tools"] = [_tool(tool) for tool in tools]
    if request.response_format and request.response_format.kind != "text":
        body["format"] = _format(request.response_format)
    thinking = _EFFORTS.get(request.reasoning_effort or "", think)
    if thinking is not None:
        body["think"] = thinking
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return _encoded(body)


def encode_embedding(request: EmbeddingRequest, *, num_ctx: int, keep_alive: str | int | None = None) -> bytes:
    """As for a chat: a text longer than the context is an error, and never cut. Raises InvalidRequestError."""
    body: JsonObject = {
        "model": request.model,
        "input": request.texts,
        "truncate": False,
        "options": {"num_ctx": num_ctx},
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return _encoded(body)


def decode_embeddings(json: bytes, request: EmbeddingRequest, *, request_id: str = "") -> Embeddings:
    """The vectors in the order of the texts, which is all that Ollama numbers them by.

    Raises the error that the reply carries, PermissionDeniedError when it came from another host, MalformedReplyError when
    it does not hold exactly one vector a text, and msgspec's errors for what is not the protocol.
    """
    reply = _EMBEDDED.decode(json)
    if reply.remote_host or reply.remote_model:
        raise forwarded(request_id)
    if reply.error is not None:
        status, code = status_of(_code(reply.error), None)
        raise from_status(status, request_id=request_id, code=code)
    read = max(reply.prompt_eval_count or 0, 0)
    return Embeddings(
        vectors=in_order(enumerate(reply.embeddings or ()), request, request_id=request_id),
        usage=Usage(prompt_tokens=read, completion_tokens=0, total_tokens=read),
        model=reply.model or "",
        request_id=request_id,
    )


class LineParser:
    """NDJSON: the lines that are not empty, from any split of the bytes."""

    __slots__ = ("_line", "_max")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max = max_line
        self._line = bytearray()  # the line that has not ended yet

    def feed(self, received: bytes) -> list[bytes]:
        """The lines that `received` completed. Raises MalformedReplyError when one grows past the limit."""
        lines: list[bytes] = []
        cut = received.rfind(b"\n") + 1
        if cut:
            whole = bytes(self._line) + received[:cut]
            self._line.clear()
            lines = [line for line in map(bytes.strip, whole.split(b"\n")) if line]
        self._line += received[cut:]
        if max(len(self._line), *map(len, lines), 0) > self._max:
            raise MalformedReplyError(f"the upstream sent a line longer than {self._max} bytes")
        return lines

    def rest(self) -> bytes:
        """What came after the last line's end: a last line without one, or a line that broke off."""
        return bytes(self._line).strip()


class ReplyReader:
    """Turns the lines of one answer into chunks. `turn` makes the ids of tool calls differ from turn to turn.

    `forwarded` says that the answer came from another host: the prompt has been there.
    """

    __slots__ = ("_calls", "_ids", "_opened", "_turn", "finished", "forwarded", "request_id")

    def __init__(self, *, turn: int, request_id: str = "") -> None:
        self.request_id = request_id
        self.finished = False
        self.forwarded = False
        self._turn = turn
        self._opened = False
        self._calls = 0
        self._ids: set[str] = set()

    def read(self, line: bytes) -> Chunk | None:
        """One line; None when there is nothing in it for us. Nothing is read after `finished`.

        Raises the error that the line carries, PermissionDeniedError when it came from another host, and msgspec's
        errors for what is not the protocol.
        """
        reply = _REPLY.decode(line)
        if reply.remote_host or reply.remote_model:
            self.forwarded = True
            raise forwarded(self.request_id)
        if reply.error is not None:
            status, code = status_of(_code(reply.error), None)
            raise from_status(status, request_id=self.request_id, code=code)
        chunk = self._chunk(reply)
        if self._opened or not reply.model:
            return None if chunk == _NOTHING else chunk
        self._opened = True
        return msgspec.structs.replace(chunk, model=reply.model, request_id=self.request_id)

    def end(self) -> None:
        """Raises unless the answer was finished: the bytes ended, which says nothing about the answer."""
        if not self.finished:
            raise InterruptedStreamError(
                "the answer ended before the line that finishes it", request_id=self.request_id
            )

    def _chunk(self, reply: "_Reply") -> Chunk:
        said = reply.message or _NOTHING_SAID
        calls = tuple(self._call(call) for call in said.tool_calls or ())
        return Chunk(
            content=said.content or "",
            reasoning=said.thinking or "",
            tool_calls=calls,
            finish_reason=self._finish(reply.done_reason) if reply.done else None,
            usage=_usage(reply) if reply.done else None,
        )

    def _finish(self, reason: str | None) -> FinishReason:
        if reason in _NOT_AN_ANSWER:
            raise ModelLoadingError(
                "the upstream loaded or unloaded the model instead of answering", request_id=self.request_id
            )
        self.finished = True
        if reason == "stop":
            return FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        # An unknown reason is never read as "complete", and none at all means that the generation was cut off.
        return FinishReason.LENGTH

    def _call(self, call: "_ToolCall") -> ToolCallDelta:
        """Calls come whole. Their own `index` starts anew in every line of some versions, so we count ourselves."""
        index, self._calls = self._calls, self._calls + 1
        call_id = call.id if call.id and call.id not in self._ids else f"call_{self._turn}_{index}"
        self._ids.add(call_id)
        return ToolCallDelta(
            index=index, id=call_id, name=call.function.name, arguments=_arguments_text(call.function.arguments)
        )


def forwarded(request_id: str) -> PermissionDeniedError:
    """The error for an answer that came from another host: the prompt has been there."""
    return PermissionDeniedError(
        "the upstream forwarded the prompt to another host: this model is not asked again",
        request_id=request_id,
        code="permission_denied",
    )


class Refusal(StrEnum):
    """Why a model gets no prompt."""

    FORWARDED = "forwarded"
    ABSENT = "absent"


def names_cloud(model: str) -> bool:
    """Whether the name itself says that Ollama forwards the prompt to its maker's servers."""
    return model.strip().casefold().endswith(("-cloud", ":cloud"))


def full_name(model: str) -> str:
    """Names are one whatever their case; a missing tag means `latest`."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def encode_show(model: str) -> bytes:
    return _ENCODER.encode({"model": model})


def refusal_of(model: str, show: bytes, tags: bytes) -> Refusal | None:
    """What the replies of /api/show and /api/tags say about a model. Raises msgspec's errors."""
    shown, listed = _SHOWN.decode(show), _TAGS.decode(tags).models or ()
    wanted = full_name(model)
    found = [entry for entry in listed if wanted in (full_name(entry.name), full_name(entry.model))]
    if any(entry.remote_host or entry.remote_model for entry in (shown, *found)):
        return Refusal.FORWARDED
    return None if found else Refusal.ABSENT


def decode_version(json: bytes) -> str:
    """The version, "" when it is anything but a short word. Raises msgspec's errors."""
    version = _VERSION.decode(json).version
    return version if _PLAIN.fullmatch(version) else ""


def cloud_models(tags: bytes) -> tuple[str, ...]:
    """The models of the whole server that it forwards to a cloud. Raises msgspec's errors."""
    return tuple(
        entry.name if _PLAIN.fullmatch(entry.name) else "?"
        for entry in _TAGS.decode(tags).models or ()
        if entry.remote_host or entry.remote_model or names_cloud(entry.name)
    )


def loaded_contexts(running: bytes) -> dict[str, int]:
    """The models in memory, by their full names, and the context each was loaded with; 0 when it is not told.

    Raises msgspec's errors.
    """
    return {full_name(each.model or each.name): each.context_length or 0 for each in _PS.decode(running).models or ()}


def error_code(body: bytes) -> str:
    """The code of an error body, or "". Whatever else it says is not for us: it may echo the prompt."""
    try:
        return _code(_REPLY.decode(body).error)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


# Ollama's errors are sentences. A sentence we know becomes a code of KNOWN_CODES; the rest of it is dropped.
_SENTENCES: Final = (
    (re.compile(r"model .+ not found\b.*", re.DOTALL), "model_not_found"),
    (re.compile(r".+ does not support [a-z ]{1,40}", re.DOTALL), "unsupported_parameter"),
    (
        re.compile(r"(the )?input (length )?exceeds (the )?(maximum )?context length\b.*", re.DOTALL),
        "context_length_exceeded",
    ),
    (re.compile(r"server busy\b.*", re.DOTALL), "overloaded_error"),
)
_EFFORTS: Final[dict[str, Think]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_OPTIONS: Final = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "repetition_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")  # the peer's words that an operator may be shown
_NOT_AN_ANSWER: Final = frozenset({"load", "unload"})


def _encoded(body: JsonObject) -> bytes:
    try:
        return _ENCODER.encode(body)
    except UnicodeEncodeError:
        raise InvalidRequestError("the request holds text that cannot be written as UTF-8") from None


def _code(error: object) -> str:
    if not isinstance(error, str):
        return ""
    return next((code for sentence, code in _SENTENCES if sentence.fullmatch(error.strip())), "")


def _options(request: ChatRequest, num_ctx: int) -> JsonObject:
    options: JsonObject = {"num_ctx": num_ctx}
    for ours, theirs in _OPTIONS.items():
        value = getattr(request, ours)
        if value is not None and value != ():
            options[theirs] = value
    return options


def _offered(request: ChatRequest) -> tuple[Tool, ...]:
    match request.tool_choice:
        case ToolMode.NONE:
            return ()
        case NamedTool(name):
            return tuple(tool for tool in request.tools if tool.name == name)
        case _:
            return request.tools


def _messages(messages: tuple[Message, ...]) -> list[JsonObject]:
    called: dict[str, str] = {}  # id of a call → the tool's name, which its result must repeat
    wire = []
    for message in messages:
        called.update((call.id, call.name) for call in message.tool_calls)
        wire.append(_message(message, called))
    return wire


def _message(message: Message, called: dict[str, str]) -> JsonObject:
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    content = message.content
    text = "\n".join(content) if isinstance(content, tuple) else content
    wire: JsonObject = {"role": role.value, "content": text or message.refusal or ""}
    if message.tool_calls:
        wire["tool_calls"] = [_made_call(index, call) for index, call in enumerate(message.tool_calls)]
    if role is Role.TOOL:
        if name := called.get(message.tool_call_id or "") or message.name:
            wire["tool_name"] = name
        if message.tool_call_id:
            wire["tool_call_id"] = message.tool_call_id
    return wire


def _made_call(index: int, call: ToolCall) -> JsonObject:
    function: JsonObject = {"index": index, "name": call.name, "arguments": _arguments_object(call.arguments)}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def _arguments_object(arguments: str) -> msgspec.Raw:
    """The same text as an object, digit for digit. Raises InvalidRequestError when it is no JSON object."""
    try:
        written = arguments.strip().encode() or b"{}"
        _OBJECT.decode(written)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidRequestError("the arguments of a tool call are not a JSON object, which Ollama needs") from None
    return msgspec.Raw(written)


def _arguments_text(arguments: msgspec.Raw) -> str:
    """The object as the upstream wrote it; some proxies write it as a string already."""
    written = bytes(arguments)
    if written.startswith(b'"'):
        return msgspec.json.decode(written, type=str)
    return "{}" if written in (b"", b"null") else written.decode()


def _tool(tool: Tool) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    return {"type": "function", "function": function}


def _format(wanted: ResponseFormat) -> str | JsonObject:
    return "json" if wanted.schema is None else wanted.schema


def _usage(reply: "_Reply") -> Usage:
    """A prompt that the upstream had in its cache may be counted as 0, or not at all."""
    prompt, completion = max(reply.prompt_eval_count or 0, 0), max(reply.eval_count or 0, 0)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


# The peer's side. Unknown fields are tolerated, and so is null. `object` where any value at all means something.


class _Function(Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _ToolCall(Struct):
    function: _Function
    id: str | None = None


class _Said(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Reply(Struct):
    model: str | None = None
    message: _Said | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: object = None
    remote_host: object = None
    remote_model: object = None


class _Embedded(Struct):
    model: str | None = None
    embeddings: list[tuple[float, ...]] | None = None
    prompt_eval_count: int | None = None
    error: object = None
    remote_host: object = None
    remote_model: object = None


class _Shown(Struct):
    name: str = ""
    model: str = ""
    remote_host: object = None
    remote_model: object = None


class _Loaded(Struct):
    name: str = ""
    model: str = ""
    context_length: int | None = None


class _Ps(Struct):
    models: list[_Loaded] | None = None


class _Version(Struct):
    version: str


class _Tags(Struct):
    models: list[_Shown] | None = None


_NOTHING: Final = Chunk()
_NOTHING_SAID: Final = _Said()
_REPLY: Final = msgspec.json.Decoder(_Reply)
_EMBEDDED: Final = msgspec.json.Decoder(_Embedded)
_SHOWN: Final = msgspec.json.Decoder(_Shown)
_PS: Final = msgspec.json.Decoder(_Ps)
_VERSION: Final = msgspec.json.Decoder(_Version)
_TAGS: Final = msgspec.json.Decoder(_Tags)
_OBJECT: Final = msgspec.json.Decoder(dict[str, object])
_ENCODER: Final = msgspec.json.Encoder()
