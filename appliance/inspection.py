"""Every text of a request that would leave, in one traversal that both finds and replaces.

`rewrite` builds a new request out of what its visitor returns, so a text that was not shown to the visitor cannot be in the
result: what is inspected and what is sent are the same set by construction. Besides text, a request holds only numbers,
booleans and closed vocabularies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Self, TypeVar

import msgspec

from appliance.errors import UninspectableError
from providers import (
    ChatRequest,
    EmbeddingRequest,
    JsonObject,
    Message,
    NamedTool,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolMode,
)

_SHORTEST_NUMBER = 5  # digits; no identifier of a person is a bare JSON number shorter than this
_DEEPEST = 64  # levels of JSON; deeper is refused, for nobody reads it


class Field(msgspec.Struct, frozen=True):
    """One text of a request. `label` gives context (a JSON key); a field that is not `maskable` must keep its exact form."""

    content: str
    label: str = ""
    maskable: bool = True


Visitor = Callable[[Field], str]


_R = TypeVar("_R", ChatRequest, EmbeddingRequest)


def rewrite(request: _R, visit: Visitor) -> _R:
    """The request with each of its texts replaced by what `visit` returns for it.

    The order of visits is the order of the request and is the same at every call. `visit` must return a field that is not
    maskable unchanged. Raises UninspectableError for JSON that is nested too deep.
    """
    if isinstance(request, EmbeddingRequest):
        return msgspec.structs.replace(request, texts=tuple(visit(Field(text)) for text in request.texts))
    return msgspec.structs.replace(
        request,
        messages=tuple(_message(message, visit) for message in request.messages),
        tools=tuple(_tool(tool, visit) for tool in request.tools),
        tool_choice=_tool_choice(request.tool_choice, visit),
        response_format=_response_format(request.response_format, visit),
        stop=tuple(visit(Field(stop)) for stop in request.stop),
        metadata={visit(Field(key)): visit(Field(value, label=key)) for key, value in request.metadata.items()},
    )


def _message(message: Message, visit: Visitor) -> Message:
    content = message.content
    seen: str | tuple[str, ...] | None
    if isinstance(content, str):
        # What a tool returns is usually JSON; its keys are the best context there is.
        seen = _json_text(content, visit) if message.role == "tool" else visit(Field(content))
    elif content is None:
        seen = None
    else:
        seen = tuple(_json_text(part, visit) if message.role == "tool" else visit(Field(part)) for part in content)
    return Message(
        role=message.role,
        content=seen,
        name=_optional(message.name, visit, "name"),
        tool_calls=tuple(
            ToolCall(
                id=visit(Field(call.id)),
                name=visit(Field(call.name, maskable=False)),
                arguments=_json_text(call.arguments, visit),
            )
            for call in message.tool_calls
        ),
        tool_call_id=_optional(message.tool_call_id, visit),
        refusal=_optional(message.refusal, visit),
    )


def _tool(tool: Tool, visit: Visitor) -> Tool:
    return Tool(
        name=visit(Field(tool.name, maskable=False)),
        description=_optional(tool.description, visit),
        parameters=_json_object(tool.parameters, visit),
        strict=tool.strict,
    )


def _tool_choice(choice: ToolMode | NamedTool | None, visit: Visitor) -> ToolMode | NamedTool | None:
    return NamedTool(name=visit(Field(choice.name, maskable=False))) if isinstance(choice, NamedTool) else choice


def _response_format(form: ResponseFormat | None, visit: Visitor) -> ResponseFormat | None:
    if form is None:
        return None
    return ResponseFormat(
        kind=form.kind,
        name=None if form.name is None else visit(Field(form.name, maskable=False)),
        description=_optional(form.description, visit),
        schema=_json_object(form.schema, visit),
        strict=form.strict,
    )


def _optional(text: str | None, visit: Visitor, label: str = "") -> str | None:
    return None if text is None else visit(Field(text, label))


def _json_object(value: JsonObject | None, visit: Visitor) -> JsonObject | None:
    if value is None:
        return None
    return {visit(Field(key)): _json_value(item, visit, key, 1) for key, item in value.items()}


def _json_text(text: str, visit: Visitor) -> str:
    """A string that may hold JSON: its leaves and keys are visited unescaped; a string that is not JSON is visited whole."""
    repeated = False

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        result = dict(items)
        repeated = repeated or len(result) != len(items)
        return result

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_float=_Literal, parse_constant=_not_json)
    except ValueError:
        return visit(Field(text))
    except RecursionError:
        raise UninspectableError(
            "tool arguments or a tool result are nested too deep to be inspected", "messages"
        ) from None
    if not isinstance(value, dict | list):
        return visit(Field(text))  # a lone scalar: as prose
    seen = _json_value(value, visit, "", 0)
    # The original is kept letter for letter unless something was hidden in it, or a repeated key hid a value from us.
    if seen == value and not repeated:
        return text
    return json.dumps(seen, ensure_ascii=False)


class _Literal(float):
    """A float that remembers how it was written, for `float` keeps only 17 digits of it."""

    written: str

    def __new__(cls, written: str) -> Self:
        self = super().__new__(cls, written)
        self.written = written
        return self


def _not_json(constant: str) -> object:
    raise ValueError(constant)


def _json_value(value: object, visit: Visitor, label: str, depth: int) -> object:
    if depth > _DEEPEST:
        raise UninspectableError(f"JSON in the request is nested deeper than {_DEEPEST} levels: flatten it", "tools")
    match value:
        case str():
            return visit(Field(value, label))
        case dict():
            return {visit(Field(key)): _json_value(item, visit, key, depth + 1) for key, item in value.items()}
        case list():
            return [_json_value(item, visit, label, depth + 1) for item in value]
        case bool() | None:
            return value
        case int() | float():
            return _json_number(value, visit, label)
        case _:
            raise UninspectableError(f"`{label}` holds a value that is not JSON", "tools")


def _json_number(value: float, visit: Visitor, label: str) -> object:
    digits = value.written if isinstance(value, _Literal) else repr(value)
    if sum(character.isdigit() for character in digits) < _SHORTEST_NUMBER:
        return value
    seen = visit(Field(digits, label))
    return value if seen == digits else seen
