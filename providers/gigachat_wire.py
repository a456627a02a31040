"""GigaChat's chat completions, version 1, and embeddings: our request out, its chunks, completions and vectors in. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

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
from providers.errors import InterruptedStreamError, InvalidRequestError, MalformedReplyError, from_status, status_of
from providers.gigachat_schema import normalised
from providers.openai_wire import in_order
from providers.router import Task

DONE: Final = b"[DONE]"


def encode_request(request: ChatRequest) -> bytes:
    """Always asks for a stream. Raises InvalidRequestError for what this upstream has no words for.

    Unknown fields would be ignored in silence, so none is sent: `stop` is the reader's business (StopCutter), and the
    rest of what GigaChat lacks (`seed`, penalties but one, `metadata`, a user's name) is left out.
    """
    names = tool_names(request)
    body: JsonObject = {"model": request.model, "messages": _messages(request.messages, names), "stream": True}
    if request.tools and request.tool_choice is not ToolMode.NONE:
        body["functions"] = [_function(tool, names) for tool in request.tools]
    body["function_call"] = _function_call(request, names)
    if request.temperature == 0:
        body["top_p"] = 0  # a temperature of zero is undefined here
    else:
        body |= _given(temperature=request.temperature, top_p=request.top_p)
    effort = _EFFORTS.get(request.reasoning_effort or "")
    body |= _given(
        max_tokens=request.max_tokens, repetition_penalty=request.repetition_penalty, reasoning_effort=effort
    )
    if request.response_format and request.response_format.kind != "text":
        body["response_format"] = _response_format(request.response_format)
    return _ENCODER.encode(body)


def encode_embedding(request: EmbeddingRequest) -> bytes:
    """Raises InvalidRequestError: the length of a vector is its model's own."""
    if request.dimensions is not None:
        raise InvalidRequestError("GigaChat does not shorten vectors, leave `dimensions` out")
    return encode_count(request.model, request.texts)


def decode_embeddings(json: bytes, request: EmbeddingRequest, *, request_id: str = "") -> Embeddings:
    """The vectors, and the sum of what each says it cost. Raises the error that the reply carries, MalformedReplyError
    when it does not hold exactly one vector a text, and msgspec's errors for what is not the protocol.
    """
    reply = _EMBEDDED.decode(json)
    _raise_what_failed(reply, request_id)
    entries = reply.data or []
    tokens = sum(entry.usage.prompt_tokens or 0 for entry in entries if entry.usage)
    used = Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
    return Embeddings(
        vectors=in_order([(entry.index, entry.embedding) for entry in entries], request, request_id=request_id),
        usage=used if any(entry.usage for entry in entries) else None,
        model=reply.model or "",
        request_id=request_id,
    )


class ListedModel(Struct, frozen=True):
    """One model on GigaChat's list. `task` is None for what neither chats nor makes vectors."""

    name: str
    task: Task | None


class Remainder(Struct, frozen=True):
    """How many prepaid tokens of one model are left."""

    model: str
    tokens: int


def encode_count(model: str, texts: tuple[str, ...]) -> bytes:
    """A request to count the tokens of each text. Raises InvalidRequestError."""
    try:
        return _ENCODER.encode({"model": model, "input": texts})
    except UnicodeEncodeError:
        raise InvalidRequestError("the request holds text that cannot be written as UTF-8") from None


def decode_counts(json: bytes, texts: tuple[str, ...]) -> tuple[int, ...]:
    """The tokens of each text. Raises MalformedReplyError when there are more or fewer, and msgspec's errors."""
    counts = _COUNTS.decode(json)
    if len(counts) != len(texts):
        raise MalformedReplyError("the upstream did not count exactly the texts it was sent")
    return tuple(count.tokens for count in counts)


def decode_models(json: bytes) -> tuple[ListedModel, ...]:
    """Raises msgspec's errors."""
    return tuple(ListedModel(model.id, _TASKS.get(model.type or "chat")) for model in _LISTING.decode(json).data)


def decode_balance(json: bytes) -> tuple[Remainder, ...]:
    """Raises msgspec's errors."""
    return tuple(Remainder(each.usage, int(each.value)) for each in _BALANCE.decode(json).balance)


def tool_names(request: ChatRequest) -> dict[str, str]:
    """Our name → GigaChat's, for every tool of the request and of its history.

    GigaChat takes Latin letters, digits and "_", and runs some names itself, on its own servers: those are renamed.
    The same request gives the same names, and the tools on offer get theirs first.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in _names_in(request):
        if name in names:
            continue
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if not plain or plain[0].isdigit() or plain in _RESERVED:
            plain = f"{_PREFIX}{plain}"
        free, number = plain, 2
        while free in taken:
            free, number = f"{plain}_{number}", number + 1
        names[name] = free
        taken.add(free)
    return names


class ReplyReader:
    """Turns the events of one streamed answer, or one whole completion, into chunks.

    `names`: GigaChat's tool name → ours. A function call comes out with the finish reason, whichever chunks held it, its
    `functions_state_id` as its id; `spare_id` serves where there is none.
    """

    __slots__ = ("_calls", "_model", "_names", "_spare_id", "_state_id", "finished", "request_id")

    def __init__(self, names: Mapping[str, str], *, request_id: str = "", spare_id: str = "call") -> None:
        self.request_id = request_id
        self.finished = False
        self._names = names
        self._spare_id = spare_id
        self._state_id = ""
        self._model = ""
        self._calls: list[_FunctionCall] = []

    def read(self, json: bytes) -> Chunk | None:
        """One event, or one whole completion; None when there is nothing in it for us.

        Raises the error that the reply carries, and msgspec's errors for what is not the protocol.
        """
        reply = _DECODER.decode(json)
        _raise_what_failed(reply, self.request_id)
        opening = not self._model and bool(reply.model)
        if opening:
            self._model = reply.model or ""
        chunk = self._chunk(next((choice for choice in reply.choices or () if not choice.index), None), reply.usage)
        if opening:
            return msgspec.structs.replace(chunk or Chunk(), model=self._model, request_id=self.request_id)
        return chunk

    def end(self) -> None:
        """Raises unless the answer was finished: the bytes ended, which says nothing about the answer."""
        if not self.finished:
            raise InterruptedStreamError("the answer ended without a finish reason", request_id=self.request_id)

    def _chunk(self, choice: "_Choice | None", used: "_Usage | None") -> Chunk | None:
        usage = used.as_usage() if used else None
        if choice is None or self.finished:
            return Chunk(usage=usage) if usage else None
        said = choice.delta or choice.message or _NOTHING_SAID
        self._state_id = said.functions_state_id or self._state_id
        if said.function_call:
            self._calls.append(said.function_call)
        finish = self._finish(choice.finish_reason)
        # While a built-in function runs, its progress is told in messages of their own: not a part of the answer.
        content = "" if said.role == "function_in_progress" else said.content or ""
        reasoning = said.reasoning_content or ""
        if not (content or reasoning or finish or usage):
            return None
        calls = tuple(self._call(place, call) for place, call in enumerate(self._calls)) if finish else ()
        return Chunk(content=content, reasoning=reasoning, tool_calls=calls, finish_reason=finish, usage=usage)

    def _finish(self, reason: str | None) -> FinishReason | None:
        if not reason:
            return None
        if reason == "error":
            raise MalformedReplyError(
                "the upstream wrote a tool call whose arguments cannot be read", request_id=self.request_id
            )
        # An unknown reason is never read as "complete": LENGTH says that something may be missing.
        finish = _FINISHED.get(reason, FinishReason.LENGTH)
        if finish is FinishReason.STOP and self._calls:
            finish = FinishReason.TOOL_CALLS
        if finish is FinishReason.TOOL_CALLS and not self._calls:
            raise MalformedReplyError("the upstream announced a tool call that never came", request_id=self.request_id)
        self.finished = True
        return finish

    def _call(self, place: int, call: "_FunctionCall") -> ToolCallDelta:
        arguments = call.arguments
        if not isinstance(arguments, str):
            arguments = _ENCODER.encode(arguments or {}).decode()
        # One state id names one call; should more come, each still needs an id of its own.
        call_id = self._state_id if self._state_id and not place else f"{self._spare_id}_{place}"
        return ToolCallDelta(index=place, id=call_id, name=self._names.get(call.name, call.name), arguments=arguments)


def _raise_what_failed(reply: "_Reply | _Embedded", request_id: str) -> None:
    if reply.error is not None:
        error = reply.error
        status, code = status_of(error.code, error.type) if isinstance(error, _Error) else (500, "")
        raise from_status(status, request_id=request_id, code=code)
    answered = reply.choices if isinstance(reply, _Reply) else reply.data
    if answered is None and (reply.status is not None or reply.message is not None):
        status, _ = status_of(reply.status, None)
        raise from_status(status, request_id=request_id)


class StopCutter:
    """Ends a text before the first of some stop strings, over any split of it: GigaChat has no such field.

    The stop string that is complete first counts. What may be the beginning of one is held back.
    """

    __slots__ = ("_held", "_stops", "hit")

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """The text that is certain by now. After `hit` there is no more."""
        if not self._stops or not text or self.hit:
            return "" if self.hit else text
        held = self._held + text
        ends = [(held.find(stop) + len(stop), held.find(stop)) for stop in self._stops if stop in held]
        if ends:
            self.hit = True
            self._held = ""
            return held[: min(ends)[1]]
        keep = max(_overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def rest(self) -> str:
        """What was held back, now that nothing follows it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop` without being all of it."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


_PREFIX: Final = "user_"
# Names that GigaChat gives to functions of its own: a tool of that name would run on its servers.
_RESERVED: Final = frozenset(
    {
        "web_search",
        "text2image",
        "text2model3d",
        "get_file_content",
        "code_interpreter",
        "image_generate",
        "url_content_extraction",
        "model_3d_generate",
    }
)
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
_TASKS: Final = {"chat": Task.CHAT, "embedder": Task.EMBEDDING}
_FINISHED: Final = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "function_call": FinishReason.TOOL_CALLS,
    "blacklist": FinishReason.CONTENT_FILTER,
}
_STATE_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _names_in(request: ChatRequest) -> Iterator[str]:
    yield from (tool.name for tool in request.tools)
    for message in request.messages:
        yield from (call.name for call in message.tool_calls)
        if message.role is Role.TOOL and message.name:
            yield message.name


def _messages(messages: tuple[Message, ...], names: Mapping[str, str]) -> list[JsonObject]:
    """One system message, first; neighbours of one role joined; every tool result right after its call."""
    spoken = [message for message in messages if message.role not in _SYSTEM]
    system = [_text(message) for message in messages if message.role in _SYSTEM]
    wire: list[JsonObject] = [{"role": "system", "content": "\n".join(system)}] if system else []
    asked: dict[str, str] = {}  # the id of a tool call → the tool's name
    place = 0
    while place < len(spoken):
        message, place = spoken[place], place + 1
        if message.role is Role.TOOL:
            wire.append(_result(message, names, asked))
        elif message.tool_calls:
            asked |= {call.id: call.name for call in message.tool_calls}
            results = []
            while place < len(spoken) and spoken[place].role is Role.TOOL:
                results.append(spoken[place])
                place += 1
            before = _taken_text(wire)
            wire += _calls("\n".join([*before, *filter(None, [_text(message)])]), message.tool_calls, results, names)
            wire += [_result(result, names, asked) for result in results]
        else:
            _add(wire, message)
    return wire


_SYSTEM: Final = (Role.SYSTEM, Role.DEVELOPER)


def _add(wire: list[JsonObject], message: Message) -> None:
    role, text = message.role.value, _text(message)
    last = wire[-1] if wire else {}
    if last.get("role") == role and "function_call" not in last:
        last["content"] = f"{last['content']}\n{text}"
    else:
        wire.append({"role": role, "content": text})


def _taken_text(wire: list[JsonObject]) -> list[str]:
    """The text of an assistant who spoke just before, taken out of the conversation: it belongs to the turn that calls."""
    last = wire[-1] if wire else {}
    if last.get("role") != Role.ASSISTANT.value or "function_call" in last:
        return []
    return [str(wire.pop()["content"])]


def _calls(
    text: str, calls: tuple[ToolCall, ...], results: list[Message], names: Mapping[str, str]
) -> Iterator[JsonObject]:
    """GigaChat calls one function at a time: several calls become as many turns, each with its result, taken from `results`."""
    for call in calls:
        yield {"role": "assistant", "content": text} | _called(call, names)
        text = ""
        found = next((result for result in results if result.tool_call_id == call.id), None)
        if found:
            results.remove(found)
            yield _result(found, names, {call.id: call.name})


def _called(call: ToolCall, names: Mapping[str, str]) -> JsonObject:
    wire: JsonObject = {"function_call": {"name": names[call.name], "arguments": _arguments(call.arguments)}}
    if _STATE_ID.fullmatch(call.id):  # another provider's id would mean nothing there
        wire["functions_state_id"] = call.id
    return wire


def _arguments(text: str) -> JsonObject | msgspec.Raw:
    """The model's own text as the object it should be; broken text is kept under `arguments` for the model to see."""
    if not text.strip():
        return {}
    return msgspec.Raw(text.encode()) if isinstance(_parsed(text), dict) else {"arguments": text}


def _result(message: Message, names: Mapping[str, str], asked: Mapping[str, str]) -> JsonObject:
    name = asked.get(message.tool_call_id or "") or message.name
    if not name:
        raise InvalidRequestError("a `tool` message answers no tool call before it, see its `tool_call_id`")
    text = _text(message)
    found = _parsed(text)
    if not isinstance(found, dict):
        text = _ENCODER.encode({"result": text if found is _NOT_JSON else msgspec.Raw(text.encode())}).decode()
    return {"role": "function", "name": names[name], "content": text}


def _parsed(text: str) -> object:
    try:
        return _ANYTHING.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return _NOT_JSON


def _text(message: Message) -> str:
    match message.content:
        case None:
            return message.refusal or ""
        case tuple() as parts:
            return "\n".join(parts)
        case text:
            return text


def _function(tool: Tool, names: Mapping[str, str]) -> JsonObject:
    parameters = normalised(tool.parameters)
    return {"name": names[tool.name]} | _given(description=tool.description) | {"parameters": parameters}


def _function_call(request: ChatRequest, names: Mapping[str, str]) -> str | JsonObject:
    """Always said: left open, it would let the model use GigaChat's own functions, which run on its servers."""
    offered = [tool.name for tool in request.tools]
    match request.tool_choice:
        case NamedTool(name) if name in offered:
            return {"name": names[name]}
        case NamedTool():
            raise InvalidRequestError("`tool_choice` names a tool that is not among `tools`")
        case ToolMode.REQUIRED if len(offered) == 1:
            return {"name": names[offered[0]]}
        case ToolMode.REQUIRED:
            raise InvalidRequestError(
                "GigaChat cannot be made to call any one of several tools: name one in `tool_choice`, or use `auto`"
            )
        case ToolMode.AUTO | None if offered:
            return "auto"
        case _:
            return "none"


def _response_format(wanted: ResponseFormat) -> JsonObject:
    if wanted.kind == "json_object":
        raise InvalidRequestError("GigaChat has no `json_object` response format, ask for `json_schema`")
    if wanted.schema is None:
        raise InvalidRequestError("the response format `json_schema` needs a schema")
    return {"type": "json_schema", "schema": wanted.schema} | _given(strict=wanted.strict)


def _given(**fields: object) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


# The peer's side. Unknown fields are tolerated.


class _FunctionCall(Struct):
    name: str
    arguments: str | JsonObject | None = None


class _Said(Struct):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    function_call: _FunctionCall | None = None
    functions_state_id: str | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    precached_prompt_tokens: int | None = None

    def as_usage(self) -> Usage:
        prompt, completion = self.prompt_tokens or 0, self.completion_tokens or 0
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion if self.total_tokens is None else self.total_tokens,
            cached_tokens=self.precached_prompt_tokens or 0,
        )


class _Error(Struct):
    code: str | int | None = None
    type: str | None = None


class _Reply(Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    status: int | None = None
    message: str | None = None
    error: _Error | str | None = None


class _Vector(Struct):
    index: int
    embedding: tuple[float, ...]
    usage: _Usage | None = None


class _Embedded(Struct):
    data: list[_Vector] | None = None
    model: str | None = None
    status: int | None = None
    message: str | None = None
    error: _Error | str | None = None


class _Count(Struct):
    tokens: int


class _Listed(Struct):
    id: str
    type: str | None = None


class _Listing(Struct):
    data: list[_Listed]


class _Remainder(Struct):
    usage: str
    value: int | float


class _Balance(Struct):
    balance: list[_Remainder]


_NOTHING_SAID: Final = _Said()
_NOT_JSON: Final = object()
_ANYTHING: Final = msgspec.json.Decoder()
_DECODER: Final = msgspec.json.Decoder(_Reply)
_EMBEDDED: Final = msgspec.json.Decoder(_Embedded)
_COUNTS: Final = msgspec.json.Decoder(list[_Count])
_LISTING: Final = msgspec.json.Decoder(_Listing)
_BALANCE: Final = msgspec.json.Decoder(_Balance)
_ENCODER: Final = msgspec.json.Encoder()
